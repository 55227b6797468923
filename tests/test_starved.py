"""A training that is starved of processors says so."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ganlib.report import starved
from ganlib.report.starved import Starvation

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts how long threads wait")

WAITS = """
import os, sys, time
from ganlib.report.starved import waited
os.sched_setaffinity(0, {int(sys.argv[1])})
before, start = waited(), time.monotonic()
while time.monotonic() - start < 1.5: pass
print((waited() - before) / (time.monotonic() - start))
"""


@contextmanager
def others(count: int, core: int) -> Iterator[None]:
    line = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    processes = [subprocess.Popen([sys.executable, "-c", line]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_who_shares_a_core_with_three_others_waits_three_quarters_of_its_time():
    core = min(os.sched_getaffinity(0))
    with others(3, core):
        done = subprocess.run([sys.executable, "-c", WAITS, str(core)], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 0.6  # more where this machine is busy besides


class Clock:
    """Stands for time, and for how long threads have waited."""

    def __init__(self, patch: pytest.MonkeyPatch):
        self.now = self.waited = 0.0
        patch.setattr(starved.time, "monotonic", lambda: self.now)
        patch.setattr(starved, "waited", lambda: self.waited)

    def go_on(self, seconds: float, waited: float) -> None:
        self.now, self.waited = self.now + seconds, self.waited + waited


def test_it_is_said_once_with_the_share_and_what_to_do(monkeypatch: pytest.MonkeyPatch):
    clock = Clock(monkeypatch)
    starvation = Starvation(2)
    clock.go_on(40, 19)  # of 80 seconds of two threads
    assert starvation.word() == ""
    clock.go_on(10, 10)
    assert starvation.word() == ""  # too short to tell
    clock.go_on(30, 30)
    assert starvation.word().startswith("WARNING: for 50% of the last 40 s threads waited")
    clock.go_on(40, 60)
    assert starvation.word() == ""


def test_one_thread_is_not_told_to_become_one(monkeypatch: pytest.MonkeyPatch):
    words: list[str] = []
    for threads in (1, 4):
        clock = Clock(monkeypatch)
        starvation = Starvation(threads)
        clock.go_on(60, 60 * threads)
        words.append(starvation.word())
    assert ["threads: 1" in word for word in words] == [False, True] and all("100%" in word for word in words)
