"""Explore the generator's latent space."""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from ganlib.core.console import progress, run
from ganlib.core.errors import UserError
from ganlib.core.files import whole_folder, write_json
from ganlib.core.packed import read_split, rows_of
from ganlib.core.params import load_params
from ganlib.core.schema import ExploreParams
from ganlib.core.seeding import pin_arithmetic, random_generator, resolve_device
from ganlib.features.eyes import load_eyes, open_eyes
from ganlib.features.judge import check_judge, load_judge
from ganlib.features.seen import load_seen
from ganlib.functional.latents import draw_latents
from ganlib.looking.exploration import (
    SHRUNK,
    Images,
    class_arithmetic,
    draw_pictures,
    judged_latents,
    nearest_training_images,
    paint,
    paint_walks,
)
from ganlib.looking.pictures import words
from ganlib.looking.planes import class_corners, painted_planes
from ganlib.looking.served import unserved
from ganlib.looking.sprites import plane_sprite, walk_animation
from ganlib.networks.families import load_generator

PLANES, WALK = 1_100_000, 800_000
"""Bytes of all planes to drag over, and of the animated walk: their shares of a page of 5 MB."""


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    judge: Annotated[Path, typer.Argument(help="Folder that judge made.")],
    model: Annotated[Path, typer.Argument(help="Folder that publish made.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the images as arrays, the animated walk, and the planes to drag over.")
    ],
    pictures: Annotated[Path, typer.Option(help="Folder for PNG files.")],
) -> None:
    """Walk between latents, add and subtract those of classes, and look up the nearest training images.

    Arrays are uint8 (..., C, H, W): interpolation (rows, columns), plane (side, side), walk (frames, walks), truncation
    (factors, columns), arithmetic (equations, 4: A, B, C, A - B + C), neighbours (rows, 1 + nearest training images).
    planes/NUMBER.webp has side by side images of a plane for each class that explore.json names.
    """
    params = load_params()
    if absent := unserved("explore", params.game):
        print(f"No exploration: {absent}", file=sys.stderr)
        return write_nothing(absent, out, pictures)

    pin_arithmetic(params.threads)
    device, settings = resolve_device(params.device), params.explore
    generator, network, seen = load_generator(model), load_judge(judge), load_seen(judge, "train")
    eyes = load_eyes(judge)
    train = rows_of(read_split(prepared, "train").images, seen.rows)
    check_judge(network, train.shape[1:])
    if settings.neighbours > len(train):
        raise UserError(f"explore.neighbours = {settings.neighbours}: there are {len(train)} training images: lower it")

    def draw(count: int, stream: str) -> torch.Tensor:
        random = random_generator(params.seed, f"explore/{stream}")
        return draw_latents(count, generator.latent_dim, random, generator.latents)

    with progress(total=5, desc="explore", unit="part") as bar:  # walks, neighbours, arithmetic, planes, pictures
        walks = paint_walks(generator, draw, settings, device)
        bar.update()
        generated = paint(generator, draw(settings.rows, "neighbours"), torch.arange(settings.rows), device)
        extractor = open_eyes(eyes.extractor, judge)
        real = seen.described(extractor, train, device)
        neighbours = nearest_training_images(extractor, generated, train, real, settings.neighbours, device)
        bar.update()
        random = random_generator(params.seed, "explore/equations")
        pool = draw(settings.pool, "classes")
        logits = judged_latents(generator, network, pool, device)
        arithmetic = class_arithmetic(generator, network, pool, logits, settings, random, device)
        bar.update()
        found = {}
        if eyes.names_classes and not isinstance(logits, str):
            found = class_corners(pool, logits, network.class_names)
        planes = painted_planes(generator, draw(4, "planes"), settings.explorer, found, device)
        bar.update()
        arrays = walks | {"neighbours": neighbours.images}
        notes: dict[str, object] = {"neighbours": neighbours.classes, "truncation": list(SHRUNK)}
        notes |= {"planes": [name for name, _ in planes], "explorer": settings.explorer}
        if isinstance(arithmetic, str):
            print(f"No arithmetic: {arithmetic}", file=sys.stderr)
            notes["arithmetic_absent"] = arithmetic
        else:
            arrays["arithmetic"], notes["arithmetic"] = arithmetic
        with whole_folder(out) as folder:
            for name, array in arrays.items():
                np.save(folder / f"{name}.npy", array)
            write_json(folder / "explore.json", notes)
            write_moving(folder, walks["walk"], [images for _, images in planes], settings)
        with whole_folder(pictures) as folder:
            for name, picture in draw_pictures(walks, neighbours, arithmetic).items():
                picture.save(folder / f"{name}.png")
        bar.update()


def write_moving(folder: Path, walk: Images, planes: list[Images], settings: ExploreParams) -> None:
    """Write what the page shows moving, each within its share of the page."""
    (folder / "walk.webp").write_bytes(walk_animation(walk, -(-settings.columns // 2), settings.frame_ms, WALK))
    (folder / "planes").mkdir()
    for number, images in enumerate(planes):
        (folder / f"planes/{number}.webp").write_bytes(plane_sprite(images, PLANES // len(planes)))


def write_nothing(absent: str, out: Path, pictures: Path) -> None:
    """Write what the pipeline expects of exploration, and in it why there is none."""
    with whole_folder(out) as folder:
        write_json(folder / "explore.json", {"absent": absent})
    with whole_folder(pictures) as folder:
        words(absent).save(folder / "nothing.png")


if __name__ == "__main__":
    run(lambda: typer.run(main))
