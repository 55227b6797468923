"""What probes measure, against scikit-learn, brute force and closed forms."""

from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.metrics import normalized_mutual_info_score
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from ganlib.core.packed import Split
from ganlib.features.judge import Judge
from ganlib.metrics.agreement import counts_of, matched_error, mutual_information
from ganlib.metrics.likeness import mean_psnr
from ganlib.training.codes import class_kept, encode, flat, neighbours_accuracy, some
from tests.test_training import CPU


@pytest.mark.parametrize("kinds", [(3, 3), (5, 3), (2, 6)])
def test_agreement_is_that_of_scikit_learn_and_of_all_matchings(kinds: tuple[int, int]):
    random = np.random.default_rng(0)
    rows = random.integers(kinds[0], size=300)
    columns = np.where(random.random(300) < 0.6, rows % kinds[1], random.integers(kinds[1], size=300))
    table = counts_of(rows, columns, kinds)
    assert table.shape == kinds and table[1, 0] == ((rows == 1) & (columns == 0)).sum()
    assert mutual_information(table) == pytest.approx(normalized_mutual_info_score(rows, columns))
    larger = table if kinds[0] <= kinds[1] else table.T
    best = max(sum(larger[i, j] for i, j in enumerate(order)) for order in permutations(range(max(kinds)), min(kinds)))
    assert matched_error(table) == pytest.approx(1 - best / 300)


def test_one_kind_alone_says_nothing():
    assert mutual_information(np.array([[3], [4]])) == 0 == mutual_information(np.array([[3, 4]]))


def test_psnr_is_that_of_each_image():
    images = np.zeros((3, 1, 2, 2), np.uint8)
    others = images.copy()
    others[1], others[2, 0, 0, 0] = 51, 255
    expected = [60, -10 * np.log10(0.2**2), -10 * np.log10(1 / 4)]
    assert mean_psnr(others, images) == pytest.approx(np.mean(expected))


def test_the_nearest_code_is_that_of_scikit_learn():
    random = np.random.default_rng(0)
    known, codes = random.normal(size=(80, 4)), random.normal(size=(50, 4))
    labels, own = random.integers(3, size=80), random.integers(3, size=50)
    nearest = KNeighborsClassifier(1).fit(known, labels)
    assert neighbours_accuracy(codes, own, known, labels) == pytest.approx(nearest.score(codes, own))


def test_codes_are_in_the_order_of_the_images_and_a_class_is_kept_by_what_the_judge_says():
    images = np.arange(300, dtype=np.int64).reshape(300, 1, 1, 1).repeat(8, 2).repeat(8, 3) % 256
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 1, bias=False))
    nn.init.constant_(encoder[1].weight, 127.5 / 64)  # pyright: ignore[reportArgumentType]
    codes = encode(encoder, images.astype(np.uint8), CPU)
    np.testing.assert_allclose(codes[:, 0], images[:, 0, 0, 0] - 127.5, atol=1e-3)
    judge = Judge(image_size=8, channels=1, class_names=["a", "b"]).eval()
    nn.init.zeros_(judge.to_logits.weight)
    judge.to_logits.bias.data = torch.tensor([0.0, 1.0])  # it takes everything for b
    real = Split(images[:4].astype(np.uint8), np.array([0, 1, 1, 1]))
    assert class_kept(real.images, real, judge, CPU) == 0.75
    assert class_kept(real.images, real._replace(labels=None), judge, CPU) == 1


def test_pixels_are_flat_and_large_images_are_shrunk_by_their_means():
    images = np.random.default_rng(0).integers(256, size=(130, 2, 64, 64), dtype=np.uint8)
    blocks = images.reshape(130, 2, 32, 2, 32, 2).mean((3, 5)).reshape(130, -1)
    np.testing.assert_allclose(flat(images), blocks / 255)
    np.testing.assert_array_equal(flat(images[:, :, :28, :28]), images[:, :, :28, :28].reshape(130, -1) / 255)


def test_some_images_come_with_their_labels():
    split = Split(np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1), np.arange(20))
    chosen = some(split, 5, torch.Generator().manual_seed(0))
    assert chosen.labels is not None and len(set(chosen.labels.tolist())) == 5
    assert np.array_equal(chosen.images[:, 0, 0, 0], chosen.labels)
    assert len(some(split, 50, torch.Generator()).images) == 20
