"""A training that is killed and started again ends as if it had not been: real processes, real kills."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ganlib.core.errors import UserError
from ganlib.core.files import sha256_of
from ganlib.core.params import load_params
from ganlib.report.page import flat
from ganlib.training.checkpoint import checkpoint_folder, load_latest_checkpoint, save_checkpoint
from stages.train import DEPENDS_ON, own_params
from tests.conftest import ROOT, SMALL, edit_params
from tests.test_stages import declared_params

TRAIN = [sys.executable, "-m", "stages.train", "data/prepared", "data/judge", "--checkpoints", "checkpoints", "--out"]
UNLABELLED = {"loss.real_label_low": "1", "loss.real_label_high": "1"}
VARIANTS = [
    {},
    {"loss.name": "minimax", "train.instance_noise": "0.1", "loss.label_flip": "0.1"},
    {"loss.name": "least_squares", "model.architecture": "mlp", "loss.real_label_high": "1"},
    {"loss.name": "hinge", "model.spectral_norm": "true"} | UNLABELLED,
    {"loss.name": "wasserstein", "loss.gradient_penalty": "10", "model.d_norm": "none"} | UNLABELLED,
    {"train.precision": "fp32", "loss.r1": "0", "train.d_steps": "2"},
    {"model.conditional": "concat"},
    {"model.conditional": "projection", "model.architecture": "mlp"},
    {"model.conditional": "auxiliary", "model.architecture": "resnet", "loss.auxiliary": "0.5"},
]


def start(folder: Path, out: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*TRAIN, out], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def finish(folder: Path, out: str) -> str:
    """Train to the end; return what was said."""
    process = start(folder, out)
    said = process.communicate()[1]
    assert process.returncode == 0, said
    return said


def wait_for_checkpoint(folder: Path, process: "subprocess.Popen[str]", step: int) -> None:
    while not any(path.name >= f"step-{step:09d}" for path in folder.glob("checkpoints/*/step-*.pt")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


def hashes(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file below a folder."""
    return {str(path.relative_to(folder)): sha256_of(path) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Prepare the digits at 8 pixels, and their judge."""
    changes = SMALL | {"data.image_size": "8", "steps": "120", "train.checkpoint_every": "7", "train.log_every": "5"}
    changes |= {"train.evaluate_every": "10"}
    (tmp_path / "params.yaml").write_text(edit_params((ROOT / "params.yaml").read_text(), changes))
    prepare = [sys.executable, "-m", "stages.prepare", "--out", "data/prepared", "--metrics", "metrics.json"]
    prepare += ["--downloads", "data/raw"]
    judge = [sys.executable, "-m", "stages.judge", "data/prepared", "--out", "data/judge"]
    for command in (prepare, judge):
        subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    return tmp_path


@pytest.mark.parametrize("changes", VARIANTS, ids=lambda changes: "-".join(changes.values()) or "default")
def test_resume_equals_uninterrupted_run(prepared: Path, changes: dict[str, str]):
    params = prepared / "params.yaml"
    params.write_text(edit_params(params.read_text(), changes))
    finish(prepared, "whole")
    for step in (14, 70):  # killed twice
        process = start(prepared, "resumed")
        wait_for_checkpoint(prepared, process, step)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (prepared / "resumed").exists()
    assert "resumed at step" in finish(prepared, "resumed")
    whole = hashes(prepared / "whole")
    assert {"best/generator.safetensors", "final/discriminator.safetensors", "history.csv", "progress.npy"} <= set(
        whole
    )
    assert whole == hashes(prepared / "resumed")
    assert not list(prepared.glob("checkpoints/*"))


def test_a_second_training_on_the_same_checkpoints_is_refused(prepared: Path):
    (prepared / "params.yaml").write_text(edit_params((prepared / "params.yaml").read_text(), {"steps": "100000"}))
    first = start(prepared, "first")
    wait_for_checkpoint(prepared, first, 7)
    second = start(prepared, "second")
    said = second.communicate()[1]
    first.kill()
    first.communicate()
    assert second.returncode == 1
    assert said.startswith("error: another training holds checkpoints/") and said.count("\n") == 1


def kill_and_change(folder: Path, out: str, changes: dict[str, str]) -> None:
    """Kill a training after its first checkpoint, and change its params."""
    process = start(folder, out)
    wait_for_checkpoint(folder, process, 7)
    process.kill()
    process.communicate()
    params = folder / "params.yaml"
    params.write_text(edit_params(params.read_text(), changes))


def test_other_params_do_not_resume(prepared: Path):
    kill_and_change(prepared, "out", {"train.ema_halflife": "11"})
    assert "resumed" not in finish(prepared, "out")


def test_another_checkpoint_every_goes_on_from_the_same_checkpoint_and_ends_with_the_same_bytes(prepared: Path):
    finish(prepared, "whole")
    kill_and_change(prepared, "resumed", {"train.checkpoint_every": "50"})
    assert "resumed at step" in finish(prepared, "resumed")
    assert hashes(prepared / "whole") == hashes(prepared / "resumed")


def test_two_checkpoints_are_kept_and_a_damaged_one_is_named(tmp_path: Path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, {"step": step, "weights": torch.ones(1000)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000002.pt", "step-000000003.pt"]
    newest = tmp_path / "step-000000003.pt"
    newest.write_bytes(newest.read_bytes()[:500])
    with pytest.raises(UserError, match=r"step-000000003\.pt is damaged.*delete it"):
        load_latest_checkpoint(tmp_path)
    newest.unlink()
    state = load_latest_checkpoint(tmp_path)
    assert state and state["step"] == 2


def test_a_failed_training_keeps_its_checkpoints(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), checkpoint_folder(tmp_path / "key") as folder:
        save_checkpoint(folder, 1, {})
        raise KeyboardInterrupt
    assert list(tmp_path.glob("key/step-*.pt"))


def test_a_checkpoint_is_bound_to_what_dvc_binds_the_stage_to(params_file: Path):
    params = load_params()
    assert set(flat(params.model_dump(include=DEPENDS_ON | own_params(params)))) == declared_params("train")
