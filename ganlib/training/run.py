"""A whole training, from its inputs to what it leaves behind: going on, being stopped, and telling how it goes."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Protocol

import torch

from ganlib.core.distributed import rank
from ganlib.core.errors import StoppedError
from ganlib.core.files import whole_folder
from ganlib.core.precision import precision_of
from ganlib.core.schema import Shared
from ganlib.training.checkpoint import checkpoint_folder, describe_run, keep_last, what_is_kept
from ganlib.training.game import Game, build_networks, build_players
from ganlib.training.inputs import Inputs, load_start
from ganlib.training.loop import train
from ganlib.training.publish import ONLY_FINAL
from ganlib.training.results import save_results
from ganlib.training.resume import latest_state, stop_asked
from ganlib.training.state import Training, start_training
from ganlib.training.watch import Watch, build_watch


class Reporting(Protocol):
    """Whoever tells how a training goes; no output depends on it."""

    def start(self, training: Training) -> None: ...
    def say(self, message: str) -> None: ...
    def show(self, training: Training) -> None: ...
    def save(self, training: Training) -> None: ...
    def end(self, training: Training) -> None: ...


def run_training(
    game: Game,
    inputs: Inputs,
    params: Shared,
    device: torch.device,
    *,
    out: Path,
    folder: Path,
    reporting: Callable[[Path, int, Watch], AbstractContextManager[Reporting]],
) -> None:
    """Train to the end, from the last checkpoint in `folder` if there is any, and write both ends into `out`.

    Raise StoppedError when it is asked to stop.
    """
    training, watch = training_of(inputs, game, params, device), build_watch(inputs, params, device)
    with ExitStack() as stack:
        if rank() == 0:
            stack.enter_context(checkpoint_folder(folder))
            describe_run(folder, params, inputs.configs)
        reporter = stack.enter_context(reporting(folder, params.steps, watch))
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
            with whole_folder(out) as results:
                save_results(results, training, moved(game, inputs.configs), protocol_of(game, watch, params, device))
            reporter.end(training)
            keep_last(folder)


def moved(game: Game, configs: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the configurations of networks that training moves: others are memory, which checkpoints alone hold."""
    names = {name for team in game.TEAMS.values() for name in team}
    return {name: config for name, config in configs.items() if name in names}


def protocol_of(game: Game, watch: Watch, params: Shared, device: torch.device) -> dict[str, Any]:
    """Return what the figures of a training depend on, and what is to be known of its ends."""
    protocol = watch.protocol | {
        "train_precision": precision_of(params.train.precision, device),
        "train_undecided": game.limits(params).undecided,
        "train_memory_absent": watch.memory_absent,
    }
    if game.HIDES_LABELS:
        protocol |= {ONLY_FINAL: f"game {params.game} hides labels that the judge, who finds the best, knows"}
    return protocol


def training_of(inputs: Inputs, game: Game, params: Shared, device: torch.device) -> Training:
    """Build the game's networks, load those that training starts from, and return a training at step 0."""
    networks = build_networks(game, inputs.configs, params.seed)
    if inputs.start:
        load_start(inputs.start, networks)
    players = build_players(networks | inputs.frozen, game, params.lr, params.train.betas, device)
    return start_training(players, len(inputs.data["images"]), params)
