"""Neighbourhoods of real images in feature space (Kynkäänniemi et al. 2019, arXiv:1904.06991)."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ganlib.errors import UserError

RADIUS_CAP = 95
"""Percentile at which radii are capped, so that an outlier's huge neighbourhood declares nothing else valid."""
BLOCK = 1024
"""Rows compared at a time, so that memory stays bounded."""


def neighbour_radii(features: NDArray[np.float64], neighbours: int) -> NDArray[np.float64]:
    """Return each image's distance to its k-th nearest other image, capped at the 95th percentile; (N, d) to (N,)."""
    if len(features) <= neighbours:
        raise UserError(f"{len(features)} real images are too few for evaluate.neighbours = {neighbours}")
    # partition's index `neighbours` is the k-th other image: index 0 is the image itself.
    blocks = [np.partition(cdist(rows, features), neighbours)[:, neighbours] for rows in _blocks(features)]
    radii = np.concatenate(blocks)
    return np.minimum(radii, np.percentile(radii, RADIUS_CAP))


def inside_manifold(
    candidates: NDArray[np.float64], features: NDArray[np.float64], radii: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell for each candidate (N, d) whether it lies strictly within the radius of any real image (M, d); (N,)."""
    return np.concatenate([(cdist(rows, features) < radii).any(1) for rows in _blocks(candidates)])


def _blocks(rows: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    return [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
