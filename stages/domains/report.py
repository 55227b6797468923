"""Write the page of a run of two domains."""

from pathlib import Path
from typing import Annotated

import typer

from ganlib.core.console import run
from ganlib.core.files import whole_file
from ganlib.core.params import load_domains_params
from ganlib.report.domains import domains_sections
from ganlib.report.parts import render


def main(
    pairs: Annotated[Path, typer.Argument(help="Folder that pairs made.")],
    training: Annotated[Path, typer.Argument(help="Folder that train made.")],
    metrics: Annotated[Path, typer.Argument(help="Folder of figures and the picture; any may be missing.")],
    out: Annotated[Path, typer.Option(help="HTML file to write.")],
) -> None:
    """Put translations beside the truth, figures beside baselines, claims, curves and parameters on one page."""
    params = load_domains_params()

    with whole_file(out) as partial:
        sections = domains_sections(params, pairs, training, metrics)
        partial.write_text(render("domains.html.jinja", sections), encoding="utf-8")
    print(f"Report: {out}")


if __name__ == "__main__":
    run(lambda: typer.run(main))
