"""Neighbourhoods in feature space: fidelity, coverage and memorisation.

Precision and recall: Kynkäänniemi et al. 2019, arXiv:1904.06991. Density and coverage: Naeem et al. 2020,
arXiv:2002.09797. An image's neighbourhood is the open ball that reaches to its k-th nearest other image.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganlib.core.errors import UserError

Features = NDArray[np.float64]

RADIUS_CAP = 95
"""Percentile at which radii are capped for validity, so that an outlier's huge ball declares nothing else valid."""
BLOCK = 8_000_000
"""Distances held at a time, so that memory stays bounded."""
SAME = 1e-10
"""Squared distance, as a part of the squared length, under which two images are one: float32 features of one image
differ by as much between batches."""
ROUNDING = 1e-9
"""Part of a squared radius that rounding may touch: what lies on the edge must not fall inside an open ball, nor
outside a closed one."""


class Neighbourhoods(NamedTuple):
    """How N candidate images lie among M real ones."""

    inside: NDArray[np.int64]
    """(N,), number of real images in whose ball the candidate lies."""
    valid: NDArray[np.bool_]
    """(N,), whether it lies in the ball of any real image, radii capped at their 95th percentile."""
    nearest: Features
    """(N,), distance to the nearest real image."""
    covered: NDArray[np.bool_]
    """(M,), whether the real image's ball holds a candidate."""
    recalled: NDArray[np.bool_]
    """(M,), whether the real image lies in the ball of a candidate."""


def squared_distances(x: Features, y: Features) -> Iterator[tuple[slice, Features]]:
    """Yield squared Euclidean distances of (N, d) and (M, d) as blocks of rows; exactly 0 between equal images."""
    x_squared, y_squared = np.einsum("nd,nd->n", x, x), np.einsum("md,md->m", y, y)
    step = max(1, BLOCK // len(y))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        block = x[rows] @ y.T
        block *= -2
        block += y_squared
        block += x_squared[rows, None]
        block[block < SAME * x_squared[rows, None]] = 0
        yield rows, block


def neighbour_distances(features: Features, neighbours: int) -> Features:
    """Return the sorted distances of each image to its k nearest other images, (N, d) to (N, k)."""
    if len(features) <= neighbours:
        raise UserError(f"{len(features)} images are too few for evaluate.neighbours = {neighbours}: lower it")
    nearest = np.empty((len(features), neighbours))
    for rows, squared in squared_distances(features, features):
        own = np.arange(len(features))[rows]
        squared[np.arange(len(own)), own] = -1  # the image itself comes first
        nearest[rows] = np.sort(np.partition(squared, neighbours, axis=1)[:, : neighbours + 1], axis=1)[:, 1:]
    return np.sqrt(nearest)


def nearest_neighbours(x: Features, y: Features, count: int) -> tuple[NDArray[np.int64], Features]:
    """Return which `count` of y (M, d) are nearest each of x (N, d), and their distances, both (N, count), sorted."""
    indices, distances = np.empty((len(x), count), np.int64), np.empty((len(x), count))
    for rows, squared in squared_distances(x, y):
        indices[rows] = np.argsort(squared, axis=1, kind="stable")[:, :count]
        distances[rows] = np.sqrt(np.take_along_axis(squared, indices[rows], 1))
    return indices, distances


def compare(fake: Features, real: Features, fake_radii: Features, real_radii: Features) -> Neighbourhoods:
    """Compare candidates (N, d) with real images (M, d), block by block; radii are those of each set in itself."""
    inside, valid, nearest = np.empty(len(fake), np.int64), np.empty(len(fake), bool), np.empty(len(fake))
    covered, recalled = np.zeros(len(real), bool), np.zeros(len(real), bool)
    fake_balls, real_balls = _open_balls(fake_radii), _open_balls(real_radii)
    valid_balls = np.minimum(real_balls, np.percentile(real_balls, RADIUS_CAP))
    for rows, squared in squared_distances(fake, real):
        within = squared < real_balls
        inside[rows] = np.count_nonzero(within, axis=1)
        valid[rows] = (squared < valid_balls).any(1)
        nearest[rows] = np.sqrt(squared.min(1))
        covered |= within.any(0)
        recalled |= (squared < fake_balls[rows, None]).any(0)
    return Neighbourhoods(inside, valid, nearest, covered, recalled)


def coverage_of_draws(
    fake: Features, real: Features, draws: Sequence[NDArray[np.int64]], real_radii: Features
) -> Features:
    """Return the coverage (k,) of M real images by each of k draws, rows of candidates (N, d), in one pass."""
    drawn = np.zeros((len(draws), len(fake)), np.float32)
    for mask, rows in zip(drawn, draws, strict=True):
        mask[rows] = 1
    covered, real_balls = np.zeros((len(draws), len(real)), bool), _open_balls(real_radii)
    for rows, squared in squared_distances(fake, real):
        covered |= drawn[:, rows] @ (squared < real_balls).astype(np.float32) > 0  # (k, M)
    return covered.mean(1)


def recall_of_draws(fake: Features, real: Features, draws: Sequence[NDArray[np.int64]], neighbours: int) -> Features:
    """Return the recall (k,) of M real images by each of k draws, whose balls reach to neighbours within the draw."""
    fake_balls = np.full((len(draws), len(fake)), np.nan)  # of what is not drawn
    for balls, rows in zip(fake_balls, draws, strict=True):
        balls[rows] = _open_balls(neighbour_distances(fake[rows], neighbours)[:, -1])
    recalled = np.zeros((len(draws), len(real)), bool)
    for rows, squared in squared_distances(fake, real):
        for found, balls in zip(recalled, fake_balls[:, rows], strict=True):
            drawn = np.flatnonzero(~np.isnan(balls))
            found |= (squared[drawn] < balls[drawn, None]).any(0)
    return recalled.mean(1)


def precision(among: Neighbourhoods) -> float:
    """Return the share, 0..1, of generated images in the ball of at least one real image (Kynkäänniemi 2019)."""
    return float((among.inside > 0).mean())


def recall(among: Neighbourhoods) -> float:
    """Return the share, 0..1, of real images in the ball of at least one generated image (Kynkäänniemi 2019)."""
    return float(among.recalled.mean())


def density(among: Neighbourhoods, neighbours: int) -> float:
    """Return the mean number of real balls around a generated image over k: 1 for identical sets (Naeem 2020)."""
    return float(among.inside.mean() / neighbours)


def coverage(among: Neighbourhoods) -> float:
    """Return the share, 0..1, of real images whose ball holds a generated image (Naeem 2020)."""
    return float(among.covered.mean())


def expected_coverage(real: int, fake: int, neighbours: int) -> float:
    """Return what coverage two sets of one distribution have on average: 1 - prod_{i=1..k} (N - i) / (N + M - i)."""
    i = np.arange(1, neighbours + 1)
    return float(1 - np.prod((real - i) / (real + fake - i)))


def closed_balls(radii: Features) -> Features:
    """Return squared radii (N,) that a point at the edge is within, however its distance was rounded."""
    return np.square(radii) * (1 + ROUNDING)


def _open_balls(radii: Features) -> Features:
    return np.square(radii) * (1 - ROUNDING)
