"""Ratios between equals: on known distributions, a generator as good as real images scores 1 at any count."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ganlib.evaluation.matched import Mean, matched_figures, mean_figures, ratio_figures
from ganlib.evaluation.plain import Settings, compare_sets
from ganlib.evaluation.summary import Figures
from ganlib.metrics.diversity import Labelled
from ganlib.metrics.reference import Reference, build_reference

TRAIN, HELDOUT = 1444, 353
RATIOS = ("fid_over_floor", "coverage_over_heldout")
SEEDS = 20
NEARLY_ALL = 17
"""Of 20 intervals of 95 %, those that hold the truth: 17 or more with a chance of 98 %."""

Features = NDArray[np.float64]


def gaussian(random: np.random.Generator, count: int, dimension: int = 64) -> Features:
    return random.normal(size=(count, dimension))


def mixture(random: np.random.Generator, count: int, kept: int = 10) -> Features:
    """Draw from the first of ten Gaussians, features (count, 64)."""
    centres = np.random.default_rng(99).normal(size=(10, 64)) * 2
    return centres[random.integers(0, kept, count)] + random.normal(size=(count, 64))


def labelled(features: Features) -> Labelled:
    return Labelled(features=features, classes=np.zeros(len(features), np.int64))


def reference_of(train: Features, heldout: Features) -> Reference:
    random = np.random.default_rng(0)
    return build_reference(labelled(train), labelled(heldout), ["one"], neighbours=5, bins=1, random=random)


def figures_of(kept: int, generated: int, seed: int) -> Figures:
    """Hold a generator that knows some of ten classes against images of all."""
    random = np.random.default_rng(seed)
    reference = reference_of(mixture(random, TRAIN), mixture(random, HELDOUT))
    return matched_figures(mixture(random, generated, kept), reference, "", random)


def holds_one(figures: Figures, ratio: str) -> bool:
    return figures[f"{ratio}_low"] <= 1 <= figures[f"{ratio}_high"]


@pytest.mark.parametrize("generated", [5000, HELDOUT, 120])
def test_fresh_images_are_as_good_as_held_out_ones_whatever_the_counts(generated: int):
    found: list[Figures] = []
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        reference = reference_of(gaussian(random, TRAIN), gaussian(random, HELDOUT))
        found.append(matched_figures(gaussian(random, generated), reference, "", random))
    for ratio in RATIOS:
        values = [figures[ratio] for figures in found]
        assert sum(holds_one(figures, ratio) for figures in found) >= NEARLY_ALL, (ratio, values)
        assert np.mean(values) == pytest.approx(1, abs=0.1), ratio
    assert {figures["matched_images"] for figures in found} == {min(generated, HELDOUT)}


@pytest.mark.parametrize("generated", [5000, 120])
def test_a_mixture_of_ten_is_as_good_as_held_out_images_of_it(generated: int):
    found = [figures_of(10, generated, seed) for seed in range(SEEDS)]
    for ratio in RATIOS:
        assert sum(holds_one(figures, ratio) for figures in found) >= NEARLY_ALL, [figures[ratio] for figures in found]


def test_a_mixture_that_lacks_half_of_its_classes_is_told_from_held_out_images():
    found = [figures_of(5, 5000, seed) for seed in range(SEEDS)]
    assert min(figures["fid_over_floor_low"] for figures in found) > 2
    assert max(figures["coverage_over_heldout_high"] for figures in found) < 1
    few = [figures_of(5, 120, seed) for seed in range(SEEDS)]
    assert min(figures["fid_over_floor_low"] for figures in few) > 2


@pytest.mark.parametrize("generated", [5000, 120])
def test_matched_figures_are_what_closed_forms_say_of_the_smaller_count(generated: int):
    """Distance: (d + d(d+1)/4)(1/n + 1/M) for N(0, I); coverage: 1 - prod (M - i)/(M + n - i) (Naeem 2020)."""
    count, dimension, i = min(generated, HELDOUT), 8, np.arange(1, 6)
    distance = (dimension + dimension * (dimension + 1) / 4) * (1 / count + 1 / TRAIN)
    coverage = 1 - np.prod((TRAIN - i) / (TRAIN + count - i))
    found: list[Figures] = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        reference = reference_of(gaussian(random, TRAIN, dimension), gaussian(random, HELDOUT, dimension))
        found.append(matched_figures(gaussian(random, generated, dimension), reference, "", random))
    for name, expected in {"fid_matched": distance, "fid_floor": distance}.items():
        assert np.mean([figures[name] for figures in found]) == pytest.approx(expected, rel=0.1), name
    for name in ("coverage_matched", "coverage_heldout"):
        assert np.mean([figures[name] for figures in found]) == pytest.approx(coverage, abs=0.02), name


@pytest.mark.parametrize("total", [150, 180, 600])
def test_the_variance_is_that_over_other_sets_of_images(total: int):
    random = np.random.default_rng(0)
    reference = reference_of(gaussian(random, 500, 8), gaussian(random, 150, 8))
    found = [mean_figures(gaussian(random, total, 8) * 1.3, reference, 150, random) for _ in range(60)]
    for name in ("fid", "coverage"):
        scatter = np.std([each[name].value for each in found])
        assert np.sqrt(np.mean([each[name].variance for each in found])) == pytest.approx(scatter, rel=0.35), name


def test_a_ratio_has_the_relative_deviations_of_both_sides():
    figures = ratio_figures(Mean(4.0, 0.4**2), Mean(2.0, 0.1**2), "r")
    relative = 1.959964 * np.hypot(0.1, 0.05)
    assert figures == pytest.approx({"r": 2, "r_low": 2 / (1 + relative), "r_high": 2 * (1 + relative)})
    assert ratio_figures(Mean(1.0, 0.1), Mean(0.0, 0.0), "r") == {}
    assert ratio_figures(Mean(0.0, 0.0), Mean(2.0, 0.0), "r") == {"r": 0, "r_low": 0, "r_high": 0}


def test_as_few_images_as_a_neighbourhood_needs_have_a_ratio_without_bounds():
    random = np.random.default_rng(0)
    reference = reference_of(gaussian(random, 200), gaussian(random, 50))
    figures = matched_figures(gaussian(random, 6), reference, "", random)
    assert figures["matched_images"] == 6 and figures["fid_over_floor"] > 0
    assert not [name for name in figures if name.endswith(("_low", "_high"))]


@pytest.mark.parametrize("generated", [pytest.param(700, marks=pytest.mark.long), 100])
def test_two_sets_of_one_distribution_are_as_good_as_halves_of_it(generated: int):
    """Floors hold one half of the real images against the other, and so must what stands beside them."""
    settings, found = Settings(neighbours=5, bins=1, draws=1, subsets=2), list[Figures]()
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        real, fake = gaussian(random, 700, 32), gaussian(random, generated, 32)
        found.append(compare_sets(labelled(fake), labelled(real), ["one"], "", settings, random))
    for ratio in RATIOS:
        assert sum(holds_one(figures, ratio) for figures in found) >= NEARLY_ALL, [figures[ratio] for figures in found]
    pairs = {"fid_matched": "fid_floor", "recall_matched": "recall_heldout"}
    pairs |= {f"{name}_matched": f"{name}_heldout" for name in ("precision", "density", "valid", "nearest_train")}
    for ours, real in pairs.items():
        means = [np.mean([figures[name] for figures in found]) for name in (ours, real)]
        assert means[0] == pytest.approx(means[1], rel=0.06), ours
