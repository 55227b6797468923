"""A training in the middle of its work: players, chance, and what it has recorded so far."""

from dataclasses import dataclass, field
from typing import Any

import torch

from ganlib.core.schema import Shared
from ganlib.training.alarms import Row
from ganlib.training.game import Draws, Players


@dataclass(kw_only=True)
class Training:
    """A training in the middle of its work: everything that its next step depends on."""

    players: Players
    draws: Draws
    step: int = 0
    history: list[Row] = field(default_factory=list)
    evaluations: list[Row] = field(default_factory=list)
    progress: dict[int, torch.Tensor] = field(default_factory=dict)
    """By step, images of the same latents at evaluations, (n, C, H, W) uint8: see `keep_progress`."""
    alarms: list[dict[str, Any]] = field(default_factory=list)
    active: dict[str, bool] = field(default_factory=dict)
    """Whether an alarm was on when last looked at: it is raised once, until it is over."""
    best: dict[str, Any] | None = None
    """State of the players at the evaluation with the lowest domain FID to held-out images."""
    restored: int = 0
    ended: bool = False
    steps: int = 0
    """How many it is to take; learning rates fall, and noise fades, towards the last."""
    closing: Row | None = None
    """The last step's row, which a longer training has none of."""
    continued: list[int] = field(default_factory=list)
    """Steps at which a training of other length went on with other learning rates than one long run has."""

    @property
    def returned(self) -> bool:
        """Whether it has just gone back to its best weights, so that the last evaluation is of others."""
        return self.restored > 0 and "collapse" not in self.active and self.evaluations[-1]["step"] == self.step

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        records = {name: getattr(self, name) for name in RECORDS}
        return {"players": self.players.state(), "draws": self.draws.state(), **records}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the state of a checkpoint."""
        self.players.load(state["players"])
        self.draws.load(state["draws"])
        for name in RECORDS:
            setattr(self, name, state[name])


RECORDS = tuple(name for name in Training.__dataclass_fields__ if name not in ("players", "draws"))


def start_training(players: Players, count: int, params: Shared) -> Training:
    """Return a training before its first step; raise UserError when there are fewer images than one batch."""
    draws = Draws(params.seed)
    draws.order(count, params.batch_size)
    return Training(players=players, draws=draws, steps=params.steps)
