"""Going on: from which checkpoint a training continues, and how it is asked to stop."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ganlib.core.distributed import from_process, gathered, processes
from ganlib.core.schema import Shared
from ganlib.training.checkpoint import checkpoints_in, load_checkpoints, step_of
from ganlib.training.game import Game
from ganlib.training.schedule import first_other_step


def latest_state(
    folder: Path, game: Game, params: Shared, device: torch.device, warn: Callable[[str], None]
) -> dict[str, Any] | None:
    """Return to all processes what `resumable_state` finds on the machine that has the latest checkpoint.

    It need not be the first process's: that one may have moved to another machine, and `folder` not be shared.
    """
    usable = [step_of(path) for path in checkpoints_in(folder) if step_of(path) <= params.steps]
    latest = gathered(max(usable, default=0))
    holder, told = latest.index(max(latest)), list[str]()
    state, told = from_process(holder, lambda: (resumable_state(folder, game, params, device, told.append), told))
    for line in told:
        warn(line)
    if holder and state:
        warn(f"the checkpoints are in {folder} of process {holder}'s machine, later ones in that of process 0's")
    if processes() > 1 and not state:
        warn(f"no checkpoint of this training in {folder} of any machine: it starts at step 0")
    return state


def resumable_state(
    folder: Path, game: Game, params: Shared, device: torch.device, warn: Callable[[str], None]
) -> dict[str, Any] | None:
    """Return the latest checkpoint's state that this training goes on from, or None where it starts anew.

    One of a shorter or longer training is taken if all its steps are those of this one, so that bytes are too;
    otherwise `warn` is told what differs, and `train.extend` decides.
    """
    forced = params.train.extend == "always"
    for state in load_checkpoints(folder, params.steps, warn):
        done, steps = state["step"], state["steps"]
        other = first_other_step(done, steps, game, params, device)
        if other is None and (forced or not state["continued"]):
            return state | {"steps": params.steps}
        differs = f"step {other} of its {steps}" if other else f"what it went on with after {state['continued'][-1]}"
        told = f"step {done} is kept, but {differs} had another learning rate or noise than one of {params.steps} has"
        if forced:
            warn(f"WARNING: {told}: the bytes are not those of one long run")
            return state | {"steps": params.steps, "continued": [*state["continued"], done]}
        warn(f"{told}: trained anew; to go on from it set train.extend to always")
    return None


@contextmanager
def stop_asked(processes: int) -> Iterator[Callable[[], bool]]:
    """Yield what tells whether Ctrl-C or SIGTERM has asked for an end; a second one ends at once.

    Several processes would stop at unlike steps: they end at once, and go on from the last checkpoint.
    """
    if processes > 1:
        yield bool  # never
        return
    asked: list[int] = []

    def ask(number: int, _: Any) -> None:
        asked.append(number)
        for each, before in handlers.items():
            signal.signal(each, before)

    handlers: dict[int, Any] = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, before in handlers.items():
            signal.signal(number, before)
