"""The Fréchet distance between Gaussians fitted to two sets of features (Heusel et al. 2017, arXiv:1706.08500)."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganlib.core.errors import UserError

Features = NDArray[np.float64]

POINTS = 6
"""Set sizes that FID infinity is regressed on."""


class Gaussian(NamedTuple):
    """A mean (d,) and a factor A (at most d rows, d) of the sample covariance A'A."""

    mean: Features
    factor: Features


def fit_gaussian(x: Features) -> Gaussian:
    """Fit mean and sample covariance to features (N, d); raise UserError under 2 images."""
    if len(x) < 2:
        raise UserError(f"the Fréchet distance needs at least 2 images on each side, not {len(x)}: give more images")
    mean = x.mean(0, dtype=np.float64)
    a = (x.astype(np.float64) - mean) / np.sqrt(len(x) - 1)
    return Gaussian(mean, np.asarray(np.linalg.qr(a, mode="r")) if len(a) > a.shape[1] else a)


def gaussian_distance(x: Gaussian, y: Gaussian) -> float:
    """Return |mean_x - mean_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2)); at least 0.

    With C_x = A'A and C_y = B'B, tr (C_x C_y)^(1/2) is the nuclear norm of A B'. So no matrix square root is taken,
    and singular covariances (N < d) do no harm.
    """
    a, b = x.factor, y.factor
    shift = np.square(x.mean - y.mean).sum()
    nuclear_norm = np.linalg.norm(a @ b.T, "nuc")
    return max(0.0, float(shift + np.square(a).sum() + np.square(b).sum() - 2 * nuclear_norm))


def frechet_distance(x: Features, y: Features) -> float:
    """Return the squared Fréchet distance of features (N, d) and (M, d), at least 0: FID if they are Inception's."""
    return gaussian_distance(fit_gaussian(x), fit_gaussian(y))


def chooses_best(names: Iterable[str]) -> str:
    """Return which figure of an evaluation chooses the best weights: the first distance to held-out images."""
    return next(name for name in names if name.endswith("fid_to_heldout"))


def frechet_infinity(
    x: Features, reference: Gaussian, random: np.random.Generator, largest: int | None = None
) -> float:
    """Return the distance that endlessly many images x (N, d) would have (Chong & Forsyth 2020, arXiv:1911.07023).

    The bias of the distance is nearly linear in 1/N, so a line through the distances of random parts, of a quarter of
    `largest` (all of x) to all of it, is read off at 1/N = 0. Noise may carry it below 0. The bias of the reference's
    own size remains, and what is not linear for small N: beside another's it is taken with the same `largest`.
    """
    largest = len(x) if largest is None else largest
    sizes = np.linspace(max(2, largest // 4), largest, POINTS).astype(int)
    parts = [x[random.choice(len(x), size, replace=False)] for size in sizes]
    distances = [gaussian_distance(fit_gaussian(part), reference) for part in parts]
    if sizes[0] == sizes[-1]:  # two images: no line to draw
        return distances[-1]
    return float(np.polyfit(1 / sizes, distances, 1)[1])
