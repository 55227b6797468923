"""Intervals of 95 % around figures: how far another draw of as many generated images would move them.

They speak of the generated images alone: the real images, the judge and the training run stay as they are.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Z = 1.959964
"""Standard deviations that hold 95 % of a normal distribution."""


def share_interval(share: float, count: int) -> tuple[float, float]:
    """Return Wilson's interval (1927) of a share among `count` independent images, within 0..1."""
    middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * np.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def half_sample_interval(
    value: float,
    figure: Callable[[NDArray[np.int64]], float],
    count: int,
    subsets: int,
    random: np.random.Generator,
    highest: float = np.inf,
) -> tuple[float, float]:
    """Return value -+ 1.96 deviations of `figure(rows)` over random halves of `count` images, within 0..highest.

    Halves drawn without replacement scatter as much as independent sets of the full size (McCarthy 1969), and, unlike
    a bootstrap's, hold no image twice, which would pass for repetition. That a half has another bias does not matter:
    only the scatter is used.
    """
    halves = [random.choice(count, max(2, count // 2), replace=False) for _ in range(subsets)]
    margin = Z * float(np.std([figure(rows) for rows in halves], ddof=1))
    return max(0.0, value - margin), min(highest, value + margin)
