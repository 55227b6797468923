"""What a translation is worth: how like the truth it is, and how like the set of all that it should look like."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.evaluation.intervals import Z, half_sample_interval
from ganlib.features.eyes import Extractor
from ganlib.metrics.frechet import fit_gaussian, gaussian_distance
from ganlib.metrics.likeness import mean_psnr, ssim

DRAWS = 20
"""Draws of training images that the floor is averaged over."""

Images = NDArray[np.uint8]
Features = NDArray[np.float64]


def pair_figures(
    made: Mapping[str, Images],
    truth: Images,
    extractor: Extractor,
    device: torch.device,
    hidden: NDArray[np.bool_] | None = None,
    *,
    subsets: int,
    random: np.random.Generator,
) -> dict[str, dict[str, float]]:
    """Return the figures of translations (N, C, H, W), by who made them, whose partners are `truth`, likewise.

    `psnr` and `ssim` are means over images; `hidden_psnr` that of the hole alone. `features` is the mean Euclidean
    distance to the partner in the extractor's features, `fid_to_heldout` the Fréchet distance between the sets, in the
    same; both have bounds of 95 %, `_low` and `_high`, the latter of random halves.
    """
    real = extractor.describe(truth, device).features
    rows: dict[str, dict[str, float]] = {}
    for name, images in made.items():
        rows[name] = {"psnr": mean_psnr(images, truth), "ssim": float(ssim(images, truth).mean())}
        if hidden is not None:
            rows[name]["hidden_psnr"] = mean_psnr(images, truth, hidden)
        rows[name] |= feature_figures(extractor.describe(images, device).features, real, subsets, random)
    return rows


def feature_figures(found: Features, real: Features, subsets: int, random: np.random.Generator) -> dict[str, float]:
    """Return distances of features (N, d) to those of partners, and between both sets, with bounds."""
    distances = np.linalg.norm(found - real, axis=1)
    mean, margin = float(distances.mean()), Z * float(distances.std(ddof=1)) / np.sqrt(len(distances))
    gaussian = fit_gaussian(real)

    def distance(rows: NDArray[np.int64]) -> float:
        return gaussian_distance(fit_gaussian(found[rows]), gaussian)

    whole = distance(np.arange(len(found)))
    low, high = half_sample_interval(whole, distance, len(found), subsets, random)
    figures = {"features": mean, "features_low": mean - margin, "features_high": mean + margin}
    return figures | {"fid_to_heldout": whole, "fid_to_heldout_low": low, "fid_to_heldout_high": high}


def floor(train: Features, heldout: Features, random: np.random.Generator) -> float:
    """Return the Fréchet distance of training images to all held-out ones, as many of both: a mean over draws.

    Translations of partners can lie under it: they share what is in the pictures, which training images do not.
    """
    count, gaussian = min(len(train), len(heldout)), fit_gaussian(heldout)
    draws = (np.sort(random.permutation(len(train))[:count]) for _ in range(DRAWS))
    return float(np.mean([gaussian_distance(fit_gaussian(train[rows]), gaussian) for rows in draws]))
