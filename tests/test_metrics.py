import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from sklearn.datasets import load_digits

from ganlib.errors import UserError
from ganlib.metrics.diversity import Labelled, class_overlap, classes_covered, diversity_score, vendi_score
from ganlib.metrics.frechet import frechet_distance
from ganlib.metrics.manifold import inside_manifold, neighbour_radii
from ganlib.metrics.summary import evaluate


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


def test_a_radius_is_the_distance_to_the_kth_other_image():
    points = np.array([[0.0], [1], [3], [7]])
    assert neighbour_radii(points, 1).tolist()[:3] == [1, 1, 2]
    assert neighbour_radii(points, 2).tolist()[:3] == [3, 2, 3]


def test_an_outlier_declares_nothing_else_valid():
    cloud = np.random.default_rng(0).normal(size=(200, 2))
    radii = neighbour_radii(np.vstack([cloud, [[100.0, 100]]]), 5)
    assert radii[-1] == np.sort(radii)[-5] < 5


def test_the_manifold_is_open():
    real, radii = np.array([[0.0], [10]]), np.array([1.0, 1])
    assert inside_manifold(np.array([[0.5], [1], [9.5], [5]]), real, radii).tolist() == [True, False, True, False]


def test_blocks_do_not_change_the_manifold(monkeypatch: pytest.MonkeyPatch):
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(150, 4)), random.normal(size=(170, 4))
    whole = neighbour_radii(real, 5), inside_manifold(fake, real, neighbour_radii(real, 5))
    monkeypatch.setattr("ganlib.metrics.manifold.BLOCK", 32)
    assert np.array_equal(neighbour_radii(real, 5), whole[0])
    assert np.array_equal(inside_manifold(fake, real, whole[0]), whole[1])


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


@pytest.fixture(scope="module")
def digits() -> tuple[Labelled, Labelled]:
    """Halves of the real digits, in the plane of their 32 first principal components."""
    pixels, labels = load_digits(return_X_y=True)
    centred = pixels - pixels.mean(0)
    features = centred @ np.linalg.svd(centred, full_matrices=False)[2][:32].T
    return tuple(Labelled(features=features[i::2], classes=np.asarray(labels)[i::2]) for i in range(2))


def figures(fake: Labelled, digits: tuple[Labelled, Labelled]) -> dict[str, float]:
    train, heldout = digits
    return evaluate(fake, train, heldout, [str(i) for i in range(10)], neighbours=5, draws=3, seed=0).metrics


def part(of: Labelled, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Labelled:
    return Labelled(features=of.features[rows], classes=of.classes[rows])


def test_heldout_images_score_high(digits: tuple[Labelled, Labelled]):
    result = figures(digits[1], digits)
    assert result["diversity_score"] > 0.9 and result["valid"] > 0.85 and result["classes_covered"] == 10
    assert result["domain_fid"] == result["domain_fid_floor"]


def test_missing_classes_are_missed(digits: tuple[Labelled, Labelled]):
    result = figures(part(digits[1], digits[1].classes > 2), digits)
    assert result["classes_covered"] == 7
    assert result["class_overlap"] == pytest.approx(0.7, abs=0.04)


def test_repeated_images_lose_diversity_but_stay_valid(digits: tuple[Labelled, Labelled]):
    few = part(digits[0], np.resize(np.arange(100), 900))
    result = figures(few, digits)
    assert result["valid"] == 1 and result["class_overlap"] > 0.75 and result["intra_class_diversity"] < 0.4


def test_one_image_scores_zero(digits: tuple[Labelled, Labelled]):
    result = figures(part(digits[0], np.zeros(500, dtype=np.int64)), digits)
    assert result["diversity_score"] == pytest.approx(0, abs=1e-6) and result["mode_collapse"] == pytest.approx(1)


def test_noise_is_neither_valid_nor_diverse(digits: tuple[Labelled, Labelled]):
    random = np.random.default_rng(0)
    spread = 4 * digits[0].features.std(0)
    noise = Labelled(features=random.normal(size=(900, 32)) * spread, classes=random.integers(0, 10, 900))
    result = figures(noise, digits)
    assert result["valid"] < 0.05 and result["diversity_score"] == 0


def test_the_order_of_images_does_not_matter_to_the_headline(digits: tuple[Labelled, Labelled]):
    order = np.random.default_rng(1).permutation(len(digits[1].features))
    ours, shuffled = figures(digits[1], digits), figures(part(digits[1], order), digits)
    assert shuffled["valid"] == ours["valid"]
    assert shuffled["domain_fid"] == pytest.approx(ours["domain_fid"], rel=1e-9)


def test_judge_features_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch):
    from ganlib.metrics.features import judge_images
    from ganlib.networks.judge import Judge

    torch.manual_seed(0)
    judge = Judge(image_size=16, channels=1, classes=3).eval()
    images = np.random.default_rng(0).integers(0, 256, (50, 1, 16, 16), dtype=np.uint8)
    whole = judge_images(judge, images, torch.device("cpu"))
    monkeypatch.setattr("ganlib.metrics.features.BATCH_SIZE", 7)
    blocks = judge_images(judge, images, torch.device("cpu"))
    assert np.allclose(whole.features, blocks.features, atol=1e-5)
    assert np.array_equal(whole.classes, blocks.classes)
