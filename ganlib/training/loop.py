"""The training loop: its phases, in order, and what it does when something goes wrong."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from ganlib.core.distributed import averaged, part
from ganlib.core.errors import UserError
from ganlib.core.schema import Shared
from ganlib.functional.averages import decay_for, update_ema
from ganlib.metrics.frechet import chooses_best
from ganlib.training.alarms import EVALUATION_ALARMS, LOG_ALARMS, Alarm, Curves, Row
from ganlib.training.game import Game, Players
from ganlib.training.graph import GraphedStep
from ganlib.training.images import ImagesOnDisk
from ganlib.training.results import best_evaluation
from ganlib.training.schedule import lr_factor, set_lr
from ganlib.training.state import Training
from ganlib.training.watch import Watch

PROGRESS = 32
"""Evaluations whose images are kept, beside the best and the last."""
RESTORES = 3
"""Returns to the best weights, each with half the learning rate, before a training that goes on collapsing ends."""


def train(
    training: Training,
    game: Game,
    data: Mapping[str, Any],
    params: Shared,
    device: torch.device,
    *,
    watch: Watch,
    report: Callable[[Training], None],
    warn: Callable[[str], None],
    checkpoint: Callable[[Training], None],
    stopping: Callable[[], bool],
) -> None:
    """Take the steps that are left, on `images` (N, C, H, W) uint8 on the device, or on disk, and `labels` (N,) if any.

    `report` is given the training at each new row of its history, `warn` each alarm, `checkpoint` the training every
    `train.checkpoint_every` steps, at the last one, from which more steps can go on, and when `stopping` asks for an
    end; KeyboardInterrupt is raised then. A collapse may end the training early (`train.on_collapse`).
    """
    players, on_disk = training.players, [each for each in data.values() if isinstance(each, ImagesOnDisk)]
    take_step, constant = stepper(game, players, device), game.recipe(params, device)
    for step in range(training.step + 1, params.steps + 1):
        lr = params.lr * lr_factor(step, params.steps, params.train.lr_decay_start) * 0.5**training.restored
        set_lr(players, lr, params.train.d_lr_ratio)
        recipe = game.recipe_at(step, constant, params)
        # Draw all that the step takes.
        batches = [own_part(batch, game.DIMS) for batch in game.draw(data, training.draws, recipe, params)]
        for images in on_disk:
            images.fetch(training.draws.coming(len(batches)))
        # Update the networks.
        result = take_step(batches, recipe)
        # Follow them with their moving averages.
        decay = decay_for(params.train.ema_halflife, params.batch_size, step * params.batch_size)
        for name, average in players.averages.items():
            update_ema(average, players.networks[name], decay)
        training.step = step
        # Log, evaluate, and look for what goes wrong.
        last, evaluates = step == params.steps, step % params.train.evaluate_every == 0
        logs, restored = evaluates or step % params.train.log_every == 0, training.restored
        if logs or last:
            row = {"step": step, "epoch": training.draws.epochs(), **row_of(game.measure(result), players, game)}
            training.closing = None if logs else row
            if logs:
                training.history.append(row)
                raise_alarms(training, LOG_ALARMS, game, params, warn)
        if evaluates and not training.active.get("not_finite"):  # absent after a return to the best weights
            judge_average(training, game, watch)
            raise_alarms(training, EVALUATION_ALARMS, game, params, warn)
        if logs:
            report(training)
        if training.ended:
            break
        if training.restored > restored:
            take_step = stepper(game, players, device)  # the optimisers' state lies elsewhere now
        # Keep what a killed, a stopped or a longer run goes on from.
        stops = stopping() and not last
        if stops or last or step % params.train.checkpoint_every == 0:
            checkpoint(training)
        if stops:
            raise KeyboardInterrupt
    if not training.ended and not training.returned:
        close(training, game, params, watch=watch, warn=warn)


def stepper(game: Game, players: Players, device: torch.device) -> Callable[[Sequence[Any], Any], Any]:
    """Return what takes a step: a GPU repeats it as a graph."""
    return GraphedStep(game, players, device) if device.type == "cuda" else partial(game.step, players)


def own_part(batch: Any, dims: Mapping[str, int | None]) -> Any:
    """Return this process's part of a batch that all processes have drawn; `dims` as in `Game.DIMS`."""
    drawn = {name: field for name, field in batch._asdict().items() if field is not None}
    split = {name: dim for name in drawn if (dim := dims.get(name, 0)) is not None}
    return batch._replace(**{name: part(drawn[name], dim) for name, dim in split.items()})


