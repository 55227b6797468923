"""The GAN of dense layers (Goodfellow et al. 2014, arXiv:1406.2661)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from ganlib.networks import blocks, sampling
from ganlib.networks.blocks import ACTIVATIONS, apply_spectral_norm, initialise, join_labels

HIDDEN = 16
"""Units of a hidden layer for each unit of `width`: width 32 is 512 units."""
NORMS = {"batch": nn.BatchNorm1d, "instance": nn.LayerNorm, "none": lambda units: nn.Identity()}


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
        image_size: int,
        channels: int,
        activation: str = "relu",
        norm: str = "batch",
        hidden_layers: int = 2,
        class_names: Sequence[str] = (),
        class_counts: Sequence[int] = (),
        aspect: float = 1.0,
    ):
        super().__init__(latent_dim, latents, class_names, class_counts, aspect)
        self.shape = (channels, image_size, image_size)
        units = width * HIDDEN
        inputs = latent_dim + len(class_names)
        sizes = pairwise([inputs, *[units] * hidden_layers])
        self.hidden = nn.Sequential(*(dense(*size, activation, norm) for size in sizes))
        self.to_image = nn.Linear(units, channels * image_size**2)
        initialise(self)

    def forward(self, latents: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        joined = join_labels(latents, labels, len(self.class_names))
        return torch.tanh(self.to_image(self.hidden(joined))).unflatten(1, self.shape)


class Discriminator(blocks.Discriminator):
    """Images (N, channels, image_size, image_size) in [-1, 1] to logits (N,)."""

    def __init__(
        self,
        *,
        width: int,
        image_size: int,
        channels: int,
        activation: str = "leaky_relu",
        norm: str = "batch",
        hidden_layers: int = 2,
        spectral_norm: bool = False,
        conditional: str = "none",
        classes: int = 0,
    ):
        super().__init__()
        units = width * HIDDEN
        self.joined = classes if conditional == "concat" else 0
        inputs = channels * image_size**2 + self.joined
        self.hidden = nn.Sequential(dense(inputs, units, activation, "none"))
        for _ in range(hidden_layers - 1):
            self.hidden.append(dense(units, units, activation, norm))
        self.add_heads(units, conditional, classes)
        initialise(self)
        if spectral_norm:
            apply_spectral_norm(self)

    def features(self, images: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        return self.hidden(join_labels(images.flatten(1), labels, self.joined))


def dense(inputs: int, outputs: int, activation: str, norm: str) -> nn.Sequential:
    """Return a dense layer with its norm and activation."""
    return nn.Sequential(nn.Linear(inputs, outputs), NORMS[norm](outputs), ACTIVATIONS[activation]())


def dense_layers(inputs: int, units: int, outputs: int, layers: int, activation: str, norm: str) -> nn.Sequential:
    """Return hidden layers of so many units and a linear one behind them: (N, inputs) to (N, outputs)."""
    sizes = pairwise([inputs, *[units] * layers])
    network = nn.Sequential(*(dense(*size, activation, norm) for size in sizes), nn.Linear(units, outputs))
    initialise(network)
    return network
