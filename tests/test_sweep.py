"""The search of docs/sweep.py, with two workers at once."""

import math
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from ganlib.core.files import read_json
from ganlib.report.revisions import read_run
from tests.conftest import ROOT, run

pytestmark = [pytest.mark.slow, pytest.mark.long]

PIPELINE = """
stages:
  evaluate:
    cmd: python measure.py
    params: [lr, loss.r1]
    outs: [metrics/evaluate.json: {cache: false}, metrics/details.json: {cache: false}]
"""
MEASURE = """
import json, math, pathlib
from ruamel.yaml import YAML
params = YAML(typ="safe", pure=True).load(pathlib.Path("params.yaml"))
pathlib.Path("metrics").mkdir(exist_ok=True)
distance = {"train_best_domain_fid_to_heldout": abs(math.log(params["lr"] / 4e-4)) + params["loss"]["r1"]}
pathlib.Path("metrics/evaluate.json").write_text(json.dumps(distance))
pathlib.Path("metrics/details.json").write_text("{}")
"""
"""What stands for the pipeline: figures that are known for every choice of params."""


DISTANCE = "train_best_domain_fid_to_heldout"
AS_SOMEONE = ["-c", "user.name=t", "-c", "user.email=t@example.com"]


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """Commit the project's params and a pipeline that takes a moment."""
    folder = tmp_path / "gan"
    folder.mkdir()
    files = {"dvc.yaml": PIPELINE, "measure.py": MEASURE, "params.yaml": (ROOT / "params.yaml").read_text()}
    for name, text in files.items():
        (folder / name).write_text(text)
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["git", "add", "-A"]):
        run(command, folder)
    run(["git", *AS_SOMEONE, "commit", "-qm", "small"], folder)
    return folder


def worker(first: Path, name: str, trials: int) -> "subprocess.Popen[str]":
    """Start the search in a clone of its own, as docs/cluster.md has it."""
    clone = first.parent / name
    run(["git", "clone", "-q", str(first), str(clone)], first)
    run(["dvc", "cache", "dir", "--local", str(first / ".dvc/cache")], clone)
    program = [sys.executable, str(ROOT / "docs/sweep.py"), str(first.parent / "sweep.journal"), str(trials)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = {f"GIT_{who}_{what}": "t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = os.environ | given | {"PYTHONPATH": str(ROOT), "PATH": path}
    return subprocess.Popen(
        program, cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_two_workers_share_a_search_and_all_their_experiments_arrive(first: Path, monkeypatch: pytest.MonkeyPatch):
    workers = [worker(first, name, 2) for name in ("one", "two")]
    said = [process.communicate()[0] for process in workers]
    assert [process.returncode for process in workers] == [0, 0], "\n".join(said)
    backend = optuna.storages.journal.JournalFileBackend(str(first.parent / "sweep.journal"))
    study = optuna.load_study(study_name="gan", storage=optuna.storages.JournalStorage(backend))
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
    monkeypatch.chdir(first)
    for trial in study.trials:  # what Optuna was told is what those params give, in the repository that was cloned
        lr, r1 = (float(f"{trial.params[key]:.3g}") for key in ("lr", "loss.r1"))
        assert trial.value == pytest.approx(abs(math.log(lr / 4e-4)) + r1)
        found = read_run(f"trial-{trial.number}")
        assert found.params["lr"] == lr and found.params["loss.r1"] == r1
        assert found.metrics[DISTANCE] == trial.value


def test_the_distance_that_is_searched_by_is_one_that_the_pipeline_measures():
    assert f'"{DISTANCE}"' in (ROOT / "docs/sweep.py").read_text()
    assert DISTANCE in read_json(ROOT / "metrics/details.json")


@pytest.mark.proof
def test_a_trial_that_fails_is_told_and_the_search_goes_on(first: Path):
    (first / "measure.py").write_text("raise SystemExit(1)")
    run(["git", *AS_SOMEONE, "commit", "-qam", "fails"], first)
    process = worker(first, "one", 2)
    said = process.communicate()[0]
    assert process.returncode == 0 and said.count("failed to reproduce 'evaluate'") == 2, said
