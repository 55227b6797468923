"""Folders as people have them: what is understood of them is right, and said before anything trains."""

import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import unicodedata
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from ganlib.core.errors import UserError
from ganlib.datasets.decode import Prepared, prepare_example
from ganlib.datasets.examples import Example
from ganlib.datasets.pack import belongs_to_heldout
from ganlib.datasets.trees import tree_source
from tests.conftest import ROOT, edit_params, small_params
from tests.pictures import PREPARATION, encoded, packed_into, picture, reasons, tree
from tests.test_decode import prepare_here
from tests.test_trees import archive


def pictures(*names: str) -> dict[str, bytes]:
    """Return a picture of its own under each name."""
    return {name: encoded(picture(seed)) for seed, name in enumerate(names)}


def labels(path: Path) -> tuple[list[str], dict[str, str | None]]:
    """Return the classes of a tree, and that of each of its files."""
    source = tree_source(path)
    names = source.class_names
    found = [item for item in source.examples if isinstance(item, Example)]
    return names, {item.name: None if item.label is None else names[item.label] for item in found}


def both_ways(files: dict[str, bytes], where: Path) -> list[Path]:
    return [tree(files, where / "folder"), archive(files, where / "a.zip"), archive(files, where / "a.tar")]


@pytest.mark.parametrize(
    "splits",
    [
        ("Training", "Test"),
        ("Train", "Val"),
        ("training_set", "test_set"),
        ("train2017", "val2017"),
        ("TRAIN", "TEST", "VALID"),
        ("train_images", "validation images"),
        ("train-data", "eval"),
    ],
)
def test_folders_of_splits_are_looked_through_however_they_are_spelt(tmp_path: Path, splits: tuple[str, ...]):
    files = pictures(
        *(f"{split}/{kind}/{number}.png" for split in splits for kind in ("cat", "dog") for number in "12")
    )
    for path in both_ways(files, tmp_path):
        classes, found = labels(path)
        assert classes == ["cat", "dog"]
        assert {name: name.split("/")[1] for name in files} == found
        assert any("taken for splits and merged" in line for line in tree_source(path).told)


@pytest.mark.parametrize(
    "names",
    [
        ("pets/1.png", "pets/2.png", "preview.png"),
        ("all/pets/1.png", "all/pets/2.png", "all/cover.png", "top.png"),
        ("images/1.png", "images/more/2.png", "images/more/3.png"),
        ("train/1.png", "train/2.png", "sample.png"),
    ],
)
def test_one_folder_is_no_class_whatever_lies_beside_it(tmp_path: Path, names: tuple[str, ...]):
    for path in both_ways(pictures(*names), tmp_path):
        assert labels(path) == ([], dict.fromkeys(names))
        assert tree_source(path).told == (f"{len(names)} files without classes",)


def test_loose_files_beside_classes_are_left_out_and_many_of_them_are_a_stop(tmp_path: Path):
    classes = [f"train/{kind}/{number}.png" for kind in ("cat", "dog") for number in range(6)]
    loose = [f"test/{number}.png" for number in range(5)]  # as in Kaggle's Dogs vs. Cats
    source = tree_source(tree(pictures(*classes, *loose), tmp_path / "pets"))
    assert source.class_names == ["cat", "dog"]
    assert source.told[0] == "12 files in 2 classes: cat 6, dog 6"
    assert source.told[1].endswith("left out: 5 in no class folder")
    with pytest.raises(UserError, match=r"5 of 17 images are rejected \(5 x lies in no class folder"):
        packed_into(tmp_path / "out", source, max_rejected=0.1)


@pytest.mark.parametrize("suffix", [".jfif", "", ".bin", ".JPEG_", ".apng"])
def test_what_is_in_a_file_decides_not_what_it_is_called(tmp_path: Path, suffix: str):
    named = pictures("cats/1.jpg", "cats/2.jpg") | {"notes.md": b"words", "dogs/labels": b"more words"}
    odd = {f"dogs/{number}{suffix}": encoded(picture(number + 50), "JPEG") for number in range(3)}
    for path in both_ways(named | odd, tmp_path):
        classes, found = labels(path)
        assert classes == ["cats", "dogs"] and {found[name] for name in odd} == {"dogs"}
        assert tree_source(path).told[1] == "left out: 2 not an image"


