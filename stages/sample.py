"""Draw images from the published generator."""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from ganlib.core.console import run
from ganlib.core.distributed import rank
from ganlib.core.files import whole_file, whole_folder
from ganlib.core.launch import joined, launch, must_launch, processes_here
from ganlib.core.params import check_count, load_params
from ganlib.core.precision import prepare_arithmetic
from ganlib.core.seeding import pin_arithmetic, random_generator, resolve_device
from ganlib.functional.latents import draw_classes, draw_latents, grid_classes
from ganlib.looking.pictures import grid as draw_grid
from ganlib.looking.pictures import numbered, write_pngs, write_zip
from ganlib.networks.families import load_generator
from ganlib.networks.sampling import generate


def main(
    model: Annotated[Path, typer.Argument(help="Folder that publish made.")],
    out: Annotated[Path, typer.Option(help="Folder for the images as one array, their latents, and the grid's.")],
    grid: Annotated[Path, typer.Option(help="PNG file for the grid.")],
) -> None:
    """Generate sample.count images for the evaluation, and a grid for people."""
    params = load_params()

    device = resolve_device(params.device)
    processes, bf16 = processes_here(params.train.distributed, device), params.sample.precision == "bf16"
    if must_launch(processes):
        return launch(processes, "stages.sample")
    pin_arithmetic(params.threads)
    generator, columns = load_generator(model), params.sample.grid

    def draw(count: int, stream: str) -> torch.Tensor:
        random = random_generator(params.seed, f"sample/{stream}")
        return draw_latents(count, generator.latent_dim, random, generator.latents)

    labels, grid_labels = None, None
    if generator.class_names:
        check_count(params.sample.count, len(generator.class_names))
        random = random_generator(params.seed, "sample/labels")
        labels = draw_classes(params.sample.count, generator.class_counts, random)
        grid_labels = grid_classes(columns, columns, generator.class_counts)
    grid_latents, latents = draw(columns**2, "grid"), draw(params.sample.count, "images")
    with joined(processes, device) as own_device:
        prepare_arithmetic(params.sample.precision, own_device, "sample.precision")
        grid_images = generate(generator, grid_latents, own_device, grid_labels, bf16)
        images = generate(generator, latents, own_device, labels, bf16)
        if rank() != 0:
            return
    with whole_folder(out) as folder:
        np.save(folder / "images.npy", images)
        np.save(folder / "latents.npy", latents.numpy())
        if labels is not None:
            np.save(folder / "labels.npy", labels.numpy())
        np.save(folder / "grid_latents.npy", grid_latents.numpy())
        np.save(folder / "grid_images.npy", grid_images)
        if params.sample.files == "png":
            write_pngs(numbered(images), folder / "images")
        elif params.sample.files == "zip":
            write_zip(numbered(images), folder / "images.zip")
    with whole_file(grid) as partial:
        draw_grid(grid_images, columns).save(partial)


if __name__ == "__main__":
    run(lambda: typer.run(main))
