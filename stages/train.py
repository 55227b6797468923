"""Train the GAN."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ganlib.console import run
from ganlib.params import load_params


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    out: Annotated[Path, typer.Option(help="Folder for the generator's weights and the training history.")],
) -> None:
    """Train a generator on the prepared training images and publish its moving average."""
    params = load_params()
    import pandas as pd
    import torch
    from tqdm import tqdm

    from ganlib.datasets.packed import read_meta, read_split
    from ganlib.files import whole_folder
    from ganlib.networks.families import build_discriminator, build_generator
    from ganlib.networks.weights import save_network
    from ganlib.seeding import pin_arithmetic, resolve_device, seeded_weights
    from ganlib.training.loop import build_gan, train_gan

    pin_arithmetic(params.threads)
    device = resolve_device(params.device)
    meta, train = read_meta(prepared), read_split(prepared, "train")
    config: dict[str, Any] = {
        "architecture": params.model.architecture,
        "width": params.model.width,
        "image_size": meta["image_size"],
        "channels": meta["channels"],
    }
    generator_config: dict[str, Any] = config | {"latent_dim": params.model.latent_dim}
    with seeded_weights(params.seed, "train/weights"):
        generator = build_generator(**generator_config)
        discriminator = build_discriminator(**config)
    gan = build_gan(generator, discriminator, params.lr, device)
    with tqdm(total=params.steps, desc="train", unit="step", disable=None) as bar:

        def show(row: dict[str, float]) -> None:
            bar.set_postfix({name: row[name] for name in ("d_loss", "g_loss")}, refresh=False)
            bar.update(int(row["step"]) - bar.n)

        history = train_gan(gan, torch.from_numpy(train.images.copy()), params, device, show)
    with whole_folder(out) as folder:
        save_network(folder, "generator", gan.generator_ema, generator_config)
        pd.DataFrame(history).to_csv(folder / "history.csv", index=False, float_format="%.6g")


if __name__ == "__main__":
    run(lambda: typer.run(main))
