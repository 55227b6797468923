"""The training loop: its phases, in order."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

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
from ganlib.training.step import Gan, Recipe, StepResult, train_step

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


def train_gan(
    gan: Gan, images: torch.Tensor, params: Params, device: torch.device, report: Callable[[dict[str, float]], None]
) -> History:
    """Train on (N, C, H, W) uint8 images; return one row per `train.log_every` steps, also handed to `report`.

    Raise UserError when there are fewer images than one batch.
    """
    order = batches(len(images), params.batch_size, random_generator(params.seed, "train/order"))
    latent_random = random_generator(params.seed, "train/latents")
    augment_random = random_generator(params.seed, "train/augment")
    flip_random = random_generator(params.seed, "train/flip")
    recipe = Recipe(
        loss=LOSSES[params.loss.name],
        real_label=params.loss.real_label,
        r1_weight=0,
        translation=params.train.translation,
        bf16=computes_in_bf16(params.train.precision, device),
    )
    penalised = replace(recipe, r1_weight=params.loss.r1 * params.loss.r1_every)
    decay = decay_for(params.train.ema_halflife, params.batch_size)
    images = images.to(device)
    history: History = []
    for step in range(1, params.steps + 1):
        lr = params.lr * lr_factor(step, params.steps, params.train.lr_decay_start)
        set_lr(gan, lr)
        # Gather a batch of real images and latents.
        real_images = to_unit_range(images[next(order).to(device)])
        real_images = flip(real_images, flip_random) if params.data.flip else real_images
        real_images = real_images.contiguous(memory_format=torch.channels_last)
        latents = draw_latents(params.batch_size, params.model.latent_dim, latent_random).to(device)
        # Update D, then G.
        due = params.loss.r1 > 0 and step % params.loss.r1_every == 0
        result = train_step(gan, real_images, latents, penalised if due else recipe, augment_random)
        # Follow the generator with its moving average.
        update_ema(gan.generator_ema, gan.generator, decay)
        # Log.
        if step % params.train.log_every == 0 or step == params.steps:
            history.append({"step": step, **measure(result), "lr": lr})
            report(history[-1])
    return history


def batches(count: int, batch_size: int, random: torch.Generator) -> Iterator[torch.Tensor]:
    """Yield indices of whole batches for ever, each epoch in a new random order; a short last batch is left out."""
    if count < batch_size:
        raise UserError(f"batch_size = {batch_size}: there are only {count} training images")
    while True:
        yield from torch.randperm(count, generator=random)[: count - count % batch_size].split(batch_size)


def lr_factor(step: int, steps: int, decay_start: float) -> float:
    """Return 1 until `decay_start` of the steps are done, then a straight line to 0 just after the last one."""
    left = (steps - step + 1) / steps
    return min(1.0, left / (1 - decay_start)) if decay_start < 1 else 1.0


def set_lr(gan: Gan, lr: float) -> None:
    for optimizer in (gan.g_optimizer, gan.d_optimizer):
        for group in optimizer.param_groups:
            group["lr"] = lr


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
