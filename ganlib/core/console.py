"""What every command line shares: parameters are checked first, and a user's mistake ends in one line."""

import os
import sys
import time
from collections.abc import Callable

from ganlib.core.errors import UserError


def run(command: Callable[[], object]) -> None:
    """Run a command; print user errors without a traceback and exit with 1."""
    try:
        command()
    except UserError as error:
        _let_the_first_speak()
        print(*(f"error: {line}" for line in str(error).splitlines()), sep="\n", file=sys.stderr)
        sys.exit(1)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        print("error: out of memory: lower batch_size, model.width or data.image_size", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


def _let_the_first_speak() -> None:
    # Of processes that train together and fail alike, the first one's message ends the others before they repeat it.
    if os.environ.get("RANK", "0") != "0":
        time.sleep(10)


def _is_out_of_memory(error: Exception) -> bool:
    # PyTorch raises OutOfMemoryError on a GPU and a plain RuntimeError on a CPU.
    return isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error)
