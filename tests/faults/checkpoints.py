"""Checkpoints that are damaged: none is used, the one before it is, and the training ends in the same bytes."""

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ganlib.training.checkpoint import checkpoints_in, load_checkpoints
from tests.faults.pipeline import before, command_of, environment, hashes, set_seed, whole_run
from tests.faults.rounds import Outcome, Round

THROUGH_THE_STAGE = 50
"""Rounds of which one trains on from what is left; the others only load."""
KINDS = ("bit", "bit", "bit", "cut", "zeros", "swapped", "empty", "checksum", "no checksum", "other step", "longer")


def rounds(seed: int, count: int) -> Iterator[Round]:
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        kind, trains = chance.choice(KINDS), number % THROUGH_THE_STAGE == THROUGH_THE_STAGE - 1
        case = f"{kind}: {'trained on' if trains else 'loaded'}, {seed}/{number}"
        yield Round(case, partial(attempt, kind, f"{seed}/{number}", trains))


def attempt(kind: str, drawn: str, trains: bool, folder: Path) -> Outcome:
    begin, chance = time.process_time(), random.Random(drawn)
    stopped, wanted = stopped_run(folder)
    here = folder / "damaged"
    shutil.rmtree(here, ignore_errors=True)
    shutil.copytree(stopped if trains else stopped / "checkpoints", here, symlinks=True)
    (key,) = (path.parent for path in here.rglob("run.json"))
    earlier, latest = checkpoints_in(key)
    damage(kind, latest, earlier, chance)
    told: list[str] = []
    if trains:
        done = subprocess.run(command_of(here, "train"), cwd=here, env=environment(), capture_output=True, text=True)
        told.append(done.stderr[-400:])
        named = f"{latest.name} is damaged" in done.stderr.replace("\n", " ")
        same = done.returncode == 0 and hashes(here, sorted(wanted)) == wanted
        outcome = "identical" if same and named else "differs"
    else:
        state = next(load_checkpoints(key, 10**9, told.append), None)
        whole = torch.load(earlier, map_location="cpu", weights_only=True)
        outcome = "refused" if state and len(told) == 1 and alike(state, whole) else "used"
    return Outcome(outcome, round(time.process_time() - begin, 2), 0, " | ".join(told)[:500])


def stopped_run(folder: Path) -> tuple[Path, dict[str, str]]:
    """Return a training that was killed with two checkpoints left, and the hashes that it must come to."""
    whole, stopped = whole_run(folder), folder / "stopped"
    if not stopped.exists():
        building = folder / "stopping"
        before(whole, building, "train")
        set_seed(building, "2")
        process = subprocess.Popen(
            command_of(building, "train"), cwd=building, env=environment(), stderr=subprocess.DEVNULL
        )
        while len(list(building.glob("checkpoints/*/step-*.sha256"))) < 2:
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
        process.wait()
        for left in building.glob("checkpoints/*/*.partial*"):
            left.unlink()
        building.rename(stopped)
    pipeline_outs = [str(path.relative_to(whole)) for path in (whole / "data/training").rglob("*") if path.is_file()]
    return stopped, hashes(whole, pipeline_outs)


def damage(kind: str, path: Path, earlier: Path, chance: random.Random) -> None:
    """Break a checkpoint in one way, or what says that it is whole."""
    checksum, content = path.with_suffix(".sha256"), bytearray(path.read_bytes())
    place = chance.randrange(len(content))
    if kind == "bit":
        content[place] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del content[place:]
    elif kind == "zeros":
        content[place : place + 4096] = bytes(len(content[place : place + 4096]))
    elif kind == "swapped":
        content[place], content[-place - 1] = content[-place - 1], content[place] ^ 1
    elif kind == "empty":
        content.clear()
    elif kind == "other step":
        content = bytearray(earlier.read_bytes())
    elif kind == "longer":
        content += chance.randbytes(16)
    elif kind == "checksum":
        checksum.write_text("0" * 64 + "\n")
    else:
        checksum.unlink()
    path.write_bytes(content)


def alike(one: Any, other: Any) -> bool:
    """Tell whether two states are equal, down to the bits of their tensors."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(alike, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other or one != one
