"""Checkpoints: a training that was killed anywhere goes on as if it had not been, bit for bit."""

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from ganlib.core.errors import UserError
from ganlib.core.files import sha256_of, whole_file, write_json
from ganlib.core.schema import Shared

RUN = "run.json"
KEPT = 2
"""Checkpoints kept, so that a damaged one costs only the steps since the one before."""


def checkpoint_key(*inputs: object) -> str:
    """Return a name that changes with the inputs, the library's code as loaded, and PyTorch's version.

    A checkpoint may only be resumed by a run that would have made the same one.
    """
    digest = hashlib.sha256(repr((torch.__version__, *inputs)).encode())
    for name in sorted(sys.modules):
        file = getattr(sys.modules[name], "__file__", None)
        if name.split(".")[0] == "ganlib" and file and not name.startswith("ganlib.report"):  # it only looks on
            digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def checkpoint_folder(folder: Path) -> Iterator[Path]:
    """Hold a folder for one process; raise UserError when another holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another training holds {folder}: wait for it, or stop it") from None
    for left in folder.glob("*.partial.*"):  # by a kill
        left.unlink()
    try:
        yield folder
    finally:
        lock.release()


def describe_run(folder: Path, params: Shared, configs: Mapping[str, Any]) -> None:
    """Write down what the checkpoints of a folder are of, and what rebuilds their networks."""
    write_json(folder / RUN, {"params": params.model_dump(mode="json"), "configs": dict(configs)})


def what_is_kept(folder: Path) -> str:
    """Return in a line how a training that was stopped goes on."""
    kept = checkpoints_in(folder)
    if not kept:
        return "stopped before the first checkpoint: the same command starts again"
    return f"stopped: step {step_of(kept[-1]):,} is kept in {folder}; the same command goes on from there"


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.stem.removeprefix("step-"))


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write a checkpoint whole or not at all, its checksum beside it, then drop those before it beyond two.

    Those of a longer training stay.
    """
    path = folder / f"step-{step:09d}.pt"
    with whole_file(path) as partial:
        torch.save(state, partial)
        _checksum_of(path).write_text(sha256_of(partial) + "\n")
    _drop([earlier for earlier in checkpoints_in(folder) if earlier <= path][:-KEPT])


def keep_last(folder: Path) -> None:
    """Drop all checkpoints but that of the longest training."""
    _drop(checkpoints_in(folder)[:-1])


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, the earliest first."""
    return sorted(path for path in folder.glob("step-*.pt") if ".partial" not in path.name)


def load_checkpoints(folder: Path, last_step: int, warn: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield the states of checkpoints up to a step, the latest first; damaged ones are told, and passed over."""
    for path in reversed(checkpoints_in(folder)):
        if step_of(path) > last_step:
            continue
        state = load_checkpoint(path)
        if state is None:
            warn(f"WARNING: {path} is damaged: the one before it is taken, if there is any")
        else:
            yield state


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Return a checkpoint's state, or None where it is not as it was written."""
    checksum = _checksum_of(path)
    if not checksum.is_file() or checksum.read_bytes().strip() != sha256_of(path).encode():
        return None
    return torch.load(path, map_location="cpu", weights_only=True)


def _checksum_of(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _drop(paths: list[Path]) -> None:
    for path in paths:
        path.unlink()
        _checksum_of(path).unlink(missing_ok=True)
