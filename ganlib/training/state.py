"""A training in the middle of its work: networks, data order, random streams, and what it has recorded so far."""

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ganlib.errors import UserError
from ganlib.networks.families import Discriminator
from ganlib.schema import Params
from ganlib.seeding import random_generator
from ganlib.training.alarms import Row
from ganlib.training.step import GAN_PARTS, Gan

ADAM_BETAS = (0.5, 0.999)
"""Radford 2015: the usual beta1 of 0.9 made training oscillate."""


def build_gan(generator: nn.Module, discriminator: Discriminator, lr: float, device: torch.device) -> Gan:
    """Put both networks on the device, with an optimiser each and a moving average of the generator."""
    for network in (generator, discriminator):
        network.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    capturable = device.type == "cuda"  # by a graph
    return Gan(
        generator=generator,
        discriminator=discriminator,
        generator_ema=copy.deepcopy(generator).requires_grad_(False).eval(),
        g_optimizer=torch.optim.Adam(generator.parameters(), lr, ADAM_BETAS, fused=True, capturable=capturable),
        d_optimizer=torch.optim.Adam(discriminator.parameters(), lr, ADAM_BETAS, fused=True, capturable=capturable),
    )


class BatchOrder:
    """Indices of whole batches for ever, each epoch in a new random order; a short last batch is left out."""

    def __init__(self, count: int, batch_size: int, random: torch.Generator):
        if count < batch_size:
            raise UserError(f"batch_size = {batch_size}: there are only {count} training images")
        self.count, self.batch_size, self.random = count, batch_size, random
        self.epoch = torch.empty(0, dtype=torch.int64)
        self.position = 0

    def next_batch(self) -> torch.Tensor:
        """Return (batch_size,) indices."""
        if self.position + self.batch_size > len(self.epoch):
            self.epoch, self.position = torch.randperm(self.count, generator=self.random), 0
        self.position += self.batch_size
        return self.epoch[self.position - self.batch_size : self.position]


@dataclass(kw_only=True)
class Training:
    """A training in the middle of its work: everything that its next step depends on."""

    gan: Gan
    order: BatchOrder
    latent_random: torch.Generator
    augment_random: torch.Generator
    flip_random: torch.Generator
    label_random: torch.Generator
    step: int = 0
    history: list[Row] = field(default_factory=list)
    evaluations: list[Row] = field(default_factory=list)
    progress: list[torch.Tensor] = field(default_factory=list)
    """Images of the same latents at each evaluation, (n, C, H, W) uint8."""
    alarms: list[dict[str, Any]] = field(default_factory=list)
    active: dict[str, bool] = field(default_factory=dict)
    """Whether an alarm was on when last looked at: it is raised once, until it is over."""
    best: dict[str, Any] | None = None
    """State of the networks and optimisers at the evaluation with the lowest domain FID to held-out images."""
    restored: int = 0
    ended: bool = False

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {
            "gan": self.gan_state(),
            "random": {name: random.get_state() for name, random in self._streams().items()},
            "epoch": self.order.epoch,
            "position": self.order.position,
            **{name: getattr(self, name) for name in RECORDS},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the state of a checkpoint."""
        self.load_gan(state["gan"])
        for name, random in self._streams().items():
            random.set_state(state["random"][name])
        self.order.epoch, self.order.position = state["epoch"], state["position"]
        for name in RECORDS:
            setattr(self, name, state[name])

    def gan_state(self) -> dict[str, Any]:
        """Return the state of networks and optimisers; it changes with them."""
        return {name: getattr(self.gan, name).state_dict() for name in GAN_PARTS}

    def load_gan(self, state: dict[str, Any]) -> None:
        """Take over the state of networks and optimisers."""
        for name in GAN_PARTS:
            getattr(self.gan, name).load_state_dict(state[name])

    def _streams(self) -> dict[str, torch.Generator]:
        return {
            "order": self.order.random,
            "latents": self.latent_random,
            "augment": self.augment_random,
            "flip": self.flip_random,
            "labels": self.label_random,
        }


RECORDS = ("step", "history", "evaluations", "progress", "alarms", "active", "best", "restored", "ended")


def start_training(gan: Gan, images: torch.Tensor, params: Params) -> Training:
    """Return a training before its first step; raise UserError when there are fewer images than one batch."""
    return Training(
        gan=gan,
        order=BatchOrder(len(images), params.batch_size, random_generator(params.seed, "train/order")),
        latent_random=random_generator(params.seed, "train/latents"),
        augment_random=random_generator(params.seed, "train/augment"),
        flip_random=random_generator(params.seed, "train/flip"),
        label_random=random_generator(params.seed, "train/labels"),
    )
