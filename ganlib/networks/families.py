"""The families of networks that `model.architecture` names, and the front door to a published generator."""

from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from ganlib.networks import dcgan
from ganlib.networks.weights import load_network

Generator = dcgan.Generator


class Family(NamedTuple):
    generator: type[Generator]
    discriminator: type[nn.Module]


FAMILIES = {"dcgan": Family(dcgan.Generator, dcgan.Discriminator)}


def build_generator(*, architecture: str, **config: Any) -> Generator:
    """Build the generator of a family with its own configuration; weights are drawn from torch's global state."""
    return FAMILIES[architecture].generator(**config)


def build_discriminator(*, architecture: str, **config: Any) -> nn.Module:
    """Build the discriminator of a family with its own configuration; weights are drawn from torch's global state."""
    return FAMILIES[architecture].discriminator(**config)


def load_generator(folder: Path) -> Generator:
    """Rebuild the published generator from generator.json and generator.safetensors, in evaluation mode.

    It maps latents (N, latent_dim) to images (N, channels, image_size, image_size) in [-1, 1].
    """
    return load_network(folder, "generator", build_generator)
