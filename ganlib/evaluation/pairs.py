"""What a translation is worth: how like the truth it is, and how like the set of all that it should look like."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.evaluation.intervals import Z, half_sample_interval
from ganlib.features.eyes import Extractor
from ganlib.features.judge import Judge
from ganlib.features.judging import judge_images
from ganlib.metrics.frechet import fit_gaussian, gaussian_distance
from ganlib.metrics.likeness import mean_psnr, ssim

DRAWS = 20
"""Draws of training images that the floor is averaged over."""

Images = NDArray[np.uint8]
Features = NDArray[np.float64]


def pair_figures(
    made: Mapping[str, Images],
    real: Images,
    extractor: Extractor,
    device: torch.device,
    hidden: NDArray[np.bool_] | None = None,
    *,
    partners: bool = True,
    subsets: int,
    random: np.random.Generator,
) -> dict[str, dict[str, float]]:
    """Return the figures of translations (N, C, H, W), by who made them, beside held-out images of B, likewise.

    Where these are their `partners`: `psnr` and `ssim` are means over images, `hidden_psnr` that of the hole alone, and
    `features` is the mean Euclidean distance to the partner in the extractor's features. `fid_to_heldout` is the
    Fréchet distance between the sets, in the same. Both have bounds of 95 %, `_low` and `_high`, the latter of halves.
    """
    seen = extractor.describe(real, device).features
    rows: dict[str, dict[str, float]] = {}
    for name, images in made.items():
        rows[name] = {}
        if partners:
            rows[name] |= {"psnr": mean_psnr(images, real), "ssim": float(ssim(images, real).mean())}
        if partners and hidden is not None:
            rows[name]["hidden_psnr"] = mean_psnr(images, real, hidden)
        found = extractor.describe(images, device).features
        rows[name] |= (partner_figures(found, seen) if partners else {}) | set_figures(found, seen, subsets, random)
    return rows


def class_kept(images: Images, labels: NDArray[np.int64], judge: Judge, device: torch.device) -> float:
    """Return the share of translations (N, C, H, W) that the judge finds to be of the class of what was translated."""
    return float((judge_images(judge, images, device).classes == labels).mean())


def partner_figures(found: Features, truth: Features) -> dict[str, float]:
    """Return the mean distance of features (N, d) to those of partners, with bounds."""
    distances = np.linalg.norm(found - truth, axis=1)
    mean, margin = float(distances.mean()), Z * float(distances.std(ddof=1)) / np.sqrt(len(distances))
    return {"features": mean, "features_low": mean - margin, "features_high": mean + margin}


def set_figures(found: Features, real: Features, subsets: int, random: np.random.Generator) -> dict[str, float]:
    """Return the Fréchet distance between two sets of features (N, d) and (M, d), with bounds."""
    gaussian = fit_gaussian(real)

    def distance(rows: NDArray[np.int64]) -> float:
        return gaussian_distance(fit_gaussian(found[rows]), gaussian)

    whole = distance(np.arange(len(found)))
    low, high = half_sample_interval(whole, distance, len(found), subsets, random)
    return {"fid_to_heldout": whole, "fid_to_heldout_low": low, "fid_to_heldout_high": high}


def floor(train: Features, heldout: Features, random: np.random.Generator) -> float:
    """Return the Fréchet distance of training images to all held-out ones, as many of both: a mean over draws.

    Translations of partners can lie under it: they share what is in the pictures, which training images do not.
    """
    count, gaussian = min(len(train), len(heldout)), fit_gaussian(heldout)
    draws = (np.sort(random.permutation(len(train))[:count]) for _ in range(DRAWS))
    return float(np.mean([gaussian_distance(fit_gaussian(train[rows]), gaussian) for rows in draws]))
