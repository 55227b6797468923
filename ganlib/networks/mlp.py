"""The GAN of dense layers (Goodfellow et al. 2014, arXiv:1406.2661): two hidden layers in each net."""

import torch
from torch import nn

from ganlib.networks.blocks import ACTIVATIONS, apply_spectral_norm, initialise

HIDDEN = 16
"""Units of a hidden layer for each unit of `width`: width 32 is 512 units."""
NORMS = {"batch": nn.BatchNorm1d, "instance": nn.LayerNorm, "none": lambda units: nn.Identity()}


class Generator(nn.Module):
    """Latents (N, latent_dim) to images (N, channels, image_size, image_size) in [-1, 1]."""

    def __init__(
        self,
        *,
        latent_dim: int,
        latents: str = "normal",
        width: int,
        image_size: int,
        channels: int,
        activation: str = "relu",
        norm: str = "batch",
    ):
        super().__init__()
        self.latent_dim, self.latents = latent_dim, latents  # for those who draw them
        self.shape = (channels, image_size, image_size)
        units = width * HIDDEN
        self.hidden = nn.Sequential(dense(latent_dim, units, activation, norm), dense(units, units, activation, norm))
        self.to_image = nn.Linear(units, channels * image_size**2)
        initialise(self)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.to_image(self.hidden(latents))).unflatten(1, self.shape)


class Discriminator(nn.Module):
    """Images (N, channels, image_size, image_size) in [-1, 1] to logits (N,)."""

    def __init__(
        self,
        *,
        width: int,
        image_size: int,
        channels: int,
        activation: str = "leaky_relu",
        norm: str = "batch",
        spectral_norm: bool = False,
    ):
        super().__init__()
        units = width * HIDDEN
        pixels = channels * image_size**2
        self.hidden = nn.Sequential(dense(pixels, units, activation, "none"), dense(units, units, activation, norm))
        self.to_logit = nn.Linear(units, 1)
        initialise(self)
        if spectral_norm:
            apply_spectral_norm(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.to_logit(self.hidden(images.flatten(1))).squeeze(1)


def dense(inputs: int, outputs: int, activation: str, norm: str) -> nn.Sequential:
    """Return a dense layer with its norm and activation."""
    return nn.Sequential(nn.Linear(inputs, outputs), NORMS[norm](outputs), ACTIVATIONS[activation]())
