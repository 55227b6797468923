"""Whether a judge can judge: it needs two classes with enough held-out images, and to be right more than by chance."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganlib.metrics.diversity import MIN_PER_CLASS

DEVIATIONS = 3
"""By so many deviations of a share it must be right more often than whoever always says the commonest class."""


class Fitness(NamedTuple):
    accuracy: float
    """Share of held-out images that it judges rightly."""
    unfit_because: str
    """Empty for a judge that is fit."""


def judge_fitness(asked: NDArray[np.int64], judged: NDArray[np.int64]) -> Fitness:
    """Return how fit a judge is, of the true and the judged classes of held-out images, two (N,)."""
    counts, accuracy = np.bincount(asked), float((asked == judged).mean())
    enough = int(np.count_nonzero(counts >= MIN_PER_CLASS))
    if enough < 2:
        classes = "class has" if enough == 1 else "classes have"
        return Fitness(accuracy, f"{enough} {classes} {MIN_PER_CLASS} held-out images, and it takes two")
    chance = float(counts.max() / len(asked))
    if accuracy < chance + DEVIATIONS * np.sqrt(chance * (1 - chance) / len(asked)):
        told = f"it is right on {accuracy:.1%} of held-out images, and the commonest class alone is {chance:.1%}"
        return Fitness(accuracy, told)
    return Fitness(accuracy, "")
