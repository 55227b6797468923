"""Train the judge, and look at the real images once for all who look at them again."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from ganlib.core.console import progress, run
from ganlib.core.files import whole_folder, write_table
from ganlib.core.memory import keep_freed_memory
from ganlib.core.order import chosen_by_content
from ganlib.core.packed import Split, read_meta, read_split, rows_of
from ganlib.core.params import PARAMS_FILE, load_shared
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
    file: Annotated[Path, typer.Option("--params", help="Params file of the pipeline.")] = PARAMS_FILE,
) -> None:
    """Train a small classifier on the prepared training images: of their classes, or without labels of rotations."""
    params = load_shared(file)

    pin_arithmetic(params.threads)
    keep_freed_memory()
    device = resolve_device(params.device)
    meta, train, heldout = read_meta(prepared), read_split(prepared, "train"), read_split(prepared, "heldout")
    names, settings = judged_classes(meta["class_names"]), params.evaluate
    extractor = watching_extractor(settings.extractor, train.images.shape[1:])
    lite0 = open_eyes("lite0", None) if extractor == "lite0" else None
    labelled, splits = names != ROTATIONS, {"train": train, "heldout": heldout}
    rows = {name: chosen_by_content(split.images, settings.reference_images) for name, split in splits.items()}
    labels = {name: labels_of(split, rows[name]) if labelled else None for name, split in splits.items()}
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

        given = {"epochs": settings.judge_epochs, "seed": params.seed, "device": device, "report": show}
        train_judge(judge, rows_of(train.images, rows["train"]), labels["train"], **given)
    seen = {name: look(split.images, rows[name], judge, lite0, device) for name, split in splits.items()}
    asked, judged = labels["heldout"], seen["heldout"].classes
    if asked is None:
        asked, judged = judge_rotations(judge, rows_of(heldout.images, rows["heldout"]), device)
    eyes = eyes_of(extractor, judge_fitness(asked, judged), labelled, settings.min_judge_accuracy)
    with whole_folder(out) as folder:
        save_network(folder, "judge", judge, config)
        save_eyes(folder, eyes)
        for name, split in seen.items():
            save_seen(folder, name, split)
        write_table(folder / "confusion.csv", asked_and_judged(asked, judged, judge))


def labels_of(split: Split, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    return None if split.labels is None else split.labels[rows]


if __name__ == "__main__":
    run(lambda: typer.run(main))
