"""The pipeline with small params, stopped before any stage: there commands are killed and disks fill up."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ganlib.core.files import sha256_of
from tests.conftest import ROOT, SMALL, edit_params

STAGES = ("prepare", "judge", "reference", "train", "publish", "sample", "evaluate", "probe")
STAGES = (*STAGES, "explore", "complete", "report")


def whole_run(folder: Path) -> Path:
    """Run the pipeline once with small params and nobody to stop it; each round begins with a copy."""
    whole = folder / "whole"
    if whole.exists():
        return whole
    building = folder / "building"
    names = call(["git", "ls-files", "--cached", "--others", "--exclude-standard"], ROOT).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (building / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, building / name)
    changes = SMALL | {"data.image_size": "8", "steps": "400", "train.checkpoint_every": "20", "seed": "2"}
    params = building / "params.yaml"
    params.write_text(edit_params(params.read_text(), changes))
    (building / "dvc.lock").unlink(missing_ok=True)
    for command in (["init", "-q", "-b", "main"], ["config", "user.name", "t"], ["config", "user.email", "t@t"]):
        call(["git", *command], building)
    call(["git", "add", "-A"], building)
    call(["git", "commit", "-qm", "small"], building)
    call(["dvc", "repro"], building)
    return building.rename(whole)


def before(whole: Path, here: Path, stage: str) -> dict[str, str]:
    """Make the state in which a stage is the first that has not run; return the hashes that it must come to."""
    shutil.copytree(whole, here, symlinks=True)
    yaml = YAML(typ="safe", pure=True)
    lock, pipeline = (yaml.load(here / name) for name in ("dvc.lock", "dvc.yaml"))
    outs = outs_of(pipeline, stage)
    wanted = hashes(here, outs)
    for later in STAGES[STAGES.index(stage) :]:
        lock["stages"].pop(later, None)
    for out in outs:
        shutil.rmtree(here / out) if (here / out).is_dir() else (here / out).unlink()
    shutil.rmtree(here / ".dvc/cache/runs", ignore_errors=True)
    shutil.rmtree(here / "checkpoints", ignore_errors=True)
    shutil.rmtree(here / ".dvc/tmp", ignore_errors=True)
    YAML().dump(lock, here / "dvc.lock")
    params = here / "params.yaml"
    params.write_text(edit_params(params.read_text(), {"seed": "1"}))
    call(["git", "add", "-A"], here)
    call(["git", "commit", "-qm", "before"], here)
    return wanted


def outs_of(pipeline: Any, stage: str) -> list[str]:
    return [next(iter(out)) if isinstance(out, dict) else out for out in pipeline["stages"][stage]["outs"]]


def hashes(folder: Path, names: list[str]) -> dict[str, str]:
    """Return the sha256 of every file of some outputs."""
    files = [
        file
        for name in names
        for file in ([folder / name] if (folder / name).is_file() else (folder / name).rglob("*"))
    ]
    return {str(file.relative_to(folder)): sha256_of(file) for file in files if file.is_file()}


def set_seed(here: Path, seed: str) -> None:
    params = here / "params.yaml"
    params.write_text(edit_params(params.read_text(), {"seed": seed}))


def environment() -> dict[str, str]:
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }


def call(command: list[str], folder: Path, check: bool = True) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done


def command_of(here: Path, stage: str) -> list[str]:
    """Return what dvc.yaml runs for a stage."""
    words = YAML(typ="safe", pure=True).load(here / "dvc.yaml")["stages"][stage]["cmd"].split()
    return [sys.executable, *words[1:]]


def leftovers(here: Path) -> list[str]:
    """Return files and folders that were begun and not ended."""
    return sorted(str(path.relative_to(here)) for path in here.rglob("*.partial*") if ".git" not in path.parts)
