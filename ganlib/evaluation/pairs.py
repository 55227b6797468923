"""What a translation is worth: how like the truth it is, and how like the set of all that it should look like."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.features.eyes import Extractor
from ganlib.metrics.frechet import fit_gaussian, gaussian_distance
from ganlib.metrics.likeness import psnr, ssim

Images = NDArray[np.uint8]

EQUAL = 68.0
"""PSNR in dB at most, that of one level's difference in one pixel of a hundred: else one equal image would be all."""


def pair_figures(
    made: Mapping[str, Images],
    truth: Images,
    extractor: Extractor,
    device: torch.device,
    hidden: NDArray[np.bool_] | None = None,
) -> dict[str, dict[str, float]]:
    """Return the figures of translations (N, C, H, W), by who made them, whose partners are `truth`, likewise.

    `psnr` and `ssim` are means over images; `hidden_psnr` that of the hole alone. `features` is the mean Euclidean
    distance to the partner in the extractor's features, `fid` the Fréchet distance between the sets, in the same.
    """
    real = extractor.describe(truth, device).features
    rows: dict[str, dict[str, float]] = {}
    for name, images in made.items():
        found = extractor.describe(images, device).features
        rows[name] = {
            "psnr": finite_mean(psnr(images, truth)),
            "ssim": float(ssim(images, truth).mean()),
            "features": float(np.linalg.norm(found - real, axis=1).mean()),
            "fid": gaussian_distance(fit_gaussian(found), fit_gaussian(real)),
        }
        if hidden is not None:
            rows[name]["hidden_psnr"] = finite_mean(psnr(images, truth, hidden))
    return rows


def finite_mean(values: NDArray[np.float64]) -> float:
    """Return the mean of PSNRs, none over `EQUAL`."""
    return float(np.minimum(values, EQUAL).mean())


def described_claim(claim: Any) -> dict[str, Any]:
    """Return what a JSON file holds of a claim, but for its name."""
    return {key: value for key, value in claim._asdict().items() if key != "name"} | {"held": bool(claim.held)}
