"""Draw images from the published generator."""

from pathlib import Path
from typing import Annotated

import typer

from ganlib.console import run
from ganlib.params import load_params


def main(
    model: Annotated[Path, typer.Argument(help="Folder that train made.")],
    out: Annotated[Path, typer.Option(help="Folder for the images as one array, and the grid's latents.")],
    grid: Annotated[Path, typer.Option(help="PNG file for the grid.")],
) -> None:
    """Generate sample.count images for the evaluation, and a grid for people."""
    params = load_params()
    import numpy as np

    from ganlib.files import whole_file, whole_folder
    from ganlib.images import grid_image
    from ganlib.latent import draw_latents
    from ganlib.networks.families import load_generator
    from ganlib.sampling import generate
    from ganlib.seeding import pin_arithmetic, random_generator, resolve_device

    pin_arithmetic(params.threads)
    device = resolve_device(params.device)
    generator = load_generator(model)
    latent_dim, columns = generator.latent_dim, params.sample.grid
    latents = draw_latents(params.sample.count, latent_dim, random_generator(params.seed, "sample/images"))
    grid_latents = draw_latents(columns**2, latent_dim, random_generator(params.seed, "sample/grid"))
    grid_images = generate(generator, grid_latents, device)
    with whole_folder(out) as folder:
        np.save(folder / "images.npy", generate(generator, latents, device))
        np.save(folder / "grid_latents.npy", grid_latents.numpy())
        np.save(folder / "grid_images.npy", grid_images)
    with whole_file(grid) as partial:
        grid_image(grid_images, columns, scale=max(1, 64 // grid_images.shape[-1])).save(partial)


if __name__ == "__main__":
    run(lambda: typer.run(main))
