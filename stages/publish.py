"""Publish one end of a training as the model."""

from pathlib import Path
from typing import Annotated

import typer

from ganlib.core.console import run
from ganlib.core.files import whole_folder
from ganlib.core.params import load_params
from ganlib.training.publish import publish


def main(
    training: Annotated[Path, typer.Argument(help="Folder that train made.")],
    out: Annotated[Path, typer.Option(help="Folder for the generator and its discriminator.")],
) -> None:
    """Take the best or the last weights; another choice costs no training."""
    chosen = load_params().publish

    with whole_folder(out) as folder:
        end, step = publish(training, folder, chosen.checkpoint, chosen.ema)
    print(f"Published: {end} weights, step {step}{', moving average' if chosen.ema else ''}")


if __name__ == "__main__":
    run(lambda: typer.run(main))
