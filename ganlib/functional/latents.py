"""What generated images are drawn from: latent vectors, with codes at their end if the game has any, and labels.

`normal+10+2` is noise from N(0, 1), then one of 10 categories as a vector with one number that is not 0, then two
numbers from [-1, 1].
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch.nn.functional import one_hot

EDGE = 2.0**-24
"""Share of a uniform latent's range that is nearest its end; float32 tells no smaller one from none."""


LENGTH = 10**0.5
"""Of the vector of a category: ten numbers of noise are as long. At 1, next to so much noise, G hardly hears it."""


class Parts(NamedTuple):
    """What a latent vector is made of, from its beginning to its end."""

    noise: str
    """`normal` or `uniform`."""
    categories: int = 0
    """Numbers behind the noise of which one is LENGTH and the others are 0."""
    continuous: int = 0
    """Numbers from [-1, 1] behind that."""


def parts_of(distribution: str) -> Parts:
    """Read a name as `normal`, or `normal+10+2` for noise, 10 categories and 2 numbers."""
    noise, *codes = distribution.split("+")
    return Parts(noise, *map(int, codes))


def draw_latents(count: int, latent_dim: int, random: torch.Generator, distribution: str = "normal") -> torch.Tensor:
    """Draw (count, latent_dim) latents from N(0, 1) or, for `uniform`, from [-1, 1], and codes; on the CPU."""
    noise, categories, continuous = parts_of(distribution)
    size = count, latent_dim - categories - continuous
    drawn = torch.rand(size, generator=random) * 2 - 1 if noise == "uniform" else torch.randn(size, generator=random)
    if not categories:
        return drawn
    category = one_hot(torch.randint(categories, (count,), generator=random), categories)
    return torch.cat([drawn, LENGTH * category, torch.rand(count, continuous, generator=random) * 2 - 1], 1)


def to_normal(latents: torch.Tensor, distribution: str) -> torch.Tensor:
    """Return the normal latents that uniform ones (..., d) stand for, number by number; normal ones stay.

    A number goes to that of N(0, 1) which as large a share lies under, so that uniform latents become normal ones. The
    ends, -1 and 1, go to the last that float32 draws, 5.3 from 0. A category stays as it is.
    """
    return _by_number(latents, distribution, lambda x: torch.special.ndtri(((x + 1) / 2).clamp(EDGE, 1 - EDGE)))


def from_normal(latents: torch.Tensor, distribution: str) -> torch.Tensor:
    """Undo `to_normal`: what it returns of uniform numbers lies in [-1, 1], of whatever latents."""
    return _by_number(latents, distribution, lambda x: 2 * torch.special.ndtr(x) - 1)


def _by_number(
    latents: torch.Tensor, distribution: str, change: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Change those numbers of latents (..., d) that are uniform."""
    if distribution == "normal":
        return latents
    noise, category, numbers = split_latents(latents, distribution)
    noise = change(noise) if parts_of(distribution).noise == "uniform" else noise
    return torch.cat([noise, category, change(numbers)], -1)


def split_latents(latents: torch.Tensor, distribution: str) -> list[torch.Tensor]:
    """Return the noise, the vector of the category, and the numbers of latents (..., d); codes may be empty."""
    _, categories, continuous = parts_of(distribution)
    sizes = [latents.shape[-1] - categories - continuous, categories, continuous]
    return list(latents.split(sizes, -1))


def shortened(latents: torch.Tensor, factor: float | torch.Tensor, distribution: str) -> torch.Tensor:
    """Return latents (..., d) with their noise multiplied by a factor; codes stay as they are."""
    if not parts_of(distribution).categories:
        return factor * latents
    noise, *codes = split_latents(latents, distribution)
    noise = factor * noise
    return torch.cat([noise, *(code.expand(*noise.shape[:-1], -1) for code in codes)], -1)


def draw_classes(count: int, class_counts: Sequence[int], random: torch.Generator) -> torch.Tensor:
    """Draw (count,) labels, int64, each as often as its share of the training images; on the CPU."""
    weights = torch.tensor(class_counts, dtype=torch.float64)
    return torch.multinomial(weights, count, replacement=True, generator=random)


def seen_classes(class_counts: Sequence[int]) -> torch.Tensor:
    """Return the labels, int64, that some training image has: a generator makes noise of the others."""
    return torch.tensor(class_counts).nonzero().flatten()


def grid_classes(rows: int, columns: int, class_counts: Sequence[int]) -> torch.Tensor:
    """Return (rows * columns,) labels of a grid, a seen class a row; the classes begin again below the last."""
    seen = seen_classes(class_counts)
    return seen[torch.arange(rows) % len(seen)].repeat_interleave(columns)
