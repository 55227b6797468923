"""Disks that fill up while a stage writes: one line, nothing half written, and all of it once there is room."""

import os
import random
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.faults.pipeline import (
    STAGES,
    before,
    call,
    command_of,
    environment,
    hashes,
    leftovers,
    set_seed,
    whole_run,
)
from tests.faults.rounds import Outcome, Round

BLOCK = 4096
ROOM = 2**30


def rounds(seed: int, count: int) -> Iterator[Round]:
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        stage, share = STAGES[number % len(STAGES)], round(chance.uniform(0, 0.9), 2)
        yield Round(f"{stage}: room for {share} of it", partial(attempt, stage, share))


def attempt(stage: str, share: float, folder: Path) -> Outcome:
    """Run a stage on a disk with room for a share of what it writes; then make room, and run it again."""
    begin, whole, here = time.monotonic(), whole_run(folder), folder / "disk"
    here.mkdir(exist_ok=True)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", here]).returncode:
        return Outcome("skipped", 0, 0, "a disk of its own takes root")
    try:
        outcome, told = _on(here / "gan", whole, stage, share)
    finally:
        call(["umount", str(here)], folder)
    return Outcome(outcome, round(time.monotonic() - begin, 1), 0, told[:500])


def _on(here: Path, whole: Path, stage: str, share: float) -> tuple[str, str]:
    wanted = before(whole, here, stage)
    set_seed(here, "2")
    needed = sum((whole / name).stat().st_size for name in wanted)
    taken = ROOM - _free(here)
    _resize(here, taken + int(needed * share) // BLOCK * BLOCK)
    command = command_of(here, stage)
    full = subprocess.run(command, cwd=here, env=environment(), capture_output=True, text=True)
    said = full.stderr.strip().splitlines()
    left = [name for name in (*leftovers(here), *wanted) if (here / name).exists()]
    _resize(here, ROOM)
    again = subprocess.run(command, cwd=here, env=environment(), capture_output=True, text=True)
    told = " | ".join(said[-2:])
    if full.returncode and not (said and said[-1].startswith("error: ") and "No space left on device" in said[-1]):
        return "traceback" if "Traceback" in full.stderr else "wordy", told
    if full.returncode and any(name.endswith(".partial") or ".partial." in name for name in left):
        return "half written", " ".join(left)
    if again.returncode:
        return "failed", again.stderr[-300:]
    same = hashes(here, sorted(wanted)) == wanted
    return ("identical" if full.returncode else "fitted") if same else "differs", told


def _free(here: Path) -> int:
    found = os.statvfs(here)
    return found.f_bavail * found.f_frsize


def _resize(here: Path, size: int) -> None:
    call(["mount", "-o", f"remount,size={size}", str(here.parent)], here)
