"""The training loop: its phases, in order."""

import copy
import math
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
from ganlib.losses import LOSSES, smallest_d_loss
from ganlib.params import Params
from ganlib.seeding import random_generator
from ganlib.training.alarms import EVALUATION_ALARMS, LOG_ALARMS, Alarm, Figures, Row
from ganlib.training.step import GAN_PARTS, Batch, Gan, Recipe, StepResult, draw_batch, train_step
from ganlib.training.watch import Watch

ADAM_BETAS = (0.5, 0.999)
"""Radford 2015: the usual beta1 of 0.9 made training oscillate."""

RESTORES = 3
"""Returns to the best weights, each with half the learning rate, before a training that goes on collapsing ends."""


def build_gan(generator: nn.Module, discriminator: nn.Module, lr: float, device: torch.device) -> Gan:
    """Put both networks on the device, with an optimiser each and a moving average of the generator."""
    for network in (generator, discriminator):
        network.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return Gan(
        generator=generator,
        discriminator=discriminator,
        generator_ema=copy.deepcopy(generator).requires_grad_(False).eval(),
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
    history: list[Row] = field(default_factory=list)
    evaluations: list[Row] = field(default_factory=list)
    progress: list[torch.Tensor] = field(default_factory=list)
    """Images of the same latents at each evaluation, (n, C, H, W) uint8."""
    alarms: list[dict[str, Any]] = field(default_factory=list)
    active: dict[str, bool] = field(default_factory=dict)
    """Whether an alarm was on when last looked at: it is raised once, until it is over."""
    best: dict[str, Any] | None = None
    """State of the networks and optimisers at the evaluation with the lowest domain FID."""
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
    )


def train_gan(
    training: Training,
    images: torch.Tensor,
    params: Params,
    device: torch.device,
    *,
    watch: Watch,
    report: Callable[[Row], None],
    warn: Callable[[str], None],
    checkpoint: Callable[[Training], None],
) -> None:
    """Take the steps that are left, on (N, C, H, W) uint8 images; a collapse may end it early (`train.on_collapse`).

    `report` is given each new row of the history, `warn` each alarm, `checkpoint` the training every
    `train.checkpoint_every` steps.
    """
    images = images.to(device)

    def draw(recipe: Recipe) -> Batch:
        real_images = to_unit_range(images[training.order.next_batch().to(device)])
        real_images = flip(real_images, training.flip_random) if params.data.flip else real_images
        latents = draw_latents(params.batch_size, params.model.latent_dim, training.latent_random, params.model.latents)
        real_images = real_images.contiguous(memory_format=torch.channels_last)
        return draw_batch(real_images, latents, recipe, training.augment_random)

    constant = recipe_of(params, device)
    decay = decay_for(params.train.ema_halflife, params.batch_size)
    for step in range(training.step + 1, params.steps + 1):
        lr = params.lr * lr_factor(step, params.steps, params.train.lr_decay_start) * 0.5**training.restored
        set_lr(training.gan, lr, params.train.d_lr_ratio)
        recipe = recipe_at(step, constant, params)
        # Draw all that the step takes.
        batches = [draw(recipe) for _ in range(params.train.d_steps)]
        # Update D, then G.
        result = train_step(training.gan, batches, recipe)
        # Follow the generator with its moving average.
        update_ema(training.gan.generator_ema, training.gan.generator, decay)
        training.step = step
        # Log, evaluate, and look for what goes wrong.
        last = step == params.steps
        evaluates = last or step % params.train.evaluate_every == 0
        if evaluates or step % params.train.log_every == 0:
            training.history.append({"step": step, **measure(result, training.gan)})
            report(training.history[-1])
            raise_alarms(training, LOG_ALARMS, params, warn)
        if evaluates and not training.active["not_finite"]:
            evaluate(training, watch)
            raise_alarms(training, EVALUATION_ALARMS, params, warn)
        if training.ended:
            break
        # Keep what a killed run goes on from.
        if step % params.train.checkpoint_every == 0 and not last:
            checkpoint(training)