def close(training: Training, game: Game, params: Shared, *, watch: Watch, warn: Callable[[str], None]) -> None:
    """Record what only the last step calls for: a row and an evaluation that were not due, and alarms of an end.

    It comes after the last checkpoint: a longer training has none of it.
    """
    if training.closing:
        training.history.append(training.closing)
        raise_alarms(training, LOG_ALARMS, game, params, warn)
    if not training.active.get("not_finite"):
        if not training.evaluations or training.evaluations[-1]["step"] != training.step:
            judge_average(training, game, watch)
        raise_alarms(training, EVALUATION_ALARMS, game, params, warn, last=True)


def judge_average(training: Training, game: Game, watch: Watch) -> None:
    """Let the watch judge the moving average, and the game the rest; keep the players if they are the best so far."""
    players = training.players
    figures, images = watch.figures_of(players.averages["generator"], players.networks.get("discriminator"))
    distance = chooses_best(figures)
    lowest = min((row[distance] for row in training.evaluations), default=math.inf)
    own = game.figures(players, watch.real, watch.device)
    training.evaluations.append({"step": training.step, **figures, **own})
    if figures[distance] < lowest:
        training.best = copy.deepcopy(training.players.state())
    training.progress[training.step] = torch.from_numpy(images)
    keep_progress(training)


def keep_progress(training: Training) -> None:
    """Drop images of evaluations beyond 32: the first, each second, fourth ... after it, the best and the last stay."""
    steps = [row["step"] for row in training.evaluations]
    stride = 1
    while len(steps) > PROGRESS * stride:
        stride *= 2
    stay = {*steps[::stride], steps[-1], best_evaluation(training.evaluations)["step"]}
    training.progress = {step: images for step, images in training.progress.items() if step in stay}


def raise_alarms(
    training: Training,
    alarms: tuple[Alarm, ...],
    game: Game,
    params: Shared,
    warn: Callable[[str], None],
    last: bool = False,
) -> None:
    """Record and report those alarms that were not on before, and do at a collapse what `train.on_collapse` says."""
    curves = Curves(training.history, training.evaluations, game.limits(params).smallest_d_loss, last)
    on_collapse = params.train.on_collapse
    for alarm in alarms:
        was_on, value = training.active.get(alarm.name, False), alarm.value(curves)
        training.active[alarm.name] = value is not None
        if value is None or was_on:
            continue
        advice = alarm.advised(params)
        training.alarms.append({"step": training.step, "alarm": alarm.name, "value": value, "advice": advice})
        message = f"step {training.step}: {alarm.reason} ({value:.3g}): {advice}"
        warn(f"WARNING: {message}")
        if alarm.name == "not_finite" or (alarm.name == "collapse" and on_collapse != "warn"):
            back_to_best(training, game, on_collapse, message)


def back_to_best(training: Training, game: Game, on_collapse: str, reason: str) -> None:
    """End the training, or return to its best weights; raise UserError with the reason when there are none to take."""
    if training.best is None or game.HIDES_LABELS:
        raise UserError(reason)
    training.ended = on_collapse != "restore_best" or training.restored == RESTORES
    if not training.ended:
        training.players.load(training.best)
        training.restored += 1
        training.active.clear()


def row_of(measured: Mapping[str, torch.Tensor], players: Players, game: Game) -> Row:
    """Return a row of the history: what the game measures, each team's gradient norm, learning rates."""
    means = averaged(torch.stack(list(measured.values()))).tolist()
    norms = {
        f"{team}_grad_norm": gradient_norm([players.networks[name] for name in names])
        for team, names in game.TEAMS.items()
    }
    rates = {team: optimizer.param_groups[0]["lr"] for team, optimizer in players.optimizers.items()}
    return dict(zip(measured, means, strict=True)) | norms | {"lr": rates["g"], "d_lr": rates["d"]}


def gradient_norm(networks: Sequence[nn.Module]) -> float:
    """Return the Euclidean norm of the gradients that the last update left."""
    parameters = [parameter for network in networks for parameter in network.parameters()]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return nn.utils.get_total_norm(gradients).item()
