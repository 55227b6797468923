"""One try in a process of its own: what it said, how it ended, and what it took."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import NamedTuple

CRASHED = 3
"""Exit code of what ends in an exception."""
PATIENCE = 60
"""Seconds on the clock after which a child is killed."""


class Ended(NamedTuple):
    code: int
    """Minus the signal's number, where one ended it."""
    said: str
    seconds: float
    """Of processor time: others may work beside it."""
    mib: int
    """Most memory that it held, what it shares with its parent included."""


def in_child(function: Callable[[], object]) -> Ended:
    """Run a function in a fork of this process, as a worker of `prepare` runs."""
    with TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            _run(function, said.fileno())
        code, usage = _wait(child)
        said.seek(0)
        text = said.read(100_000).decode(errors="replace")
    return Ended(code, text, usage.ru_utime + usage.ru_stime, usage.ru_maxrss >> 10)


def _run(function: Callable[[], object], said: int) -> None:
    code = 0
    try:
        for stream in (1, 2):
            os.dup2(said, stream)
        sys.stdout = sys.stderr = open(2, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
        function()
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:
        traceback.print_exc()
        code = CRASHED
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int) -> tuple[int, "os.struct_rusage"]:  # pyright: ignore[reportAttributeAccessIssue]
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), usage
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    _, _, usage = os.wait4(child, 0)
    return -signal.SIGKILL, usage
