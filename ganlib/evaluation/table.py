"""The figures that are one number of how images lie among real ones: a row each.

What is a row here stands in metrics/details.json, or evaluate.json if `HEADLINE` has it, and with its text on the page.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ganlib.evaluation.clipped import clipped_coverage, clipped_density
from ganlib.evaluation.repetition import near_distance, unique_fraction
from ganlib.metrics.diversity import Labelled
from ganlib.metrics.manifold import Neighbourhoods, coverage, density, expected_coverage, precision, recall
from ganlib.metrics.reference import Reference


class Compared(NamedTuple):
    """Images and how they lie among the reference's."""

    images: Labelled
    among: Neighbourhoods
    reference: Reference


class Headline(NamedTuple):
    """How a figure is shown that a reader looks for first."""

    title: str
    lower_is_better: bool
    form: str
    held_against: str
    """Key of what real held-out images score in its place, or how large it can be."""


class Metric(NamedTuple):
    value: Callable[[Compared], float]
    text: str
    """What it says, in a few words, for the page."""
    steady: bool = False
    """It is a mean over single images, so that it does not move with their number: held-out ones are measured too."""
    headline: Headline | None = None


METRICS = {
    "precision": Metric(lambda it: precision(it.among), "generated images in some real image's neighbourhood", True),
    "recall": Metric(lambda it: recall(it.among), "real images in some generated image's neighbourhood"),
    "density": Metric(
        lambda it: density(it.among, it.reference.neighbours),
        "real neighbourhoods that an image lies in; 1 for real ones",
        True,
    ),
    "coverage": Metric(lambda it: coverage(it.among), "real images whose neighbourhood holds a generated one"),
    "clipped_density": Metric(
        lambda it: clipped_density(it.images.features, it.reference),
        "the same without outliers' and each image counted at most once; 1 for real ones",
        True,
    ),
    "clipped_coverage": Metric(
        lambda it: clipped_coverage(it.images.features, it.reference),
        "share of good images that would cover as much; 1 for real ones",
    ),
    "coverage_expected": Metric(
        lambda it: expected_coverage(len(it.among.covered), len(it.among.valid), it.reference.neighbours),
        "coverage of as many images of the real distribution",
    ),
    "nearest_train": Metric(
        lambda it: float(np.median(it.among.nearest)), "median distance to the nearest training image", True
    ),
    "valid": Metric(
        lambda it: float(it.among.valid.mean()),
        "images in some real image's neighbourhood, but for outliers'",
        True,
        Headline("Valid share", False, ".1%", "valid_heldout"),
    ),
    "copied_fraction": Metric(
        lambda it: float((it.among.nearest <= near_distance(it.reference.spacing)).mean()),
        "near-duplicates of a training image",
    ),
    "unique_fraction": Metric(
        lambda it: unique_fraction(it.images.features, near_distance(it.reference.spacing)),
        "images that repeat none before them",
    ),
}


HEADLINE = (
    "{prefix}fid",
    "{prefix}fid_over_floor",
    "domain_fid",
    "diversity_score",
    "classes_covered",
    "valid",
    "coverage_over_heldout",
    "copied_fraction",
    "class_agreement",
    "judge_reliable",
    "train_alarms",
)
"""What a person compares; the rest are details, and the digest of the protocol tells what compares at all."""


def headline_of(figures: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the headline figures that were measured, and `protocol`, which is alike where figures compare."""
    protocol = {name: value for name, value in figures.items() if name.startswith("protocol_")}
    digest = hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:12]
    names = dict.fromkeys(name.format(prefix=prefix) for name in HEADLINE)
    return {name: figures[name] for name in names if name in figures} | {"protocol": digest}


def metric_figures(compared: Compared, steady: bool = False) -> dict[str, float]:
    """Return the value of every row, or of those that are steady."""
    return {name: metric.value(compared) for name, metric in METRICS.items() if metric.steady or not steady}
