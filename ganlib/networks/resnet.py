"""Residual nets (SNGAN, Miyato et al. 2018, arXiv:1802.05957; blocks of Gulrajani et al. 2017, arXiv:1704.00028).

For every size that 4 to 7 pixels double up to. `widths` are those of the paper's nets for 128 pixels, `width` channels
nearest the image, `doubled` with each halving, or those of its nets for 32, `equal`. Kernels are 3x3 and upsampling is
nearest, as in the paper.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from ganlib.networks import blocks, sampling
from ganlib.networks.blocks import (
    ACTIVATIONS,
    MOST,
    NORMS,
    apply_spectral_norm,
    first_size,
    join_labels,
    join_planes,
    layer_widths,
)


class Generator(sampling.Generator):
    """Latents (N, latent_dim), with labels (N,) if there are classes, to images in [-1, 1].

    Images are (N, channels, image_size, image_size); labels are joined to the latents as one-hot vectors.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        latents: str = "normal",
        width: int,
        max_width: int = MOST,
        image_size: int,
        channels: int,
        activation: str = "relu",
        norm: str = "batch",
        widths: str = "doubled",
        class_names: Sequence[str] = (),
        class_counts: Sequence[int] = (),
        aspect: float = 1.0,
    ):
        super().__init__(latent_dim, latents, class_names, class_counts, aspect)
        self.first_size = first_size(image_size)
        outwards = layer_widths(width, image_size, max_width, widths == "doubled")[::-1]
        self.project = nn.Linear(latent_dim + len(class_names), outwards[0] * self.first_size**2)
        self.upsample = nn.Sequential()
        for wide, narrow in pairwise([outwards[0], *outwards]):
            self.upsample.append(up_block(wide, narrow, activation, norm))
        self.to_image = nn.Sequential(
            NORMS[norm](width), ACTIVATIONS[activation](), nn.Conv2d(width, channels, 3, padding=1)
        )
        initialise(self)

    def forward(self, latents: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        x = self.project(join_labels(latents, labels, len(self.class_names)))
        x = x.unflatten(1, (-1, self.first_size, self.first_size))  # (N, widest, 4, 4)
        return torch.tanh(self.to_image(self.upsample(x)))


class Discriminator(blocks.Discriminator):
    """Images (N, channels, image_size, image_size) in [-1, 1] to logits (N,)."""

    def __init__(
        self,
        *,
        width: int,
        max_width: int = MOST,
        image_size: int,
        channels: int,
        activation: str = "leaky_relu",
        norm: str = "batch",
        widths: str = "doubled",
        spectral_norm: bool = False,
        conditional: str = "none",
        classes: int = 0,
    ):
        super().__init__()
        inwards = layer_widths(width, image_size, max_width, widths == "doubled")
        self.joined = classes if conditional == "concat" else 0
        self.downsample = nn.Sequential(first_block(channels + self.joined, width, activation))
        for narrow, wide in pairwise(inwards):
            self.downsample.append(down_block(narrow, wide, activation, norm))
        self.downsample.append(flat_block(inwards[-1], activation, norm))
        self.activation = ACTIVATIONS[activation]()
        self.add_heads(inwards[-1], conditional, classes)
        initialise(self)
        if spectral_norm:
            apply_spectral_norm(self)

    def features(self, images: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        x = self.downsample(join_planes(images, labels, self.joined))  # (N, widest, 4, 4)
        return self.activation(x).sum((2, 3))  # (N, widest)


class Residual(nn.Module):
    """The sum of a branch and a shortcut."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module):
        super().__init__()
        self.branch, self.shortcut = branch, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.branch(x) + self.shortcut(x)


def up_block(inputs: int, outputs: int, activation: str, norm: str) -> Residual:
    """Return a block that doubles the size."""
    branch = nn.Sequential(
        NORMS[norm](inputs),
        ACTIVATIONS[activation](),
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(inputs, outputs, 3, padding=1),
        NORMS[norm](outputs),
        ACTIVATIONS[activation](),
        nn.Conv2d(outputs, outputs, 3, padding=1),
    )
    return Residual(branch, nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(inputs, outputs, 1)))


def first_block(inputs: int, outputs: int, activation: str) -> Residual:
    """Return D's block on the image, which halves the size: no norm, and no activation of the pixels themselves."""
    branch = nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        ACTIVATIONS[activation](),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.AvgPool2d(2),
    )
    return Residual(branch, nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inputs, outputs, 1)))


def down_block(inputs: int, outputs: int, activation: str, norm: str) -> Residual:
    """Return a block that halves the size."""
    branch = nn.Sequential(*flat_layers(inputs, outputs, activation, norm), nn.AvgPool2d(2))
    return Residual(branch, nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.AvgPool2d(2)))


def flat_block(channels: int, activation: str, norm: str) -> Residual:
    """Return a block that keeps the size."""
    return Residual(nn.Sequential(*flat_layers(channels, channels, activation, norm)), nn.Identity())


def flat_layers(inputs: int, outputs: int, activation: str, norm: str) -> list[nn.Module]:
    """Return the two convolutions of a branch in D, each after its norm and activation."""
    return [
        NORMS[norm](inputs),
        ACTIVATIONS[activation](),
        nn.Conv2d(inputs, outputs, 3, padding=1),
        NORMS[norm](outputs),
        ACTIVATIONS[activation](),
        nn.Conv2d(outputs, outputs, 3, padding=1),
    ]


def initialise(network: nn.Module) -> None:
    """Draw weights as Glorot & Bengio 2010, 3x3 kernels with a gain of sqrt(2), as the paper's code; biases are 0.

    Radford's N(0, 0.02) would all but close the 1x1 shortcuts.
    """
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_uniform_(module.weight, 2**0.5 if module.weight.shape[2:] == (3, 3) else 1)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
