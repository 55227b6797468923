"""Pairs of images: what A is made of, and how two folders become partners."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganlib.core.errors import UserError
from ganlib.core.files import read_json, sha256_of
from ganlib.core.packed import read_meta, read_split
from ganlib.datasets.derive import DERIVE, DISTANCE, Given, derive, seen_from
from stages.domains.pairs import main
from tests.conftest import ROOT, edit_params


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "domains").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pairs(folder: Path, **changes: str) -> str:
    """Run the stage with some params, keys given as pairs__kind; return what it refuses, or nothing."""
    text = (ROOT / "domains/params.yaml").read_text()
    given = {key.replace("__", "."): value for key, value in changes.items()}
    (folder / "domains/params.yaml").write_text(edit_params(text, given))
    try:
        main(Path("pairs"), Path("pairs.json"), Path("raw"))
    except UserError as error:
        return str(error)
    return ""


def noise(*shape: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def write_folder(folder: Path, names: list[str], grey: bool = False) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (12, 12) if grey else (12, 12, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)


def given(hidden: Any = None) -> Given:
    return Given(4, hidden, np.random.default_rng(0))


def test_edges_of_a_square_are_its_outline_one_pixel_wide():
    images = np.full((1, 1, 24, 24), 20, np.uint8)
    images[:, :, 6:18, 6:18] = 220
    lines = derive(images, "edges", 1, given())[0, 0] == 0
    assert lines[9:15].sum(1).tolist() == [2] * 6 and lines[:, 9:15].sum(0).tolist() == [2] * 6  # away from corners
    assert not lines[8:16, 8:16].any() and not lines[:4].any() and not lines[20:].any()


def test_an_even_image_and_a_faint_step_have_no_edges():
    faint = np.full((2, 3, 16, 16), 100, np.uint8)
    faint[1, :, 8:] = 110
    assert (derive(faint, "edges", 3, given()) == 255).all()


def test_derived_images_are_what_plain_pillow_and_numpy_make():
    images, hidden = noise(3, 3, 16, 16), np.zeros((16, 16), bool)
    hidden[4:12, 4:12] = True
    pictures = [Image.fromarray(image.transpose(1, 2, 0)) for image in images]
    small = np.stack([np.asarray(picture.resize((4, 4), Image.Resampling.BICUBIC)) for picture in pictures])
    luminance = images.transpose(0, 2, 3, 1) @ np.array([0.299, 0.587, 0.114])
    filled = images.copy()
    filled[:, :, 4:12, 4:12] = 128
    assert (derive(images, "lowres", 3, given()).transpose(0, 2, 3, 1) == small).all()
    assert np.abs(derive(images, "grey", 1, given())[:, 0] - luminance).max() <= 0.51
    assert (derive(images, "masked", 3, given(hidden)) == filled).all()
    assert (derive(images, "negative", 3, given()) + images.astype(int) == 255).all()


def test_worn_images_have_half_the_contrast_and_the_noise_that_is_said():
    step = np.zeros((200, 1, 16, 16), np.uint8)
    step[:, :, :, 8:] = 255
    made = derive(step, "worn", 1, given()).astype(float)
    assert made[..., :3].mean() == pytest.approx(64, abs=1) and made[..., -3:].mean() == pytest.approx(191.5, abs=1)
    assert made[..., 0].std() == pytest.approx(16, abs=0.5)


@pytest.mark.parametrize("kind", sorted(DERIVE.keys() - {"grey"}))  # the digits are
def test_every_kind_is_packed_beside_its_partners(folder: Path, kind: str):
    game = {"lowres": "srgan", "masked": "context_encoder"}.get(kind, "pix2pix")
    assert pairs(folder, pairs__kind=kind, game=game, pairs__b__limit="40") == ""
    metas = {side: read_meta(folder / "pairs" / side) for side in ("a", "b")}
    made = read_json(folder / "pairs.json")
    assert made["train_a"] + made["heldout_b"] == 40 == made["train_b"] + made["heldout_a"] and made["kind"] == kind
    random = np.random.default_rng
    for split in ("train", "heldout"):
        a, b = (read_split(folder / "pairs" / side, split) for side in ("a", "b"))
        hidden = np.load(folder / "pairs/hidden.npy") if kind == "masked" else None
        expected = derive(b.images, kind, 1, Given(4, hidden, random(0)))
        assert a.labels is not None and b.labels is not None and (a.labels == b.labels).all()
        assert a.images.shape == expected.shape and (kind in ("worn", "turned") or (a.images == expected).all())
        assert metas["a"]["counts"][split] == len(a.images) and a.images.shape[2] == metas["a"]["image_size"]
    assert metas["a"]["sha256"] != metas["b"]["sha256"] and (folder / "pairs/hidden.npy").exists() == (kind == "masked")


def test_unpaired_training_images_are_halves_and_held_out_ones_are_partners(folder: Path):
    assert pairs(folder, pairs__b__limit="60") == ""
    whole = {(side, name): read_split(folder / "pairs" / side, name) for side in "ab" for name in ("train", "heldout")}
    whole = {key: (np.array(split.images), np.array(split.labels)) for key, split in whole.items()}
    shutil.rmtree(folder / "pairs")
    assert pairs(folder, game="cyclegan", pairs__b__limit="60", pairs__paired="false") == ""
    for first, side in enumerate("ab"):
        meta = read_meta(folder / "pairs" / side)
        for name, step in (("train", slice(first, None, 2)), ("heldout", slice(None))):
            split, (images, labels) = read_split(folder / "pairs" / side, name), whole[side, name]
            assert (split.images == images[step]).all() and split.labels is not None
            assert (split.labels == labels[step]).all() and meta["counts"][name] == len(labels[step])
            assert sum(meta["counts_per_class"][name].values()) == len(labels[step])
            pixels = split.images.transpose(0, 2, 3, 1).tobytes()
            assert meta["sha256"][name] == hashlib.sha256(pixels).hexdigest()


def test_unpaired_folders_need_no_partners(folder: Path):
    write_folder(folder / "horses", [f"h{number}.png" for number in range(12)])
    write_folder(folder / "zebras", [f"z{number}.png" for number in range(20)], grey=True)
    changes = {"pairs__kind": "folders", "pairs__paired": "false", "pairs__a": "horses", "pairs__image_size": "12"}
    changes |= {"pairs__b__dataset": "folder", "pairs__b__path": "zebras", "pairs__channels_a": "3"}
    changes |= {"game": "cyclegan"}
    assert pairs(folder, **changes) == ""
    made, images = read_json(folder / "pairs.json"), read_split(folder / "pairs/a", "train").images
    assert made["train_a"] + made["heldout_a"] == 12 and made["train_b"] + made["heldout_b"] == 20
    assert images.shape[1:] == (3, 12, 12) and read_meta(folder / "pairs/b")["channels"] == 1


def test_what_is_hidden_is_the_same_in_all_images_and_a_mask_of_complete(folder: Path):
    assert pairs(folder, pairs__kind="masked", game="context_encoder", pairs__mask="random", pairs__b__limit="40") == ""
    hidden = np.load(folder / "pairs/hidden.npy")
    images = read_split(folder / "pairs/a", "train").images
    assert (images[:, :, hidden] == 128).all() and 0.7 < hidden.mean() < 0.9


def test_folders_are_paired_by_the_names_of_their_files(folder: Path):
    names = [f"{'cat' if number % 2 else 'dog'}/{number:02}" for number in range(30)]
    write_folder(folder / "photos", [f"{name}.png" for name in names])
    for path in (folder / "photos").rglob("*.png"):
        target = folder / "drawings" / path.relative_to(folder / "photos").with_suffix(".bmp")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - np.asarray(Image.open(path).convert("L"))).save(target)
    changes = {"pairs__kind": "folders", "pairs__a": "drawings", "pairs__b__dataset": "folder"}
    changes |= {"pairs__b__path": "photos", "pairs__channels_b": "3", "pairs__image_size": "12"}
    assert pairs(folder, **changes) == ""
    meta = read_meta(folder / "pairs/a")
    assert meta["class_names"] == ["cat", "dog"] and sum(meta["counts_per_class"]["train"].values()) > 10
    for split in ("train", "heldout"):
        a, b = (read_split(folder / "pairs" / side, split) for side in ("a", "b"))
        assert (a.images == 255 - derive(b.images, "grey", 1, given())).all()
        originals = {np.asarray(Image.open(path)).tobytes(): path.parent.name for path in folder.glob("photos/*/*")}
        pixels = b.images.transpose(0, 2, 3, 1)
        assert b.labels is not None and a.labels is not None and (a.labels == b.labels).all()
        assert [meta["class_names"][label] for label in b.labels] == [originals[image.tobytes()] for image in pixels]


def broken(folder: Path) -> None:
    (folder / "a/3.png").write_bytes((folder / "a/3.png").read_bytes()[:60])


def doubled(folder: Path) -> None:
    shutil.copy(folder / "a/3.png", folder / "a/3.bmp")


@pytest.mark.parametrize(
    ("prefix", "count", "spoil", "told"),
    [
        (
            "x",
            7,
            None,
            "no file of one has the name of one of the other (pairs.a: x0, x1, x2, x3, x4; pairs.b.path: 0, 1",
        ),
        ("", 9, None, "pairs.a has 9 images, pairs.b.path 7: some have no partner (pairs.a: 7, 8)"),
        ("", 7, broken, "3.png: "),
        ("", 7, doubled, "3.bmp and 3.png have one name"),
    ],
)
def test_folders_that_do_not_fit_are_refused_in_a_line(folder: Path, prefix: str, count: int, spoil: Any, told: str):
    write_folder(folder / "a", [f"{prefix}{number}.png" for number in range(count)])
    write_folder(folder / "b", [f"{number}.png" for number in range(7)])
    if spoil:
        spoil(folder)
    changes = {"pairs__a": "a", "pairs__b__dataset": "folder", "pairs__b__path": "b", "pairs__image_size": "12"}
    said = pairs(folder, pairs__kind="folders", pairs__channels_a="3", pairs__channels_b="3", **changes)
    assert said.startswith("pairs.a") and told in said and "\n" not in said
    assert not (folder / "pairs").exists()


@pytest.mark.parametrize("paired", ["true", "false"])
def test_images_of_over_8_bits_are_refused_on_either_side(folder: Path, paired: str):
    write_folder(folder / "b", [f"{number}.png" for number in range(24)])
    (folder / "a").mkdir()
    for number in range(24):  # 12 bits, as cameras and microscopes make them
        Image.fromarray(np.random.default_rng(number).integers(0, 4096, (12, 12), np.uint16)).save(
            folder / f"a/{number}.png"
        )
    changes = {"pairs__a": "a", "pairs__b__dataset": "folder", "pairs__b__path": "b", "pairs__image_size": "12"}
    changes |= {
        "pairs__kind": "folders",
        "pairs__paired": paired,
        "game": "pix2pix" if paired == "true" else "cyclegan",
    }
    said = pairs(folder, **changes)
    assert said.startswith("pairs.a") and "over 8 bits a channel" in said and not (folder / "pairs").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pairs__b__classes": "[x]"}, "pairs.b.classes: pairs.b.dataset = digits has no class 'x'"),
        ({"pairs__b__limit": "2", "pairs__heldout": "0.05"}, "pairs.heldout = 0.05 leaves no image in the"),
        (
            {"pairs__b__dataset": "folder", "pairs__b__path": "no/data.zip"},
            "pairs.b.path = no/data.zip: there is no such folder or file",
        ),
    ],
)
def test_errors_name_the_keys_that_these_params_have(folder: Path, changes: dict[str, str], told: str):
    assert pairs(folder, **changes).startswith(told)


def test_grey_images_where_colour_is_asked_for_are_refused(folder: Path):
    said = pairs(folder, pairs__channels_b="3", pairs__b__limit="40")
    assert said == "pairs.channels_b = 3: the images are grey: set it to 1"


def test_the_same_pairs_have_the_same_bytes(folder: Path):
    found: list[dict[str, str]] = []
    for _ in range(2):
        assert pairs(folder, pairs__kind="worn", pairs__b__limit="60") == ""
        found.append({path.name + path.parent.name: sha256_of(path) for path in (folder / "pairs").rglob("*.*")})
        torch.manual_seed(5)
    assert found[0] == found[1]


def test_b_is_made_of_a_where_it_is_asked_for(folder: Path):
    unpaired = {"game": "simgan", "pairs__paired": "false", "pairs__b__limit": "60"}
    assert pairs(folder, pairs__kind="negative", pairs__made="b", **unpaired) == ""
    sides = {
        side: {split: read_split(folder / "pairs" / side, split) for split in ("train", "heldout")} for side in "ab"
    }
    b = {split: sides["b"][split] for split in ("train", "heldout")}
    assert (sides["a"]["heldout"].images + b["heldout"].images.astype(int) == 255).all()
    given = {image.tobytes() for image in sides["a"]["train"].images}
    assert not {(255 - image).tobytes() for image in b["train"].images} & given  # halves of the training images
    assert sides["a"]["train"].images.mean() < 100 < 155 < b["train"].images.mean()  # digits are white on black
    assert read_meta(folder / "pairs/a")["sha256"]["train"] == sha256_of_pixels(sides["a"]["train"].images)
    assert read_meta(folder / "pairs/b")["sha256"]["train"] == sha256_of_pixels(b["train"].images)


def sha256_of_pixels(images: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(images.transpose(0, 2, 3, 1)).tobytes()).hexdigest()


def test_rendered_digits_are_labelled_as_a_reader_reads_them_and_no_partners(folder: Path):
    unpaired = {"game": "cyclegan", "pairs__paired": "false", "pairs__kind": "rendered"}
    assert pairs(folder, **unpaired) == ""
    a, b = (read_split(folder / "pairs" / side, "train") for side in ("a", "b"))
    assert a.images.shape == b.images.shape and a.labels is not None and b.labels is not None
    assert set(a.labels.tolist()) == set(range(10)) and (a.labels != b.labels).any()
    meta = read_meta(folder / "pairs/a")
    assert meta["counts_per_class"]["train"] == {str(d): int((a.labels == d).sum()) for d in range(10)}
    # Each is nearest, among means of the others, to that of its own class far more often than chance.
    halves = a.images[::2].reshape(len(a.images[::2]), -1).astype(float), a.images[1::2].reshape(-1, 1024).astype(float)
    means = np.stack([halves[0][a.labels[::2] == digit].mean(0) for digit in range(10)])
    nearest = ((halves[1][:, None] - means) ** 2).sum(2).argmin(1)
    assert (nearest == a.labels[1::2]).mean() > 0.6
    first = a.images.copy()
    assert pairs(folder, **unpaired) == "" and (read_split(folder / "pairs/a", "train").images == first).all()


def test_a_turned_grid_is_where_a_pinhole_camera_sees_it():
    """Points of the plane, turned by so many radians about the vertical axis and projected, are found there."""
    side, angle = 65, 0.6
    for x, y in ((0.0, 0.0), (0.5, 0.3), (-0.5, -0.4), (0.6, -0.5)):
        image = np.zeros((1, side, side), np.uint8)
        column, row = (round((each + 1) * side / 2 - 0.5) for each in (x, y))
        image[0, row - 1 : row + 2, column - 1 : column + 2] = 255
        middle = np.array([column + 0.5, row + 0.5]) / (side / 2) - 1
        # The inverse of what the docstring says: x cos / (1 + x sin / distance), and y over the same.
        depth = 1 + middle[0] * np.sin(angle) / DISTANCE
        expected = (np.array([middle[0] * np.cos(angle), middle[1]]) / depth + 1) * side / 2 - 0.5
        seen = seen_from(image, angle)[0].astype(float)
        found = np.array([(seen * index).sum() / seen.sum() for index in np.indices(seen.shape)[::-1]])
        assert np.abs(found - expected).max() < 0.35, (x, y, found, expected)
    grey = np.full((3, 16, 16), 77, np.uint8)
    assert (seen_from(grey, -0.7) == 77).all()
