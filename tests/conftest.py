"""What several tests share: a small params file, and one run of every stage with it."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tests run side by side, and idle threads spin

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from threadpoolctl import threadpool_limits

from ganlib.core.files import read_json

ROOT = Path(__file__).resolve().parents[1]
SMALL = {
    "threads": "1",  # two spin while another program holds a core
    "batch_size": "16",
    "steps": "6",
    "sample.count": "400",
    "evaluate.judge_epochs": "3",
    "evaluate.min_judge_accuracy": "0.5",
    "model.width": "8",
    "train.log_every": "2",
    "train.checkpoint_every": "2",
    "explore.rows": "3",
    "explore.columns": "4",
    "explore.pool": "50",
    "explore.average": "1",
    "explore.frames": "2",
    "complete.images": "6",
    "complete.candidates": "20",
    "complete.starts": "2",
    "complete.steps": "3",
    "train.evaluate_every": "4",
    "train.evaluate_count": "200",
}


@pytest.fixture(autouse=True)
def alone() -> None:
    """Begin every test alike, whatever ran before it: with one seed, and one thread, since idle ones spin."""
    torch.manual_seed(0)
    if torch.get_num_threads() > 1:  # a stage in this process has set it, and BLAS's
        threadpool_limits(1)
        torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: processes that share the tests then end together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def edit_params(text: str, changes: dict[str, str]) -> str:
    """Replace values in the text of a params file, keys given as `train.log_every`; comments stay."""
    lines, sections = text.splitlines(), [""]
    left = dict(changes)
    for index, line in enumerate(lines):
        if not line or line.startswith("#"):
            continue
        key = line.strip().partition(":")[0]
        depth = (len(line) - len(line.lstrip())) // 2
        name = ".".join([*sections[1 : depth + 1], key])
        sections = [*sections[: depth + 1], key]
        if name in left:
            lines[index] = f"{line[: line.index(':')]}: {left.pop(name)}"
    assert not left, f"not in params.yaml: {left}"
    return "\n".join(lines) + "\n"


def small_params() -> str:
    return edit_params((ROOT / "params.yaml").read_text(encoding="utf-8"), SMALL)


@pytest.fixture
def params_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the small params into an empty folder and work there."""
    path = tmp_path / "params.yaml"
    path.write_text(small_params(), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commit the working tree's files, with the small params, to a new repository in a folder with a space."""
    folder = tmp_path_factory.mktemp("a clone") / "gan pipeline"
    names = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], ROOT).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(small_params(), encoding="utf-8")
    (folder / "dvc.lock").unlink(missing_ok=True)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "small"]):
        run(["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *command], folder)
    run(["git", "config", "user.name", "t"], folder)
    run(["git", "config", "user.email", "t@example.com"], folder)
    return folder


@pytest.fixture(scope="session")
def reproduced(repository: Path) -> Path:
    """Run the whole pipeline once and commit its results."""
    output = run(["dvc", "repro"], repository).stdout
    assert "Report: report/index.html" in output and "Domain FID: " in output
    status = run(["git", "status", "--porcelain"], repository).stdout.splitlines()
    assert [line for line in status if line.startswith("??")] == ["?? dvc.lock"]
    run(["git", "add", "-A"], repository)
    run(["git", "commit", "-qm", "results"], repository)
    return repository


def figures_of(folder: Path) -> dict[str, Any]:
    """Return all figures of an evaluation, headline and details."""
    headline, details = (read_json(folder / f"metrics/{name}.json") for name in ("evaluate", "details"))
    assert not headline.keys() & details.keys() and len(headline) <= 12
    return headline | details


def run(command: list[str], folder: Path, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run a command in a folder as a user would, with this interpreter's programs first on the path."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result
