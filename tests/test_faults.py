"""The small form of `python -m tests.faults`, as a user gives it, and what it must never let through."""

import bz2
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlib.core.errors import UserError
from ganlib.core.files import read_table
from ganlib.core.params import load_params
from ganlib.datasets import decode, depth, unpack
from ganlib.datasets.decode import prepare_example
from ganlib.datasets.examples import Example, Rejected
from ganlib.datasets.trees import tree_source
from tests.conftest import ROOT, edit_params
from tests.faults.archives import lying_zip, tar_header, xz_dictionary, zipped
from tests.pictures import PREPARATION, encoded, pets, picture, reasons

pytestmark = [pytest.mark.slow, pytest.mark.long]


OVER_THE_PIPELINE = [
    pytest.param(kind, count, marks=pytest.mark.proof)
    for kind, count in (("kills", 2), ("disks", 3), ("checkpoints", 50), ("together", 4))
]
"""Each runs the whole pipeline first; test_resume, test_pipeline and test_repair have a kill or two of each sort."""


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads what they took from the kernel")
@pytest.mark.parametrize(("kind", "count"), [("params", 25), ("images", 30), ("archives", 20), *OVER_THE_PIPELINE])
def test_a_few_faults_of_each_kind_hold(tmp_path: Path, kind: str, count: int):
    command = [sys.executable, "-m", "tests.faults", kind, "--count", str(count), "--out", str(tmp_path / "faults.csv")]
    for _ in range(2):  # the second time all is there
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and f"{count} of {count} held" in done.stdout, done.stdout + done.stderr
    assert len(read_table(tmp_path / "faults.csv", "state")) == count


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("explore.frames", "1000000000", "explore.frames = 1000000000: must be less than or equal to"),
        ("explore.frames", "400", "explore.frames = 400: times explore.stops"),
        ("steps", "1" * 25, "steps = 1111111111"),
        ("steps", "1" * 5000, "steps = 1111111111"),
        ("lr", "2024-02-30", "lr = 2024-02-30: no timestamp that there is"),
        ("lr", "!!int abc", "line 4: a tag, tag:yaml.org,2002:int: write the value without it"),
        ("lr", "[" * 1600, "nested more than"),
        ("model.spectral_norm", "'off'", "model.spectral_norm = 'off': must be true or false"),
        ("complete.masks", "[" + "left, " * 200_000 + "left]", "larger than 64 KiB"),
        ("complete.masks", "[" + "left, " * 2000 + "left]", "complete.masks = ['left'"),
        ("data.path", '"a\\0b"', "data.path = 'a\\x00b': holds a character that no name has"),
        ("data.path", "x" * 1001, "data.path = xxx"),
        ("data.path", "&a [*a]", "repeats nothing that ends before it"),
    ],
)
def test_what_nobody_means_is_refused_in_a_short_line(params_file: Path, key: str, value: str, words: str):
    params_file.write_text(edit_params(params_file.read_text(), {key: value}))
    with pytest.raises(UserError) as caught:
        load_params()
    said = str(caught.value)
    assert words in said and said.startswith("params.yaml") and len(said) <= 490 and "\n" not in said


def test_twenty_thousand_unknown_keys_and_an_alias_bomb_are_short_work(params_file: Path):
    text = params_file.read_text()
    levels = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12)]
    for added in ("".join(f"k{number}: 1\n" for number in range(2000)), "a0: &a0 [x]\n" + "".join(levels)):
        params_file.write_text(text + added)
        with pytest.raises(UserError) as caught:
            load_params()
        assert len(str(caught.value)) <= 490


def test_anchors_and_merged_keys_may_be_used(params_file: Path):
    text = params_file.read_text().replace("lr: ", "lr: &rate ", 1).replace("  lr: 0.1", "  lr: *rate")
    params_file.write_text(text)
    params = load_params()
    assert params.complete.lr == params.lr


@pytest.mark.parametrize("what", ["a folder", "nothing that is text", "a link to a device"])
def test_a_params_file_that_is_no_text_is_told_so(tmp_path: Path, what: str):
    path = tmp_path / "params.yaml"
    if what == "a folder":
        path.mkdir()
    elif what == "a link to a device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"\xff\xfe\0")
    with pytest.raises(UserError, match=r"is no file|not UTF-8"):
        load_params(path)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16", "F"])
def test_flattening_in_bands_gives_what_flattening_at_once_gives(monkeypatch: pytest.MonkeyPatch, mode: str):
    values = np.random.default_rng(0).integers(0, 256, (90, 70, 4), np.uint8)
    image = Image.fromarray(values, "RGBA")
    image = {
        "I;16": lambda: Image.fromarray(values[..., 0].astype(np.uint16) * 257),
        "P": lambda: image.convert("RGB").quantize(9),
    }.get(mode, lambda: image.convert("L").convert("F") if mode == "F" else image.convert(mode))()
    if mode == "P":
        image.info["transparency"] = 3
    whole = decode.eight_bits(image, depth.Ranges(), 99)[0].tobytes()
    monkeypatch.setattr(depth, "BAND", 700)
    assert decode.eight_bits(image, depth.Ranges(), 99)[0].tobytes() == whole


def test_an_image_that_would_fill_the_memory_is_rejected_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch):
    content = encoded(picture(0, (300, 200)), "PNG")
    assert not isinstance(prepare_example(Example("a.png", None, content), PREPARATION), Rejected)
    monkeypatch.setattr(decode, "MAX_MEMORY", len(content) + 300 * 200 * 4 - 1)
    outcome = prepare_example(Example("a.png", None, content), PREPARATION)
    assert outcome == Rejected("a.png", "300x200 pixels: decoding takes more than 512 MiB of memory")


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_gives_its_files_whatever_packed_them_and_none_that_lies(tmp_path: Path, kind: int):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(pets(), kind))
    found = {item.name: item.content for item in tree_source(path).examples if isinstance(item, Example)}
    assert found == pets()
    path.write_bytes(lying_zip(kind, bytes(10**6)))
    assert "Bad CRC-32" in reasons(tree_source(path))["a.png"]


def test_an_archive_that_unpacks_to_more_than_pictures_do_is_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unpack, "FREE", 2**20)
    (tmp_path / "a.tar.bz2").write_bytes(bz2.compress(tar_header("a.png", 2**24)) + bz2.compress(bytes(2**24)))
    (tmp_path / "a.zip").write_bytes(zipped({"a.png": bytes(2**24)}))
    for name in ("a.tar.bz2", "a.zip"):
        with pytest.raises(
            UserError, match=r"unpacks to more than .*: if it is no bomb, unpack it and name the folder"
        ):
            list(tree_source(tmp_path / name).examples)


def test_an_xz_dictionary_of_four_gigabytes_is_refused_and_several_streams_are_read(tmp_path: Path):
    import lzma

    path = tmp_path / "a.tar.xz"
    path.write_bytes(xz_dictionary())
    with pytest.raises(UserError, match="Memory usage limit"):
        tree_source(path)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in pets().items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    data = buffer.getvalue()
    path.write_bytes(lzma.compress(data[:1500]) + bytes(8) + lzma.compress(data[1500:]))
    assert {item.name: item.content for item in tree_source(path).examples if isinstance(item, Example)} == pets()
