"""Train the judge, the classifier whose features the evaluation measures in."""

from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from tqdm import tqdm

from ganlib.core.console import run
from ganlib.core.files import whole_folder
from ganlib.core.packed import read_meta, read_split
from ganlib.core.params import load_params
from ganlib.core.seeding import pin_arithmetic, resolve_device, seeded_weights
from ganlib.core.weights import save_network
from ganlib.features.judge import ROTATIONS, Judge, four_rotations
from ganlib.features.training import train_judge


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    out: Annotated[Path, typer.Option(help="Folder for the judge's weights and configuration.")],
) -> None:
    """Train a small classifier on the prepared training images: of their classes, or without labels of rotations."""
    params = load_params()

    pin_arithmetic(params.threads)
    device = resolve_device(params.device)
    meta, train = read_meta(prepared), read_split(prepared, "train")
    images, labels = torch.from_numpy(train.images.copy()), train.labels
    if labels is None:
        images, classes = four_rotations(images)
    else:
        classes = torch.from_numpy(labels.copy())
    config: dict[str, Any] = {
        "image_size": meta["image_size"],
        "channels": meta["channels"],
        "class_names": ROTATIONS if labels is None else meta["class_names"],
    }
    with seeded_weights(params.seed, "judge/weights"):
        judge = Judge(**config)
    with tqdm(total=params.evaluate.judge_epochs, desc="judge", unit="epoch", disable=None) as bar:

        def show(row: dict[str, float]) -> None:
            bar.set_postfix(row, refresh=False)
            bar.update()

        train_judge(
            judge, images, classes, epochs=params.evaluate.judge_epochs, seed=params.seed, device=device, report=show
        )
    with whole_folder(out) as folder:
        save_network(folder, "judge", judge, config)


if __name__ == "__main__":
    run(lambda: typer.run(main))
