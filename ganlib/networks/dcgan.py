"""DCGAN (Radford, Metz & Chintala 2015, arXiv:1511.06434) for every size that 4 to 7 pixels double up to."""

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
    initialise,
    join_labels,
    join_planes,
    layer_widths,
)
from ganlib.networks.products import Doubling, Halving, Projection


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
        kernel_size: int = 4,
        activation: str = "relu",
        norm: str = "batch",
        upsampling: str = "transposed",
        class_names: Sequence[str] = (),
        class_counts: Sequence[int] = (),
        aspect: float = 1.0,
    ):
        super().__init__(latent_dim, latents, class_names, class_counts, aspect)
        widths = layer_widths(width, image_size, max_width)[::-1]
        inputs = latent_dim + len(class_names)
        self.project = Projection(inputs, widths[0], first_size(image_size), bias=norm == "none")
        self.first_norm = NORMS[norm](widths[0])
        self.activation = ACTIVATIONS[activation]()
        self.upsample = nn.Sequential()
        for wide, narrow in pairwise(widths):
            self.upsample.append(doubling(wide, narrow, kernel_size, upsampling, bias=norm == "none"))
            self.upsample.append(NORMS[norm](narrow))
            self.upsample.append(ACTIVATIONS[activation]())
        self.to_image = doubling(widths[-1], channels, kernel_size, upsampling, bias=True)
        initialise(self)

    def forward(self, latents: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        x = self.project(join_labels(latents, labels, len(self.class_names)))  # (N, widest, 4, 4)
        x = self.activation(self.first_norm(x))
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
        kernel_size: int = 4,
        activation: str = "leaky_relu",
        norm: str = "batch",
        spectral_norm: bool = False,
        conditional: str = "none",
        classes: int = 0,
    ):
        super().__init__()
        widths = layer_widths(width, image_size, max_width)
        self.joined = classes if conditional == "concat" else 0
        inputs = channels + self.joined
        self.downsample = nn.Sequential(Halving(inputs, widths[0], kernel_size, bias=True), ACTIVATIONS[activation]())
        for narrow, wide in pairwise(widths):
            self.downsample.append(Halving(narrow, wide, kernel_size, bias=norm == "none"))
            self.downsample.append(NORMS[norm](wide))
            self.downsample.append(ACTIVATIONS[activation]())
        self.add_heads(widths[-1] * first_size(image_size) ** 2, conditional, classes)
        initialise(self)
        if spectral_norm:
            apply_spectral_norm(self)

    def features(self, images: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        x = self.downsample(join_planes(images, labels, self.joined))  # (N, widest, 4, 4)
        return x.permute(0, 2, 3, 1).flatten(1)  # (N, 4 * 4 * widest), as it lies in memory


def doubling(inputs: int, outputs: int, kernel_size: int, upsampling: str, bias: bool) -> nn.Module:
    """Return a layer that doubles the size: a transposed convolution, or nearest pixels and a convolution.

    The second needs an odd kernel and has no checkerboards (Odena et al. 2016, doi:10.23915/distill.00003).
    """
    if upsampling == "transposed":
        return Doubling(inputs, outputs, kernel_size, bias)
    nearest = nn.Upsample(scale_factor=2, mode="nearest")
    return nn.Sequential(nearest, nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2, bias=bias))
