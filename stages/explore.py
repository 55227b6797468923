"""Explore the generator's latent space."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ganlib.console import run
from ganlib.params import load_params

SHRUNK = (0.25, 0.5, 0.75, 1.0)
"""Truncation: what latents are multiplied by."""


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    judge: Annotated[Path, typer.Argument(help="Folder that judge made.")],
    model: Annotated[Path, typer.Argument(help="Folder that train made.")],
    out: Annotated[Path, typer.Option(help="Folder for the images as arrays, and the animated walk.")],
    pictures: Annotated[Path, typer.Option(help="Folder for PNG files.")],
) -> None:
    """Walk between latents, add and subtract those of classes, and look up the nearest training images.

    Arrays are uint8 (..., C, H, W): interpolation (rows, columns), plane (side, side), walk (frames, walks), truncation
    (factors, columns), arithmetic (equations, 4: A, B, C, A - B + C), neighbours (rows, 1 + nearest training images).
    """
    params = load_params()
    import numpy as np
    import torch

    from ganlib.datasets.packed import read_split
    from ganlib.exploration import class_arithmetic, nearest_training_images, paint
    from ganlib.files import whole_folder, write_json
    from ganlib.latent import draw_latents
    from ganlib.networks.families import load_generator
    from ganlib.networks.judge import check_judge, load_judge
    from ganlib.pictures import grid, labelled_rows, save_animation
    from ganlib.seeding import pin_arithmetic, random_generator, resolve_device
    from ganlib.walks import interpolate, loop, plane

    pin_arithmetic(params.threads)
    device, settings = resolve_device(params.device), params.explore
    generator, network, train = load_generator(model), load_judge(judge), read_split(prepared, "train").images
    check_judge(network, train.shape[1:])
    rows, columns, kind = settings.rows, settings.columns, generator.latents

    def draw(count: int, stream: str) -> torch.Tensor:
        return draw_latents(count, generator.latent_dim, random_generator(params.seed, f"explore/{stream}"), kind)

    row_numbers, column_numbers = torch.arange(rows), torch.arange(columns)
    (starts, ends), stops = (
        draw(2 * rows, "interpolation").unflatten(0, (2, -1)),
        draw(settings.stops * columns, "walk"),
    )
    between = interpolate(starts, ends, torch.linspace(0, 1, columns), kind)  # (rows, columns, d)
    across = plane(draw(4, "plane"), columns, kind)  # (columns, columns, d)
    around = loop(stops.unflatten(0, (-1, columns)), settings.frames, kind)  # (stops * frames, columns, d)
    shrunk = torch.tensor(SHRUNK)[:, None, None] * draw(columns, "truncation")  # (factors, columns, d)
    arrays = {
        "interpolation": paint(generator, between, row_numbers[:, None], device),
        "plane": paint(generator, across, torch.tensor(0), device),
        "walk": paint(generator, around, column_numbers, device),
        "truncation": paint(generator, shrunk, column_numbers, device),
    }
    generated = paint(generator, draw(rows, "neighbours"), row_numbers, device)
    neighbours = nearest_training_images(network, generated, train, settings.neighbours, device)
    arithmetic = class_arithmetic(
        generator,
        network,
        draw(settings.pool, "classes"),
        average=settings.average,
        equations=rows,
        random=random_generator(params.seed, "explore/equations"),
        device=device,
    )
    arrays["neighbours"] = neighbours.images
    drawn = {
        "interpolation": grid(arrays["interpolation"].reshape(-1, *train.shape[1:]), columns),
        "plane": grid(arrays["plane"].reshape(-1, *train.shape[1:]), columns),
        "truncation": labelled_rows(
            [{f"z x {factor:g}": row} for factor, row in zip(SHRUNK, arrays["truncation"], strict=True)]
        ),
        "neighbours": labelled_rows(
            [{name: row} for name, row in zip(neighbours.classes, neighbours.images, strict=True)],
            ["made", "nearest training images"],
        ),
    }
    notes: dict[str, object] = {"neighbours": neighbours.classes, "truncation": list(SHRUNK)}
    if isinstance(arithmetic, str):
        print(f"No arithmetic: {arithmetic}", file=sys.stderr)
        notes["arithmetic_absent"] = arithmetic
    else:
        arrays["arithmetic"], notes["arithmetic"] = arithmetic
        equations = [
            {"{} - {} + {} = {}".format(*names): row}
            for names, row in zip(arithmetic.terms, arithmetic.images, strict=True)
        ]
        drawn["arithmetic"] = labelled_rows(equations, ["A", "- B", "+ C", "="])
    with whole_folder(out) as folder:
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
        write_json(folder / "explore.json", notes)
        save_animation(arrays["walk"], columns, settings.frame_ms, folder / "walk.webp")
    with whole_folder(pictures) as folder:
        for name, picture in drawn.items():
            picture.save(folder / f"{name}.png")


if __name__ == "__main__":
    run(lambda: typer.run(main))
