"""Mend what a kill inside DVC leaves behind, so that the next command runs.

DVC writes dvc.lock, and its list of running commands, in place. Cut off there, every later command of DVC fails,
although what was computed lies in its cache.
"""

import json
import subprocess
import sys
from pathlib import Path

import typer
from ruamel.yaml import YAML, YAMLError
from voluptuous import Invalid

from ganlib.core.console import run
from ganlib.core.errors import UserError

LOCKS, RUNNING = (Path("dvc.lock"), Path("domains/dvc.lock")), Path(".dvc/tmp/rwlock")


def main() -> None:
    """Restore lock files that were cut off, remove DVC's list of running commands likewise, tell of a branch left."""
    for lock in LOCKS:
        if lock.is_file() and not is_lock(lock.read_bytes()):
            if git("restore", "--", str(lock)) is None:
                raise UserError(
                    f"{lock} was cut off by a kill, and git has none: delete it; the cache has what was computed"
                )
            say(f"mended: {lock} was cut off by a kill: the committed one is back, and the cache has what was computed")
    if RUNNING.is_file() and not is_running(RUNNING.read_bytes()):
        RUNNING.unlink()
        say(f"mended: {RUNNING} was cut off by a kill, and is removed")
    if branch := branch_left():
        say(
            "an experiment was ended before it could put things back: HEAD is detached, params.yaml has its params. "
            f"Back to {branch}: git restore --staged --worktree . && git switch {branch} && dvc checkout"
        )


def is_lock(content: bytes) -> bool:
    """Return whether DVC would read this dvc.lock."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA  # slow to load

    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe", pure=True).load(content))
    except (YAMLError, Invalid, UnicodeDecodeError, ValueError):
        return False
    return True


def is_running(content: bytes) -> bool:
    """Return whether DVC would read this list of running commands."""
    from dvc.rwlock import SCHEMA  # slow to load

    try:
        SCHEMA(json.loads(content))
    except (Invalid, ValueError):
        return False
    return True


def branch_left() -> str | None:
    """Return the branch that an experiment left and did not come back to, if there is one."""
    if git("symbolic-ref", "--quiet", "HEAD") is not None or not git("for-each-ref", "refs/exps/exec"):
        return None
    return git("rev-parse", "--abbrev-ref", "@{-1}") or None


def git(*arguments: str) -> str | None:
    """Return what git prints, or None where it fails or is missing."""
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        return None
    return None if result.returncode else result.stdout.strip()


def say(message: str) -> None:
    print(message, file=sys.stderr)


if __name__ == "__main__":
    run(lambda: typer.run(main))
