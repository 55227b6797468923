"""Clipped density and coverage: closed forms, calibration, and the sanity checks that older figures fail."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ganlib.evaluation.clipped import clipped_coverage, clipped_density, expected_contents
from ganlib.metrics.diversity import Labelled
from ganlib.metrics.reference import Reference, build_reference

Features = NDArray[np.float64]


def gaussian(seed: int, count: int, dimension: int = 8, shift: float = 0) -> Features:
    return np.random.default_rng(seed).normal(size=(count, dimension)) + shift


def reference_of(train: Features) -> Reference:
    labelled = Labelled(features=train, classes=np.zeros(len(train), np.int64))
    return build_reference(labelled, labelled, ["one"], neighbours=5, bins=1, random=np.random.default_rng(0))


def both(images: Features, reference: Reference) -> tuple[float, float]:
    return clipped_density(images, reference), clipped_coverage(images, reference)


def test_counts_in_balls_are_those_of_a_simulation():
    random, k, real, fake = np.random.default_rng(0), 3, 40, 30
    found = []
    for _ in range(4000):  # of one real image: uniform distances to all others
        radius = np.sort(random.random(real - 1))[k - 1]
        found.append(min(int((random.random(fake) < radius).sum()), k) / k)
    expected = expected_contents(real, fake, k)
    assert expected[-1] == pytest.approx(np.mean(found), abs=0.015)
    assert expected[0] == 0 and (np.diff(expected) > 0).all() and len(expected) == fake + 1


def test_density_by_hand():
    line = reference_of(np.arange(40.0)[:, None] * 1.0)
    # Inside the line every radius is 3 (2 and 2 neighbours, then a third): a point between lies in 6 balls, 5 count.
    assert clipped_density(np.array([[20.5]]), line) == 1
    assert clipped_density(np.array([[1000.0]]), line) == 0
    # 2.6 past the end: within 3 of the image at 39 alone, whose radius, 5, is clipped to the median, 3.
    ideal = np.mean([min(5, sum(abs(i - j) <= 3 for j in range(40) if j != i)) for i in range(40)])
    assert clipped_density(np.array([[41.6]]), line) == pytest.approx(1 / ideal)


@pytest.mark.parametrize("good", [0.25, 0.5, 0.75, 1])
def test_a_share_of_good_images_scores_that_share(good: float):
    reference, count = reference_of(gaussian(0, 1500)), 1200
    images = np.concatenate([gaussian(1, round(good * count)), gaussian(2, count - round(good * count), shift=100)])
    assert both(images, reference) == pytest.approx((good, good), abs=0.06)


def test_outliers_among_real_images_do_not_make_bad_images_good():
    train = gaussian(0, 500)
    train[:10] += np.random.default_rng(1).normal(size=(10, 8)) * 30
    bad = gaussian(2, 500) * 4 + 6
    reference = reference_of(train)
    assert clipped_density(bad, reference) < 0.01
    from ganlib.metrics.manifold import compare, precision

    assert precision(compare(bad, train, np.ones(500), reference.radii)) > 0.5  # what it is there for


def test_one_image_repeated_is_dense_and_covers_nothing():
    train = gaussian(0, 800)
    density, coverage = both(np.repeat(train[:1] * 0, 800, 0), reference_of(train))
    assert density > 0.9 and coverage < 0.05


def test_a_missing_mode_lowers_coverage_by_its_share_and_leaves_density():
    two = np.concatenate([gaussian(0, 600), gaussian(1, 600, shift=50)])
    density, coverage = both(gaussian(2, 1200), reference_of(two))
    assert density > 0.9 and coverage == pytest.approx(0.4, abs=0.15)


def test_figures_fall_as_images_move_away_whichever_way():
    reference = reference_of(gaussian(0, 600))
    for sign in (-1, 1):
        rows = [both(gaussian(1, 600, shift=sign * shift), reference) for shift in (0, 0.5, 1, 2)]
        assert all(sorted(figure, reverse=True) == list(figure) for figure in zip(*rows, strict=True)), rows
        assert rows[0] == pytest.approx((1, 1), abs=0.07) and max(rows[-1]) < 0.1


def test_the_scale_of_features_and_their_order_change_nothing():
    train, images = gaussian(0, 300), gaussian(1, 200)
    plain = both(images, reference_of(train))
    assert both(images[::-1] * 1000, reference_of(train[::-1] * 1000)) == pytest.approx(plain)
