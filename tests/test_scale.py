"""Sets that do not fit in memory: what is read of them, and what is measured with."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ganlib.core.files import read_json, read_table
from ganlib.core.order import chosen_by_content
from ganlib.core.packed import Rows, gather, read_split, rows_of
from ganlib.core.seeding import seeded_weights
from ganlib.features.judge import ROTATIONS, Judge
from ganlib.features.judging import judge_rotations
from ganlib.features.seen import load_seen
from ganlib.features.training import train_judge
from ganlib.networks.blocks import layer_widths
from ganlib.training.game import BatchOrder, Draws
from ganlib.training.images import ImagesOnDisk
from ganlib.training.loop import keep_progress
from tests.conftest import edit_params
from tests.digits import CPU, halves
from tests.test_stages import arguments_of, invoke, pipeline  # noqa: F401  # pyright: ignore[reportUnusedImport]
from tests.test_training import equal, go_on, start


@pytest.fixture
def on_disk(tmp_path: Path) -> NDArray[np.uint8]:
    """Return 50 images (N, C, H, W) of 3 channels as a prepared folder's: a view of a memory map."""
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), np.uint8)
    np.save(tmp_path / "train_images.npy", images)
    return read_split(tmp_path, "train").images


def test_gathered_rows_are_those_picked_in_the_order_picked(on_disk: NDArray[np.uint8]):
    picked = torch.tensor([7, 49, 0, 7, 3])
    found = gather(on_disk, picked)
    assert np.array_equal(found.numpy(), np.array(on_disk)[[7, 49, 0, 7, 3]])
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_some_rows_stand_for_an_array(on_disk: NDArray[np.uint8]):
    rows, plain = np.array([2, 5, 11]), np.array(on_disk)[[2, 5, 11]]
    some = rows_of(on_disk, rows)
    assert isinstance(some, Rows) and some.shape == plain.shape and len(some) == 3
    for key in (slice(1, 3), np.array([[0, 2], [1, 1]]), 2):
        assert np.array_equal(some[key], plain[key])
    assert all(np.array_equal(*pair) for pair in zip(some, plain, strict=True))
    assert rows_of(on_disk, np.arange(50)) is on_disk


@pytest.mark.parametrize("fetched", [[], [[1, 2], [9, 4]], [[4, 9], [30, 31]]])
def test_batches_are_the_same_whatever_was_read_ahead(on_disk: NDArray[np.uint8], fetched: list[list[int]]):
    images, plain = ImagesOnDisk(on_disk, CPU), np.array(on_disk)
    images.fetch(map(torch.tensor, fetched))
    for picked in ([1, 2], [9, 4], [1, 2]):
        assert np.array_equal(images[torch.tensor(picked)].numpy(), plain[picked])


def test_what_goes_wrong_in_reading_ahead_comes_out_where_it_is_picked(on_disk: NDArray[np.uint8]):
    images = ImagesOnDisk(on_disk, CPU)
    images.fetch([torch.tensor([50])])
    with pytest.raises(IndexError):
        images[torch.tensor([50])]


def test_coming_batches_are_those_that_come_until_the_order_ends():
    order = BatchOrder(10, 3, torch.Generator().manual_seed(0))
    assert order.coming(5) == []
    for left in (2, 1, 0, 2):  # three batches an epoch, and one image over
        order.next_batch()
        assert len(order.coming(5)) == left
    coming = order.coming(2)
    assert [order.next_batch().tolist() for _ in coming] == [batch.tolist() for batch in coming]


def test_draws_tell_what_comes_of_all_orders():
    draws = Draws(1)
    for name in ("a", "b"):
        draws.order(6, 2, name).next_batch()
    both = [draws.order(6, 2, name).coming(1)[0].tolist() for name in ("a", "b")]
    assert [batch.tolist() for batch in draws.coming(1)] == both


@pytest.mark.parametrize("changes", [{}, {"d_steps": 3, "flip": True}])
def test_a_training_from_disk_has_the_weights_of_one_from_memory(changes: dict[str, Any]):
    weights: list[dict[str, torch.Tensor]] = []
    for kind in (lambda images: images, lambda images: ImagesOnDisk(images.numpy(), CPU)):
        training, images, params = start(3, **changes)
        go_on(training, images, params, held=kind)
        weights.append(training.players.networks["generator"].state_dict())
    assert equal(*weights)