@pytest.mark.parametrize("per", ["thousands", "prefix"])
def test_numbered_parts_of_a_set_are_no_classes(tmp_path: Path, per: str):
    numbers = [0, 1, 999, 1000, 1001, 2500]
    stem = {
        "thousands": lambda number: f"{number // 1000 * 1000:05}/{number:05}.png",  # FFHQ
        "prefix": lambda number: f"{number // 1000:05}/img{number:08}.png",  # StyleGAN's tool
    }[per]
    files = pictures(*map(stem, numbers))
    for path in both_ways(files, tmp_path):
        assert labels(path) == ([], dict.fromkeys(files))
        assert "parts of one set" in tree_source(path).told[1]


def test_numbered_classes_stay_classes(tmp_path: Path):
    for names in (
        [f"{digit}/{number}.png" for digit in range(3) for number in range(3)],
        [f"{kind:04}/{number:05}.png" for kind in (1, 2) for number in range(3)],
        [f"n0144{kind}/n0144{kind}_{number}.png" for kind in (1, 2) for number in range(3)],
    ):
        path = archive(pictures(*names), tmp_path / "a.zip")
        assert labels(path)[0] == sorted({name.split("/")[0] for name in names})


@pytest.mark.parametrize(
    ("given", "classes"),
    [
        ([["00000/img00000000.png", 7], ["00000/img00000001.png", 3]], ["3", "7"]),
        (None, []),
        ([["00000/img00000000.png", [0.5, 1]], ["00000/img00000001.png", [1, 2]]], []),
    ],
)
@pytest.mark.parametrize("above", ["", "ffhq/"])
def test_the_labels_of_a_dataset_json_are_the_classes(tmp_path: Path, given: list, classes: list[str], above: str):
    files = pictures(f"{above}00000/img00000000.png", f"{above}00000/img00000001.png")
    files[f"{above}dataset.json"] = json.dumps({"labels": given}).encode()
    for path in both_ways(files, tmp_path):
        found, by_name = labels(path)
        assert found == classes
        assert by_name[f"{above}00000/img00000000.png"] == (classes[-1] if classes else None)
        assert "dataset.json" in tree_source(path).told[1]


def test_another_dataset_json_is_just_a_file(tmp_path: Path):
    files = pictures("a/1.png", "b/2.png") | {"dataset.json": b'{"name": "pets"}'}
    for path in both_ways(files, tmp_path):
        assert labels(path)[0] == ["a", "b"]


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"labels": {"a": 1}}', b"\xff", b'{"labels": [1, 2]}'])
def test_a_damaged_dataset_json_stops_nothing(tmp_path: Path, content: bytes):
    for path in both_ways(pictures("a/1.png", "b/2.png") | {"dataset.json": content}, tmp_path):
        assert labels(path)[0] == ["a", "b"]


