"""Translate held-out images of A, and people's own."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from ganlib.core.console import run
from ganlib.core.domains_schema import DRAWS_PAIRS, DomainsParams
from ganlib.core.files import read_json, whole_file, whole_folder
from ganlib.core.memory import keep_freed_memory
from ganlib.core.packed import SPLITS, read_meta, read_split
from ganlib.core.params import given_path, load_domains_params
from ganlib.core.precision import prepare_arithmetic
from ganlib.core.seeding import pin_arithmetic, resolve_device
from ganlib.datasets.decode import Preparation
from ganlib.datasets.derive import DERIVE, Images, derive, given_for
from ganlib.datasets.plain import read_prepared_images
from ganlib.looking.pictures import labelled_rows, numbered, write_pngs
from ganlib.looking.translations import BACK, THERE, WAYS, drawn, rows_of, translated, translations
from ganlib.training.ends import end_of, load_average
from ganlib.training.game import translating_game_of


def main(
    pairs: Annotated[Path, typer.Argument(help="Folder that pairs made.")],
    training: Annotated[Path, typer.Argument(help="Folder that train made.")],
    baseline: Annotated[Path, typer.Argument(help="Folder that train --baseline made.")],
    out: Annotated[Path, typer.Option(help="Folder for translations: arrays, and PNG files of own images.")],
    picture: Annotated[Path, typer.Option(help="PNG file of rows: A, the baseline, ours, B.")],
) -> None:
    """Let the best weights of both trainings translate the held-out images of A, and those of translate.path."""
    params = load_domains_params()

    pin_arithmetic(params.threads)
    keep_freed_memory()
    device = resolve_device(params.device)
    prepare_arithmetic(params.train.precision, device)
    game, folders = translating_game_of(params), {"baseline": baseline, "ours": training}
    networks = {
        (who, way): load_average(folder, way, game)
        for who, folder in folders.items()
        for way in WAYS
        if way in game.BUILDERS
    }
    a, b = ({split: read_split(pairs / side, split) for split in SPLITS} for side in ("a", "b"))
    heldout = b["heldout"]
    with whole_folder(out) as folder:
        if params.game in DRAWS_PAIRS:
            made = drawn(networks, len(heldout.images), params.seed, device)
        else:
            made = translations(networks, a, heldout, game, device)
        for name, images in made.items():
            np.save(folder / f"{name}.npy", images)
        with whole_file(picture) as partial:
            labelled_rows(rows_of(made, a["heldout"].images, heldout.images, game, params)).save(partial)
        if own := given_path(params.translate.path):
            (folder / "own").mkdir()
            write_own(
                folder / "own", own, pairs, params, networks["ours", BACK if params.translate.back else THERE], device
            )
            print(f"Own images translated, in {out / 'own'}")
    steps = {
        name: read_json(folder / "training.json")[f"train_{end_of(game)}_step"] for name, folder in folders.items()
    }
    print(f"Made {len(heldout.images)} images, by weights of step {steps['ours']}, and of {steps['baseline']}")


def write_own(folder: Path, own: Path, pairs: Path, params: DomainsParams, network: Any, device: torch.device) -> None:
    """Write own images, and what they are translated to, as PNG files of two folders, a and b."""
    start, end = "ba" if params.translate.back else "ab"
    images = own_images(own, pairs, params)
    write_pngs(numbered(images), folder / start)
    write_pngs(numbered(translated(network, images, device)), folder / end)


def own_images(path: Path, pairs: Path, params: DomainsParams) -> Images:
    """Return own images as A: made of them as in training, or as they are; as they are as B for the way back."""
    made = params.pairs.kind in DERIVE and params.pairs.made == "a"
    side = "b" if params.translate.back or (params.translate.derive and made) else "a"
    meta = read_meta(pairs / side)
    prepared = Preparation(meta["image_size"], meta["channels"], params.pairs.resize, params.pairs.background)
    images = read_prepared_images(path, prepared, params.translate.images)
    if side == "a" or params.translate.back:
        return images
    return derive(images, params.pairs.kind, params.pairs.channels_a, given_for(params.pairs, params.seed, "own"))


if __name__ == "__main__":
    run(lambda: typer.run(main))
