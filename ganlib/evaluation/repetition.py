"""Repetition: whether the generator draws the same few images again."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganlib.metrics.manifold import squared_distances

Features = NDArray[np.float64]

SAMPLE = 2000
"""Images that pairs are counted among."""
NEAR = 0.1
"""Two images are near-duplicates within this part of the median distance between nearest training images."""
SHOWN = 8
"""Nearest pairs that are shown."""


def near_distance(spacing: float) -> float:
    """Return the distance within which two images are near-duplicates, of that between nearest training images."""
    return NEAR * spacing


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


def nearest_pairs(features: Features, train: Features, to_train: Features, near: float) -> pd.DataFrame:
    """Return the generated images (N, d) that are nearest to each other, and those nearest to training images (M, d).

    `to_train` (N,) holds the distances to the nearest training image. A row a pair, the nearest first, no image in two
    pairs of a kind: kind (generated or training), image, other (indices, the other of its kind), distance,
    near_duplicate.
    """
    others, distances = np.empty(len(features), np.int64), np.empty(len(features))
    for rows, squared in squared_distances(features, features):
        own = np.arange(len(features))[rows]
        squared[np.arange(len(own)), own] = np.inf
        others[rows], distances[rows] = squared.argmin(1), np.sqrt(squared.min(1))
    pairs: list[tuple[str, int, int, float]] = []
    taken: set[int] = set()
    for image in np.argsort(distances, kind="stable").tolist():
        other = int(others[image])
        if len(pairs) < SHOWN and not taken & {image, other}:
            pairs.append(("generated", image, other, float(distances[image])))
            taken |= {image, other}
    closest = np.argsort(to_train, kind="stable")[:SHOWN]
    copied = np.concatenate([squared.argmin(1) for _, squared in squared_distances(features[closest], train)])
    pairs += [
        ("training", image, other, float(to_train[image]))
        for image, other in zip(closest.tolist(), copied.tolist(), strict=True)
    ]
    table = pd.DataFrame(pairs, columns=["kind", "image", "other", "distance"])
    return table.assign(near_duplicate=table["distance"] <= near)


def _count_within(features: Features, near: float) -> int:
    return sum(int(np.count_nonzero(squared <= near**2)) for _, squared in squared_distances(features, features))


def in_order_given(nearest: pd.DataFrame, order: NDArray[np.int64], train_order: NDArray[np.int64]) -> pd.DataFrame:
    """Return a table of nearest images with their indices before they were sorted into `order`, and `train_order`."""
    ours, other = (nearest["kind"] == "generated").to_numpy(), nearest["other"].to_numpy()
    others = np.where(ours, order[other * ours], train_order[other * ~ours])
    return nearest.assign(image=order[nearest["image"].to_numpy()], other=others)
