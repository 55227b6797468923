"""Alarms: what a training's own figures say is going wrong, and which parameter to try."""

import math
import re
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from ganlib.core.fields import Section
from ganlib.core.schema import Shared

Row = dict[str, float]

COLLAPSED = 0.5
"""Share of its best value that the diversity score falls under when a generator has collapsed."""
DIVERSE = 0.3
"""Diversity score that a generator must have reached before its fall is one."""
SLOW_EVALUATIONS = 5
"""Evaluations by which a generator should have reached it."""
NOTHING = 0.05
"""Diversity score or valid share under which there is next to none: at the end one such evaluation is enough."""
MEMORISES = 0.5
"""Share of the way from training images to generated ones at which D puts held-out images when it has memorised."""
LARGEST_GRADIENT = 100
STUCK_ROWS = 10
"""Rows of the history over which losses must stand still, or a gradient norm be large."""
NOTHING_LEFT = 0.01
"""Distance of D's loss from its smallest value under which D has nothing left to learn."""
FROZEN = 1e-4
"""Relative change of the losses under which they stand still."""


class Curves(NamedTuple):
    """What an alarm may look at."""

    history: Sequence[Row]
    evaluations: Sequence[Row]
    smallest_d_loss: float | None
    """What D's loss can fall to; None if the game does not say."""
    last: bool = False
    """Whether the training ends here."""


class Alarm(NamedTuple):
    name: str
    value: Callable[[Curves], float | None]
    """Returns the figure that gives the alarm, or None if all is well."""
    reason: str
    advice: Sequence[str]
    """What mends it; a key of params that it names may be one that a pipeline lacks."""

    def advised(self, params: Shared) -> str:
        """Return what mends it with these params, in a line."""
        possible = [each for each in self.advice if all(_has(params, key) for key in KEY.findall(each))]
        return " or ".join(filter(None, [", ".join(possible[:-1]), possible[-1]]))


KEY = re.compile(r"\w+\.\w+")


def _has(params: Section, key: str) -> bool:
    section, name = key.split(".")
    return hasattr(getattr(params, section, None), name)


def not_finite(curves: Curves) -> float | None:
    """Return a loss or gradient norm that is NaN or infinite: the weights are lost."""
    return next((value for value in curves.history[-1].values() if not math.isfinite(value)), None)


def collapse(curves: Curves) -> float | None:
    """Return the diversity score when it has fallen under half of its best."""
    scores = [row["diversity_score"] for row in curves.evaluations]
    fallen = scores and max(scores) >= DIVERSE and scores[-1] < COLLAPSED * max(scores)
    return scores[-1] if fallen else None


def not_diverse(curves: Curves) -> float | None:
    """Return the diversity score when it is 0 at the end, or none of the last has reached that of one that can fall."""
    return None if collapse(curves) is not None else _stays_under(curves, "diversity_score", DIVERSE)


def not_valid(curves: Curves) -> float | None:
    """Return the valid share when there is next to none at the end, or in all of the last evaluations."""
    return _stays_under(curves, "valid", NOTHING)


def memorises(curves: Curves) -> float | None:
    """Return how far D has memorised its training images when it has in two evaluations; absent or NaN is no sign."""
    shares = [row.get("d_memorises", math.nan) for row in curves.evaluations[-2:]]
    return shares[-1] if len(shares) == 2 and all(share > MEMORISES for share in shares) else None


def discriminator_wins(curves: Curves) -> float | None:
    """Return D's loss when it stays where it can fall no further."""
    losses, smallest = [row["d_loss"] for row in curves.history[-STUCK_ROWS:]], curves.smallest_d_loss
    stuck = len(losses) == STUCK_ROWS and smallest is not None and max(losses) < smallest + NOTHING_LEFT
    return losses[-1] if stuck else None


def large_gradient(curves: Curves) -> float | None:
    """Return the median gradient norm of either net over the last rows when it is over 100; one spike is no sign."""
    rows = curves.history[-STUCK_ROWS:]
    largest = max(median(row[name] for row in rows) for name in ("d_grad_norm", "g_grad_norm"))
    return largest if len(rows) == STUCK_ROWS and largest > LARGEST_GRADIENT else None


def frozen_losses(curves: Curves) -> float | None:
    """Return D's loss when the losses of both nets do not move."""
    rows = curves.history[-STUCK_ROWS:]
    still = len(rows) == STUCK_ROWS and all(_stands_still([row[name] for row in rows]) for name in ("d_loss", "g_loss"))
    return rows[-1]["d_loss"] if still else None


def _stays_under(curves: Curves, name: str, bar: float) -> float | None:
    values = [row[name] for row in curves.evaluations[-SLOW_EVALUATIONS:] if name in row]
    stays = len(values) == SLOW_EVALUATIONS and max(values) < bar
    nothing = curves.last and bool(values) and values[-1] < NOTHING
    return values[-1] if stays or nothing else None


def _stands_still(values: Sequence[float]) -> bool:
    return max(values) - min(values) <= FROZEN * max(map(abs, values))


LOG_ALARMS = (
    Alarm("not_finite", not_finite, "a loss or gradient is not finite", ["lower lr", "raise loss.r1"]),
    Alarm(
        "discriminator_wins",
        discriminator_wins,
        "D's loss is stuck at its minimum: it teaches the generator nothing",
        ["raise loss.r1", "raise train.translation", "raise train.instance_noise", "lower train.d_lr_ratio"],
    ),
    Alarm("large_gradient", large_gradient, "a gradient norm stays over 100", ["lower lr", "raise loss.r1"]),
    Alarm("frozen_losses", frozen_losses, "the losses of both nets do not move", ["raise lr", "change loss.name"]),
)
"""Looked at with every row of the history."""
EVALUATION_ALARMS = (
    Alarm(
        "collapse",
        collapse,
        "the diversity score has fallen under half of its best: the generator repeats itself",
        ["lower lr", "raise loss.r1", "raise train.translation", "set train.on_collapse to restore_best"],
    ),
    Alarm(
        "not_diverse",
        not_diverse,
        "the generator has not become diverse: it makes a few images, or none like the real ones",
        [
            "lower lr",
            "set model.g_norm and d_norm to batch",
            "set model.norm to batch",
            "raise steps",
            "raise train.evaluate_count to 100 a class",
        ],
    ),
    Alarm(
        "not_valid",
        not_valid,
        "next to none of the generated images lies among real ones",
        ["lower lr", "raise steps"],
    ),
    Alarm(
        "d_memorises",
        memorises,
        "D takes held-out images for generated ones: it has memorised the training images",
        ["add images", "raise train.translation", "raise train.colour", "raise loss.r1", "set data.flip"],
    ),
)
"""Looked at with every evaluation."""
