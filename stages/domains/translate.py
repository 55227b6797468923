"""Translate held-out images of A, and people's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL.Image import Image as Picture

from ganlib.core.captions import asked_for, decoded
from ganlib.core.console import run
from ganlib.core.domains_schema import OF_LATENTS, DomainsParams
from ganlib.core.errors import UserError
from ganlib.core.files import read_json, whole_file, whole_folder
from ganlib.core.packed import SPLITS, Split, read_meta, read_split
from ganlib.core.params import given_path, load_domains_params
from ganlib.core.precision import prepared_device
from ganlib.datasets.decode import Preparation
from ganlib.datasets.derive import DERIVE, Images, derive, given_for
from ganlib.datasets.plain import read_prepared_images
from ganlib.looking.pictures import labelled_rows, numbered, write_pngs
from ganlib.looking.translations import (
    BACK,
    SHOWN,
    THERE,
    WAYS,
    Networks,
    drawn,
    latents_for,
    rows_of,
    told,
    told_rows,
    translated,
    translations,
)
from ganlib.networks.sampling import generate
from ganlib.training.ends import end_of, load_average
from ganlib.training.game import translating_game_of


def main(
    pairs: Annotated[Path, typer.Argument(help="Folder that pairs made.")],
    training: Annotated[Path, typer.Argument(help="Folder that train made.")],
    baseline: Annotated[Path, typer.Argument(help="Folder that train --baseline made.")],
    out: Annotated[Path, typer.Option(help="Folder for translations: arrays, and PNG files of own images.")],
    picture: Annotated[Path, typer.Option(help="PNG file of rows: A, the baseline, ours, B.")],
    caption: Annotated[
        list[str] | None, typer.Option(help="Only draw images of this sentence, and of others if it is repeated.")
    ] = None,
) -> None:
    """Let the best weights of both trainings translate the held-out images of A, and those of translate.path."""
    params = load_domains_params()

    device = prepared_device(params)
    game, folders = translating_game_of(params), {"baseline": baseline, "ours": training}
    if caption:
        if params.pairs.kind != "captions":
            raise UserError(f"--caption: game {params.game} reads no captions: train game stackgan, of kind captions")
        sentences = list(dict.fromkeys(caption))
        return write_told(sentences, load_average(training, THERE, game), params, out, picture, device)
    networks = {
        (who, way): load_average(folder, way, game)
        for who, folder in folders.items()
        for way in WAYS
        if way in game.BUILDERS
    }
    a, b = ({split: read_split(pairs / side, split) for split in SPLITS} for side in ("a", "b"))
    heldout = b["heldout"]
    made = made_of(networks, a, heldout, params, device)
    with whole_folder(out) as folder:
        for name, images in made.items():
            np.save(folder / f"{name}.npy", images)
        with whole_file(picture) as partial:
            shown(made, pairs, a["heldout"].images, heldout.images, params).save(partial)
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


def made_of(
    networks: Networks, a: Mapping[str, Split], heldout: Split, params: DomainsParams, device: torch.device
) -> dict[str, Images]:
    """Return by name what both trainings make of held-out A or, in games of latents, beside it."""
    if params.pairs.kind == "captions":
        return told(networks, a["heldout"].images, params.seed, device)
    if params.game in OF_LATENTS:
        return drawn(networks, len(heldout.images), params.seed, device)
    return translations(networks, a, heldout, translating_game_of(params), device)


def shown(made: Mapping[str, Images], pairs: Path, a: Images, b: Images, params: DomainsParams) -> Picture:
    """Return rows of what was made, beside what it was made of and the truth if there is one."""
    if params.pairs.kind == "captions":
        return told_rows(made, decoded(a, read_meta(pairs / "a")["vocabulary"]), b)
    return labelled_rows(rows_of(made, a, b, translating_game_of(params), params))


def write_told(
    captions: list[str], network: Any, params: DomainsParams, out: Path, picture: Path, device: torch.device
) -> None:
    """Draw images of sentences, SHOWN of each: as PNG files in their order, and a picture of a row for each."""
    words = asked_for(captions, network.vocabulary, network.length)
    latents = latents_for(network, SHOWN * len(captions), params.seed)
    images = generate(network, latents, device, torch.from_numpy(words.repeat(SHOWN, 0).astype(np.int64)))
    with whole_folder(out) as folder:
        write_pngs(numbered(images), folder)
        with whole_file(picture) as partial:
            rows = images.reshape(len(captions), SHOWN, *images.shape[1:])
            labelled_rows([dict(zip(captions, rows, strict=True))]).save(partial)
    print(f"Drew {SHOWN} images of each of {len(captions)} captions, in {out} and {picture}")


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
