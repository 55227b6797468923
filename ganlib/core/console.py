"""What every command line shares: parameters are checked first, and a user's mistake ends in one line."""

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
from tqdm import tqdm

from ganlib.core.errors import StoppedError, UserError

INTERRUPTED = 130
"""Exit code of a command that was stopped by a signal."""
MINUTE = 60
"""Seconds between lines of progress where no terminal shows a bar."""
QUIET = 10
"""Seconds that what is a part of a longer work may take before it shows a bar of its own."""
LINE = "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {elapsed} so far, {remaining} left{postfix}"


def run(command: Callable[[], object]) -> None:
    """Run a command; print user errors without a traceback and exit with 1."""
    try:
        command()
    except StoppedError as error:
        print(error, file=sys.stderr)
        sys.exit(INTERRUPTED)
    except UserError as error:
        _let_the_first_speak()
        print(*(f"error: {line}" for line in str(error).splitlines()), sep="\n", file=sys.stderr)
        sys.exit(1)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        print("error: out of memory: lower batch_size, model.width or image_size", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        mend = ": make room, and give the same command again" if error.errno == errno.ENOSPC else ""
        print(f"error: {error.filename or 'a file'}: {error.strerror or error}{mend}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:  # Typer makes this of Ctrl-C, and says nothing
            print("stopped", file=sys.stderr)
        raise


def end_with_parent() -> None:
    """End this process, as SIGTERM does, when the one that started it is gone: what it wrote would surprise others."""
    parent = psutil.Process().parent()

    def watch() -> None:
        while parent and parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE:
            time.sleep(1)
        print("stopped: the process that had started this one is gone", file=sys.stderr)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def progress(iterable: Any = None, **settings: Any) -> "tqdm[Any]":
    """Return tqdm's bar on stderr; without a terminal it is a line a minute, and none before the first is over."""
    if sys.stderr.isatty():
        return tqdm(iterable, file=sys.stderr, **settings)
    plain = {"mininterval": MINUTE, "maxinterval": MINUTE, "delay": MINUTE, "miniters": 1, "bar_format": LINE}
    return tqdm(iterable, file=_Lines(), **settings | plain)


class _Lines:
    """What tqdm draws over and over, as lines of a log."""

    last = ""

    def write(self, text: str) -> None:
        line = text.strip()
        if line not in ("", self.last):
            self.last = line
            print(line, file=sys.stderr, flush=True)

    def flush(self) -> None: ...


def _let_the_first_speak() -> None:
    # Of processes that train together and fail alike, the first one's message, on each machine, ends the others there
    # before they repeat it.
    if os.environ.get("LOCAL_RANK", "0") != "0":
        time.sleep(10)


def _is_out_of_memory(error: Exception) -> bool:
    # PyTorch raises OutOfMemoryError on a GPU and a plain RuntimeError on a CPU.
    return isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error)
