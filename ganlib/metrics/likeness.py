"""How like an image is to the truth, pixel by pixel: PSNR and SSIM, for pairs."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

PEAK = 255.0
BEST_PSNR = 60.0
"""dB that an exact match counts as in a mean."""
BLOCK = 100
"""Images held at a time as float64, so that memory stays bounded."""
WINDOW, SPREAD = 11, 1.5
"""Side of SSIM's Gaussian window, and its standard deviation, in pixels."""
K1, K2 = 0.01, 0.03
"""Shares of the peak that keep SSIM's fractions stable where there is nothing."""

Images = NDArray[np.uint8]


def psnr(images: Images, truth: Images, where: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return 10 log10(255^2 / mean squared error) of each of (N, C, H, W) images, in dB, (N,); inf where it is equal.

    `where` (H, W) names the pixels that count; all without it.
    """
    error = np.empty(len(images))
    for start in range(0, len(images), BLOCK):
        block = slice(start, start + BLOCK)
        squares = np.square(images[block].astype(np.float64) - truth[block])
        error[block] = squares.mean((1, 2, 3)) if where is None else squares[:, :, where].mean((1, 2))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(PEAK**2 / error)


def mean_psnr(images: Images, truth: Images, where: NDArray[np.bool_] | None = None) -> float:
    """Return the mean of PSNRs in dB, each at most 60: else one exact match would be all."""
    return float(np.minimum(psnr(images, truth, where), BEST_PSNR).mean())


def ssim(images: Images, truth: Images) -> NDArray[np.float64]:
    """Return the structural similarity of each of (N, C, H, W) images, at most 1, (N,).

    Wang et al. 2004: local means, variances and covariance under a Gaussian window, per channel, averaged over all
    pixels; beyond its border an image is mirrored, as torchmetrics does.
    """
    weights = np.exp(-np.square(np.arange(WINDOW) - WINDOW // 2) / (2 * SPREAD**2))
    weights /= weights.sum()

    def local(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return correlate1d(correlate1d(values, weights, 2, mode="mirror"), weights, 3, mode="mirror")

    x, y = images.astype(np.float64), truth.astype(np.float64)
    mean_x, mean_y = local(x), local(y)
    var_x, var_y, both = local(x * x) - mean_x**2, local(y * y) - mean_y**2, local(x * y) - mean_x * mean_y
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    values = (2 * mean_x * mean_y + c1) * (2 * both + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return values.mean((1, 2, 3))
