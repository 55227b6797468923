"""What a translation is worth: how like the truth it is, and how like the set of all that it should look like."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.features.eyes import Extractor
from ganlib.metrics.frechet import fit_gaussian, gaussian_distance
from ganlib.metrics.likeness import mean_psnr, ssim

Images = NDArray[np.uint8]


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
            "psnr": mean_psnr(images, truth),
            "ssim": float(ssim(images, truth).mean()),
            "features": float(np.linalg.norm(found - real, axis=1).mean()),
            "fid": gaussian_distance(fit_gaussian(found), fit_gaussian(real)),
        }
        if hidden is not None:
            rows[name]["hidden_psnr"] = mean_psnr(images, truth, hidden)
    return rows


def described_claim(claim: Any) -> dict[str, Any]:
    """Return what a JSON file holds of a claim, but for its name."""
    return {key: value for key, value in claim._asdict().items() if key != "name"} | {"held": bool(claim.held)}
