"""Compare two pieces of work: each in a process of its own, in turn, by the median of the passes' ratios.

In one process one side would find what the other has left: freed memory, and libraries that have been woken up.
"""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import torch

from ganlib.core.precision import wake_expm1
from ganlib.core.seeding import pin_arithmetic

PASSES = 5
ATTEMPTS = 4
"""Passes tried at most for each one that is kept."""
QUIET = 0.1
"""Processors that other programs may hold on average during a pass that counts, beyond those that it leaves idle."""
SECONDS = 2.0
"""What the other side's share of a pass takes, about."""

Work = Callable[[], object]
Make = Callable[[], Work]
"""Prepares a piece of work; it must be picklable, for it is called in another process."""


class Spent(NamedTuple):
    wall: float
    """Seconds"""
    processor: float
    """Processor seconds"""
    mebibytes: int
    """Most memory that the process has held so far."""


class Pass(NamedTuple):
    theirs: Spent
    ours: Spent
    foreign: float
    """Processors that other programs held, on average, of those that this one could use."""

    @property
    def ratio(self) -> float:
        return self.theirs.wall / self.ours.wall


class Comparison(NamedTuple):
    passes: list[Pass]
    repeats: int
    """Times that each side did its work in a pass."""

    def __str__(self) -> str:
        ratios = sorted(one.ratio for one in self.passes)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        foreign = max(one.foreign for one in self.passes)
        return spread if foreign <= QUIET else f"{spread}, disturbed: others held {foreign:.1f} processors"

    def per_second(self, count: int) -> tuple[float, float]:
        """Return how many things a second both sides do, when each piece of work does `count`."""
        theirs = statistics.median(one.theirs.wall for one in self.passes)
        ours = statistics.median(one.ours.wall for one in self.passes)
        return count * self.repeats / theirs, count * self.repeats / ours

    @property
    def mebibytes(self) -> tuple[int, int]:
        """The most memory that each side's process held."""
        return max(one.theirs.mebibytes for one in self.passes), max(one.ours.mebibytes for one in self.passes)


def compare(theirs: Make, ours: Make) -> Comparison:
    """Run both to warm up, then in turn until PASSES passes were quiet; else keep the quietest of those tried."""
    with ExitStack() as stack:
        sides = [stack.enter_context(process_of(make)) for make in (theirs, ours)]
        for side in sides * 2:
            side.submit(repeat, 1).result()
        repeats = max(1, round(SECONDS / sides[0].submit(repeat, 1).result().wall))
        passes: list[Pass] = []
        while len(passes) < ATTEMPTS * PASSES and sum(one.foreign <= QUIET for one in passes) < PASSES:
            busy, start = busy_seconds(), time.perf_counter()
            spent = [side.submit(repeat, repeats).result() for side in sides]
            foreign = busy_seconds() - busy - sum(one.processor for one in spent)
            foreign /= time.perf_counter() - start
            idle = (os.cpu_count() or 1) - torch.get_num_threads()
            passes.append(Pass(spent[0], spent[1], max(0.0, foreign - idle)))
    return Comparison(sorted(passes, key=lambda one: one.foreign)[:PASSES], repeats)


def process_of(make: Make) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    given = make, torch.get_num_threads(), multiprocessing.get_start_method()
    return ProcessPoolExecutor(1, context, initializer=start_work, initargs=given)


def start_work(make: Make, threads: int, start_method: str) -> None:
    global _work
    pin_arithmetic(threads)
    wake_expm1()  # for both sides: what ours gains by this alone is no merit of the step
    multiprocessing.set_start_method(start_method, force=True)  # of its own workers, as if people had started it
    _work = make()


def seconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def repeat(count: int) -> Spent:
    """Do this process's work a number of times."""
    processor = sum(os.times()[:4])
    wall = seconds(lambda: [_work() for _ in range(count)])
    return Spent(wall, sum(os.times()[:4]) - processor, peak_mebibytes())


_work: Work


def busy_seconds() -> float:
    """Return the processor seconds that all programs together have spent since the boot."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def peak_mebibytes() -> int:
    """Return the most memory that this process has held."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024
