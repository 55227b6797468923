"""The pipeline as a user runs it: DVC, in a repository of its own, with real processes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ganlib.core.files import read_json
from tests.conftest import edit_params, run

pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_a_second_run_has_nothing_to_do(reproduced: Path):
    assert "up to date" in run(["dvc", "repro"], reproduced).stdout


def test_a_clone_without_data_knows_that_its_lock_is_current(reproduced: Path, tmp_path: Path):
    run(["git", "clone", "-q", str(reproduced), str(tmp_path / "clone")], tmp_path)
    assert "up to date" in run(["dvc", "repro", "--dry", "--allow-missing"], tmp_path / "clone").stdout


@pytest.mark.proof
def test_two_clones_agree_byte_for_byte(reproduced: Path, tmp_path: Path):
    run(["git", "clone", "-q", str(reproduced), str(tmp_path / "twin")], tmp_path)
    run(["dvc", "repro"], tmp_path / "twin")
    assert run(["git", "status", "--porcelain"], tmp_path / "twin").stdout == ""


@pytest.mark.proof
@pytest.mark.parametrize("game", ["semi"])
def test_two_clones_agree_on_every_game(reproduced: Path, tmp_path: Path, game: str):
    locks = []
    for name in ("one", "two"):
        folder = tmp_path / name
        run(["git", "clone", "-q", str(reproduced), str(folder)], tmp_path)
        (folder / "params.yaml").write_text(edit_params((folder / "params.yaml").read_text(), {"game": game}))
        run(["dvc", "repro"], folder)
        locks.append((folder / "dvc.lock").read_text())
    assert locks[0] == locks[1] != (reproduced / "dvc.lock").read_text()


def test_an_experiment_trains_again_but_prepares_and_judges_not(reproduced: Path):
    result = run(["dvc", "exp", "run", "-n", "slow", "-S", "lr=1e-5"], reproduced)
    for stage in ("prepare", "judge", "reference"):
        assert f"Stage '{stage}' didn't change, skipping" in result.stdout
    for stage in ("train", "sample", "evaluate", "report"):
        assert f"Running stage '{stage}'" in result.stdout
    assert "domain_fid" in run(["dvc", "metrics", "diff"], reproduced).stdout
    assert "lr" in run(["dvc", "params", "diff"], reproduced).stdout
    assert "slow" in run(["dvc", "exp", "show", "--csv"], reproduced).stdout
    assert "Comparison: " in run([sys.executable, "-m", "stages.report", "compare", "HEAD", "slow"], reproduced).stdout
    assert "<th>lr</th>" in (reproduced / "report/compare.html").read_text()
    run([sys.executable, "-m", "stages.report", "plots", "HEAD", "workspace"], reproduced)
    page = (reproduced / "dvc_plots/index.html").read_text()
    pictures = ("grid.png", "real.png", "complete.png", "interpolation.png")
    assert all(name in page for name in ("d_loss", "d_real", "generated", "judged", *pictures))
    assert "<script src" not in page
    run(["git", "restore", "-q", "-SW", "."], reproduced)
    back = run(["dvc", "repro"], reproduced).stdout
    assert "Running stage 'train'" not in back


def test_editing_a_metric_that_training_is_not_watched_with_does_not_train_again(reproduced: Path):
    metric = reproduced / "ganlib/evaluation/repetition.py"
    text = metric.read_text()
    assert "NEAR = 0.1" in text
    metric.write_text(text.replace("NEAR = 0.1", "NEAR = 0.2"))
    planned = run(["dvc", "repro", "--dry"], reproduced).stdout
    metric.write_text(text)
    assert "Running stage 'evaluate'" in planned and "Running stage 'train'" not in planned


@pytest.mark.parametrize(("key", "value"), [("lr", "-1"), ("lr", "fast"), ("model.width", "[")])
def test_a_typo_stops_dvc_without_a_traceback(reproduced: Path, key: str, value: str):
    params = reproduced / "params.yaml"
    text = params.read_text()
    params.write_text(edit_params(text, {key: value}))
    result = run(["dvc", "repro"], reproduced, check=False)
    params.write_text(text)
    assert result.returncode != 0
    assert "Traceback" not in result.stdout + result.stderr


def test_a_killed_training_leaves_nothing_half_written(reproduced: Path, tmp_path: Path):
    shutil.copytree(reproduced, tmp_path / "killed", ignore=shutil.ignore_patterns(".dvc/cache"))
    folder = tmp_path / "killed"
    params = folder / "params.yaml"
    params.write_text(edit_params(params.read_text(), {"steps": "100000"}))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        ["dvc", "repro", "train"],
        cwd=folder,
        env=os.environ | {"PATH": path},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # as in a terminal, wherever tests run
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        if "stages.train" in line:
            break
    time.sleep(6)  # into the loop
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not (folder / "data/training").exists()
    assert not list(folder.rglob("*.partial*"))


def test_metrics_are_those_that_others_rely_on(reproduced: Path):
    metrics = read_json(reproduced / "metrics/evaluate.json")
    assert {"diversity_score", "classes_covered", "domain_fid"} <= set(metrics)
    assert {"train_images", "heldout_images"} <= set(read_json(reproduced / "metrics/prepare.json"))
