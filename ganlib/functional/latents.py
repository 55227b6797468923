"""What generated images are drawn from: latent vectors, and labels for conditional models."""

from collections.abc import Sequence

import torch

EDGE = 2.0**-24
"""Share of a uniform latent's range that is nearest its end; float32 tells no smaller one from none."""


def draw_latents(count: int, latent_dim: int, random: torch.Generator, distribution: str = "normal") -> torch.Tensor:
    """Draw (count, latent_dim) latents from N(0, 1) or, for `uniform`, from [-1, 1]; on the CPU."""
    if distribution == "uniform":
        return torch.rand(count, latent_dim, generator=random) * 2 - 1
    return torch.randn(count, latent_dim, generator=random)


def to_normal(latents: torch.Tensor, distribution: str) -> torch.Tensor:
    """Return the normal latents that uniform ones, of any shape, stand for, number by number; normal ones stay.

    A number goes to that of N(0, 1) which as large a share lies under, so that uniform latents become normal ones. The
    ends, -1 and 1, go to the last that float32 draws, 5.3 from 0.
    """
    if distribution == "normal":
        return latents
    return torch.special.ndtri(((latents + 1) / 2).clamp(EDGE, 1 - EDGE))


def from_normal(latents: torch.Tensor, distribution: str) -> torch.Tensor:
    """Undo `to_normal`: what it returns for `uniform` lies in [-1, 1], of whatever latents."""
    return latents if distribution == "normal" else 2 * torch.special.ndtr(latents) - 1


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
