"""Density and coverage that outliers and repetition can't move past 1 (Salvy et al. 2025, arXiv:2507.01761).

Radii are clipped at their median, counts at k, and both are calibrated: 1 is what real images reach, and a share p of
good images among worthless ones reaches p.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom

from ganlib.metrics.manifold import closed_balls, squared_distances
from ganlib.metrics.reference import Reference

Features = NDArray[np.float64]


def clipped_density(images: Features, reference: Reference) -> float:
    """Return the balls, at most k, that an image (N, d) lies in, on average, over those that a real one does; 0..1."""
    train, k = reference.train.features, reference.neighbours
    squared_radii = closed_balls(np.minimum(reference.radii, np.median(reference.radii)))
    ours, real = (
        np.concatenate(
            [np.count_nonzero(block <= squared_radii, axis=1) for _, block in squared_distances(side, train)]
        )
        for side in (images, train)
    )
    real = real - 1  # each lies in its own ball
    ideal = np.minimum(real, k).mean()
    return float(min(1.0, np.minimum(ours, k).mean() / ideal)) if ideal > 0 else 0.0


def clipped_coverage(images: Features, reference: Reference) -> float:
    """Return the share of good images, 0..1, whose balls' contents, at most k, would be those of these (N, d)."""
    train, k = reference.train.features, reference.neighbours
    inside = np.zeros(len(train), np.int64)
    for _, block in squared_distances(images, train):
        inside += np.count_nonzero(block < np.square(reference.radii), axis=0)
    reached = np.minimum(inside, k).mean() / k
    expected = expected_contents(len(train), len(images), k)
    return float(np.interp(reached, expected, np.linspace(0, 1, len(expected))))


def expected_contents(real: int, fake: int, k: int) -> Features:
    """Return E min(J, k) / k for 0 to M images of the real distribution, (M + 1,); a ball holds J of them.

    The probability that an image falls into the ball of a k-th neighbour among N - 1 others is Beta(k, N - k).
    """
    counts = np.arange(fake + 1)
    missing = sum((k - j) * betabinom.pmf(j, counts, k, real - k) for j in range(k))
    return np.maximum.accumulate(1 - missing / k)
