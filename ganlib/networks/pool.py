"""A pool of images that a generator made earlier, half of which stand in for the newest before a discriminator."""

from typing import NamedTuple

import torch
from torch import nn

from ganlib.core.distributed import all_of, part


class Picks(NamedTuple):
    """What chance decides of an exchange of N images, for each of several pools: all (pools, N)."""

    slots: torch.Tensor
    """Places in the pool, no two alike."""
    old: torch.Tensor
    """Whether what lies there goes to D, in the place of the new image."""
    kept: torch.Tensor
    """Whether the new image takes that place."""


def draw_picks(pools: int, count: int, size: int, seen: int, random: torch.Generator) -> Picks:
    """Draw an exchange of `count` images with pools of `size`, which have `seen` so many.

    Until it is full a pool keeps all and gives none; then it exchanges half of them (Shrivastava et al. 2017,
    arXiv:1612.07828, section 2.3, as in Zhu et al. 2017).
    """
    if seen < size:
        slots = (torch.arange(seen, seen + count) % size).expand(pools, count)
        return Picks(slots, torch.zeros(pools, count, dtype=torch.bool), torch.ones(pools, count, dtype=torch.bool))
    slots = torch.stack([torch.randperm(size, generator=random)[:count] for _ in range(pools)])
    old = torch.rand(pools, count, generator=random) < 0.5
    return Picks(slots, old, old)


class Pool(nn.Module):
    """`size` images (channels, image_size, image_size), no weights: it is in checkpoints, and no optimiser moves it."""

    images: torch.Tensor

    def __init__(self, *, size: int, channels: int, image_size: int):
        super().__init__()
        self.register_buffer("images", torch.zeros(size, channels, image_size, image_size))

    def exchange(self, new: torch.Tensor, slots: torch.Tensor, old: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Return what D is shown for this process's images; the others are (N,), of all processes' images.

        Every process keeps the same.
        """
        everyone, before = all_of(new), self.images[slots]
        old, kept = old[:, None, None, None], kept[:, None, None, None]
        self.images.index_copy_(0, slots, everyone.where(kept, before))
        return part(before.where(old, everyone))