def evaluate(training: Training, watch: Watch) -> None:
    """Let the watch judge the moving average; keep the networks if they are the best so far."""
    figures, images = watch.evaluate(training.gan.generator_ema)
    lowest = min((row["domain_fid"] for row in training.evaluations), default=math.inf)
    training.evaluations.append({"step": training.step, **figures})
    training.progress.append(torch.from_numpy(images))
    if figures["domain_fid"] < lowest:
        training.best = copy.deepcopy(training.gan_state())


def raise_alarms(training: Training, alarms: tuple[Alarm, ...], params: Params, warn: Callable[[str], None]) -> None:
    """Record and report those alarms that were not on before, and do at a collapse what `train.on_collapse` says."""
    figures = Figures(training.history, training.evaluations, smallest_d_loss_of(params))
    on_collapse = params.train.on_collapse
    for alarm in alarms:
        was_on, value = training.active.get(alarm.name, False), alarm.value(figures)
        training.active[alarm.name] = value is not None
        if value is None or was_on:
            continue
        training.alarms.append({"step": training.step, "alarm": alarm.name, "value": value, "advice": alarm.advice})
        message = f"step {training.step}: {alarm.reason} ({value:.3g}): {alarm.advice}"
        warn(message)
        if alarm.name == "not_finite" or (alarm.name == "collapse" and on_collapse != "warn"):
            back_to_best(training, on_collapse, message)


def back_to_best(training: Training, on_collapse: str, reason: str) -> None:
    """End the training, or return to its best weights; raise UserError with the reason when there are none."""
    if training.best is None:
        raise UserError(reason)
    training.ended = on_collapse != "restore_best" or training.restored == RESTORES
    if not training.ended:
        training.load_gan(training.best)
        training.restored += 1
        training.active.clear()


def recipe_of(params: Params, device: torch.device) -> Recipe:
    """Return how steps are taken, but for what changes from step to step."""
    return Recipe(
        loss=LOSSES[params.loss.name],
        real_labels=(params.loss.real_label_low, params.loss.real_label_high),
        label_flip=params.loss.label_flip,
        r1_weight=0,
        gradient_penalty=params.loss.gradient_penalty,
        weight_clip=params.loss.weight_clip,
        translation=params.train.translation,
        noise=params.train.instance_noise,
        bf16=precision_of(params.train.precision, device) == "bf16",
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


def measure(result: StepResult, gan: Gan) -> Row:
    """Return a step's losses, D(x), D(G(z)) before and after D's update, gradient norms and learning rates."""
    return {
        "d_loss": result.d_loss.item(),
        "g_loss": result.g_loss.item(),
        "d_real": result.real_logits.sigmoid().mean().item(),
        "d_fake": result.fake_logits.sigmoid().mean().item(),
        "d_fake_after": result.fake_logits_after.sigmoid().mean().item(),
        "d_grad_norm": gradient_norm(gan.discriminator),
        "g_grad_norm": gradient_norm(gan.generator),
        "lr": gan.g_optimizer.param_groups[0]["lr"],
        "d_lr": gan.d_optimizer.param_groups[0]["lr"],
    }


def gradient_norm(network: nn.Module) -> float:
    """Return the Euclidean norm of the gradients that the last update left."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return nn.utils.get_total_norm(gradients).item()


def smallest_d_loss_of(params: Params) -> float:
    """Return what D's loss can fall to with these labels."""
    mean_label = (params.loss.real_label_low + params.loss.real_label_high) / 2
    return smallest_d_loss(params.loss.name, mean_label, params.loss.label_flip)


def precision_of(precision: str, device: torch.device) -> str:
    """Resolve `train.precision`: `auto` is bf16 where the hardware computes in it (AVX512-BF16, Ampere and later)."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32"
