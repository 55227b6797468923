"""Measure the real images: everything that an evaluation compares generated ones with."""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ganlib.core.console import run
from ganlib.core.distributed import rank
from ganlib.core.files import rounded, whole_folder, write_json
from ganlib.core.launch import joined, launch, must_launch, processes_here
from ganlib.core.order import content_order
from ganlib.core.packed import SPLITS, read_meta, read_split, rows_of
from ganlib.core.params import PARAMS_FILE, load_shared
from ganlib.core.seeding import pin_arithmetic, random_generator, resolve_device
from ganlib.evaluation.extractors import check_images, load_extractor, weights_files
from ganlib.evaluation.stored import save_gaussian, save_reference
from ganlib.evaluation.summary import heldout_figures
from ganlib.features.eyes import class_names_for, load_eyes, resolve_extractor
from ganlib.features.judge import check_judge, load_judge
from ganlib.features.seen import load_seen
from ganlib.metrics.frechet import fit_gaussian
from ganlib.metrics.reference import build_reference, classes_by


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    judge: Annotated[Path, typer.Argument(help="Folder that judge made.")],
    out: Annotated[Path, typer.Option(help="Folder for features, statistics, floors and protocol.")],
    file: Annotated[Path, typer.Option("--params", help="Params file of the pipeline.")] = PARAMS_FILE,
) -> None:
    """Take the features of the real images, and what held-out ones score in the place of generated ones."""
    params = load_shared(file)

    device = resolve_device(params.device)
    processes = processes_here(params.train.distributed, device)
    if must_launch(processes):
        return launch(processes, "stages.reference")
    pin_arithmetic(params.threads)
    random = np.random.default_rng(random_generator(params.seed, "reference").initial_seed())
    meta, seen = read_meta(prepared), {name: load_seen(judge, name) for name in SPLITS}
    images = {name: rows_of(read_split(prepared, name).images, seen[name].rows) for name in SPLITS}
    for name, split in images.items():
        check_images(split, f"{prepared}, {name} split")
    shape = images["train"].shape[1:]
    check_judge(load_judge(judge), shape, meta["class_names"])
    name = resolve_extractor(params.evaluate.extractor, shape)
    extractor = load_extractor(name, judge, weights_files(params.evaluate))
    eyes = load_eyes(judge)
    with joined(processes, device) as own_device:
        described = {name: seen[name].described(extractor, images[name], own_device) for name in SPLITS}
        if rank() != 0:
            return
    orders = {name: content_order(split) for name, split in images.items()}
    reference = build_reference(
        described["train"].take(orders["train"]),
        described["heldout"].take(orders["heldout"]),
        class_names_for(extractor, eyes),
        neighbours=params.evaluate.neighbours,
        bins=params.evaluate.bins,
        random=random,
    )
    if len(meta["class_names"]) > 1 and reference.centres is not None:
        why = "no class has 20 held-out images" if eyes.names_classes else "the judge is too poor to name classes"
        print(f"WARNING: {why}: bins of features take their place", file=sys.stderr)
    figures = heldout_figures(reference, extractor.prefix, random)
    protocol = extractor.protocol | {
        "protocol_classes": classes_by(reference),
        "protocol_data_sha256": meta["sha256"]["train"],
        "protocol_heldout": len(images["heldout"]),
        "protocol_neighbours": params.evaluate.neighbours,
        "protocol_reference": len(images["train"]),
        "protocol_reference_split": "train",
        "protocol_resize": meta["resize"],
    }
    with whole_folder(out) as folder:
        save_reference(folder, reference)
        np.save(folder / "train_order.npy", seen["train"].rows[orders["train"]])
        if extractor.prefix not in ("", "domain_"):
            save_gaussian(folder, fit_gaussian(seen["train"].judged.astype(np.float64)))
        write_json(folder / "protocol.json", protocol)
        write_json(folder / "heldout.json", rounded(figures))


if __name__ == "__main__":
    run(lambda: typer.run(main))
