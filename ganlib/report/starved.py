"""Whether a training is starved: its threads wait for processors that other programs hold.

Threads of one step wait for each other, so that of two a single busy core takes more than half of the speed. What Linux
counts is the time that threads could have run and did not; processor time says less, as threads that wait spin.
"""

import time
from pathlib import Path

SECONDS = 30
"""Least time that is looked at."""
SHARE = 0.25
"""Of it that threads may wait on average before a word is said."""


class Starvation:
    """Looks on, and says once that a training of so many threads is starved."""

    def __init__(self, threads: int):
        self.threads, self.said = threads, False
        self.since, self.waited = time.monotonic(), waited()

    def word(self) -> str:
        """Return what to say now: mostly nothing."""
        now = time.monotonic()
        if self.said or now - self.since < SECONDS:
            return ""
        all_waited = waited()
        share = (all_waited - self.waited) / (now - self.since) / self.threads
        took, self.since, self.waited = now - self.since, now, all_waited
        self.said = share > SHARE
        mend = "end those" + (", or set threads: 1, which loses least but trains anew" if self.threads > 1 else "")
        told = f"for {share:.0%} of the last {took:.0f} s threads waited for processors that other programs hold"
        return f"WARNING: {told}: {mend}" if self.said else ""


def waited() -> float:
    """Return seconds for which this process's threads, added up, could have run and did not; 0 where none tells."""
    seconds = 0.0
    for path in Path("/proc/self/task").glob("*/schedstat"):
        try:
            seconds += int(path.read_text().split()[1]) / 1e9
        except (OSError, IndexError):  # a thread has ended, or the kernel doesn't count
            continue
    return seconds
