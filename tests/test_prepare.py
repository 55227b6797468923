"""The prepare stage, as a user runs it on images of their own."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from ganlib.core.errors import UserError
from ganlib.core.files import read_json
from ganlib.core.packed import SPLITS
from stages.prepare import main
from tests.conftest import ROOT, edit_params, run
from tests.pictures import encoded, pets, picture, tree


def write_params(folder: Path, **changes: object) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    settings = {f"data.{key}": str(value) for key, value in changes.items()}
    (folder / "params.yaml").write_text(edit_params(text, settings), encoding="utf-8")


def prepare(folder: Path, **changes: object) -> None:
    write_params(folder, **changes)
    main(Path("data/prepared"), Path("metrics/prepare.json"), Path("data/raw"))


@pytest.fixture(autouse=True)
def _work_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_prepare_packs_a_folder_and_says_what_it_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tree(pets() | {"cats/broken.png": b"x", "cats/twin.png": encoded(picture(0))}, tmp_path / "my pets")
    prepare(tmp_path, dataset="folder", path="my pets", channels=3, image_size=16, heldout=0.4)
    said = capsys.readouterr().out
    assert "duplicates_dropped: 1, read: 14, rejected: 1" in said and "data/prepared/rejected.csv" in said
    out = tmp_path / "data/prepared"
    labels = [f"{name}_labels.npy" for name in SPLITS]
    images = [f"{name}_images.npy" for name in SPLITS]
    assert {path.name for path in out.iterdir()} == {*labels, *images, "contact_sheet.png", "meta.json", "rejected.csv"}
    metrics = read_json(tmp_path / "metrics/prepare.json")
    assert metrics.pop("train_images") + metrics.pop("heldout_images") == 12
    assert metrics == {"classes": 2, "duplicates_dropped": 1, "read": 14, "rejected": 1}
    meta = read_json(out / "meta.json")
    assert meta["class_names"] == ["cats", "dogs"] and meta["image_size"] == 16 and meta["channels"] == 3
    assert sum(meta["counts_per_class"][name]["cats"] for name in SPLITS) == 6
    assert meta["pixel_map"] == "x = pixel / 127.5 - 1" and len(meta["source_sha256"]) == 64
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.mode == "RGB"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "folder", "path": "absent"}, r"data\.path = absent: there is no such folder or file"),
        ({"dataset": "folder", "path": "."}, r"data\.path = \.: no image among"),
        ({"dataset": "folder"}, "data.path = data/none: data.dataset folder needs it: set it to a folder, zip or tar"),
        ({"classes": "[3, '7']"}, "data.classes.0 = 3"),
        ({"classes": "[zero]"}, "data.dataset = digits has no class 'zero'; known are 0, 1, 2"),
        ({"dataset": "celeba"}, "fetched by hand, since .* subfolder celeba of a folder of yours that data.path names"),
        ({"dataset": "celeba", "path": "mine"}, "into the subfolder celeba of mine; or take the zip alone"),
        ({"dataset": "lsun_bedroom"}, "unpack it into a folder of yours that data.path names, so that it has bedroom_"),
        ({"dataset": "lsun_bedroom", "path": "mine"}, "unpack it into mine, so that it has bedroom_train_lmdb/data"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_left(tmp_path: Path, changes: dict[str, str], message: str):
    with pytest.raises(UserError) as caught:
        prepare(tmp_path, **changes)
    assert re.search(message, str(caught.value)) and "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir() if path.name != "params.yaml"] in ([], ["data"])
    assert not list(tmp_path.glob("data/*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, *(pytest.param(each, marks=pytest.mark.proof) for each in (signal.SIGINT, signal.SIGTERM))],
)
def test_a_killed_prepare_leaves_no_output_and_no_process(tmp_path: Path, number: signal.Signals):
    data = encoded(picture(0, (1500, 1500)))
    tree({f"{index}.png": data for index in range(400)}, tmp_path / "many")
    write_params(tmp_path, dataset="folder", path="many")
    program = (
        f"import runpy, sys; sys.path.insert(0, {str(ROOT)!r}); runpy.run_module('stages.prepare', run_name='__main__')"
    )
    command = [sys.executable, "-c", program, "--out", "data/prepared", "--metrics", "metrics/prepare.json"]
    command += ["--downloads", "data/raw"]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stderr=subprocess.DEVNULL)
    while not list((tmp_path / "data").glob("prepared.*.partial/train_images.npy")):
        time.sleep(0.05)
        assert process.poll() is None
    time.sleep(0.5)
    process.send_signal(number)
    assert process.wait(30) != 0
    assert not (tmp_path / "data/prepared").exists() and not (tmp_path / "metrics").exists()
    deadline = time.monotonic() + 20
    while group_is_alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not group_is_alive(process.pid)


def group_is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.long
def test_dvc_notices_a_change_in_the_users_folder(tmp_path: Path, repository: Path):
    root = tree({f"{seed}.png": encoded(picture(seed)) for seed in range(12)}, tmp_path / "my pets")
    folder = tmp_path / "clone"
    run(["git", "clone", "-q", str(repository), str(folder)], tmp_path)
    settings = {"data.dataset": "folder", "data.path": str(root)}
    params = folder / "params.yaml"
    params.write_text(edit_params(params.read_text(encoding="utf-8"), settings), encoding="utf-8")
    run(["dvc", "repro", "prepare"], folder)
    assert "up to date" in run(["dvc", "repro", "prepare"], folder).stdout
    tree({"new.png": encoded(picture(99))}, root)
    run(["dvc", "repro", "prepare"], folder)
    assert read_json(folder / "metrics/prepare.json")["read"] == 13
