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


def test_what_lies_on_the_edge_of_a_ball_is_inside_however_its_distance_is_rounded():
    # Whole numbers: squared distances are exact, and many an image lies on an edge.
    train, images = (np.random.default_rng(seed).integers(0, 12, (201, 6)) for seed in (0, 1))

    def squared(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.square(one[:, None] - other[None]).sum(2)

    radii = np.sort(squared(train, train), axis=1)[:, 5]
    balls = np.minimum(radii, np.median(radii))
    ours = np.minimum((squared(images, train) <= balls).sum(1), 5).mean()
    ideal = np.minimum((squared(train, train) <= balls).sum(1) - 1, 5).mean()
    assert clipped_density(images.astype(float), reference_of(train.astype(float))) == pytest.approx(ours / ideal)


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


# Sanity checks of "All current generative fidelity and diversity metrics are flawed", arXiv:2505.22450, ICML 2025.


def of_modes(seed: int, counts: tuple[int, ...]) -> Features:
    """Draw so many points about each of some modes, far from one another."""
    return np.concatenate([gaussian(seed + mode, count, shift=30 * mode) for mode, count in enumerate(counts)])


@pytest.mark.parametrize("spread", [0.3, 0.6, 1.5, 3])
def test_too_narrow_images_are_dense_and_too_wide_ones_are_not(spread: float):
    density, coverage = both(gaussian(1, 800) * spread, reference_of(gaussian(0, 800)))
    if spread < 1:
        assert density > 0.95 and coverage < (0.35 if spread < 0.5 else 0.9)
    else:
        assert density < (0.2 if spread > 2 else 0.75) and coverage < 0.95


@pytest.mark.parametrize("among", ["real", "generated"])
def test_one_outlier_hides_no_difference_of_means(among: str):
    real, fake, outlier = gaussian(0, 600), gaussian(1, 600, shift=1.5), np.full((1, 8), 1.5 * 3)
    plain = both(fake, reference_of(real))
    real, fake = (
        (np.concatenate([real, outlier]), fake) if among == "real" else (real, np.concatenate([fake, -outlier]))
    )
    assert both(fake, reference_of(real)) == pytest.approx(plain, abs=0.03) and max(plain) < 0.25


@pytest.mark.parametrize("left", [1, 2, 3, 4])
def test_modes_dropped_one_after_the_other_lower_coverage_by_their_share(left: int):
    counts = tuple(800 // left if mode < left else 0 for mode in range(4))
    density, coverage = both(of_modes(10, counts), reference_of(of_modes(0, (200,) * 4)))
    assert density > 0.9 and coverage == pytest.approx(left / 4, abs=0.1)


def test_modes_that_fade_together_lower_coverage_step_by_step():
    reference = reference_of(of_modes(0, (200,) * 4))
    fading = [both(of_modes(10, (800 - 3 * rest, rest, rest, rest)), reference) for rest in (200, 100, 40, 10, 0)]
    densities, coverages = zip(*fading, strict=True)
    assert min(densities) > 0.9 and list(coverages) == sorted(coverages, reverse=True)
    assert coverages[0] > 0.93 and coverages[-1] == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize("invented", [1, 2, 4])
def test_invented_modes_lower_both_by_their_share(invented: int):
    # Coverage too, by the calibration: of as many images fewer are left to cover with.
    fake = np.concatenate(
        [of_modes(10, (300,) * 4), *(gaussian(90 + n, 300, shift=-60 * (n + 1)) for n in range(invented))]
    )
    density, coverage = both(fake, reference_of(of_modes(0, (200,) * 4)))
    assert (density, coverage) == pytest.approx((4 / (4 + invented),) * 2, abs=0.06)


def test_a_dropped_and_an_invented_mode_are_both_seen():
    fake = np.concatenate([of_modes(10, (200, 200, 200, 0)), gaussian(50, 200, shift=-60)])
    density, coverage = both(fake, reference_of(of_modes(0, (200,) * 4)))
    assert (density, coverage) == pytest.approx((0.75, 0.75), abs=0.12) and coverage < density


@pytest.mark.parametrize(("real", "fake"), [(300, 300), (300, 1500), (1500, 300), (1500, 1500)])
def test_how_many_images_there_are_moves_a_perfect_generator_little(real: int, fake: int):
    assert both(gaussian(1, fake), reference_of(gaussian(0, real))) == pytest.approx((1, 1), abs=0.1)


@pytest.mark.parametrize("dimension", [2, 16, 64, 128])
def test_a_perfect_generator_is_perfect_in_any_dimension(dimension: int):
    scores = both(gaussian(1, 700, dimension), reference_of(gaussian(0, 700, dimension)))
    assert scores == pytest.approx((1, 1), abs=0.12)


def test_one_disjoint_dimension_is_seen_among_identical_ones():
    real, fake = gaussian(0, 600, 16), gaussian(1, 600, 16)
    real[:, 0], fake[:, 0] = np.sign(real[:, 0]) * 0, 40 + fake[:, 0] * 0
    assert max(both(fake, reference_of(real))) < 0.01


@pytest.mark.parametrize(("dimension", "told"), [(2, True), (8, False)])
def test_a_sphere_is_no_ball_and_a_cube_no_sphere_but_in_many_dimensions_nobody_sees_it(dimension: int, told: bool):
    def on_sphere(seed: int) -> Features:
        points = gaussian(seed, 800, dimension)
        return points / np.linalg.norm(points, axis=1, keepdims=True)

    ball = on_sphere(3) * np.random.default_rng(4).random((800, 1)) ** (1 / dimension)
    side = (3 / dimension) ** 0.5  # as far from the centre, on average, as the sphere
    cube = np.random.default_rng(5).uniform(-side, side, (800, dimension))
    reference = reference_of(on_sphere(0))
    assert both(on_sphere(1), reference) == pytest.approx((1, 1), abs=0.08)
    for other in (ball, cube):
        assert (min(both(other, reference)) < 0.6) == told
