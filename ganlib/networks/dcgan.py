"""DCGAN (Radford, Metz & Chintala 2015, arXiv:1511.06434) for every size that 4 to 7 pixels double up to."""

from itertools import pairwise

import torch
from torch import nn

from ganlib.networks.blocks import ACTIVATIONS, NORMS, apply_spectral_norm, first_size, initialise, layer_widths
from ganlib.networks.products import Doubling, Halving, Head, Projection


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
        kernel_size: int = 4,
        activation: str = "relu",
        norm: str = "batch",
        upsampling: str = "transposed",
    ):
        super().__init__()
        self.latent_dim, self.latents = latent_dim, latents  # for those who draw them
        widths = layer_widths(width, image_size)[::-1]
        self.project = Projection(latent_dim, widths[0], first_size(image_size), bias=norm == "none")
        self.first_norm = NORMS[norm](widths[0])
        self.activation = ACTIVATIONS[activation]()
        self.upsample = nn.Sequential()
        for wide, narrow in pairwise(widths):
            self.upsample.append(doubling(wide, narrow, kernel_size, upsampling, bias=norm == "none"))
            self.upsample.append(NORMS[norm](narrow))
            self.upsample.append(ACTIVATIONS[activation]())
        self.to_image = doubling(widths[-1], channels, kernel_size, upsampling, bias=True)
        initialise(self)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        x = self.activation(self.first_norm(self.project(latents)))  # (N, widest, 4, 4)
        return torch.tanh(self.to_image(self.upsample(x)))


class Discriminator(nn.Module):
    """Images (N, channels, image_size, image_size) in [-1, 1] to logits (N,)."""

    def __init__(
        self,
        *,
        width: int,
        image_size: int,
        channels: int,
        kernel_size: int = 4,
        activation: str = "leaky_relu",
        norm: str = "batch",
        spectral_norm: bool = False,
    ):
        super().__init__()
        widths = layer_widths(width, image_size)
        self.downsample = nn.Sequential(Halving(channels, widths[0], kernel_size, bias=True), ACTIVATIONS[activation]())
        for narrow, wide in pairwise(widths):
            self.downsample.append(Halving(narrow, wide, kernel_size, bias=norm == "none"))
            self.downsample.append(NORMS[norm](wide))
            self.downsample.append(ACTIVATIONS[activation]())
        self.to_logit = Head(widths[-1], first_size(image_size), 1)
        initialise(self)
        if spectral_norm:
            apply_spectral_norm(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.downsample(images)  # (N, widest, 4, 4)
        return self.to_logit(x).squeeze(1)


def doubling(inputs: int, outputs: int, kernel_size: int, upsampling: str, bias: bool) -> nn.Module:
    """Return a layer that doubles the size: a transposed convolution, or nearest pixels and a convolution.

    The second needs an odd kernel and has no checkerboards (Odena et al. 2016, doi:10.23915/distill.00003).
    """
    if upsampling == "transposed":
        return Doubling(inputs, outputs, kernel_size, bias)
    nearest = nn.Upsample(scale_factor=2, mode="nearest")
    return nn.Sequential(nearest, nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2, bias=bias))
