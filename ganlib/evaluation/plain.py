"""Compare two plain sets of images, of which neither has a held-out part or labels of its own."""

from dataclasses import dataclass

import numpy as np

from ganlib.evaluation.matched import matched_figures
from ganlib.evaluation.summary import (
    Figures,
    distance_figures,
    distance_interval,
    evaluate_alone,
    heldout_figures,
    steady_figures,
    with_ratios,
)
from ganlib.metrics.diversity import MIN_PER_CLASS, Labelled
from ganlib.metrics.frechet import fit_gaussian
from ganlib.metrics.reference import build_reference, classes_by


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the figures depend on beside the images: see the parameters `evaluate.*`."""

    neighbours: int
    bins: int
    draws: int
    subsets: int


def compare_sets(
    fake: Labelled, real: Labelled, class_names: list[str], prefix: str, settings: Settings, random: np.random.Generator
) -> Figures:
    """Return the figures of generated images against all real ones; without class names, classes are bins.

    A random half of the real images stands for the held-out ones. Floors hold it against the other half, so what is
    put beside them, `_matched`, holds as many generated images against that half too.
    """
    if is_small(fake, real, settings):
        return distances_alone(fake, real, prefix, settings, random)
    order = random.permutation(len(real.features))
    first, second = (real.take(np.sort(rows)) for rows in np.array_split(order, 2))
    sizes = {"neighbours": settings.neighbours, "bins": settings.bins}
    half, whole = (build_reference(side, second, class_names, **sizes, random=random) for side in (first, real))
    draws, subsets = settings.draws, settings.subsets
    figures = evaluate_alone(fake, whole, prefix=prefix, draws=draws, subsets=subsets, random=random).metrics
    figures |= heldout_figures(half, prefix, random) | matched_figures(fake.features, half, prefix, random)
    figures["protocol_classes"] = classes_by(whole)
    return with_ratios(figures | {f"{name}_matched": value for name, value in steady_figures(fake, half).items()})


def is_small(fake: Labelled, real: Labelled, settings: Settings) -> bool:
    """Tell whether there are too few images for neighbourhoods and classes, so that only distances can be had."""
    smallest = min(len(fake.features), len(real.features) // 2)
    return smallest < MIN_PER_CLASS or smallest <= settings.neighbours


def distances_alone(
    fake: Labelled, real: Labelled, prefix: str, settings: Settings, random: np.random.Generator
) -> Figures:
    """Return the distances, which two images on each side suffice for."""
    gaussian = fit_gaussian(real.features)
    figures = distance_figures(fake.features, real.features, gaussian, prefix, random)
    interval = distance_interval(figures[f"{prefix}fid"], fake.features, gaussian, prefix, settings.subsets, random)
    return figures | interval
