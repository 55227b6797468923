"""The stages of the pipeline, and tools for its results: a command each, `python -m stages.NAME`.

Python imports this package before the stage: params.yaml is checked here, so that a typo is refused before the stage
imports torch, which takes seconds.
"""

import os
import sys
from types import TracebackType

from ganlib.core.console import end_with_parent, run
from ganlib.core.params import load_params

WITHOUT_PARAMS = (
    ["stages.checkpoints"],
    ["stages.repair"],
    ["stages.export"],
    ["stages.evaluate", "folders"],
    ["stages.report", "compare"],
)
"""Commands that work without a params.yaml."""


def check_params() -> None:
    """Check params.yaml, and that there is a GPU if it asks for one; raise UserError."""
    if load_params().device == "cuda":
        from ganlib.core.seeding import resolve_device  # imports torch, only when there is something to ask it

        resolve_device("cuda")


def say_stopped(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Tell of Ctrl-C in a line while the stage is imported; later `run` does."""
    if issubclass(kind, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


if sys.argv[0] == "-m":  # so it is while Python looks for the module to run
    sys.excepthook = say_stopped
    if "DVC_STAGE" in os.environ:  # DVC has started it
        end_with_parent()
    command = sys.orig_argv[sys.orig_argv.index("-m") + 1 :]
    if not any(command[: len(words)] == words for words in WITHOUT_PARAMS):
        run(check_params)
