"""Compare two pieces of work: in turn in one process, by the median of the passes' ratios, away from other programs."""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

PASSES = 5
ATTEMPTS = 4
"""Passes tried at most for each one that is kept."""
QUIET = 0.1
"""Processors that other programs may hold on average during a pass that counts, beyond those that it leaves idle."""


class Pass(NamedTuple):
    theirs: float
    """Seconds"""
    ours: float
    foreign: float
    """Processors that other programs held, on average, of those that this one could use."""

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours


class Comparison(NamedTuple):
    passes: list[Pass]

    def __str__(self) -> str:
        ratios = sorted(one.ratio for one in self.passes)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        foreign = max(one.foreign for one in self.passes)
        return spread if foreign <= QUIET else f"{spread}, disturbed: others held {foreign:.1f} processors"

    @property
    def theirs(self) -> float:
        return statistics.median(one.theirs for one in self.passes)

    @property
    def ours(self) -> float:
        return statistics.median(one.ours for one in self.passes)


def compare(theirs: Callable[[], object], ours: Callable[[], object]) -> Comparison:
    """Run both once to warm up, then in turn until PASSES passes were quiet; else keep the quietest of those tried."""
    theirs()
    ours()
    passes: list[Pass] = []
    while len(passes) < ATTEMPTS * PASSES and sum(one.foreign <= QUIET for one in passes) < PASSES:
        busy, start = foreign_seconds(), time.perf_counter()
        spent = seconds(theirs), seconds(ours)
        foreign = (foreign_seconds() - busy) / (time.perf_counter() - start)
        passes.append(Pass(*spent, max(0.0, foreign - (os.cpu_count() or 1) + torch.get_num_threads())))
    return Comparison(sorted(passes, key=lambda one: one.foreign)[:PASSES])


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def foreign_seconds() -> float:
    """Return the processor seconds that programs other than this one and its children have spent since the boot."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    busy = (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
    return busy - sum(os.times()[:4])


def peak_mebibytes() -> int:
    """Return the most memory that this process has held."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024
