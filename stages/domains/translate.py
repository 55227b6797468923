"""Translate held-out images of A, and people's own."""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from ganlib.core.console import run
from ganlib.core.domains_schema import DomainsParams
from ganlib.core.files import read_json, whole_file, whole_folder
from ganlib.core.images import to_unit_range
from ganlib.core.memory import keep_freed_memory
from ganlib.core.packed import read_meta, read_split
from ganlib.core.params import given_path, load_domains_params
from ganlib.core.precision import prepare_arithmetic
from ganlib.core.seeding import pin_arithmetic, resolve_device
from ganlib.core.weights import load_network
from ganlib.datasets.decode import Preparation
from ganlib.datasets.derive import Images, derive, given_for
from ganlib.datasets.plain import read_prepared_images
from ganlib.looking.pictures import labelled_rows, numbered, write_pngs
from ganlib.networks.sampling import generate
from ganlib.training.game import translating_game_of

SHOWN = 10
"""Images of a row."""


def main(
    pairs: Annotated[Path, typer.Argument(help="Folder that pairs made.")],
    training: Annotated[Path, typer.Argument(help="Folder that train made.")],
    baseline: Annotated[Path, typer.Argument(help="Folder that train --alone made.")],
    out: Annotated[Path, typer.Option(help="Folder for translations: arrays, and PNG files of own images.")],
    picture: Annotated[Path, typer.Option(help="PNG file of rows: A, the baseline, ours, the truth.")],
) -> None:
    """Let the best weights of both trainings translate the held-out images of A, and those of translate.path."""
    params = load_domains_params()

    pin_arithmetic(params.threads)
    keep_freed_memory()
    device = resolve_device(params.device)
    prepare_arithmetic(params.train.precision, device)
    build = translating_game_of(params).BUILDERS["generator"]
    folders = {"alone": baseline, "ours": training}
    networks = {name: load_network(folder / "best", "generator_ema", build) for name, folder in folders.items()}

    def translated(images: Images, name: str) -> Images:
        return generate(networks[name], to_unit_range(torch.from_numpy(images.copy())), device)

    a, b = (read_split(pairs / side, "heldout").images for side in ("a", "b"))
    side, channels = b.shape[2], max(a.shape[1], b.shape[1])
    with whole_folder(out) as folder:
        made = {name: translated(a, name) for name in networks}
        for name, images in made.items():
            np.save(folder / f"{name}.npy", images)
        rows = {"A": a, "without D": made["alone"], params.game: made["ours"], "truth": b}
        with whole_file(picture) as partial:
            labelled_rows([{name: alike(row[:SHOWN], side, channels) for name, row in rows.items()}]).save(partial)
        if own := given_path(params.translate.path):
            images = own_images(own, pairs, params)
            (folder / "own").mkdir()
            write_pngs(numbered(images), folder / "own/a")
            write_pngs(numbered(translated(images, "ours")), folder / "own/b")
            print(f"Own images translated: {len(images)}, in {out / 'own/b'}")
    steps = {name: read_json(folder / "training.json")["train_best_step"] for name, folder in folders.items()}
    print(f"Translated {len(a)} held-out images, by weights of step {steps['ours']}, and of {steps['alone']} without D")


def alike(images: Images, side: int, channels: int) -> Images:
    """Return (N, C, h, w) images as (N, channels, side, side), each pixel enlarged, grey ones repeated."""
    larger = images.repeat(side // images.shape[2], 2).repeat(side // images.shape[3], 3)
    return np.repeat(larger, channels // images.shape[1], 1)


def own_images(path: Path, pairs: Path, params: DomainsParams) -> Images:
    """Return own images as A: made of them as in training, or as they are."""
    side = "b" if params.translate.derive and params.pairs.kind != "folders" else "a"
    meta = read_meta(pairs / side)
    prepared = Preparation(meta["image_size"], meta["channels"], params.pairs.resize, params.pairs.background)
    images = read_prepared_images(path, prepared, params.translate.images)
    if side == "a":
        return images
    return derive(images, params.pairs.kind, params.pairs.channels_a, given_for(params.pairs, params.seed, "own"))


if __name__ == "__main__":
    run(lambda: typer.run(main))
