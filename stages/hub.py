"""Write a model with its card, figures and grid as a folder to share; no stage, but a tool for its result."""

from pathlib import Path
from typing import Annotated

import typer

from ganlib.core.console import run
from ganlib.report.hub import write_hub


def main(
    model: Annotated[Path, typer.Argument(help="Folder that publish made.")],
    metrics: Annotated[Path, typer.Argument(help="Folder with the model's evaluate.json and grid.png.")],
    out: Annotated[Path, typer.Option(help="New folder.")] = Path("hub"),
) -> None:
    """Complete the model card by what evaluate and sample have found."""
    write_hub(model, metrics, out)
    print(f"Model, card and grid: {out}")


if __name__ == "__main__":
    run(lambda: typer.run(main))
