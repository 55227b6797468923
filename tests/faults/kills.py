"""Kills of DVC's commands: given again, they must make what they make when nobody stops them."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.faults.pipeline import STAGES, before, call, environment, hashes, set_seed, whole_run
from tests.faults.rounds import Outcome, Round

WAYS: dict[str, list[str]] = {
    "repro": ["dvc", "repro"],
    "exp run": ["dvc", "exp", "run", "-S", "seed=2"],
    "temp": ["dvc", "exp", "run", "--temp", "-S", "seed=2"],
    "queue": ["dvc", "queue", "start"],
}
USUAL = [*("repro",) * 4, *("exp run",) * 3, *("temp",) * 2, "queue"]
SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "INT": signal.SIGINT}
MOMENTS = ("stage", "stage", "stage", "lock")
"""In the middle of the stage, or when DVC writes dvc.lock."""
LONGEST = 5.0
"""Seconds in a stage before it is killed."""
PATIENCE = 300
ORPHANED = 8
"""Seconds after which nothing that a killed command had started may run."""


class Kill(NamedTuple):
    stage: str
    way: str
    signal: str
    moment: str
    group: bool
    """Whether all processes of the command get the signal, as from a terminal, or DVC alone."""
    wait: float
    """Seconds, from when the stage has begun."""

    def __str__(self) -> str:
        who = "all" if self.group else "dvc"
        return f"{self.way}: {self.stage}, {self.signal} to {who} at {self.moment} {self.wait:.1f} s"


def rounds(seed: int, count: int) -> Iterator[Round]:
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        kill = Kill(
            stage=STAGES[number % len(STAGES)],
            way=chance.choice(USUAL),
            signal=chance.choice(list(SIGNALS)),
            moment=chance.choice(MOMENTS),
            group=chance.random() < 0.5,
            wait=round(chance.uniform(0, LONGEST), 1),
        )
        yield Round(str(kill), partial(attempt, kill))


def attempt(kill: Kill, folder: Path) -> Outcome:
    """Kill a command, put right what `stages.repair` tells, give the command again, and compare."""
    begin, whole = time.monotonic(), whole_run(folder)
    here = folder / "here"
    shutil.rmtree(here, ignore_errors=True)
    wanted = before(whole, here, kill.stage)
    told: list[str] = []
    if kill.way == "queue":
        call(["dvc", "exp", "run", "--queue", "-S", "seed=2", kill.stage], here)
    command = WAYS[kill.way] + ([] if kill.way == "queue" else [kill.stage])
    struck = strike(command, here, kill)
    outcome = after(command, here, kill, wanted, told) if struck else "missed"
    return Outcome(outcome, round(time.monotonic() - begin, 1), 0, " | ".join(told)[:500])


def strike(command: list[str], here: Path, kill: Kill) -> bool:
    """Start a command and kill it; return whether it was still running."""
    if kill.way == "repro":  # an experiment sets it by itself
        set_seed(here, "2")
    with (here / ".git/said").open("w") as said:
        process = subprocess.Popen(
            command,
            cwd=here,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    deadline, lock = time.monotonic() + PATIENCE, here / "dvc.lock"
    was = lock.stat().st_mtime_ns
    while time.monotonic() < deadline:
        if kill.moment == "lock" and kill.way in ("repro", "exp run"):
            if lock.exists() and lock.stat().st_mtime_ns != was:
                break
        elif any("stages." in words for words in under(here).values()):
            time.sleep(kill.wait)
            break
        if process.poll() is not None and kill.way != "queue":
            break
    number = SIGNALS[kill.signal]
    if kill.way == "queue":
        workers = [process for process, words in under(here).items() if kill.group or "queue" in words]
        send(workers, number)
        return bool(workers)
    running = process.poll() is None
    if running:
        os.killpg(process.pid, number) if kill.group else process.send_signal(number)
        process.wait()
    return running


def after(command: list[str], here: Path, kill: Kill, wanted: dict[str, str], told: list[str]) -> str:
    """Return what became of it: `mended` and alike, or what is wrong."""
    softly = kill.way == "queue" and kill.signal != "KILL"  # a worker ends the task that it has begun
    deadline = time.monotonic() + (PATIENCE if softly else ORPHANED)
    while (left := under(here)) and time.monotonic() < deadline:
        time.sleep(0.2)
    if left:
        told.append(next(iter(left.values()))[:200])
        send(left, signal.SIGKILL)
        return "orphan"
    repaired = call([sys.executable, "-m", "stages.repair"], here)
    told.append(repaired.stderr.strip())
    if "Back to main: " in repaired.stderr:  # what it says, as a user would
        back = repaired.stderr.split("Back to main: ")[1].strip()
        call(["sh", "-c", back], here, check=False)  # it has no outputs of stages that never ran
    if call(["git", "symbolic-ref", "--short", "HEAD"], here, check=False).stdout.strip() != "main":
        return "detached"
    if kill.way == "repro":
        set_seed(here, "2")
    if kill.way == "queue":
        return queue_again(here, kill, wanted, told)
    again = call([*command], here, check=False)
    if again.returncode:
        told.append((again.stdout + again.stderr)[-300:])
        return "failed"
    return compared(here, kill, wanted, told)


def queue_again(here: Path, kill: Kill, wanted: dict[str, str], told: list[str]) -> str:
    told.append(call(["dvc", "queue", "status"], here, check=False).stdout[-200:])
    call(["dvc", "queue", "remove", "--all"], here, check=False)
    call(["dvc", "exp", "run", "--queue", "-S", "seed=2", kill.stage], here, check=False)
    started = call(["dvc", "queue", "start"], here, check=False)
    if started.returncode:
        told.append(started.stderr[-300:])
        return "failed"
    deadline = time.monotonic() + PATIENCE
    while under(here) and time.monotonic() < deadline:
        time.sleep(0.5)
    return compared(here, kill, wanted, told)


def compared(here: Path, kill: Kill, wanted: dict[str, str], told: list[str]) -> str:
    """Return `identical` if the outputs are those of a run that nobody stopped."""
    if kill.way in ("temp", "queue"):  # the workspace stays as it was: the experiment holds them
        found = call(["git", "for-each-ref", "--format=%(refname)", "refs/exps"], here).stdout.split()
        commits = [name for name in found if name.count("/") > 3 and "exec" not in name and "celery" not in name]
        if not commits:
            return "no experiment"
        call(["git", "checkout", "-q", commits[-1]], here)
        call(["dvc", "checkout"], here, check=False)
    made = hashes(here, sorted({*wanted}))
    wrong = [name for name in wanted if made.get(name) != wanted[name]]
    told.extend(wrong[:3])
    stale = call(["dvc", "status", kill.stage], here, check=False).stdout if kill.way == "repro" else ""
    return "differs" if wrong else "stale" if "changed" in stale else "identical"


def under(here: Path) -> dict[psutil.Process, str]:
    """Return the processes that work in a folder, or below it, and their commands."""
    found: dict[psutil.Process, str] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # it has just ended
            if Path(process.cwd()).is_relative_to(here) and process.status() != psutil.STATUS_ZOMBIE:
                found[process] = " ".join(process.cmdline())
    return found


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
