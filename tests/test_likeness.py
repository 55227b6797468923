"""PSNR and SSIM against torchmetrics, and in closed form."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from ganlib.metrics.likeness import psnr, ssim


def pictures(channels: int, height: int, width: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    truth = random.integers(0, 256, (4, channels, height, width)).astype(np.uint8)
    blurred = truth.astype(float)
    for axis in (2, 3):
        blurred = (blurred + np.roll(blurred, 1, axis) + np.roll(blurred, -1, axis)) / 3
    worse = blurred + noise * random.standard_normal(truth.shape)
    return worse.clip(0, 255).astype(np.uint8), blurred.astype(np.uint8)


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 32), (3, 24, 40)])
@pytest.mark.parametrize("noise", [2.0, 40.0])
def test_both_are_what_torchmetrics_has(shape: tuple[int, int, int], noise: float):
    images, truth = pictures(*shape, noise)
    given = [torch.from_numpy(array).double() for array in (images, truth)]
    peaks = peak_signal_noise_ratio(*given, data_range=(0.0, 255.0), reduction="none", dim=(1, 2, 3))
    similar = structural_similarity_index_measure(*given, data_range=255.0, reduction="none")
    assert psnr(images, truth) == pytest.approx(peaks.numpy(), rel=1e-6)
    assert ssim(images, truth) == pytest.approx(np.asarray(similar), abs=1e-6)


def test_equal_images_are_infinitely_alike_and_a_shift_of_one_level_has_48_db():
    _, truth = pictures(3, 16, 16, 0)
    assert np.isinf(psnr(truth, truth)).all() and ssim(truth, truth) == pytest.approx(np.ones(4))
    grey = np.full((2, 1, 16, 16), 100, np.uint8)
    assert psnr(grey, grey + 1) == pytest.approx(20 * np.log10([255, 255]))
    assert ssim(grey, grey + 50)[0] == pytest.approx((2 * 100 * 150 + 2.55**2) / (100**2 + 150**2 + 2.55**2))


def test_only_the_pixels_that_count_count():
    images, truth = pictures(3, 16, 16, 40)
    inside = np.zeros((16, 16), bool)
    inside[4:12, 4:12] = True
    expected = psnr(images[:, :, 4:12, 4:12], truth[:, :, 4:12, 4:12])
    assert psnr(images, truth, inside) == pytest.approx(expected)
