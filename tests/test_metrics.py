import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm

from ganlib.core.errors import UserError
from ganlib.evaluation.intervals import half_sample_interval, share_interval
from ganlib.evaluation.kernel import kernel_distance
from ganlib.evaluation.repetition import nearest_pairs, support_size, unique_fraction
from ganlib.metrics.diversity import (
    Labelled,
    class_overlap,
    classes_covered,
    diversity_score,
    intra_class_diversity,
    mean_diversity,
    vendi_score,
)
from ganlib.metrics.frechet import fit_gaussian, frechet_distance, frechet_infinity, gaussian_distance
from ganlib.metrics.manifold import (
    compare,
    coverage,
    density,
    expected_coverage,
    neighbour_distances,
    precision,
    recall,
    squared_distances,
)


def exact_gaussian(covariance: NDArray[np.float64], mean: float, seed: int, count: int = 400) -> NDArray[np.float64]:
    """Return features whose sample mean and sample covariance are exactly as asked."""
    x = np.random.default_rng(seed).normal(size=(count, len(covariance)))
    x -= x.mean(0)
    whiten = np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return x @ whiten @ np.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_identical_features_is_zero():
    x = np.random.default_rng(0).normal(size=(300, 64))
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x[:40], x[:40]) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_a_shift_is_its_square():
    identity = np.eye(4)
    assert frechet_distance(exact_gaussian(identity, 0, 1), exact_gaussian(identity, 1.5, 2)) == pytest.approx(
        9, abs=1e-9
    )


def test_frechet_distance_of_doubled_deviations_is_the_dimension():
    assert frechet_distance(exact_gaussian(np.eye(8), 0, 1), exact_gaussian(4 * np.eye(8), 0, 2)) == pytest.approx(
        8, abs=1e-9
    )


def test_frechet_distance_of_commuting_covariances():
    a, b = np.array([1.0, 4, 9]), np.array([4.0, 1, 0.25])
    distance = frechet_distance(exact_gaussian(np.diag(a), 0, 1), exact_gaussian(np.diag(b), 0, 2))
    assert distance == pytest.approx(np.square(np.sqrt(a) - np.sqrt(b)).sum(), abs=1e-9)


@pytest.mark.parametrize("count", [20, 200])
def test_frechet_distance_agrees_with_the_matrix_square_root(count: int):
    random = np.random.default_rng(3)
    x, y = random.normal(size=(count, 16)), random.normal(size=(count, 16)) @ random.normal(size=(16, 16))
    root = np.trace(sqrtm(np.cov(x.T) @ np.cov(y.T)).real)
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(np.cov(x.T)) + np.trace(np.cov(y.T)) - 2 * root
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-7)


def test_frechet_distance_needs_two_images():
    with pytest.raises(UserError, match="at least 2 images"):
        frechet_distance(np.zeros((1, 4)), np.zeros((9, 4)))


def test_distances_to_neighbours_leave_out_the_image_itself():
    points = np.array([[0.0], [1], [3], [7]])
    assert neighbour_distances(points, 2).tolist() == pytest.approx(np.array([[1, 3], [1, 2], [2, 3], [4, 6]]))


def test_equal_images_have_no_distance():
    x = np.random.default_rng(0).normal(size=(40, 64)) * 1e3
    squared = np.concatenate([block for _, block in squared_distances(x, x)])
    assert np.array_equal(squared == 0, np.eye(40, dtype=bool))


def test_an_outlier_declares_nothing_else_valid():
    cloud = np.random.default_rng(0).normal(size=(200, 2))
    real = np.vstack([cloud, [[100.0, 100]]])
    radii = neighbour_distances(real, 5)[:, -1]
    far = np.array([[50.0, 50]])
    among = compare(far, real, np.ones(1), radii)
    assert precision(among) == 1 and not among.valid.any()


def test_the_manifold_is_open():
    real, radii = np.array([[0.0], [10]]), np.array([1.0, 1])
    among = compare(np.array([[0.5], [1], [9.5], [5]]), real, np.zeros(4), radii)
    assert among.valid.tolist() == [True, False, True, False]
    assert among.nearest.tolist() == [0.5, 1, 0.5, 5]


