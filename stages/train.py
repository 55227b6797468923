"""Train the GAN."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from ganlib.core.console import run
from ganlib.core.distributed import check_alike, rank
from ganlib.core.errors import StoppedError
from ganlib.core.files import sha256_of, whole_folder
from ganlib.core.launch import joined, launch, must_launch
from ganlib.core.memory import keep_freed_memory
from ganlib.core.params import load_params
from ganlib.core.precision import precision_of, prepare_arithmetic
from ganlib.core.schema import ModelParams, Params, TrainParams
from ganlib.core.seeding import pin_arithmetic, resolve_device
from ganlib.networks.families import FAMILIES
from ganlib.report.live import Reporter
from ganlib.training.checkpoint import (
    checkpoint_folder,
    checkpoint_key,
    describe_run,
    keep_last,
    what_is_kept,
)
from ganlib.training.game import Game, build_networks, build_players, game_of
from ganlib.training.inputs import Inputs, load_inputs, load_start
from ganlib.training.loop import train
from ganlib.training.publish import ONLY_FINAL
from ganlib.training.results import save_results
from ganlib.training.resume import latest_state, stop_asked
from ganlib.training.state import Training, start_training
from ganlib.training.watch import build_watch

DEPENDS_ON: Any = {
    **dict.fromkeys(("seed", "lr", "batch_size", "threads", "device", "game", "loss"), True),
    "data": {"flip"},
    "train": set(TrainParams.model_fields) - {"checkpoint_every", "extend", "start"},
}
"""The parameters that a checkpoint is bound to, but for `own_params`: those that dvc.yaml names for this stage.

Not so `steps` and `train.extend`, so that more steps can go on; the content of `train.start` stands for its name.
"""


def own_params(params: Params) -> dict[str, Any]:
    """Return those of the game, and those of the networks without other families' sections."""
    others = set(FAMILIES) - {params.model.architecture}
    return {"games": {params.game}, "model": set(ModelParams.model_fields) - others}


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    judge: Annotated[Path, typer.Argument(help="Folder that judge made.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the networks of both ends, the training history and its alarms.")
    ],
    checkpoints: Annotated[Path, typer.Option(help="Folder for checkpoints; GAN_CHECKPOINTS names another.")],
) -> None:
    """Train a generator on the prepared training images, watch it, and keep its best and its last weights.

    A run that was killed goes on from its last checkpoint when the same command is given again.
    """
    params = load_params()

    if must_launch(params.train.distributed):
        return launch(params.train.distributed, "stages.train")
    pin_arithmetic(params.threads)
    with ExitStack() as stack:
        device = stack.enter_context(joined(params.train.distributed, resolve_device(params.device)))
        prepare_arithmetic(params.train.precision, device)  # real and generated images are judged in the same
        keep_freed_memory()
        game = game_of(params)
        # sample.count is read here only to refuse, before the training; no output depends on it.
        inputs = load_inputs(prepared, judge, game, params, device)
        data = inputs.digests, sha256_of(Path(__file__))
        key = checkpoint_key(params.model_dump(include=DEPENDS_ON | own_params(params)), device.type, data)
        check_alike(key)
        training = training_of(inputs, game, params, device)
        watch = build_watch(inputs, params, device)
        folder = Path(os.environ.get("GAN_CHECKPOINTS", checkpoints)) / key
        if rank() == 0:
            stack.enter_context(checkpoint_folder(folder))
            describe_run(folder, params, inputs.configs)
        reporter = stack.enter_context(Reporter(folder, params.steps, watch))
        if state := latest_state(folder, game, params, device, reporter.say):
            training.restore(state)
        reporter.start(training)
        try:
            with stop_asked(params.train.distributed) as stopping:
                told: Any = {"report": reporter.show, "warn": reporter.say, "checkpoint": reporter.save}
                train(training, game, inputs.data, params, device, watch=watch, stopping=stopping, **told)
        except KeyboardInterrupt:
            raise StoppedError(what_is_kept(folder)) from None
        if rank() == 0:
            protocol = watch.protocol | {
                "train_precision": precision_of(params.train.precision, device),
                "train_undecided": game.limits(params).undecided,
                "train_memory_absent": watch.memory_absent,
            }
            if game.HIDES_LABELS:
                protocol |= {ONLY_FINAL: f"game {params.game} hides labels that the judge, who finds the best, knows"}
            with whole_folder(out) as results:
                save_results(results, training, inputs.configs, protocol)
            reporter.end(training)
            keep_last(folder)


def training_of(inputs: Inputs, game: Game, params: Params, device: torch.device) -> Training:
    """Build the game's networks, load those that training starts from, and return a training at step 0."""
    networks = build_networks(game, inputs.configs, params.seed)
    if inputs.start:
        load_start(inputs.start, networks)
    players = build_players(networks, game, params.lr, params.train.betas, device)
    return start_training(players, len(inputs.data["images"]), params)


if __name__ == "__main__":
    run(lambda: typer.run(main))
