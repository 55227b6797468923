"""Check the params files, or write their JSON schema for editors."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ganlib.core.console import run
from ganlib.core.domains_schema import DomainsParams
from ganlib.core.files import whole_file
from ganlib.core.params import DOMAINS_FILE, load_domains_params
from ganlib.core.schema import Params

app = typer.Typer(help=__doc__)


@app.command()
def check() -> None:
    """Check params.yaml and domains/params.yaml; every stage does so too, before any work."""
    if DOMAINS_FILE.is_file():  # that of the root has been checked already
        load_domains_params()


@app.command()
def schema(out: Annotated[Path, typer.Argument(help="File to write.")] = Path("params.schema.json")) -> None:
    """Write the JSON schemas of params.yaml and, where there is one, of domains/params.yaml beside it."""
    schemas = {out: Params} | ({DOMAINS_FILE.with_name(out.name): DomainsParams} if DOMAINS_FILE.is_file() else {})
    for path, params in schemas.items():
        with whole_file(path) as partial:
            partial.write_text(json.dumps(params.model_json_schema(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(app)