def test_identical_sets_have_density_one_and_are_covered():
    x = np.random.default_rng(0).normal(size=(300, 16))
    radii = neighbour_distances(x, 5)[:, -1]
    among = compare(x, x[::-1], radii, radii[::-1])
    assert (precision(among), recall(among), density(among, 5), coverage(among)) == (1, 1, pytest.approx(1), 1)


def test_coverage_of_two_halves_is_as_expected():
    x, y = np.random.default_rng(0).normal(size=(2, 2000, 4))
    among = compare(x, y, *(neighbour_distances(half, 5)[:, -1] for half in (x, y)))
    assert coverage(among) == pytest.approx(expected_coverage(2000, 2000, 5), abs=0.01)
    assert expected_coverage(5000, 5000, 5) == pytest.approx(0.969, abs=5e-4)


def test_blocks_do_not_change_the_manifold(monkeypatch: pytest.MonkeyPatch):
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(150, 4)), random.normal(size=(170, 4))

    def measured() -> list[NDArray[np.generic]]:
        radii = [neighbour_distances(side, 5)[:, -1] for side in (fake, real)]
        return [*radii, *compare(fake, real, *radii)]

    whole = measured()
    monkeypatch.setattr("ganlib.metrics.manifold.BLOCK", 1000)
    assert all(np.allclose(ours, theirs, rtol=1e-12) for ours, theirs in zip(measured(), whole, strict=True))


def test_fid_infinity_of_one_distribution_is_nearly_zero_whatever_the_bias():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(1000, 32)), random.normal(size=(20_000, 32))
    biased, unbiased = frechet_distance(x, y), frechet_infinity(x, fit_gaussian(y), random)
    assert biased == pytest.approx((32 + 32 * 33 / 4) / 1000, rel=0.2)
    assert abs(unbiased) < biased / 4


def test_kid_of_one_distribution_is_nearly_zero_and_may_be_negative():
    x, y = np.random.default_rng(0).normal(size=(2, 500, 16))
    kid = kernel_distance(x, y, np.random.default_rng(1))
    assert abs(kid.mean) < 0.05
    assert kernel_distance(x, y + 1, np.random.default_rng(1)).mean > 0.5


def test_the_birthday_estimate_counts_the_images_a_generator_has():
    x = np.random.default_rng(0).normal(size=(100, 8))
    support = support_size(np.repeat(x, 50, axis=0), 1e-3, np.random.default_rng(0))
    assert support.size == pytest.approx(101, abs=5) and not support.is_lower_bound
    assert support_size(x, 1e-3, np.random.default_rng(0)) == (100 * 99 / 2, True)


def test_the_nearest_pairs_are_found_and_told_from_near_duplicates():
    train = np.random.default_rng(0).normal(size=(40, 4)) * 100
    fake = np.random.default_rng(1).normal(size=(30, 4)) * 100
    fake[7], fake[21], fake[3] = fake[12], fake[5] + 0.01, train[33]
    to_train = np.sqrt(((fake[:, None] - train) ** 2).sum(-1).min(1))
    pairs = nearest_pairs(fake, train, to_train, near=0.1)
    assert pairs.value_counts("kind").to_dict() == {"generated": 8, "training": 8}
    duplicates = pairs[pairs["near_duplicate"]]
    found = list(zip(duplicates["kind"], duplicates["image"], duplicates["other"], strict=True))
    assert found == [("generated", 7, 12), ("generated", 5, 21), ("training", 3, 33)]
    generated = pairs[pairs["kind"] == "generated"]
    assert len({*generated["image"], *generated["other"]}) == 16


def test_unique_images_are_counted_once():
    x = np.random.default_rng(0).normal(size=(10, 8))
    assert unique_fraction(np.repeat(x, 5, axis=0), 1e-3) == pytest.approx(0.2)
    assert unique_fraction(x, 1e-3) == 1


