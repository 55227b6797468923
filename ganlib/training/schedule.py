"""What a step's number decides: learning rates, and how far trainings of other lengths take the same steps."""

import torch

from ganlib.core.schema import Shared
from ganlib.training.game import Game, Players


def lr_factor(step: int, steps: int, decay_start: float) -> float:
    """Return 1 until `decay_start` of the steps are done, then a straight line to 0 just after the last one."""
    left = (steps - step + 1) / steps
    return min(1.0, left / (1 - decay_start)) if decay_start < 1 else 1.0


def set_lr(players: Players, lr: float, d_ratio: float) -> None:
    """Set all learning rates, that of team d to `d_ratio` times the others'."""
    for team, optimizer in players.optimizers.items():
        for group in optimizer.param_groups:
            group["lr"] = lr * d_ratio if team == "d" else lr


def first_other_step(done: int, steps: int, game: Game, params: Shared, device: torch.device) -> int | None:
    """Return the first of `done` steps that a training of `steps` takes otherwise than one of these params, if any."""
    theirs, recipe = params.model_copy(update={"steps": steps}), game.recipe(params, device)
    start = params.train.lr_decay_start

    def alike(step: int) -> bool:
        same_lr = lr_factor(step, params.steps, start) == lr_factor(step, steps, start)
        return same_lr and game.recipe_at(step, recipe, params) == game.recipe_at(step, recipe, theirs)

    return None if steps == params.steps else next((step for step in range(1, done + 1) if not alike(step)), None)
