"""The training loop: its phases, in order, and what it does when something goes wrong."""

import copy
import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from ganlib.augment import flip
from ganlib.distributed import averaged, processes
from ganlib.ema import decay_for, update_ema
from ganlib.errors import UserError
from ganlib.images import to_unit_range
from ganlib.latent import draw_classes, draw_latents
from ganlib.losses import smallest_d_loss
from ganlib.memory import keep_freed_memory
from ganlib.precision import prepare_arithmetic
from ganlib.schema import Params
from ganlib.training.alarms import EVALUATION_ALARMS, LOG_ALARMS, Alarm, Figures, Row
from ganlib.training.graph import GraphedStep
from ganlib.training.recipe import lr_factor, recipe_at, recipe_of, set_lr
from ganlib.training.state import Training
from ganlib.training.step import Batch, Gan, Recipe, StepResult, draw_batch, own_part, train_step
from ganlib.training.watch import Watch

RESTORES = 3
"""Returns to the best weights, each with half the learning rate, before a training that goes on collapsing ends."""


def train_gan(
    training: Training,
    images: torch.Tensor,
    params: Params,
    device: torch.device,
    *,
    labels: torch.Tensor | None = None,
    watch: Watch,
    report: Callable[[Row], None],
    warn: Callable[[str], None],
    checkpoint: Callable[[Training], None],
) -> None:
    """Take the steps that are left, on (N, C, H, W) uint8 images, for a conditional model with labels (N,).

    `report` is given each new row of the history, `warn` each alarm, `checkpoint` the training every
    `train.checkpoint_every` steps. A collapse may end the training early (`train.on_collapse`).
    """
    images = images.to(device)
    class_counts = [] if labels is None else labels.bincount().tolist()
    prepare_arithmetic(params.train.precision, device)
    keep_freed_memory()
    take_step = stepper(training.gan, device)

    def draw(recipe: Recipe) -> Batch:
        picked, model = training.order.next_batch(), params.model
        real_images = to_unit_range(images[picked.to(device)])
        real_images = flip(real_images, training.flip_random) if params.data.flip else real_images
        real_images = real_images.contiguous(memory_format=torch.channels_last)
        latents = draw_latents(params.batch_size, model.latent_dim, training.latent_random, model.latents)
        both = None, None
        if labels is not None:
            both = labels[picked], draw_classes(params.batch_size, class_counts, training.label_random)
        return own_part(draw_batch(real_images, latents, both, recipe, training.augment_random))

    constant = recipe_of(params, device)
    decay = decay_for(params.train.ema_halflife, params.batch_size)
    for step in range(training.step + 1, params.steps + 1):
        lr = params.lr * lr_factor(step, params.steps, params.train.lr_decay_start) * 0.5**training.restored
        set_lr(training.gan, lr, params.train.d_lr_ratio)
        recipe = recipe_at(step, constant, params)
        # Draw all that the step takes.
        batches = [draw(recipe) for _ in range(params.train.d_steps)]
        # Update D, then G.
        result = take_step(batches, recipe)
        # Follow the generator with its moving average.
        update_ema(training.gan.generator_ema, training.gan.generator, decay)
        training.step = step
        # Log, evaluate, and look for what goes wrong.
        last = step == params.steps
        evaluates = last or step % params.train.evaluate_every == 0
        restored = training.restored
        if evaluates or step % params.train.log_every == 0:
            training.history.append({"step": step, **measure(result, training.gan)})
            report(training.history[-1])
            raise_alarms(training, LOG_ALARMS, params, warn)
        if evaluates and not training.active.get("not_finite"):  # absent after a return to the best weights
            evaluate(training, watch)
            raise_alarms(training, EVALUATION_ALARMS, params, warn)
        if training.ended:
            break
        if training.restored > restored:
            take_step = stepper(training.gan, device)  # the optimisers' state lies elsewhere now
        # Keep what a killed run goes on from.
        if step % params.train.checkpoint_every == 0 and not last:
            checkpoint(training)


def stepper(gan: Gan, device: torch.device) -> Callable[[Sequence[Batch], Recipe], StepResult]:
    """Return what takes a step: a single GPU repeats it as a graph."""
    return GraphedStep(gan, device) if device.type == "cuda" and processes() == 1 else partial(train_step, gan)


def evaluate(training: Training, watch: Watch) -> None:
    """Let the watch judge the moving average; keep the networks if they are the best so far."""
    figures, images = watch.evaluate(training.gan.generator_ema)
    lowest = min((row["domain_fid_to_heldout"] for row in training.evaluations), default=math.inf)
    training.evaluations.append({"step": training.step, **figures})
    training.progress.append(torch.from_numpy(images))
    if figures["domain_fid_to_heldout"] < lowest:
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
        warn(f"WARNING: {message}")
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


def measure(result: StepResult, gan: Gan) -> Row:
    """Return a step's losses, D(x), D(G(z)) before and after D's update, gradient norms and learning rates."""
    means = {
        "d_loss": result.d_loss,
        "g_loss": result.g_loss,
        "d_real": result.real_logits.sigmoid().mean(),
        "d_fake": result.fake_logits.sigmoid().mean(),
        "d_fake_after": result.fake_logits_after.sigmoid().mean(),
    }
    return {
        **dict(zip(means, averaged(torch.stack(list(means.values()))).tolist(), strict=True)),
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
