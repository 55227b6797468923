"""Figures that move with the number of images, taken of equally many on both sides.

A Fréchet distance falls with the number of images, coverage rises and recall changes, so those of 5,000 generated
images say nothing beside those of 353 held-out ones. What is held against real images is the mean over random draws of
as many images as the smaller side has. Precision, density, the valid share, the kernel distance and the distance to
the nearest training image are means over single images or unbiased: they need no draws while the reference is one.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganlib.evaluation.intervals import Z
from ganlib.metrics.frechet import fit_gaussian, frechet_infinity, gaussian_distance
from ganlib.metrics.manifold import coverage_of_draws, recall_of_draws
from ganlib.metrics.reference import Reference

DRAWS = 20
"""Draws of n images that a figure is averaged over, and as many that its scatter is taken from."""

LEFT_OUT = 10
"""One image in so many is left out at least by the draws that scatter is taken from."""

Features = NDArray[np.float64]
Rows = NDArray[np.int64]


class Mean(NamedTuple):
    """A figure of n images, averaged over draws from all images of a side."""

    value: float
    variance: float
    """How far another set of images would move the mean; NaN where there are too few images to tell."""


def matched_figures(
    images: Features, reference: Reference, prefix: str, random: np.random.Generator
) -> dict[str, float]:
    """Return what generated and held-out images score at one count, `matched_images`, and the ratio of both.

    Generated images' figures end in `_matched`, those of held-out ones in `_floor` and `_heldout`.
    """
    heldout = reference.heldout.features
    count = min(len(images), len(heldout))
    ours, real = (mean_figures(side, reference, count, random) for side in (images, heldout))
    figures: dict[str, float] = {"matched_images": count}
    for name, place in ((f"{prefix}fid", "floor"), ("coverage", "heldout")):
        generated, held = ours[name.removeprefix(prefix)], real[name.removeprefix(prefix)]
        figures |= {f"{name}_matched": generated.value, f"{name}_{place}": held.value}
        figures |= ratio_figures(generated, held, f"{name}_over_{place}")
    for side, place in ((images, "matched"), (heldout, "floor")):
        figures[f"{prefix}fid_infinity_{place}"] = frechet_infinity(side, reference.gaussian, random, count)
    for side, place in ((images, "matched"), (heldout, "heldout")):
        figures[f"recall_{place}"] = mean_recall(side, reference, count, random)
    return figures


def mean_figures(images: Features, reference: Reference, count: int, random: np.random.Generator) -> dict[str, Mean]:
    """Return `fid` and `coverage` of `count` of the images (N, d), averaged over draws.

    Sets of n scatter with a variance s^2, draws of n out of N with s^2 (1 - n/N), and the mean over k such draws, which
    share images, with s^2 (n/N + (1 - n/N) / k). Draws of nearly all N are too alike to tell s^2, which then comes from
    those that leave out a tenth, times m/n for their m. A distance that is all bias scatters less than that, so that
    its interval errs on the wide side: up to twice the variance.
    """
    total, train = len(images), reference.train.features
    size = min(count, max(total * (LEFT_OUT - 1) // LEFT_OUT, reference.neighbours + 1))
    averaged = [_draw(total, count, random) for _ in range(DRAWS if count < total else 1)]
    scattered = [] if size in (count, total) else [_draw(total, size, random) for _ in range(DRAWS)]
    distances = [gaussian_distance(fit_gaussian(images[rows]), reference.gaussian) for rows in averaged + scattered]
    coverage = coverage_of_draws(images, train, averaged + scattered, reference.radii)
    return {
        "fid": _mean(np.array(distances), len(averaged), count, size, total),
        "coverage": _mean(coverage, len(averaged), count, size, total),
    }


def mean_recall(images: Features, reference: Reference, count: int, random: np.random.Generator) -> float:
    """Return the recall of `count` of the images (N, d), averaged over draws."""
    draws = [_draw(len(images), count, random) for _ in range(DRAWS if count < len(images) else 1)]
    return float(recall_of_draws(images, reference.train.features, draws, reference.neighbours).mean())


def ratio_figures(ours: Mean, real: Mean, name: str) -> dict[str, float]:
    """Return the ratio with bounds of 95 %, in which both sides scatter: the squares of relative deviations add up.

    The bounds are the ratio times, and over, 1 + 1.96 relative deviations, so that they are as wide whichever side is
    above. Empty where the real side is 0; without bounds where a side has too few images to tell.
    """
    if real.value <= 0:
        return {}
    ratio = ours.value / real.value
    high = ratio + Z * float(np.sqrt(ours.variance + ratio**2 * real.variance)) / real.value
    if np.isnan(high):
        return {name: ratio}
    return {name: ratio, f"{name}_low": ratio**2 / high if high > 0 else 0.0, f"{name}_high": high}


def _mean(values: Features, averaged: int, count: int, size: int, total: int) -> Mean:
    """Average the first values, those of draws of `count`; their scatter is in the last, of draws of `size`."""
    value, scattered = float(values[:averaged].mean()), values[-DRAWS:]
    if size == total:
        return Mean(value, np.nan)
    independent = scattered.var(ddof=1) / (1 - size / total) * size / count
    shared = count / total
    return Mean(value, float(independent * (shared + (1 - shared) / averaged)))


def _draw(total: int, count: int, random: np.random.Generator) -> Rows:
    return np.sort(random.permutation(total)[:count])