def test_a_choice_by_content_is_the_same_in_any_order_and_one_more_image_moves_one_at_most():
    images = np.random.default_rng(0).integers(0, 256, (60, 1, 4, 4), np.uint8)
    shuffled = np.random.default_rng(1).permutation(60)

    def chosen(order: NDArray[np.int64]) -> set[bytes]:
        rows = chosen_by_content(images[order], 20)
        assert np.all(np.diff(rows) > 0) and len(rows) == 20
        return {image.tobytes() for image in images[order][rows]}

    assert chosen(shuffled) == chosen(np.arange(60))
    assert len(chosen(shuffled) - chosen(shuffled[:59])) <= 1
    assert chosen_by_content(images, 60).tolist() == list(range(60))


def new_judge() -> Judge:
    with seeded_weights(0, "judge"):
        return Judge(image_size=halves()[0].images.shape[2], channels=1, class_names=ROTATIONS)


def test_a_judge_of_rotations_is_that_of_a_set_with_each_image_turned():
    images = halves()[0].images[:40]
    everything = np.concatenate([np.rot90(images, quarter, (2, 3)) for quarter in range(4)])
    lazy, plain = new_judge(), new_judge()
    given: Any = {"epochs": 2, "seed": 1, "device": CPU, "report": lambda _: None}
    train_judge(lazy, images, None, **given)
    train_judge(plain, everything, np.repeat(np.arange(4), 40), **given)
    assert equal(lazy.state_dict(), plain.state_dict())
    asked, judged = judge_rotations(lazy, images, CPU)
    with torch.no_grad():
        wanted = lazy(torch.from_numpy(everything).float() / 127.5 - 1).argmax(1)
    assert asked.tolist() == np.repeat(np.arange(4), 40).tolist() and judged.tolist() == wanted.tolist()


@pytest.mark.parametrize(("evaluations", "kept"), [(32, 32), (33, 18), (200, 27)])
def test_images_of_32_evaluations_at_most_are_kept_beside_the_best_and_the_last(evaluations: int, kept: int):
    training, best = start(0)[0], 77 if evaluations > 77 else 3
    for index in range(evaluations):
        training.evaluations.append({"step": 100 * (index + 1), "domain_fid_to_heldout": float(abs(index - best) + 1)})
        training.progress[100 * (index + 1)] = torch.zeros(0)
        keep_progress(training)
    steps = list(training.progress)
    assert len(steps) == kept and {100, 100 * (best + 1), 100 * evaluations} <= set(steps)
    assert steps == sorted(steps)
    assert set(np.diff([step for step in steps if step not in (100 * (best + 1), 100 * evaluations)])) <= {
        100 * stride for stride in (1, 2, 4, 8, 16)
    }


def test_widths_double_up_to_the_most():
    assert layer_widths(32, 256, 512) == [32, 64, 128, 256, 512, 512]
    assert layer_widths(32, 256) == [32, 64, 128, 256, 512, 1024]
    assert layer_widths(640, 32, 512) == [640] * 3  # what was asked for stays
    assert layer_widths(32, 32, 512, doubled=False) == [32] * 3


@pytest.mark.slow
def test_reference_images_caps_what_is_measured_with(
    pipeline: tuple[Path, dict[str, set[str]]],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    folder = tmp_path / "capped"
    shutil.copytree(pipeline[0], folder)
    monkeypatch.chdir(folder)
    Path("params.yaml").write_text(edit_params(Path("params.yaml").read_text(), {"evaluate.reference_images": "300"}))
    for stage in ("judge", "train", "publish", "sample", "reference", "evaluate", "explore", "complete", "report"):
        invoke(stage, *arguments_of(stage))
    details = read_json(Path("metrics/details.json"))
    assert details["protocol_reference"] == 300 and details["protocol_heldout"] == 300
    rows = load_seen(Path("data/judge"), "train").rows
    assert len(rows) == 300 and len(np.load("data/reference/train_order.npy")) == 300
    nearest = read_table(Path("metrics/nearest.csv"))
    assert set(nearest.loc[nearest["kind"] == "training", "other"]) <= set(rows.tolist())
    images = {image.tobytes() for image in read_split(Path("data/prepared"), "train").images[rows]}
    assert all(
        image.tobytes() in images for image in np.load("data/explore/neighbours.npy")[:, 1:].reshape(-1, 1, 32, 32)
    )
    # The mean of what is completed from is that of the 300.
    mean = read_split(Path("data/prepared"), "train").images[rows].mean(0)
    arrays = np.load("data/completion/centre.npz")
    hidden = arrays["hidden"]
    assert np.abs(arrays["mean"][0][:, hidden] - mean[:, hidden]).max() <= 0.5 + 1e-3
