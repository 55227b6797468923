"""Check params.yaml, or write its JSON schema for editors."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ganlib.core.console import run
from ganlib.core.files import whole_file
from ganlib.core.schema import Params

app = typer.Typer(help=__doc__)


@app.command()
def check() -> None:
    """Check params.yaml; every stage does so too, before any work."""
    # `run` has checked it already.


@app.command()
def schema(out: Annotated[Path, typer.Argument(help="File to write.")] = Path("params.schema.json")) -> None:
    """Write the JSON schema of params.yaml."""
    with whole_file(out) as partial:
        partial.write_text(json.dumps(Params.model_json_schema(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(app)
