"""Training without looking: what a probe trains its baselines with, by the rules of the loop."""

from collections.abc import Callable

from ganlib.core.schema import Shared
from ganlib.functional.averages import decay_for, update_ema
from ganlib.training.game import Players
from ganlib.training.schedule import lr_factor, set_lr


def rehearse(players: Players, params: Shared, take_step: Callable[[int], None]) -> None:
    """Take all steps, given their number from 1, with the learning rates and moving averages of a training."""
    for step in range(1, params.steps + 1):
        lr = params.lr * lr_factor(step, params.steps, params.train.lr_decay_start)
        set_lr(players, lr, params.train.d_lr_ratio)
        take_step(step)
        decay = decay_for(params.train.ema_halflife, params.batch_size, step * params.batch_size)
        for name, average in players.averages.items():
            update_ema(average, players.networks[name], decay)