def test_links_inside_archives_are_what_they_lead_to(tmp_path: Path):
    files = pictures("pool/1.png", "pool/2.png", "cats/3.png", "deep/er/still/4.png")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, kind, target in (
            ("dogs/1.png", tarfile.LNKTYPE, "pool/1.png"),  # of a tree with hard links tar keeps only the first
            ("dogs/2.png", tarfile.SYMTYPE, "../pool/2.png"),
            ("birds", tarfile.SYMTYPE, "pool"),
            ("fish", tarfile.SYMTYPE, "deep/er"),
            ("loop.png", tarfile.SYMTYPE, "loop.png"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
        for name, target in (
            ("dogs/1.png", "../pool/1.png"),
            ("dogs/2.png", "../pool/2.png"),
            ("birds", "pool"),
            ("fish", "deep/er"),
            ("loop.png", "loop.png"),
        ):
            link = zipfile.ZipInfo(name)
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            zipped.writestr(link, target)
    wanted = {name: name.split("/")[0] for name in files}
    wanted |= {"dogs/1.png": "dogs", "dogs/2.png": "dogs", "birds/1.png": "birds", "birds/2.png": "birds"}
    wanted["fish/still/4.png"] = "fish"
    for path in (tmp_path / "a.tar", tmp_path / "a.zip"):
        assert labels(path) == (["birds", "cats", "deep", "dogs", "fish", "pool"], wanted)
        contents = {item.name: item.content for item in tree_source(path).examples if isinstance(item, Example)}
        assert contents["birds/2.png"] == contents["dogs/2.png"] == files["pool/2.png"]
        assert reasons(tree_source(path)) == {"loop.png": "a link to no file"}


def test_a_tar_that_ends_in_a_zip_is_a_tar(tmp_path: Path):
    inner = archive(pictures("x/9.png"), tmp_path / "inner.zip").read_bytes()
    files = pictures("a/1.png", "b/2.png") | {"z.zip": inner}
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    assert zipfile.is_zipfile(path)
    assert labels(path)[0] == ["a", "b"]


def test_a_zip_behind_a_program_is_still_a_zip(tmp_path: Path):
    path = archive(pictures("a/1.png", "b/2.png"), tmp_path / "a.zip")
    (tmp_path / "setup.exe").write_bytes(b"MZ" + bytes(4000) + path.read_bytes())
    assert labels(tmp_path / "setup.exe")[0] == ["a", "b"]


@pytest.mark.parametrize("suffix", [".HEIC", ".cr2", ".psd", ".jxl"])
def test_files_that_a_person_calls_images_count_as_missing(tmp_path: Path, suffix: str):
    heic = b"\0\0\0\x18ftypheic" + bytes(40)
    files = pictures(*(f"{number}.png" for number in range(6))) | {f"{n}{suffix}": heic + bytes([n]) for n in range(20)}
    with pytest.raises(UserError, match="20 of 26 images are rejected") as caught:
        packed_into(tmp_path / "out", tree_source(tree(files, tmp_path / "phone")), max_rejected=0.1)
    assert "pip install pillow-heif" in str(caught.value) or find_spec("pillow_heif")


def test_a_name_spelt_in_two_ways_is_one_class(tmp_path: Path):
    composed, decomposed = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
    names = [f"{composed}/1.png", f"{decomposed}/2.png", "thé/3.png", unicodedata.normalize("NFD", "thé/4.png")]
    for path in both_ways(pictures(*names), tmp_path):
        classes, found = labels(path)
        assert classes == [composed, "thé"]
        assert list(found.values()).count(composed) == 2


def test_a_colon_in_a_name_leads_nowhere(tmp_path: Path):
    path = archive(pictures("1:1/a.png", "16:9/b.png", "x:y/c.png", "D:/up.png"), tmp_path / "a.zip")
    assert labels(path)[0] == ["16:9", "1:1", "x:y"]
    assert reasons(tree_source(path)) == {"D:/up.png": "a name that leads out of the archive"}


def test_the_list_of_files_names_duplicates_and_what_resizing_spoils(tmp_path: Path):
    files = pictures("a.png", "b.png", "c.png", "d.png", "e.png") | {
        "copy of a.png": encoded(picture(0)),
        "tiny.png": encoded(picture(70, (6, 7))),
        "panorama.png": encoded(picture(71, (80, 20))),
    }
    packed_into(tmp_path / "out", tree_source(tree(files, tmp_path / "pets")))
    assert (tmp_path / "out/rejected.csv").read_text() == (
        "file,reason,taken\n"
        "copy of a.png,duplicate of a.png,False\n"
        'panorama.png,"far from square: 80x20 pixels, crop keeps little of it",True\n'
        "tiny.png,made larger from 6x7 pixels,True\n"
    )


def test_prepare_says_what_it_understood_before_it_decodes(tmp_path: Path):
    files = pictures(*(f"Train/{kind}/{number}.png" for kind in ("cat", "dog") for number in range(20)))
    files |= pictures("Val/cat/a.png") | {"Train/cat/note.txt": b"words"}
    tree(files, tmp_path / "pets")
    changes = {"data.dataset": "folder", "data.path": "pets", "data.channels": "3"}
    (tmp_path / "params.yaml").write_text(edit_params(small_params(), changes))
    command = [sys.executable, "-m", "stages.prepare", "--out", "data/prepared", "--metrics", "metrics.json"]
    done = subprocess.run(
        [*command, "--downloads", "data/raw"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[:2] == [
        "data.path = pets: 41 files in 2 classes: cat 21, dog 20",
        "data.path = pets: Train and Val are taken for splits and merged: prepare splits by content; "
        "left out: 1 not an image",
    ], done.stdout + done.stderr


def test_a_class_whose_only_image_is_held_out_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = pictures(*(f"{kind}/{number}.png" for kind in ("cat", "dog") for number in range(20)))
    lone = next(
        encoded(picture(seed))
        for seed in range(100, 200)
        if isinstance(made := prepare_example(Example("", None, encoded(picture(seed))), PREPARATION), Prepared)
        and belongs_to_heldout(made.digest, 0.4)
    )
    tree(files | {"emu/1.png": lone}, tmp_path / "pets")
    changes = {"data.path": "pets", "data.channels": "3", "data.image_size": "8"}
    prepare_here(tmp_path, changes)
    assert "WARNING: no training image of emu: a conditional model can't make it" in capsys.readouterr().err
