"""The command for images from elsewhere."""

import os
import sys
import tarfile
import urllib.error
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from ganlib.core.errors import UserError
from ganlib.core.weights import save_network
from ganlib.datasets.plain import read_images
from ganlib.evaluation.extractors import check_images, check_same_shape
from ganlib.evaluation.inception import PUBLISHED, find_weights, load_inception
from ganlib.features.judge import ROTATIONS, check_judge
from ganlib.features.judging import judge_rotations
from ganlib.features.training import batch_of
from tests.conftest import ROOT, run
from tests.digits import CPU, GENERATORS, NAMES, SIZE, halves, judge_of_digits
from tests.inception_weights import run_pytorch_fid, write_random_weights
from tests.pictures import encoded, picture, tree


def colours(count: int, seed: int, size: int = 32) -> NDArray[np.uint8]:
    """Draw images of blurred noise, (N, 3, H, W), whose colours depend on the seed."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 3, size // 8, size // 8)) * random.uniform(0.3, 1, (1, 3, 1, 1))
    return coarse.repeat(8, 2).repeat(8, 3).astype(np.uint8)


def write_pngs(folder: Path, images: NDArray[np.uint8]) -> Path:
    folder.mkdir(parents=True)
    for index, image in enumerate(images):
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(folder / f"{index:04}.png")
    return folder


def evaluate_folders(folder: Path, *arguments: str | Path, check: bool = True) -> tuple[dict[str, str], str]:
    """Run the command in an empty folder, without a params file; return its table and its standard error."""
    command = [sys.executable, "-m", "stages.evaluate", "folders", *(str(word) for word in arguments)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    result = run(["env", f"PYTHONPATH={path}", *command], folder, check)
    return dict(line.split(": ", 1) for line in result.stdout.splitlines()), result.stderr


@pytest.fixture(scope="module")
def judge_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judge")
    config = {"image_size": SIZE, "channels": 1, "class_names": NAMES}
    save_network(folder, "judge", judge_of_digits(), config)
    return folder


def test_two_arrays_are_compared_in_the_judges_features(tmp_path: Path, judge_folder: Path):
    np.save(tmp_path / "real.npy", halves()[0].images)
    np.savez(tmp_path / "fake.npz", GENERATORS["3 classes missing"]())
    table, _ = evaluate_folders(tmp_path, "real.npy", "fake.npz", "--extractor", "judge", "--judge", judge_folder)
    assert float(table["domain_fid"]) > 3 * float(table["domain_fid_floor"]) and "fid" not in table
    assert float(table["class_overlap"]) == pytest.approx(0.7, abs=0.03) and table["classes_covered"] == "7"
    assert table["protocol_extractor"] == "judge" and table["protocol_generated"] == str(
        len(GENERATORS["3 classes missing"]())
    )


@pytest.mark.slow
@pytest.mark.long
def test_fid_is_that_of_pytorch_fid(tmp_path: Path):
    weights = tmp_path / "weights.pth"
    write_random_weights(weights)
    real, fake = write_pngs(tmp_path / "real", colours(12, 1)), write_pngs(tmp_path / "fake", colours(10, 2))
    table, warnings = evaluate_folders(tmp_path, real, fake, "--extractor", "inception", "--inception-weights", weights)
    assert float(table["fid"]) == pytest.approx(run_pytorch_fid(weights, real, fake), rel=1e-4)
    assert table["undersampled"] == "True" and "under 2048" in warnings
    assert table["protocol_extractor_published"] == "False" and "not the published" in warnings
    assert "domain_fid" not in table


@pytest.mark.slow
def test_grey_images_are_replicated_and_batches_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from ganlib.evaluation.extractors import inception_features

    write_random_weights(tmp_path / "weights.pth")
    network = load_inception(tmp_path / "weights.pth")
    grey = colours(7, 1)[:, :1]
    features = inception_features(network, grey, CPU)
    assert features.shape == (7, 2048) and not network.training
    monkeypatch.setattr("ganlib.evaluation.extractors.INCEPTION_BATCH_SIZE", 3)
    assert np.allclose(inception_features(network, grey.repeat(3, 1), CPU), features, rtol=1e-4, atol=1e-5)


def test_two_images_suffice_for_distances():
    from ganlib.evaluation.plain import Settings, compare_sets
    from tests.digits import describe

    settings = Settings(neighbours=5, bins=10, draws=1, subsets=2)
    fake, real = (describe(half.images[:2]) for half in halves())
    figures = compare_sets(fake, real, NAMES, "domain_", settings, np.random.default_rng(0))
    assert {"domain_fid", "domain_kid_mean"} <= set(figures) and "recall" not in figures


def test_a_folder_an_archive_and_an_array_are_read_alike(tmp_path: Path):
    images = colours(5, 0)
    folder = write_pngs(tmp_path / "folder", images)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"class/{path.name}")
            tar.add(path, path.name)
    np.save(tmp_path / "a.npy", images.transpose(0, 2, 3, 1))
    np.savez(tmp_path / "a.npz", images)
    for name in ("folder", "a.zip", "a.tar.gz", "a.npy", "a.npz"):
        assert np.array_equal(read_images(tmp_path / name), images), name


def test_grey_images_have_one_channel(tmp_path: Path):
    assert read_images(write_pngs(tmp_path / "grey", colours(3, 0)[:, :1])).shape == (3, 1, 32, 32)


def text_file(path: Path) -> None:
    path.write_text("no image")


def mixed_folder(path: Path) -> None:
    write_pngs(path, colours(2, 0))
    Image.new("RGB", (16, 16)).save(path / "small.png")


def broken_folder(path: Path) -> None:
    write_pngs(path, colours(2, 0))
    (path / "broken.png").write_bytes((path / "0000.png").read_bytes()[:60])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such folder or file"),
        (lambda path: path.mkdir(), "no images there"),
        (text_file, "neither a folder nor a zip or tar archive"),
        (mixed_folder, r"differ in size \(32x32 in 0000.png, 16x16 in small.png\): give --image-size 64, or convert"),
        (broken_folder, "broken.png: damaged: .*: replace or delete it"),
    ],
)
def test_a_set_that_cannot_be_read_is_named(tmp_path: Path, make: Callable[[Path], None], message: str):
    make(tmp_path / "set")
    with pytest.raises(UserError, match=message):
        read_images(tmp_path / "set")


def with_nan() -> NDArray[np.generic]:
    images = np.zeros((4, 1, 8, 8), np.float32)
    images[0, 0, 0, 0] = np.nan
    return images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (with_nan(), "NaN or infinite pixels: the generator has failed, train with a lower lr"),
        (np.ones((4, 1, 8, 8)), "float64 .* not uint8 .*: convert it"),
        (np.ones((4, 8, 8, 2), np.uint8), "not uint8 images of 1 or 3 channels: convert it"),
        (colours(1, 0), "holds 1 images; at least 2 are needed: give more"),
        (np.full((4, 1, 8, 8), 7, np.uint8), "every image is one flat colour: the generator has failed"),
    ],
)
def test_images_that_cannot_be_measured_are_named(images: NDArray[np.generic], message: str):
    with pytest.raises(UserError, match=f"generated: .*{message}"):
        check_images(images, "generated")


def test_sets_of_unlike_size_or_channels_are_named():
    with pytest.raises(UserError, match=r"\(3, 32, 32\) and \(3, 16, 16\): convert"):
        check_same_shape(colours(2, 0), colours(2, 0, 16), "real and fake")
    with pytest.raises(UserError, match=r"\(3, 32, 32\) and \(1, 32, 32\): convert"):
        check_same_shape(colours(2, 0), colours(2, 0)[:, :1], "real and fake")


def test_a_judge_of_other_images_or_classes_is_named():
    with pytest.raises(UserError, match="run dvc repro judge on these, convert them, or use the inception"):
        check_judge(judge_of_digits(), (3, 32, 32))
    with pytest.raises(UserError, match=r"trained on other classes .*cat, dog.*run dvc repro judge"):
        check_judge(judge_of_digits(), (1, 32, 32), ["cat", "dog"])
    with pytest.raises(UserError, match="than the data's \\(no labels\\)"):
        check_judge(judge_of_digits(), (1, 32, 32), [])
    check_judge(judge_of_digits(labelled=False), (1, 32, 32), [])


def test_an_absent_judge_is_named_and_inception_does_not_take_its_place(tmp_path: Path):
    write_pngs(tmp_path / "real", colours(3, 0))
    table, error = evaluate_folders(tmp_path, "real", "real", "--extractor", "judge", check=False)
    assert (
        not table
        and error == "error: data/judge: no judge there; run dvc repro judge, or name its folder with --judge\n"
    )


def test_absent_weights_are_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"nowhere\.pth: no such weights file; correct evaluate\.inception_weights"):
        find_weights(tmp_path / "nowhere.pth")


def test_a_file_with_the_published_name_and_other_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / PUBLISHED).write_bytes(b"other")
    with pytest.raises(UserError, match=r"its sha256 is .*, not 6726825d.*: delete it"):
        find_weights(tmp_path / "checkpoints" / PUBLISHED)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UserError, match=r"its sha256 is .*, not 6726825d.*: delete it"):
        find_weights(None)


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04"])
def test_a_file_without_weights_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "other.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"other\.pth does not hold the weights of pytorch-fid's Inception"):
        load_inception(tmp_path / "other.pth")


def test_without_a_network_the_mend_is_named_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def offline(url: str, timeout: float) -> None:
        assert 0 < timeout <= 60
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UserError, match=r"cannot download .*no route to host.*evaluate\.inception_weights"):
        find_weights(None)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_judge_without_labels_tells_how_far_an_image_is_turned():
    pixels, quarters = batch_of(np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2), None, torch.tensor([0, 2, 7]))
    assert pixels[:, 0].tolist() == [[[0, 1], [2, 3]], [[1, 3], [0, 2]], [[6, 4], [7, 5]]]
    assert quarters.tolist() == [0, 1, 3]
    asked, judged = judge_rotations(judge_of_digits(labelled=False), halves()[1].images, CPU)
    assert len(asked) == len(ROTATIONS) * len(halves()[1].images)
    assert (asked == judged).mean() > 0.8


def test_grey_images_among_colour_and_notes_beside_them_are_taken_as_people_mean_them(tmp_path: Path):
    colour, grey = picture(1, (16, 16)), picture(2, (16, 16), "L")
    files = {"a.png": encoded(colour), "b.png": encoded(grey), "notes.txt": b"words", "Thumbs.db": b"\0"}
    images = read_images(tree(files, tmp_path / "set"))
    assert images.shape == (2, 3, 16, 16)
    assert np.array_equal(images[0], np.asarray(colour).transpose(2, 0, 1))
    assert all(np.array_equal(channel, np.asarray(grey)) for channel in images[1])


@pytest.mark.parametrize("size", [(16, 24), (40, 16), (16, 16), (9, 9)])
def test_images_of_any_size_are_compared_at_one_that_is_asked_for(tmp_path: Path, size: tuple[int, int]):
    image = picture(1, size)
    files = {"a.png": encoded(image), "b.png": encoded(picture(2, (30, 50)))}
    images = read_images(tree(files, tmp_path / "set"), 12)
    side = min(size)
    left, top = (size[0] - side) / 2, (size[1] - side) / 2
    wanted = image.resize((12, 12), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    assert images.shape == (2, 3, 12, 12) and np.array_equal(images[0], np.asarray(wanted).transpose(2, 0, 1))


def test_deep_images_of_a_set_have_one_white(tmp_path: Path):
    dark, bright = (np.full((9, 9), value, np.uint16) for value in (1000, 4000))
    files = {f"{n}.tif": encoded(Image.fromarray(values), "TIFF") for n, values in enumerate((dark, bright))}
    images = read_images(tree(files, tmp_path / "set"))
    assert images[:, 0, 0, 0].tolist() == [round(1000 / 4095 * 255), round(4000 / 4095 * 255)]


def test_an_npz_of_several_arrays_asks_which_one_is_meant(tmp_path: Path):
    arrays = {"original": np.zeros((4, 3, 8, 8), np.uint8), "completed": np.ones((4, 3, 8, 8), np.uint8)}
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=r"a\.npz: holds original, completed: name one, as .*a\.npz:original"):
        read_images(path)
    for name, array in arrays.items():
        assert np.array_equal(read_images(Path(f"{path}:{name}")), array)
    with pytest.raises(UserError, match=r"a\.npz:other: holds original, completed"):
        read_images(Path(f"{path}:other"))
    np.savez(tmp_path / "one.npz", images=arrays["completed"])
    assert np.array_equal(read_images(tmp_path / "one.npz"), arrays["completed"])
