"""Train the GAN."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ganlib.console import run
from ganlib.params import load_params

DEPENDS_ON: Any = {
    **dict.fromkeys(("seed", "lr", "batch_size", "steps", "threads", "device", "model", "loss", "train"), True),
    "data": {"flip"},
}
"""The parameters that a checkpoint is bound to: those that dvc.yaml names for this stage."""


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    out: Annotated[Path, typer.Option(help="Folder for the generator's weights and the training history.")],
    checkpoints: Annotated[Path, typer.Option(help="Folder for checkpoints; GAN_CHECKPOINTS names another.")],
) -> None:
    """Train a generator on the prepared training images and publish its moving average.

    A run that was killed goes on from its last checkpoint when the same command is given again.
    """
    params = load_params()
    import pandas as pd
    import torch
    from tqdm import tqdm

    from ganlib.datasets.packed import read_meta, read_split
    from ganlib.files import sha256_of, whole_folder
    from ganlib.networks.families import build_discriminator, build_generator, discriminator_config, generator_config
    from ganlib.networks.weights import save_network
    from ganlib.seeding import pin_arithmetic, resolve_device, seeded_weights
    from ganlib.training.checkpoint import checkpoint_folder, checkpoint_key, load_latest_checkpoint, save_checkpoint
    from ganlib.training.loop import Training, build_gan, start_training, train_gan

    pin_arithmetic(params.threads)
    device = resolve_device(params.device)
    meta, train = read_meta(prepared), read_split(prepared, "train")
    config = generator_config(params.model, meta["image_size"], meta["channels"])
    with seeded_weights(params.seed, "train/weights"):
        generator = build_generator(**config)
        discriminator = build_discriminator(**discriminator_config(params.model, meta["image_size"], meta["channels"]))
    images = torch.from_numpy(train.images.copy())
    training = start_training(build_gan(generator, discriminator, params.lr, device), images, params)
    inputs = params.model_dump(include=DEPENDS_ON), meta["sha256"]["train"], str(device), sha256_of(Path(__file__))
    root = Path(os.environ.get("GAN_CHECKPOINTS", checkpoints))
    with (
        checkpoint_folder(root / checkpoint_key(*inputs)) as folder,
        tqdm(total=params.steps, desc="train", unit="step", disable=None) as bar,
    ):
        if state := load_latest_checkpoint(folder):
            training.restore(state)
            bar.update(training.step)
            print(f"resumed at step {training.step}", file=sys.stderr)

        def show(row: dict[str, float]) -> None:
            bar.set_postfix({name: row[name] for name in ("d_loss", "g_loss")}, refresh=False)
            bar.update(int(row["step"]) - bar.n)

        def save(training: Training) -> None:
            save_checkpoint(folder, training.step, training.state())

        train_gan(training, images, params, device, report=show, checkpoint=save)
        with whole_folder(out) as published:
            save_network(published, "generator", training.gan.generator_ema, config)
            pd.DataFrame(training.history).to_csv(published / "history.csv", index=False, float_format="%.6g")


if __name__ == "__main__":
    run(lambda: typer.run(main))
