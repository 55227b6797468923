"""All figures of one evaluation, from features to a flat table."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganlib.evaluation.intervals import half_sample_interval, share_interval
from ganlib.evaluation.kernel import kernel_distance
from ganlib.evaluation.matched import matched_figures
from ganlib.evaluation.repetition import near_distance, nearest_pairs, support_size
from ganlib.evaluation.table import Compared, metric_figures
from ganlib.metrics.classes import class_table, diversity_figures
from ganlib.metrics.diversity import Labelled
from ganlib.metrics.frechet import Gaussian, fit_gaussian, frechet_infinity, gaussian_distance
from ganlib.metrics.reference import Reference, among_train, into_bins

Features = NDArray[np.float64]
Figures = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    metrics: Figures
    """Figure by name."""
    per_class: pd.DataFrame
    """A row per class: shares among real and valid generated images, whether it is covered, its diversity."""
    nearest: pd.DataFrame
    """A row per pair of images that are nearest each other, as `nearest_pairs` gives them."""


def evaluate(
    fake: Labelled,
    reference: Reference,
    heldout: Figures,
    *,
    prefix: str,
    draws: int,
    subsets: int,
    random: np.random.Generator,
) -> Evaluation:
    """Compare generated images with the reference, and with what held-out images reach, in one feature space.

    `heldout` holds the figures of `heldout_figures`. Names of distances begin with `prefix`, so that distances of
    different extractors share none. What moves with the number of images stands beside held-out images as `_matched`,
    of equally many on both sides.
    """
    found = evaluate_alone(fake, reference, prefix=prefix, draws=draws, subsets=subsets, random=random)
    figures = found.metrics | heldout | matched_figures(fake.features, reference, prefix, random)
    return replace(found, metrics=with_ratios(figures))


def evaluate_alone(
    fake: Labelled, reference: Reference, *, prefix: str, draws: int, subsets: int, random: np.random.Generator
) -> Evaluation:
    """Compare all generated images with the reference."""
    fake = into_bins(fake, reference.centres)
    among = among_train(fake, reference)
    per_class = class_table(fake.take(among.valid), reference, draws, random)
    features, gaussian = fake.features, reference.gaussian
    figures = distance_figures(features, reference.train.features, gaussian, prefix, random)
    figures |= distance_interval(figures[f"{prefix}fid"], features, gaussian, prefix, subsets, random)
    figures |= metric_figures(Compared(fake, among, reference)) | diversity_figures(per_class, among.valid)
    figures |= valid_interval(among.valid)
    figures |= diversity_interval(figures["diversity_score"], fake, among.valid, reference, subsets, random)
    near = near_distance(reference.spacing)
    support = support_size(features, near, random)
    figures |= {"support": support.size, "support_is_lower_bound": support.is_lower_bound}
    nearest = nearest_pairs(features, reference.train.features, among.nearest, near)
    return Evaluation(metrics=figures, per_class=per_class, nearest=nearest)


def heldout_figures(reference: Reference, prefix: str, random: np.random.Generator) -> Figures:
    """Return what held-out images score in the place of generated ones, however many: `..._floor`, `..._heldout`.

    What moves with their number waits for that of the generated images: `matched_figures`.
    """
    kid = kernel_distance(reference.heldout.features, reference.train.features, random)
    reached = steady_figures(reference.heldout, reference)
    return {f"{prefix}kid_mean_floor": kid.mean} | {f"{name}_heldout": value for name, value in reached.items()}


def steady_figures(images: Labelled, reference: Reference) -> Figures:
    """Return those figures that do not move with the number of images."""
    return metric_figures(Compared(images, among_train(images, reference), reference), steady=True)


def distance_figures(
    images: Features, train: Features, gaussian: Gaussian, prefix: str, random: np.random.Generator
) -> Figures:
    """Return the distances between distributions; `gaussian` is fitted to the training images."""
    kid = kernel_distance(images, train, random)
    return {
        f"{prefix}fid": gaussian_distance(fit_gaussian(images), gaussian),
        f"{prefix}fid_infinity": frechet_infinity(images, gaussian, random),
        f"{prefix}kid_mean": kid.mean,
        f"{prefix}kid_std": kid.std,
    }


def distance_interval(
    whole: float, images: Features, gaussian: Gaussian, prefix: str, subsets: int, random: np.random.Generator
) -> Figures:
    """Return the interval around the Fréchet distance of all images; none under 4, whose halves are no sets."""
    if len(images) < 4:
        return {}

    def distance(rows: NDArray[np.int64]) -> float:
        return gaussian_distance(fit_gaussian(images[rows]), gaussian)

    low, high = half_sample_interval(whole, distance, len(images), subsets, random)
    return {f"{prefix}fid_low": low, f"{prefix}fid_high": high}


def valid_interval(valid: NDArray[np.bool_]) -> Figures:
    """Return the interval around the share of valid images, (N,)."""
    low, high = share_interval(float(valid.mean()), len(valid))
    return {"valid_low": low, "valid_high": high}


def diversity_interval(
    whole: float,
    fake: Labelled,
    valid: NDArray[np.bool_],
    reference: Reference,
    subsets: int,
    random: np.random.Generator,
) -> Figures:
    """Return the interval around the score of all images; one draw a half, whose scatter is in the interval."""

    def score(rows: NDArray[np.int64]) -> float:
        per_class = class_table(fake.take(rows).take(valid[rows]), reference, 1, random)
        return diversity_figures(per_class, valid[rows])["diversity_score"]

    low, high = half_sample_interval(whole, score, len(valid), subsets, random, highest=1)
    return {"diversity_score_low": low, "diversity_score_high": high}


def with_ratios(figures: Figures) -> Figures:
    """Add steady figures as multiples of those of held-out images; of `_matched` ones where the reference differs."""
    known = {
        name: (figures.get(f"{name}_matched", figures[name]), figures[f"{name}_heldout"])
        for name in ("clipped_density", "nearest_train", "valid")
    }
    return figures | {f"{name}_over_heldout": ours / real for name, (ours, real) in known.items() if real > 0}
