"""Latent vectors."""

import torch


def draw_latents(count: int, latent_dim: int, random: torch.Generator, distribution: str = "normal") -> torch.Tensor:
    """Draw (count, latent_dim) latents from N(0, 1) or, for `uniform`, from [-1, 1]; on the CPU."""
    if distribution == "uniform":
        return torch.rand(count, latent_dim, generator=random) * 2 - 1
    return torch.randn(count, latent_dim, generator=random)
