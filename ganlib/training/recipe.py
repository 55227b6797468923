"""From parameters to how a step is taken, and what of it changes from step to step."""

from dataclasses import replace

import torch

from ganlib.losses import LOSSES, Targets
from ganlib.precision import precision_of
from ganlib.schema import LossParams, Params
from ganlib.training.step import Gan, Recipe


def recipe_of(params: Params, device: torch.device) -> Recipe:
    """Return how steps are taken, but for what changes from step to step."""
    return Recipe(
        loss=LOSSES[params.loss.name],
        targets=targets_of(params.loss),
        d_steps=params.train.d_steps,
        r1_weight=0,
        gradient_penalty=params.loss.gradient_penalty,
        weight_clip=params.loss.weight_clip,
        auxiliary=params.loss.auxiliary * (params.model.conditional == "auxiliary"),
        translation=params.train.translation,
        cutout=params.train.cutout,
        colour=params.train.colour,
        noise=params.train.instance_noise,
        bf16=precision_of(params.train.precision, device) == "bf16",
    )


def targets_of(loss: LossParams) -> Targets:
    """Return what D's targets are drawn from."""
    return Targets(loss.real_label_low, loss.real_label_high, loss.label_flip)


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
