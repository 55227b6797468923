"""What every command line shares: parameters are checked first, and a user's mistake ends in one line."""

import sys
from collections.abc import Callable

from ganlib.errors import UserError
from ganlib.params import load_params


def run(command: Callable[[], object], check_params: bool = True) -> None:
    """Check params.yaml, if told to, then run a command; print user errors without a traceback and exit with 1.

    The check comes before the command reads its arguments or imports torch, so that a typo is reported at once.
    """
    try:
        if check_params and load_params().device == "cuda":
            from ganlib.seeding import resolve_device  # imports torch, only when there is something to ask it

            resolve_device("cuda")
        command()
    except UserError as error:
        print(*(f"error: {line}" for line in str(error).splitlines()), sep="\n", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
