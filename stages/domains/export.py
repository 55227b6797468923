"""Write a translator as an ONNX file; no stage of the pipeline, but a tool for its result."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from ganlib.core.console import run
from ganlib.core.domains_schema import OF_LATENTS
from ganlib.core.errors import UserError
from ganlib.core.files import read_json
from ganlib.core.packed import read_meta
from ganlib.core.params import load_domains_params
from ganlib.looking.export import write_onnx
from ganlib.training.ends import load_average
from ganlib.training.game import translating_game_of


def main(
    pairs: Annotated[Path, typer.Argument(help="Folder that pairs made.")],
    training: Annotated[Path, typer.Argument(help="Folder that train made.")],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
) -> None:
    """Export the best weights: images of A, `a`, to images of B, `b`, both in [-1, 1]."""
    params = load_domains_params()

    game, meta = translating_game_of(params), read_meta(pairs / "a")
    if params.game in OF_LATENTS:
        raise UserError(f"game = {params.game}: it makes images of latents, and has no translator to export")
    network = load_average(training, "generator", game)
    given = torch.zeros(2, meta["channels"], meta["image_size"], meta["image_size"])
    write_onnx(network, {"a": given}, "b", read_json(training / "best/generator_ema.json"), out)


if __name__ == "__main__":
    run(lambda: typer.run(main))
