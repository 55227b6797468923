"""The Fréchet distance between Gaussians fitted to two sets of features (Heusel et al. 2017, arXiv:1706.08500)."""

import numpy as np
from numpy.typing import NDArray

from ganlib.errors import UserError


def frechet_distance(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return |mean_x - mean_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2)) for features (N, d) and (M, d); at least 0.

    With A = (X - mean) / sqrt(N - 1) and B likewise, C_x = A'A and tr (C_x C_y)^(1/2) is the nuclear norm of A B'.
    So no matrix square root is taken, and singular covariances (N < d) do no harm. Raise UserError under 2 samples.
    """
    if min(len(x), len(y)) < 2:
        raise UserError(f"the Fréchet distance needs at least 2 images on each side, not {len(x)} and {len(y)}")
    a, b = _covariance_factor(x), _covariance_factor(y)
    shift = np.square(x.mean(0) - y.mean(0)).sum()
    nuclear_norm = np.linalg.norm(a @ b.T, "nuc")
    return max(0.0, float(shift + np.square(a).sum() + np.square(b).sum() - 2 * nuclear_norm))


def _covariance_factor(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return A of at most d rows with A'A the covariance of x."""
    a = (x.astype(np.float64) - x.mean(0, dtype=np.float64)) / np.sqrt(len(x) - 1)
    return np.asarray(np.linalg.qr(a, mode="r")) if len(a) > a.shape[1] else a
