"""Write the published generator as an ONNX file; no stage of the pipeline, but a tool for its result."""

from pathlib import Path
from typing import Annotated

import typer

from ganlib.core.console import run
from ganlib.looking.export import export_onnx


def main(
    model: Annotated[Path, typer.Argument(help="Folder that publish made.")],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
) -> None:
    """Export a generator: latents, and labels if it is conditional, to images in [-1, 1]."""
    export_onnx(model, out)


if __name__ == "__main__":
    run(lambda: typer.run(main))
