"""Train the judge, and look at the real images once for all who look at them again."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ganlib.core.console import progress, run
from ganlib.core.files import whole_folder, write_table
from ganlib.core.memory import keep_freed_memory
from ganlib.core.packed import read_meta, read_split, rows_of
from ganlib.core.params import load_params
from ganlib.core.seeding import pin_arithmetic, resolve_device, seeded_weights
from ganlib.core.weights import save_network
from ganlib.features.eyes import eyes_of, open_eyes, save_eyes, watching_extractor
from ganlib.features.fitness import judge_fitness
from ganlib.features.judge import ROTATIONS, Judge, judged_classes
from ganlib.features.judging import asked_and_judged, judge_rotations
from ganlib.features.seen import look, save_seen
from ganlib.features.training import train_judge


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    out: Annotated[Path, typer.Option(help="Folder for the judge, and what it sees in the real images.")],
) -> None:
    """Train a small classifier on the prepared training images: of their classes, or without labels of rotations."""
    params = load_params()

    pin_arithmetic(params.threads)
    keep_freed_memory()
    device = resolve_device(params.device)
    meta, train, heldout = read_meta(prepared), read_split(prepared, "train"), read_split(prepared, "heldout")
    names, settings = judged_classes(meta["class_names"]), params.evaluate
    extractor = watching_extractor(settings.extractor, train.images.shape[1:])
    lite0 = open_eyes("lite0", None) if extractor == "lite0" else None
    labelled = names != ROTATIONS
    labels = np.array(train.labels) if labelled else None
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

        train_judge(
            judge, train.images, labels, epochs=settings.judge_epochs, seed=params.seed, device=device, report=show
        )
    splits = {"train": train.images, "heldout": heldout.images}
    seen = {name: look(images, settings.reference_images, judge, lite0, device) for name, images in splits.items()}
    rows, classes = seen["heldout"].rows, seen["heldout"].classes
    if heldout.labels is not None and labelled:
        asked, judged = heldout.labels[rows], classes
    else:
        asked, judged = judge_rotations(judge, rows_of(heldout.images, rows), device)
    eyes = eyes_of(extractor, judge_fitness(asked, judged), labelled, settings.min_judge_accuracy)
    with whole_folder(out) as folder:
        save_network(folder, "judge", judge, config)
        save_eyes(folder, eyes)
        for name, split in seen.items():
            save_seen(folder, name, split)
        write_table(folder / "confusion.csv", asked_and_judged(asked, judged, judge))


if __name__ == "__main__":
    run(lambda: typer.run(main))
