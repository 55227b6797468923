"""Latent vectors."""

import torch


def draw_latents(count: int, latent_dim: int, random: torch.Generator) -> torch.Tensor:
    """Draw (count, latent_dim) latents from N(0, 1), on the CPU."""
    return torch.randn(count, latent_dim, generator=random)
