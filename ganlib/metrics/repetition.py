"""Repetition: whether the generator draws the same few images again."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganlib.metrics.manifold import squared_distances

Features = NDArray[np.float64]

SAMPLE = 2000
"""Images that pairs are counted among."""
NEAR = 0.1
"""Two images are near-duplicates within this part of the median distance between nearest training images."""


class Support(NamedTuple):
    size: float
    """Number of images that the generator seems to draw from."""
    is_lower_bound: bool
    """No near-duplicates were met: the support is at least this large."""


def support_size(features: Features, near: float, random: np.random.Generator) -> Support:
    """Estimate how many unlike images a generator can draw (Arora et al. 2018, arXiv:1706.08224).

    By the birthday paradox s images of a support of n hold about s(s-1) / 2n pairs, so n = s(s-1) / (2 pairs), with
    s = 2,000 of the features (N, d) and pairs nearer than `near`. Between 1 and s(s-1)/2, about two million.
    """
    s = min(SAMPLE, len(features))
    some = features[random.choice(len(features), s, replace=False)]
    pairs = (_count_within(some, near) - s) / 2  # each image is near itself, each pair counts twice
    return Support(s * (s - 1) / (2 * max(pairs, 1)), pairs == 0)


def unique_fraction(features: Features, near: float) -> float:
    """Return the share of images (N, d) that repeat none before them: 1 without near-duplicates, 1/N for one image."""
    first = np.zeros(len(features), bool)
    for rows, squared in squared_distances(features, features):
        columns, own = np.arange(len(features)), np.arange(len(features))[rows]
        first[rows] = ~((squared <= near**2) & (columns < own[:, None])).any(1)
    return float(first.mean())


def _count_within(features: Features, near: float) -> int:
    return sum(int(np.count_nonzero(squared <= near**2)) for _, squared in squared_distances(features, features))
