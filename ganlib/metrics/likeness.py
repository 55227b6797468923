"""How alike images are to others, pixel by pixel."""

import numpy as np
from numpy.typing import NDArray

BEST_PSNR = 60.0
"""dB that an exact match counts as."""

Images = NDArray[np.uint8]


def mean_psnr(images: Images, originals: Images) -> float:
    """Return the mean over images (N, C, H, W) of their peak signal-to-noise ratios, in dB, each at most 60."""
    errors = np.square((images.astype(np.float64) - originals) / 255).mean((1, 2, 3))
    return float(np.mean(-10 * np.log10(np.maximum(errors, 10 ** (-BEST_PSNR / 10)))))
