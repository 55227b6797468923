"""The families of networks that `model.architecture` names, and the front door to a published generator.

Also what games build of a family's discriminator: an encoder, and a judge of images beside their latents.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ganlib.core.errors import UserError
from ganlib.core.schema import ModelParams
from ganlib.core.weights import load_network
from ganlib.networks import blocks, dcgan, mlp, resnet

MAX_WEIGHTS = 10**9
"""Weights of a network above which it is refused: with its optimiser and average, a thousand million take 16 GB."""

Generator = dcgan.Generator | mlp.Generator | resnet.Generator
FamilyDiscriminator = dcgan.Discriminator | mlp.Discriminator | resnet.Discriminator
Discriminator = blocks.Discriminator


class Family(NamedTuple):
    generator: type[Generator]
    discriminator: type[FamilyDiscriminator]
    generators_own: frozenset[str] = frozenset()
    """Settings of the family's section of `model` that the discriminator does not have."""


FAMILIES = {
    "dcgan": Family(dcgan.Generator, dcgan.Discriminator, frozenset({"upsampling"})),
    "mlp": Family(mlp.Generator, mlp.Discriminator),
    "resnet": Family(resnet.Generator, resnet.Discriminator),
}


def network_configs(model: ModelParams, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what rebuilds both networks for data of this meta.json; raise UserError when they are too wide."""
    size, channels = meta["image_size"], meta["channels"]
    counts = {name: meta["counts_per_class"]["train"][name] for name in meta["class_names"]}
    configs = {
        "generator": generator_config(model, size, channels, counts, meta["aspect"]),
        "discriminator": discriminator_config(model, size, channels, len(counts)),
    }
    check_width(*configs.values())
    return configs


def generator_config(
    model: ModelParams,
    image_size: int,
    channels: int,
    class_counts: Mapping[str, int] | None = None,
    aspect: float = 1.0,
) -> dict[str, Any]:
    """Return what rebuilds the generator: the family's name, what all families share, and what only it knows.

    A conditional model needs `class_counts`, the training images of each class, and keeps them for drawing labels; one
    of squashed images keeps their `aspect`, for stretching them back.
    """
    config: dict[str, Any] = {
        "architecture": model.architecture,
        "latent_dim": model.latent_dim,
        "latents": model.latents,
        "width": model.width,
        "image_size": image_size,
        "channels": channels,
        "activation": model.g_activation,
        "norm": model.g_norm,
    }
    if model.conditional != "none":
        counts = class_counts or {}
        config |= {"class_names": list(counts), "class_counts": list(counts.values())}
    if aspect != 1:
        config["aspect"] = aspect
    return config | _own(model)


def discriminator_config(model: ModelParams, image_size: int, channels: int, classes: int = 0) -> dict[str, Any]:
    """Return what rebuilds the discriminator: the family's name, what all families share, and what only it knows."""
    own = _own(model)
    return {
        "architecture": model.architecture,
        "width": model.width,
        "image_size": image_size,
        "channels": channels,
        "activation": model.d_activation,
        "norm": model.d_norm,
        "spectral_norm": model.spectral_norm,
        "conditional": model.conditional,
        "classes": classes,
    } | {name: own[name] for name in own if name not in FAMILIES[model.architecture].generators_own}


def check_width(config: dict[str, Any], d_config: dict[str, Any]) -> None:
    """Raise UserError when a network would have more than MAX_WEIGHTS; nothing of it is allocated to find out."""
    with torch.device("meta"):
        networks = build_generator(**config), build_discriminator(**d_config)
    most = max(sum(weight.numel() for weight in network.parameters()) for network in networks)
    if most > MAX_WEIGHTS:
        raise UserError(
            f"model.width = {config['width']}: {config['architecture']} would have {most:,} weights at "
            f"{config['image_size']} pixels; lower it ({MAX_WEIGHTS:,} is the most)"
        )


def build_generator(*, architecture: str, **config: Any) -> Generator:
    """Build the generator of a family with its own configuration; weights are drawn from torch's global state."""
    return FAMILIES[architecture].generator(**config)


def build_discriminator(*, hidden: int = 0, **config: Any) -> Discriminator:
    """Build the discriminator of a family with its own configuration; weights are drawn from torch's global state.

    With `hidden`, it has so many units between its trunk and its heads.
    """
    return DeepDiscriminator(hidden, **config) if hidden else _build_trunk(**config)


def _build_trunk(*, architecture: str, **config: Any) -> FamilyDiscriminator:
    return FAMILIES[architecture].discriminator(**config)


class DeepDiscriminator(blocks.Discriminator):
    """A family's unconditional discriminator with a dense layer between its trunk and its heads."""

    def __init__(self, units: int, **config: Any):
        super().__init__()
        self.trunk = _build_trunk(**config)
        self.hidden = mlp.dense(self.trunk.to_logit.in_features, units, config["activation"], config["norm"])
        del self.trunk.to_logit
        self.add_heads(units, "none", 0)
        if config["spectral_norm"]:
            blocks.apply_spectral_norm(nn.ModuleList([self.hidden, self.to_logit]))

    def features(self, images: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        return self.hidden(self.trunk.features(images, labels))


class Encoder(nn.Module):
    """Images (N, C, H, W) in [-1, 1] to latents (N, latent_dim): a discriminator's trunk and a linear layer."""

    def __init__(self, *, latent_dim: int, **config: Any):
        super().__init__()
        self.trunk = build_discriminator(**config)
        self.to_latents = nn.Linear(self.trunk.to_logit.in_features, latent_dim)
        del self.trunk.to_logit

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.to_latents(self.trunk.features(images, None))


class PairDiscriminator(nn.Module):
    """Images (N, C, H, W) in [-1, 1] and their latents (N, latent_dim) to logits (N,)."""

    def __init__(self, *, latent_dim: int, units: int, **config: Any):
        super().__init__()
        activation = config["activation"]
        self.trunk = build_discriminator(**config)
        self.embed = mlp.dense(latent_dim, units, activation, "none")
        self.to_logit = mlp.dense_layers(self.trunk.to_logit.in_features + units, units, 1, 1, activation, "none")
        del self.trunk.to_logit
        if config["spectral_norm"]:
            blocks.apply_spectral_norm(nn.ModuleList([self.embed, self.to_logit]))

    def forward(self, images: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        return self.to_logit(torch.cat([self.trunk.features(images, None), self.embed(latents)], 1)).squeeze(1)


def load_generator(folder: str | Path, name: str = "generator") -> Generator:
    """Rebuild the published generator from generator.json and generator.safetensors, in evaluation mode.

    It maps latents (N, latent_dim) to images (N, channels, image_size, image_size) in [-1, 1]; a conditional one, which
    has `class_names`, takes labels (N,), indices into these, as its second argument. Its `sample` returns pictures.
    """
    return load_network(Path(folder), name, build_generator)


def load_discriminator(folder: Path) -> Discriminator:
    """Rebuild the discriminator from discriminator.json and discriminator.safetensors, in evaluation mode."""
    return load_network(folder, "discriminator", build_discriminator)


def _own(model: ModelParams) -> dict[str, Any]:
    section = getattr(model, model.architecture)
    return {name: getattr(section, name) for name in type(section).model_fields}
