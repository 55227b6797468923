"""What probes measure of a generator and its encoder: images rebuilt from their codes, and neighbours among codes."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d

from ganlib.core.images import to_unit_range
from ganlib.core.packed import Split
from ganlib.features.judge import Judge
from ganlib.features.judging import BATCH_SIZE, batches, judge_images
from ganlib.metrics.likeness import mean_psnr
from ganlib.metrics.manifold import nearest_neighbours
from ganlib.networks.families import Generator
from ganlib.networks.sampling import generate

LARGEST = 32
"""Height and width of images that are compared by their pixels."""

Images = NDArray[np.uint8]
Codes = NDArray[np.float64]


class Rebuilt(NamedTuple):
    codes: Codes
    """(N, latent_dim)"""
    images: Images
    """(N, C, H, W)"""
    psnr: float
    """Mean, in dB."""
    kept: float
    """Share of images that the judge takes for what they were, by their labels or, without, by the judge itself."""


def rebuild(generator: Generator, encoder: nn.Module, real: Split, judge: Judge, device: torch.device) -> Rebuilt:
    """Encode real images, and make images of their codes; both networks must be in evaluation mode."""
    codes = encode(encoder, real.images, device)
    images = generate(generator, torch.from_numpy(codes).float(), device)
    return Rebuilt(codes, images, mean_psnr(images, real.images), class_kept(images, real, judge, device))


def class_kept(images: Images, real: Split, judge: Judge, device: torch.device) -> float:
    """Return the share of images (N, C, H, W) that the judge takes for the class of the real ones in their places."""
    classes = judge_images(judge, real.images, device).classes if real.labels is None else real.labels
    return float((judge_images(judge, images, device).classes == classes).mean())


@torch.inference_mode()
def encode(encoder: nn.Module, images: Images, device: torch.device) -> Codes:
    """Return codes (N, latent_dim) of (N, C, H, W) uint8 images."""
    found = [encoder(to_unit_range(batch)).cpu() for batch in batches(images, BATCH_SIZE, device)]
    return torch.cat(found).double().numpy()


def neighbours_accuracy(
    codes: Codes, labels: NDArray[np.int64], known: Codes, known_labels: NDArray[np.int64]
) -> float:
    """Return how often the nearest of known codes (M, d) has the label of a code, (N, d)."""
    nearest, _ = nearest_neighbours(codes, known, 1)
    return float((known_labels[nearest[:, 0]] == labels).mean())


def flat(images: Images) -> Codes:
    """Return the pixels of (N, C, H, W) uint8 images, (N, C * h * w), from 0 to 1; larger ones are shrunk to 32 pixels.

    What pixels say of neighbours is no worse for it, and ten thousand images of 256 pixels would take 16 GB.
    """
    size = min(images.shape[2], LARGEST)
    shrunk = [
        adaptive_avg_pool2d(torch.from_numpy(images[start : start + BATCH_SIZE].copy()).double(), size).flatten(1)
        for start in range(0, len(images), BATCH_SIZE)
    ]
    return torch.cat(shrunk).numpy() / 255


def some(split: Split, count: int, random: torch.Generator) -> Split:
    """Return at most `count` of a split's images, chosen at random, with their labels."""
    chosen = torch.randperm(len(split.images), generator=random)[:count].numpy()
    return Split(split.images[chosen], None if split.labels is None else split.labels[chosen])
