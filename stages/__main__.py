"""The command `ganlib NAME ...`, which is `python -m stages.NAME ...` wherever the project is installed."""

import ast
import sys
from pathlib import Path
from runpy import run_module

from ganlib.core.console import run
from ganlib.core.errors import UserError
from stages import begin


def main() -> None:
    """Run the stage or tool that the first word names; only that one is imported."""
    words, named = sys.argv[1:], commands()
    if not words or words[0] in ("-h", "--help"):
        print("Usage: ganlib COMMAND [OPTIONS]; ganlib COMMAND --help says which", "", sep="\n")
        print(*(f"  {name:<10} {purpose}" for name, purpose in named.items()), sep="\n")
        return
    run(lambda: check(words[0], named))
    begin(words)
    sys.argv = [f"ganlib {words[0]}", *words[1:]]
    run_module(f"stages.{words[0]}", run_name="__main__")


def commands() -> dict[str, str]:
    """Return the names of stages and tools, each with the first line of what it says of itself."""
    files = sorted(Path(__file__).parent.glob("[!_]*.py"))
    return {path.stem: (ast.get_docstring(ast.parse(path.read_bytes())) or "").partition("\n")[0] for path in files}


def check(name: str, named: dict[str, str]) -> None:
    """Raise UserError unless there is a command of this name."""
    if name not in named:
        raise UserError(f"no command {name!r}: there are {', '.join(named)}")


if __name__ == "__main__":
    main()
