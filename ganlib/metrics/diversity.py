"""Diversity and mode collapse: whether the generator reproduces every class, and the spread within each.

All functions take the generated images that are valid (inside the real manifold): noise is not diversity.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

Features = NDArray[np.float64]
Classes = NDArray[np.int64]

MAX_PER_CLASS = 300
"""Most images of a class that a Vendi score is taken of: its cost grows with the cube."""
MIN_PER_CLASS = 20
"""Fewest images of a class whose spread can be judged. A class with fewer valid generated images counts as not diverse;
one with fewer held-out images cannot be judged, which is the data's lack and not the generator's, and is left out."""
MIN_VALID = 0.05
"""Valid share under which the score is 0: what is left is too little to judge."""
COVERED = 0.1
"""A class is covered when its share of the valid images is at least this part of its real share."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Features (N, d) with the class that the judge gives each image, (N,) of 0..K-1."""

    features: Features
    classes: Classes

    def of_class(self, label: int) -> Features:
        return self.features[self.classes == label]

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Labelled":
        """Return the images that indices or a mask pick."""
        return Labelled(features=self.features[rows], classes=self.classes[rows])

    def shares(self, classes: int) -> NDArray[np.float64]:
        """Return each class's share, (K,), summing to 1, or all 0 for an empty set."""
        return np.bincount(self.classes, minlength=classes).astype(np.float64) / max(len(self.classes), 1)


def class_overlap(fake_shares: NDArray[np.float64], real_shares: NDArray[np.float64]) -> float:
    """Return sum_c min(p(c), p_real(c)) in 0..1: with k of K equal classes missing, 1 - k/K."""
    return float(np.minimum(fake_shares, real_shares).sum())


def classes_covered(fake_shares: NDArray[np.float64], real_shares: NDArray[np.float64]) -> int:
    """Count the classes whose share is at least a tenth of their real share."""
    return int((fake_shares >= COVERED * real_shares)[real_shares > 0].sum())


def vendi_score(features: Features, sigma: float) -> float:
    """Return the effective number of unlike images, 1..N: the Vendi score (Friedman & Dieng 2022), Gaussian kernel."""
    # Images that differ nowhere have sigma 0; they are alike whatever the kernel's width.
    kernel = np.exp(-squareform(pdist(features, "sqeuclidean")) / max(2 * sigma**2, 1e-300))
    eigenvalues = np.linalg.eigvalsh(kernel / len(features))
    eigenvalues = eigenvalues[eigenvalues > 1e-12]
    return float(np.exp(-(eigenvalues * np.log(eigenvalues)).sum()))


def class_sigmas(train: Labelled, classes: int) -> NDArray[np.float64]:
    """Return the kernel's width for each class, (K,): half the median distance between its training images."""
    return np.array([_median_distance(train.of_class(label)) / 2 for label in range(classes)])


def intra_class_diversity(
    fake: Labelled, heldout: Labelled, sigmas: NDArray[np.float64], *, draws: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Return for each class the generated spread over the held-out spread, (K,) in 0..1; sigmas are `class_sigmas`.

    The spread of n images is their Vendi score less 1, averaged over `draws` draws of n <= 300 images, n the same on
    both sides. A class of under 20 generated images gets 0, one of under 20 held-out images NaN.
    """
    spread = np.zeros(len(sigmas))
    for label, sigma in enumerate(sigmas):
        ours, real = fake.of_class(label), heldout.of_class(label)
        n = min(len(ours), len(real), MAX_PER_CLASS)
        if n < MIN_PER_CLASS:
            spread[label] = np.nan if len(real) < MIN_PER_CLASS else 0
            continue
        real_spread = _mean_vendi(real, n, sigma, draws, random) - 1
        fake_spread = _mean_vendi(ours, n, sigma, draws, random) - 1
        # Rounded, so that the eigenvalues' noise does not pass for the diversity of one image.
        spread[label] = np.clip(round(fake_spread / real_spread, 9), 0, 1) if real_spread > 0 else 0
    return spread


def mean_diversity(spread: NDArray[np.float64], real_shares: NDArray[np.float64]) -> float:
    """Return the mean spread, 0..1, of the classes that can be judged (not NaN), weighted by real shares, (K,)."""
    judged = ~np.isnan(spread)
    return float(spread[judged] @ real_shares[judged] / real_shares[judged].sum())


def diversity_score(overlap: float, spread: float, valid: float) -> float:
    """Return sqrt(class_overlap * intra_class_diversity) in 0..1; 0 when under 5 % of the images are valid."""
    return float(np.sqrt(overlap * spread)) if valid >= MIN_VALID else 0.0


def _mean_vendi(features: Features, n: int, sigma: float, draws: int, random: np.random.Generator) -> float:
    if n == len(features):
        return vendi_score(features, sigma)
    picks = [random.choice(len(features), n, replace=False) for _ in range(draws)]
    return float(np.mean([vendi_score(features[pick], sigma) for pick in picks]))


def _median_distance(features: Features) -> float:
    # The median of some 1,000 images' distances is as good as that of all, and bounds memory.
    some = features[:: max(1, len(features) // 1000)]
    return float(np.median(pdist(some))) if len(some) > 1 else 0.0
