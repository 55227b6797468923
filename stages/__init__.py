"""The stages of the pipeline, and tools for its results: a command each, `python -m stages.NAME` or `ganlib NAME`.

Python imports this package before the stage: params.yaml is checked here, so that a typo is refused before the stage
imports torch, which takes seconds.
"""

import os
import sys
from collections.abc import Sequence
from types import TracebackType

WITHOUT_PARAMS = (
    ["checkpoints"],
    ["repair"],
    ["export"],
    ["generate"],
    ["hub"],
    ["evaluate", "folders"],
    ["report", "compare"],
    ["report", "plots"],
)
"""Commands that work without a params.yaml."""
NO_ROOM = ("cannot allocate memory", "failed to map segment")
"""What the loader says of a library for which there is no memory."""


def begin(words: Sequence[str]) -> None:
    """Do what comes before the command of these words is imported."""
    sys.excepthook = say_why
    from ganlib.core.console import end_with_parent, run

    if "DVC_STAGE" in os.environ:  # DVC has started it
        end_with_parent()
    asks = "--help" in words
    if not asks and not any(list(words[: len(command)]) == command for command in WITHOUT_PARAMS):
        run(lambda: check_params(params_of(words)))


def params_of(words: Sequence[str]) -> str:
    """Return the params file that a command reads."""
    if "--params" in words[:-1]:
        return words[list(words).index("--params") + 1]
    return "domains/params.yaml" if words[0].startswith("domains.") else "params.yaml"


def check_params(file: str) -> None:
    """Check a params file, and that there is a GPU if it asks for one; raise UserError."""
    from pathlib import Path

    from ganlib.core.errors import UserError
    from ganlib.core.params import load_shared

    try:
        params = load_shared(Path(file))
    except UserError as error:
        back = f"\n{file} keeps it until: git restore {file}" if "DVC_EXP_BASELINE_REV" in os.environ else ""
        raise UserError(f"{error}{back}") from None
    if params.device == "cuda":
        from ganlib.core.seeding import resolve_device  # imports torch, only when there is something to ask it

        resolve_device("cuda")


def say_why(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Tell in a line of Ctrl-C and of full memory while packages are imported; later `run` does."""
    if issubclass(kind, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
    elif issubclass(kind, MemoryError) or any(words in str(error).lower() for words in NO_ROOM):
        print("error: out of memory while packages are loaded: close programs, or raise ulimit -v", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


if sys.argv[0] == "-m":  # so it is while Python looks for the module to run
    module, *rest = sys.orig_argv[sys.orig_argv.index("-m") + 1 :]
    if module.startswith("stages."):  # `stages` itself begins when it knows which
        begin([module.removeprefix("stages."), *rest])
