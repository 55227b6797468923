"""Measure the real images: everything that an evaluation compares generated ones with."""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ganlib.core.console import run
from ganlib.core.distributed import rank
from ganlib.core.files import rounded, whole_folder, write_json, write_table
from ganlib.core.launch import joined, launch, must_launch, processes_here
from ganlib.core.packed import read_meta, read_split
from ganlib.core.params import load_params
from ganlib.core.seeding import pin_arithmetic, random_generator, resolve_device
from ganlib.evaluation.extractors import check_images, describe_images, load_extractor, weights_files
from ganlib.evaluation.order import content_order
from ganlib.evaluation.stored import save_gaussian, save_reference
from ganlib.evaluation.summary import heldout_figures
from ganlib.features.eyes import cached_features, class_names_for, load_eyes, resolve_extractor
from ganlib.features.judge import check_judge, load_judge
from ganlib.features.judging import asked_and_judged, judge_confusion, judge_images
from ganlib.metrics.frechet import fit_gaussian
from ganlib.metrics.reference import build_reference, classes_by


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    judge: Annotated[Path, typer.Argument(help="Folder that judge made.")],
    out: Annotated[Path, typer.Option(help="Folder for features, statistics, floors and protocol.")],
) -> None:
    """Take the features of the real images, and what held-out ones score in the place of generated ones."""
    params = load_params()

    device = resolve_device(params.device)
    processes = processes_here(params.train.distributed, device)
    if must_launch(processes):
        return launch(processes, "stages.reference")
    pin_arithmetic(params.threads)
    random = np.random.default_rng(random_generator(params.seed, "reference").initial_seed())
    meta, train, heldout = read_meta(prepared), read_split(prepared, "train"), read_split(prepared, "heldout")
    for name, split in (("train", train), ("heldout", heldout)):
        check_images(split.images, f"{prepared}, {name} split")
    network, name = load_judge(judge), resolve_extractor(params.evaluate.extractor, train.images.shape[1:])
    check_judge(network, train.images.shape[1:], meta["class_names"])
    extractor = load_extractor(name, judge, weights_files(params.evaluate))
    eyes = load_eyes(judge)
    with joined(processes, device) as own_device:
        described_train, described_heldout = (
            describe_images(split.images, extractor, own_device, cached_features(judge, name, extractor, eyes))
            for name, split in (("train", train), ("heldout", heldout))
        )
        beside = (
            None if extractor.prefix in ("", "domain_") else judge_images(network, train.images, own_device).features
        )
        if rank() != 0:
            return
    reference = build_reference(
        described_train,
        described_heldout,
        class_names_for(extractor, eyes),
        neighbours=params.evaluate.neighbours,
        bins=params.evaluate.bins,
        random=random,
    )
    if len(meta["class_names"]) > 1 and reference.centres is not None:
        why = "no class has 20 held-out images" if eyes.names_classes else "the judge is too poor to name classes"
        print(f"WARNING: {why}: bins of features take their place", file=sys.stderr)
    known = heldout.labels if network.class_names == meta["class_names"] else None
    asked, judged = judge_confusion(network, heldout.images, known, device)
    figures = heldout_figures(reference, extractor.prefix, random)
    protocol = extractor.protocol | {
        "protocol_classes": classes_by(reference),
        "protocol_data_sha256": meta["sha256"]["train"],
        "protocol_heldout": len(heldout.images),
        "protocol_neighbours": params.evaluate.neighbours,
        "protocol_reference": len(train.images),
        "protocol_reference_split": "train",
        "protocol_resize": meta["resize"],
    }
    with whole_folder(out) as folder:
        save_reference(folder, reference)
        np.save(folder / "train_order.npy", content_order(train.images))
        if beside is not None:
            save_gaussian(folder, fit_gaussian(beside))
        write_json(folder / "protocol.json", protocol)
        write_json(folder / "heldout.json", rounded(figures))
        write_table(folder / "confusion.csv", asked_and_judged(asked, judged, network))


if __name__ == "__main__":
    run(lambda: typer.run(main))
