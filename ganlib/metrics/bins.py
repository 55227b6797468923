"""Bins of real features, which take the place of classes where there are no labels (Richardson & Weiss 2018)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from ganlib.metrics.manifold import squared_distances

Features = NDArray[np.float64]

RESTARTS = 4


def fit_bins(features: Features, bins: int, random: np.random.Generator) -> Features:
    """Return the k-means centres (K, d) of real features (N, d): arXiv:1805.12462, NDB."""
    means: Any = KMeans(bins, n_init=RESTARTS, random_state=int(random.integers(2**32)))  # pyright: ignore[reportArgumentType]
    return np.asarray(means.fit(features).cluster_centers_, np.float64)


def bin_of(features: Features, centres: Features) -> NDArray[np.int64]:
    """Return the index of the centre nearest to each image, (N, d) and (K, d) to (N,)."""
    return np.concatenate([squared.argmin(1) for _, squared in squared_distances(features, centres)])
