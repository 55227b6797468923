"""What generated images are drawn from: latent vectors, and labels for conditional models."""

from collections.abc import Sequence

import torch


def draw_latents(count: int, latent_dim: int, random: torch.Generator, distribution: str = "normal") -> torch.Tensor:
    """Draw (count, latent_dim) latents from N(0, 1) or, for `uniform`, from [-1, 1]; on the CPU."""
    if distribution == "uniform":
        return torch.rand(count, latent_dim, generator=random) * 2 - 1
    return torch.randn(count, latent_dim, generator=random)


def draw_classes(count: int, class_counts: Sequence[int], random: torch.Generator) -> torch.Tensor:
    """Draw (count,) labels, int64, each as often as its share of the training images; on the CPU."""
    weights = torch.tensor(class_counts, dtype=torch.float64)
    return torch.multinomial(weights, count, replacement=True, generator=random)


def grid_classes(rows: int, columns: int, classes: int) -> torch.Tensor:
    """Return (rows * columns,) labels of a grid with one class a row; the classes begin again below the last."""
    return (torch.arange(rows) % classes).repeat_interleave(columns)
