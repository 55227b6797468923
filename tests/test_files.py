"""Files and folders that are whole or absent, whoever else writes them and however full the disk is."""

import errno
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ganlib.core.files import whole_file, whole_folder
from tests.conftest import ROOT

WRITER = """
import sys
from pathlib import Path
from ganlib.core.files import whole_file, whole_folder
target, me = Path(sys.argv[1]), sys.argv[2]
for number in range(60):
    with whole_folder(target / "folder") as folder:
        for name in "abcde":
            (folder / name).write_text(f"{me} {number}")
    with whole_file(target / "file.txt") as file:
        file.write_text(f"{me} {number} " * 200)
"""


def test_what_several_processes_write_at_once_is_always_of_one_of_them(tmp_path: Path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, str(me)], env=environment, stderr=subprocess.PIPE)
        for me in range(4)
    ]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        try:
            words = (tmp_path / "file.txt").read_text().split()
            assert len(words) == 400 and len(set(words[::2])) == len(set(words[1::2])) == 1
            held = os.open(tmp_path / "folder", os.O_RDONLY)  # whatever takes its name, this is the one it was
        except FileNotFoundError:
            continue
        try:
            opened = [os.open(name, os.O_RDONLY, dir_fd=held) for name in "abcde"]
            said = {os.read(file, 100) for file in opened}
            for file in opened:
                os.close(file)
            assert len(said) == 1
            seen += 1
        except FileNotFoundError:  # another's has just taken its place
            continue
        finally:
            os.close(held)
    assert [writer.communicate()[1] for writer in writers] == [b""] * 4 and seen > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.txt", "folder"]
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == list("abcde")


def test_what_a_killed_process_has_left_goes_and_what_a_running_one_writes_stays(tmp_path: Path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    dead, alive, mine = child.pid, os.getppid(), os.getpid()
    for owner in (dead, alive, mine):
        (tmp_path / f"a.{owner}.partial.csv").write_text("half")
        (tmp_path / f"out.{owner}.partial").mkdir()
        (tmp_path / f"out.{owner}.partial/half").write_text("half")
    for kept in ("a.b.partial.csv", "ab.1.partial.csv", "out.partial"):
        (tmp_path / kept).write_text("somebody's own")
    with whole_file(tmp_path / "a.csv") as file:
        file.write_text("whole")
    with whole_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("whole")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"a.csv", f"a.{alive}.partial.csv", "out", f"out.{alive}.partial"} | {
        "a.b.partial.csv",
        "ab.1.partial.csv",
        "out.partial",
    }


@pytest.mark.parametrize("kind", ["folder", "file", "link to a folder", "link to nothing"])
def test_whatever_lay_in_its_place_a_folder_takes_it(tmp_path: Path, kind: str):
    target, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    if kind == "folder":
        (target / "deep/er").mkdir(parents=True)
    elif kind == "file":
        target.write_text("old")
    else:
        if kind == "link to a folder":
            elsewhere.mkdir()
            (elsewhere / "kept").write_text("kept")
        target.symlink_to(elsewhere)
    with whole_folder(target) as folder:
        (folder / "a").write_text("new")
    assert [path.name for path in target.iterdir()] == ["a"] and not target.is_symlink()
    assert kind != "link to a folder" or (elsewhere / "kept").read_text() == "kept"
    assert not list(tmp_path.glob("*.partial*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a disk of its own takes root on Linux")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("kind", ["text", "numpy", "torch", "safetensors", "deep in a folder"])
def test_a_full_disk_names_the_file_whatever_library_wrote_to_it(small_disk: Path, kind: str):
    target, large = small_disk / "out.bin", torch.zeros(2**19)
    (small_disk / "old").mkdir()
    with pytest.raises(OSError) as caught:
        if kind == "deep in a folder":
            target = small_disk / "old"
            with whole_folder(target) as folder:
                (folder / "sub").mkdir()
                np.save(folder / "sub/a.npy", large.numpy())
        else:
            with whole_file(target) as file:
                if kind == "text":
                    file.write_text("x" * 2**22)
                elif kind == "numpy":
                    with file.open("wb") as opened:
                        np.save(opened, large.numpy())
                elif kind == "torch":
                    torch.save(large, file)
                else:
                    save_file({"a": large}, file)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(target))
    del caught  # it holds the writer, and that the file
    gc.collect()
    assert [path.name for path in small_disk.iterdir()] == ["old"]
    with whole_file(small_disk / "small.txt") as file:
        file.write_text("fits")
