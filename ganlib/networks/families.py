"""The families of networks that `model.architecture` names, and the front door to a published generator."""

import inspect
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from ganlib.networks import dcgan, mlp
from ganlib.networks.weights import load_network
from ganlib.params import ModelParams

Generator = dcgan.Generator | mlp.Generator


class Family(NamedTuple):
    generator: type[Generator]
    discriminator: type[nn.Module]


FAMILIES = {
    "dcgan": Family(dcgan.Generator, dcgan.Discriminator),
    "mlp": Family(mlp.Generator, mlp.Discriminator),
}


def generator_config(model: ModelParams, image_size: int, channels: int) -> dict[str, Any]:
    """Return what rebuilds the generator: the family's name and those settings that it knows."""
    settings = {
        "latent_dim": model.latent_dim,
        "latents": model.latents,
        "width": model.width,
        "kernel_size": model.kernel_size,
        "activation": model.g_activation,
        "norm": model.g_norm,
        "upsampling": model.upsampling,
    }
    return _known(model.architecture, "generator", settings | {"image_size": image_size, "channels": channels})


def discriminator_config(model: ModelParams, image_size: int, channels: int) -> dict[str, Any]:
    """Return what rebuilds the discriminator: the family's name and those settings that it knows."""
    settings = {
        "width": model.width,
        "kernel_size": model.kernel_size,
        "activation": model.d_activation,
        "norm": model.d_norm,
        "spectral_norm": model.spectral_norm,
    }
    return _known(model.architecture, "discriminator", settings | {"image_size": image_size, "channels": channels})


def build_generator(*, architecture: str, **config: Any) -> Generator:
    """Build the generator of a family with its own configuration; weights are drawn from torch's global state."""
    return FAMILIES[architecture].generator(**config)


def build_discriminator(*, architecture: str, **config: Any) -> nn.Module:
    """Build the discriminator of a family with its own configuration; weights are drawn from torch's global state."""
    return FAMILIES[architecture].discriminator(**config)


def load_generator(folder: Path, name: str = "generator") -> Generator:
    """Rebuild the published generator from generator.json and generator.safetensors, in evaluation mode.

    It maps latents (N, latent_dim) to images (N, channels, image_size, image_size) in [-1, 1].
    """
    return load_network(folder, name, build_generator)


def load_discriminator(folder: Path) -> nn.Module:
    """Rebuild the discriminator from its two files in best/ or final/, in evaluation mode."""
    return load_network(folder, "discriminator", build_discriminator)


def _known(architecture: str, net: str, settings: dict[str, Any]) -> dict[str, Any]:
    known = inspect.signature(getattr(FAMILIES[architecture], net)).parameters
    return {"architecture": architecture} | {name: value for name, value in settings.items() if name in known}
