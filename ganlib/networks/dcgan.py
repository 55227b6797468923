"""DCGAN (Radford, Metz & Chintala 2015, arXiv:1511.06434) for images of 8 to 256 pixels, a power of two."""

import math
from itertools import pairwise

import torch
from torch import nn

FIRST_SIZE = 4
"""Height and width of the generator's first feature map, and of the discriminator's last."""


class Generator(nn.Module):
    """Latents (N, latent_dim) to images (N, channels, image_size, image_size) in [-1, 1]."""

    def __init__(self, *, latent_dim: int, width: int, image_size: int, channels: int):
        super().__init__()
        self.latent_dim = latent_dim
        widths = layer_widths(width, image_size)[::-1]
        # A 4x4 transposed convolution of a 1x1 input, written as the matrix product that it is.
        self.project = nn.Linear(latent_dim, widths[0] * FIRST_SIZE**2, bias=False)
        self.first_norm = nn.BatchNorm2d(widths[0])
        self.upsample = nn.Sequential()
        for wide, narrow in pairwise(widths):
            self.upsample.append(nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False))
            self.upsample.append(nn.BatchNorm2d(narrow))
            self.upsample.append(nn.ReLU())
        self.to_image = nn.ConvTranspose2d(widths[-1], channels, 4, stride=2, padding=1)
        initialise(self)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        x = self.project(latents).unflatten(1, (-1, FIRST_SIZE, FIRST_SIZE))  # (N, widest, 4, 4)
        x = torch.relu(self.first_norm(x))
        return torch.tanh(self.to_image(self.upsample(x)))


class Discriminator(nn.Module):
    """Images (N, channels, image_size, image_size) in [-1, 1] to logits (N,)."""

    def __init__(self, *, width: int, image_size: int, channels: int):
        super().__init__()
        widths = layer_widths(width, image_size)
        self.downsample = nn.Sequential(nn.Conv2d(channels, widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        for narrow, wide in pairwise(widths):
            self.downsample.append(nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=False))
            self.downsample.append(nn.BatchNorm2d(wide))
            self.downsample.append(nn.LeakyReLU(0.2))
        self.to_logit = nn.Linear(widths[-1] * FIRST_SIZE**2, 1)
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.downsample(images)  # (N, widest, 4, 4)
        return self.to_logit(x.flatten(1)).squeeze(1)


def layer_widths(width: int, image_size: int) -> list[int]:
    """Return the channels of each layer from the image inwards: `width`, doubled each time the size is halved."""
    return [width * 2**depth for depth in range(int(math.log2(image_size // FIRST_SIZE)))]


def initialise(network: nn.Module) -> None:
    """Draw weights from N(0, 0.02) and batch norm's scales from N(1, 0.02), as in the paper; biases are 0."""
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        if isinstance(getattr(module, "bias", None), torch.Tensor):
            nn.init.zeros_(module.bias)  # pyright: ignore[reportArgumentType]