def test_a_share_of_none_is_not_certain():
    assert share_interval(0.0, 100) == (0, pytest.approx(0.037, abs=1e-3))
    assert share_interval(0.5, 100) == (pytest.approx(0.404, abs=1e-3), pytest.approx(0.596, abs=1e-3))


def test_the_interval_holds_the_figures_of_other_draws():
    random = np.random.default_rng(0)
    real = fit_gaussian(random.normal(size=(5000, 8)))
    draws = random.normal(size=(40, 400, 8)) * 1.2
    distances = [gaussian_distance(fit_gaussian(x), real) for x in draws]

    def of_first(rows: NDArray[np.int64]) -> float:
        return gaussian_distance(fit_gaussian(draws[0][rows]), real)

    low, high = half_sample_interval(distances[0], of_first, 400, 50, random)
    assert (high - low) / (2 * 1.96) == pytest.approx(np.std(distances), rel=0.4)


def test_class_overlap_loses_a_tenth_for_each_of_ten_classes_missing():
    real = np.full(10, 0.1)
    fake = np.where(np.arange(10) < 3, 0, 1 / 7)
    assert class_overlap(fake, real) == pytest.approx(0.7)
    assert classes_covered(fake, real) == 7
    assert class_overlap(real, real) == pytest.approx(1)


def test_vendi_score_counts_unlike_images():
    apart = 1000.0 * np.eye(7)
    assert vendi_score(apart, 1.0) == pytest.approx(7)
    assert vendi_score(np.zeros((7, 3)), 1.0) == pytest.approx(1)
    assert vendi_score(np.repeat(apart[:3], 5, axis=0), 1.0) == pytest.approx(3)


def test_diversity_score_is_zero_when_hardly_anything_is_valid():
    assert diversity_score(0.5, 0.5, 0.04) == 0
    assert diversity_score(0.5, 0.5, 0.05) == pytest.approx(0.5)


def test_a_class_with_few_heldout_images_is_left_out_of_the_mean():
    random = np.random.default_rng(0)
    fake = Labelled(features=random.normal(size=(100, 4)), classes=np.repeat([0, 1], 50))
    heldout = Labelled(features=random.normal(size=(60, 4)), classes=np.repeat([0, 1], [50, 10]))
    spread = intra_class_diversity(fake, heldout, np.ones(2), draws=1, random=random)
    assert spread[0] > 0.5 and np.isnan(spread[1])
    assert mean_diversity(spread, np.array([0.5, 0.5])) == spread[0]


def test_a_class_with_few_generated_images_is_not_diverse():
    random = np.random.default_rng(0)
    fake = Labelled(features=random.normal(size=(60, 4)), classes=np.repeat([0, 1], [50, 10]))
    heldout = Labelled(features=random.normal(size=(100, 4)), classes=np.repeat([0, 1], 50))
    assert intra_class_diversity(fake, heldout, np.ones(2), draws=1, random=random)[1] == 0


def test_judge_features_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch):
    from ganlib.features.judge import Judge
    from ganlib.features.judging import judge_images

    torch.manual_seed(0)
    judge = Judge(image_size=16, channels=1, class_names=["a", "b", "c"]).eval()
    images = np.random.default_rng(0).integers(0, 256, (50, 1, 16, 16), dtype=np.uint8)
    whole = judge_images(judge, images, torch.device("cpu"))
    monkeypatch.setattr("ganlib.features.judging.BATCH_SIZE", 7)
    blocks = judge_images(judge, images, torch.device("cpu"))
    assert np.allclose(whole.features, blocks.features, atol=1e-5)
    assert np.array_equal(whole.classes, blocks.classes)


def test_judge_features_do_not_depend_on_how_the_images_lie_in_memory():
    from ganlib.features.judge import Judge
    from ganlib.features.judging import judge_images

    torch.manual_seed(0)
    judge = Judge(image_size=16, channels=3, class_names=["a", "b", "c"]).eval()
    last = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3), dtype=np.uint8).transpose(0, 3, 1, 2)
    ours, theirs = (judge_images(judge, images, torch.device("cpu")) for images in (last, last.copy()))
    assert np.array_equal(ours.features, theirs.features)
