"""A training that is killed and started again ends as if it had not been: real processes, real kills."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML
from safetensors.torch import load_file

from ganlib.core.errors import UserError
from ganlib.core.files import read_json, sha256_of, write_json
from ganlib.core.params import load_params
from ganlib.networks.families import load_generator
from ganlib.report.page import flat
from ganlib.training.checkpoint import (
    checkpoint_folder,
    checkpoints_in,
    keep_last,
    load_checkpoint,
    load_checkpoints,
    save_checkpoint,
)
from ganlib.training.game import game_of
from ganlib.training.inputs import load_inputs
from stages import checkpoints
from stages.train import DEPENDS_ON, own_params
from tests.conftest import ROOT, SMALL, edit_params
from tests.test_stages import declared_params

pytestmark = [pytest.mark.slow, pytest.mark.long]

TRAIN = [sys.executable, "-m", "stages.train", "data/prepared", "data/judge", "--checkpoints", "checkpoints", "--out"]
UNLABELLED = {"loss.real_label_low": "1", "loss.real_label_high": "1"}
VARIANTS = [
    {},
    {"game": "semi"},
]
MORE_VARIANTS = [
    {"model.conditional": "auxiliary", "model.architecture": "resnet", "loss.auxiliary": "0.5"},
    {"loss.name": "minimax", "train.instance_noise": "0.1", "loss.label_flip": "0.1", "train.d_steps": "2"},
    {"loss.name": "least_squares", "model.architecture": "mlp", "loss.real_label_high": "1"},
    {"loss.name": "hinge", "model.spectral_norm": "true"} | UNLABELLED,
    {"loss.name": "wasserstein", "loss.gradient_penalty": "10", "model.d_norm": "none"} | UNLABELLED,
    {"train.precision": "fp32", "loss.r1": "0"},
    {"model.conditional": "projection", "model.architecture": "mlp"},
    {"model.conditional": "concat"},
    {"game": "semi", "games.semi.feature_matching": "true", "train.d_steps": "2", "train.g_steps": "2"},
    {"game": "aae"},
    {"game": "infogan"},
    {"game": "bigan"},
    {"game": "vision_aided"},
]


def start(folder: Path, out: str, checkpoints: str = "checkpoints") -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GAN_CHECKPOINTS": checkpoints}
    return subprocess.Popen([*TRAIN, out], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def finish(folder: Path, out: str, checkpoints: str = "checkpoints") -> str:
    """Train to the end; return what was said."""
    process = start(folder, out, checkpoints)
    said = process.communicate()[1]
    assert process.returncode == 0, said
    return said


def change(folder: Path, **changes: str) -> None:
    """Change params, their keys given as train__start."""
    params = folder / "params.yaml"
    by_key = {key.replace("__", "."): value for key, value in changes.items()}
    params.write_text(edit_params(params.read_text(), by_key))


def wait_for_checkpoint(folder: Path, process: "subprocess.Popen[str]", step: int) -> None:
    wanted = f"step-{step:09d}.pt"
    while not any(checkpoints_in(key)[-1:] >= [key / wanted] for key in folder.glob("checkpoints/*")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


def hashes(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file below a folder."""
    return {str(path.relative_to(folder)): sha256_of(path) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare the digits at 8 pixels and their judge, and train once without a break."""
    tmp_path = tmp_path_factory.mktemp("template")
    changes = SMALL | {"data.image_size": "8", "steps": "120", "train.checkpoint_every": "7", "train.log_every": "5"}
    changes |= {"train.evaluate_every": "10"}
    (tmp_path / "params.yaml").write_text(edit_params((ROOT / "params.yaml").read_text(), changes))
    prepare = [sys.executable, "-m", "stages.prepare", "--out", "data/prepared", "--metrics", "metrics.json"]
    prepare += ["--downloads", "data/raw"]
    judge = [sys.executable, "-m", "stages.judge", "data/prepared", "--out", "data/judge"]
    for command in (prepare, judge):
        subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    finish(tmp_path, "whole", "others")
    return tmp_path


@pytest.fixture
def prepared(template: Path, tmp_path: Path) -> Path:
    """Take a copy of it, without its checkpoints."""
    return shutil.copytree(template, tmp_path / "copy", ignore=shutil.ignore_patterns("others"))


@pytest.mark.parametrize(
    "changes",
    [*VARIANTS, *(pytest.param(changes, marks=pytest.mark.proof) for changes in MORE_VARIANTS)],
    ids=lambda changes: "-".join(changes.values()) or "default",
)
def test_resume_equals_uninterrupted_run(prepared: Path, changes: dict[str, str]):
    params = prepared / "params.yaml"
    params.write_text(edit_params(params.read_text(), changes))
    if changes:
        shutil.rmtree(prepared / "whole")
        finish(prepared, "whole", "others")
    for step in (14, 70):  # killed twice
        process = start(prepared, "resumed")
        wait_for_checkpoint(prepared, process, step)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (prepared / "resumed").exists()
    assert "resumed at step" in finish(prepared, "resumed")
    whole = hashes(prepared / "whole")
    assert {"best/generator.safetensors", "final/generator_ema.json", "history.csv", "progress.npz"} <= set(whole)
    assert whole == hashes(prepared / "resumed")
    assert [path.name for path in prepared.glob("checkpoints/*/step-*.pt")] == ["step-000000120.pt"]


def test_a_judge_that_is_trusted_otherwise_is_another_training(prepared: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(prepared)

    def digests() -> list[Any]:
        params = load_params()
        inputs = load_inputs(Path("data/prepared"), Path("data/judge"), game_of(params), params, torch.device("cpu"))
        return inputs.digests

    eyes, before = Path("data/judge/eyes.json"), digests()
    assert digests() == before
    write_json(eyes, read_json(eyes) | {"names_classes": not read_json(eyes)["names_classes"]})
    assert digests() != before


def test_trainings_of_both_pipelines_are_listed_and_only_those_of_one_published(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(prepared)
    finish(prepared, "again")
    (key,) = (path.parent for path in prepared.glob("checkpoints/*/run.json"))
    two = shutil.copytree(key, key.with_name("two"))
    domains = YAML(typ="safe", pure=True).load((ROOT / "domains/params.yaml").read_text())
    write_json(two / "run.json", read_json(two / "run.json") | {"params": domains})
    checkpoints.show()
    said = capsys.readouterr().out
    assert "gan dcgan digits 8 px, lr 0.0004" in said and "pix2pix edges digits 32 px, lr 0.0004" in said
    with pytest.raises(UserError, match="two is of two domains: only a training"):
        checkpoints.publish("two", Path("model"))
    checkpoints.publish(key.name, Path("model"))
    assert load_generator("model").sample(1)


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


@pytest.mark.proof
def test_another_checkpoint_every_goes_on_from_the_same_checkpoint_and_ends_with_the_same_bytes(prepared: Path):
    kill_and_change(prepared, "resumed", {"train.checkpoint_every": "50"})
    assert "resumed at step" in finish(prepared, "resumed")
    assert hashes(prepared / "whole") == hashes(prepared / "resumed")


def test_two_checkpoints_are_kept_and_longer_trainings_lose_none(tmp_path: Path):
    for step in (8, 1, 2, 3):
        save_checkpoint(tmp_path, step, {"step": step})
    assert [path.name for path in checkpoints_in(tmp_path)] == [f"step-00000000{step}.pt" for step in (2, 3, 8)]
    assert [state["step"] for state in load_checkpoints(tmp_path, 5, pytest.fail)] == [3, 2]
    keep_last(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000008.pt", "step-000000008.sha256"]


@pytest.mark.parametrize("bit", range(0, 2000 * 8, 1999))
def test_one_bit_in_a_checkpoint_is_enough_for_the_one_before_it(tmp_path: Path, bit: int):
    for step in (1, 2):
        save_checkpoint(tmp_path, step, {"step": step, "weights": torch.ones(1000)})
    newest, told = tmp_path / "step-000000002.pt", list[str]()
    content = bytearray(newest.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    newest.write_bytes(content)
    assert [state["step"] for state in load_checkpoints(tmp_path, 9, told.append)] == [1]
    assert len(told) == 1 and "step-000000002.pt is damaged" in told[0]


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_gives_the_same_bytes(prepared: Path):
    process = start(prepared, "out")
    wait_for_checkpoint(prepared, process, 21)
    process.kill()
    process.communicate()
    newest = checkpoints_in(next(prepared.glob("checkpoints/*")))[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    said = finish(prepared, "out")
    assert f"{newest.name} is damaged" in said and "resumed at step" in said
    assert hashes(prepared / "whole") == hashes(prepared / "out")


def test_more_steps_go_on_with_the_bytes_of_one_long_run(prepared: Path):
    change(prepared, train__lr_decay_start="1", steps="64")  # its last step is neither logged nor evaluated
    finish(prepared, "short")
    change(prepared, steps="120")
    assert "resumed at step 64" in finish(prepared, "longer")
    shutil.rmtree(prepared / "whole")
    finish(prepared, "whole", "others")
    assert hashes(prepared / "longer") == hashes(prepared / "whole")
    assert "continued" not in (prepared / "longer/training.json").read_text()


@pytest.mark.proof
def test_a_schedule_that_differs_is_told_and_starts_anew_unless_asked(prepared: Path):
    change(prepared, steps="64")
    finish(prepared, "short")
    change(prepared, steps="120", train__extend="exact")
    said = finish(prepared, "exact")
    assert "step 64 is kept, but step 34 of its 64 had another learning rate" in said and "resumed" not in said
    assert "to go on from it set train.extend to always" in said
    shutil.rmtree(prepared / "checkpoints")
    change(prepared, steps="64")
    finish(prepared, "short")
    change(prepared, steps="120", train__extend="always")
    said = finish(prepared, "forced")
    assert "resumed at step 64" in said and "not those of one long run" in said
    assert '"train_continued_at": [\n    64' in (prepared / "forced/training.json").read_text()
    change(prepared, train__extend="exact")  # what was forced is no ground for exactness
    assert "resumed" not in finish(prepared, "again")
    assert hashes(prepared / "again") == hashes(prepared / "exact") != hashes(prepared / "forced")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.proof)])
def test_ctrl_c_keeps_the_step_and_the_same_command_goes_on_from_it(prepared: Path, number: signal.Signals):
    change(prepared, train__checkpoint_every="60")
    process = start(prepared, "out")
    while not any("\n5," in file.read_text() for file in prepared.glob("checkpoints/*/live/history.csv")):
        time.sleep(0.01)
    process.send_signal(number)
    said = process.communicate()[1]
    (kept,) = prepared.glob("checkpoints/*/step-*.pt")
    step = int(kept.stem.removeprefix("step-"))
    assert process.returncode == 130 and said.count("stopped") == 1 and "Traceback" not in said
    assert f"stopped: step {step} is kept in {kept.parent.relative_to(prepared)}; the same command goes on" in said
    assert f"resumed at step {step}" in finish(prepared, "out")
    assert hashes(prepared / "whole") == hashes(prepared / "out")


@pytest.mark.proof
def test_a_kill_after_the_last_step_costs_no_training(prepared: Path):
    process = start(prepared, "out")
    wait_for_checkpoint(prepared, process, 120)
    process.kill()
    process.communicate()
    assert "resumed at step 120" in finish(prepared, "out")
    assert hashes(prepared / "whole") == hashes(prepared / "out")


def test_training_starts_from_a_published_model(prepared: Path):
    finish(prepared, "first")
    publish = [sys.executable, "-m", "stages.publish", "first", "--out", "model"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(publish, cwd=prepared, env=environment, check=True)
    discriminator = prepared / "model/discriminator.json"
    assert '"classes": 10' in discriminator.read_text()
    discriminator.write_text(discriminator.read_text().replace('"classes": 10', '"classes": 12'))  # of other images
    change(prepared, train__start="model", lr="1e-30", steps="2", train__evaluate_every="1")
    finish(prepared, "second")
    weights = [load_file(prepared / name / "generator.safetensors") for name in ("model", "second/final")]
    kept = {name for name in weights[0] if not name.endswith(("num_batches_tracked", "running_mean", "running_var"))}
    assert kept and all(torch.equal(weights[0][name], weights[1][name]) for name in kept)
    change(prepared, model__width="16")
    process = start(prepared, "third")
    said = process.communicate()[1]
    assert process.returncode == 1
    assert said == "error: train.start = model: its generator has width = 8, and these params 16\n"


def test_a_stopped_training_is_listed_published_and_removed(prepared: Path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def checkpoints(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "stages.checkpoints", *words]
        return subprocess.run(command, cwd=prepared, env=environment, capture_output=True, text=True)

    process = start(prepared, "out")
    wait_for_checkpoint(prepared, process, 21)
    process.kill()
    process.communicate()
    (key,) = (path.name for path in prepared.glob("checkpoints/*"))
    (prepared / "checkpoints").rename(prepared / "elsewhere")
    assert checkpoints("list").stdout == ""
    environment["GAN_CHECKPOINTS"] = "elsewhere"  # the folder that training takes
    assert key in checkpoints("list").stdout
    del environment["GAN_CHECKPOINTS"]
    (prepared / "elsewhere").rename(prepared / "checkpoints")
    listed = checkpoints("list").stdout
    assert key in listed and "gan dcgan digits 8 px" in listed and listed.count("\n") == 1
    published = checkpoints("publish", key, "--out", "stopped", "--no-best", "--no-ema")
    newest = load_checkpoint(checkpoints_in(prepared / "checkpoints" / key)[-1])
    weights = load_file(prepared / "stopped/generator.safetensors")
    assert newest and all(
        torch.equal(value, weights[name]) for name, value in newest["players"]["networks"]["generator"].items()
    )
    assert published.returncode == 0 and load_generator(prepared / "stopped").latent_dim == 32
    assert checkpoints("publish", key, "--out", "stopped").stderr.startswith(
        "error: stopped is there: name a new folder"
    )
    assert checkpoints("remove").returncode == checkpoints("remove", "nothing").returncode == 1
    assert checkpoints("remove", "--older", "1").stdout == ""
    assert "removed" in checkpoints("remove", key).stdout and not list(prepared.glob("checkpoints/*"))


def test_a_failed_training_keeps_its_checkpoints(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), checkpoint_folder(tmp_path / "key") as folder:
        save_checkpoint(folder, 1, {})
        raise KeyboardInterrupt
    assert list(tmp_path.glob("key/step-*.pt"))


def test_a_checkpoint_is_bound_to_what_dvc_binds_the_stage_to(params_file: Path):
    params = load_params()
    assert set(flat(params.model_dump(include=DEPENDS_ON | own_params(params)))) == declared_params("train") - {
        "steps",
        "train.extend",
        "train.start",
    }
