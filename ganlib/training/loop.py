"""The training loop: its phases, in order."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from ganlib.augment import flip
from ganlib.ema import decay_for, update_ema
from ganlib.errors import UserError
from ganlib.images import to_unit_range
from ganlib.latent import draw_latents
from ganlib.losses import LOSSES
from ganlib.params import Params
from ganlib.seeding import random_generator
from ganlib.training.step import GAN_PARTS, Batch, Gan, Recipe, StepResult, train_step

ADAM_BETAS = (0.5, 0.999)
"""Radford 2015: the usual beta1 of 0.9 made training oscillate."""

History = list[dict[str, float]]


def build_gan(generator: nn.Module, discriminator: nn.Module, lr: float, device: torch.device) -> Gan:
    """Put both networks on the device, with an optimiser each and a moving average of the generator."""
    for network in (generator, discriminator):
        network.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return Gan(
        generator=generator,
        discriminator=discriminator,
        generator_ema=copy.deepcopy(generator).requires_grad_(False),
        g_optimizer=torch.optim.Adam(generator.parameters(), lr, ADAM_BETAS, fused=True),
        d_optimizer=torch.optim.Adam(discriminator.parameters(), lr, ADAM_BETAS, fused=True),
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
    step: int = 0
    history: History = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {
            "gan": {name: getattr(self.gan, name).state_dict() for name in GAN_PARTS},
            "random": {name: random.get_state() for name, random in self._streams().items()},
            "epoch": self.order.epoch,
            "position": self.order.position,
            "step": self.step,
            "history": self.history,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the state of a checkpoint."""
        for name in GAN_PARTS:
            getattr(self.gan, name).load_state_dict(state["gan"][name])
        for name, random in self._streams().items():
            random.set_state(state["random"][name])
        self.order.epoch, self.order.position = state["epoch"], state["position"]
        self.step, self.history = state["step"], state["history"]

    def _streams(self) -> dict[str, torch.Generator]:
        return {
            "order": self.order.random,
            "latents": self.latent_random,
            "augment": self.augment_random,
            "flip": self.flip_random,
        }


def start_training(gan: Gan, images: torch.Tensor, params: Params) -> Training:
    """Return a training before its first step; raise UserError when there are fewer images than one batch."""
    return Training(
        gan=gan,
        order=BatchOrder(len(images), params.batch_size, random_generator(params.seed, "train/order")),
        latent_random=random_generator(params.seed, "train/latents"),
        augment_random=random_generator(params.seed, "train/augment"),
        flip_random=random_generator(params.seed, "train/flip"),
    )


def train_gan(
    training: Training,
    images: torch.Tensor,
    params: Params,
    device: torch.device,
    *,
    report: Callable[[dict[str, float]], None],
    checkpoint: Callable[[Training], None],
) -> None:
    """Take the steps that are left, on (N, C, H, W) uint8 images.

    `report` is given the history's new row every `train.log_every` steps, `checkpoint` the training every
    `train.checkpoint_every` steps.
    """
    images = images.to(device)

    def draw() -> Batch:
        real_images = to_unit_range(images[training.order.next_batch().to(device)])
        real_images = flip(real_images, training.flip_random) if params.data.flip else real_images
        latents = draw_latents(params.batch_size, params.model.latent_dim, training.latent_random, params.model.latents)
        return Batch(real_images.contiguous(memory_format=torch.channels_last), latents.to(device))

    recipe = recipe_of(params, device)
    decay = decay_for(params.train.ema_halflife, params.batch_size)
    for step in range(training.step + 1, params.steps + 1):
        lr = params.lr * lr_factor(step, params.steps, params.train.lr_decay_start)
        set_lr(training.gan, lr, params.train.d_lr_ratio)
        # Update D, then G.
        result = train_step(training.gan, draw, recipe_at(step, recipe, params), training.augment_random)
        # Follow the generator with its moving average.
        update_ema(training.gan.generator_ema, training.gan.generator, decay)
        training.step = step
        # Log.
        if step % params.train.log_every == 0 or step == params.steps:
            training.history.append({"step": step, **measure(result), "lr": lr})
            report(training.history[-1])
        # Keep what a killed run goes on from.
        if step % params.train.checkpoint_every == 0 and step < params.steps:
            checkpoint(training)


def recipe_of(params: Params, device: torch.device) -> Recipe:
    """Return how steps are taken, but for what changes from step to step."""
    return Recipe(
        loss=LOSSES[params.loss.name],
        real_labels=(params.loss.real_label_low, params.loss.real_label_high),
        label_flip=params.loss.label_flip,
        r1_weight=0,
        gradient_penalty=params.loss.gradient_penalty,
        weight_clip=params.loss.weight_clip,
        d_steps=params.train.d_steps,
        translation=params.train.translation,
        noise=params.train.instance_noise,
        bf16=computes_in_bf16(params.train.precision, device),
    )


def recipe_at(step: int, recipe: Recipe, params: Params) -> Recipe:
    """Return the recipe of one step: R1 when it is due, noise as far as it has faded."""
    due = step % params.loss.r1_every == 0
    noise = params.train.instance_noise * (1 - step / params.steps)
    return replace(recipe, r1_weight=params.loss.r1 * params.loss.r1_every * due, noise=noise)


def lr_factor(step: int, steps: int, decay_start: float) -> float:
    """Return 1 until `decay_start` of the steps are done, then a straight line to 0 just after the last one."""
    left = (steps - step + 1) / steps
    return min(1.0, left / (1 - decay_start)) if decay_start < 1 else 1.0


def set_lr(gan: Gan, lr: float, d_ratio: float) -> None:
    """Set G's learning rate, and D's to `d_ratio` times it."""
    for optimizer, rate in ((gan.g_optimizer, lr), (gan.d_optimizer, lr * d_ratio)):
        for group in optimizer.param_groups:
            group["lr"] = rate


def measure(result: StepResult) -> dict[str, float]:
    """Return the losses, D(x) and D(G(z)) of a step as numbers."""
    return {
        "d_loss": result.d_loss.item(),
        "g_loss": result.g_loss.item(),
        "d_real": result.real_logits.sigmoid().mean().item(),
        "d_fake": result.fake_logits.sigmoid().mean().item(),
    }


def computes_in_bf16(precision: str, device: torch.device) -> bool:
    """Resolve `train.precision`: `auto` is bf16 where the hardware computes in it (AVX512-BF16, Ampere and later)."""
    if precision == "auto":
        if device.type == "cuda":
            return torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.cpu._is_avx512_bf16_supported()
    return precision == "bf16"
