"""Checkpoints: a training that was killed anywhere goes on as if it had not been, bit for bit."""

import hashlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from filelock import FileLock, Timeout

from ganlib.core.errors import UserError
from ganlib.core.files import whole_file

KEPT = 2
"""Checkpoints kept, so that a damaged one costs only the steps since the one before."""


def checkpoint_key(*inputs: object) -> str:
    """Return a name that changes with the inputs, the library's code as loaded, and PyTorch's version.

    A checkpoint may only be resumed by a run that would have made the same one.
    """
    digest = hashlib.sha256(repr((torch.__version__, *inputs)).encode())
    for name in sorted(sys.modules):
        file = getattr(sys.modules[name], "__file__", None)
        if name.split(".")[0] == "ganlib" and file:
            digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def checkpoint_folder(folder: Path) -> Iterator[Path]:
    """Hold a folder for one process, and remove it when the block ends well; raise UserError when another holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another training holds {folder}: wait for it, or stop it") from None
    with lock:
        yield folder
    shutil.rmtree(folder)


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write a checkpoint whole or not at all, then drop the oldest beyond two."""
    with whole_file(folder / f"step-{step:09d}.pt") as partial:
        torch.save(state, partial)
    for old in _checkpoints(folder)[:-KEPT]:
        old.unlink()


def load_latest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Return the state of the newest checkpoint, or None when there is none; raise UserError when it is damaged."""
    paths = _checkpoints(folder)
    if not paths:
        return None
    try:
        return torch.load(paths[-1], map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{paths[-1]} is damaged ({reason}): delete it to go on from the checkpoint before it"
        ) from None


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*.pt") if ".partial" not in path.name)
