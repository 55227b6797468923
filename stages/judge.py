"""Train the judge, and take the real images' features once for all who look at them."""

from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from ganlib.core.console import progress, run
from ganlib.core.files import whole_folder
from ganlib.core.memory import keep_freed_memory
from ganlib.core.packed import read_meta, read_split
from ganlib.core.params import load_params
from ganlib.core.seeding import pin_arithmetic, resolve_device, seeded_weights
from ganlib.core.weights import save_network
from ganlib.features.eyes import eyes_of, open_eyes, save_eyes, watching_extractor
from ganlib.features.fitness import judge_fitness
from ganlib.features.judge import ROTATIONS, Judge, four_rotations, judged_classes
from ganlib.features.judging import judge_confusion
from ganlib.features.training import train_judge


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    out: Annotated[Path, typer.Option(help="Folder for the judge's weights and configuration.")],
) -> None:
    """Train a small classifier on the prepared training images: of their classes, or without labels of rotations."""
    params = load_params()

    pin_arithmetic(params.threads)
    keep_freed_memory()
    device = resolve_device(params.device)
    meta, train, heldout = read_meta(prepared), read_split(prepared, "train"), read_split(prepared, "heldout")
    names, settings = judged_classes(meta["class_names"]), params.evaluate
    extractor = watching_extractor(settings.extractor, train.images.shape[1:])
    opened = open_eyes("lite0", None) if extractor == "lite0" else None
    images, labels = torch.from_numpy(train.images.copy()), train.labels if names != ROTATIONS else None
    if labels is None:
        images, classes = four_rotations(images)
    else:
        classes = torch.from_numpy(labels.copy())
    config: dict[str, Any] = {
        "image_size": meta["image_size"],
        "channels": meta["channels"],
        "class_names": names,
    }
    with seeded_weights(params.seed, "judge/weights"):
        judge = Judge(**config)
    with progress(total=settings.judge_epochs, desc="judge", unit="epoch") as bar:

        def show(row: dict[str, float]) -> None:
            bar.set_postfix(row, refresh=False)
            bar.update()

        train_judge(judge, images, classes, epochs=settings.judge_epochs, seed=params.seed, device=device, report=show)
    known = heldout.labels if labels is not None else None
    fitness = judge_fitness(*judge_confusion(judge, heldout.images, known, device))
    features = {}
    if opened:
        splits = {"train": train.images, "heldout": heldout.images}
        features = {name: opened.describe(split, device).features for name, split in splits.items()}
    eyes = eyes_of(extractor, fitness, labels is not None, settings.min_judge_accuracy)
    with whole_folder(out) as folder:
        save_network(folder, "judge", judge, config)
        save_eyes(folder, eyes, features)


if __name__ == "__main__":
    run(lambda: typer.run(main))
