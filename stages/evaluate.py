"""Evaluate generated images against real ones."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from ganlib.core.console import run
from ganlib.core.distributed import rank
from ganlib.core.files import read_json, read_table, rounded, whole_file, write_json, write_table
from ganlib.core.launch import joined, launch, must_launch, processes_here
from ganlib.core.order import content_order
from ganlib.core.params import load_params
from ganlib.core.seeding import pin_arithmetic, random_generator, resolve_device
from ganlib.datasets.decode import RESIZES
from ganlib.datasets.plain import in_same_colours, read_images
from ganlib.evaluation.extractors import (
    check_images,
    check_protocol,
    check_same_shape,
    describe_images,
    load_extractor,
    notes_on,
    notes_on_judge,
    weights_files,
)
from ganlib.evaluation.plain import Settings, compare_sets
from ganlib.evaluation.repetition import in_order_given
from ganlib.evaluation.stored import load_gaussian, load_reference
from ganlib.evaluation.summary import evaluate
from ganlib.evaluation.table import headline_of
from ganlib.features.eyes import load_eyes, resolve_extractor
from ganlib.features.judge import ROTATIONS, Judge, check_judge, load_judge
from ganlib.features.judging import asked_and_judged, judge_images
from ganlib.metrics.frechet import fit_gaussian, gaussian_distance

app = typer.Typer(help=__doc__)


@app.command()
def samples(
    reference: Annotated[Path, typer.Argument(help="Folder that reference made.")],
    judge: Annotated[Path, typer.Argument(help="Folder that judge made.")],
    training: Annotated[Path, typer.Argument(help="Folder that train made; its curves are copied beside the metrics.")],
    model: Annotated[Path, typer.Argument(help="Folder that publish made.")],
    generated: Annotated[Path, typer.Argument(help="Folder that sample made.")],
    metrics: Annotated[Path, typer.Option(help="JSON file for the headline figures and their protocol's digest.")],
    details: Annotated[Path, typer.Option(help="JSON file for all other figures and their protocol.")],
    classes: Annotated[Path, typer.Option(help="CSV file for the figures of each class.")],
    confusion: Annotated[Path, typer.Option(help="CSV file of classes asked for and judged; held-out or conditional.")],
    nearest: Annotated[
        Path,
        typer.Option(help="CSV file of the images nearest each other, by their indices in the arrays, from 0."),
    ],
    curves: Annotated[
        Path, typer.Option(help="Folder for the training's history, evaluations and alarms, as CSV files.")
    ],
) -> None:
    """Measure quality, diversity and mode collapse of what the sample stage made."""
    params = load_params()

    device = resolve_device(params.device)
    processes = processes_here(params.train.distributed, device)
    if must_launch(processes):
        return launch(processes, "stages.evaluate")
    pin_arithmetic(params.threads)
    images = np.load(generated / "images.npy", mmap_mode="r")
    check_images(images, f"{generated / 'images.npy'}")
    network = load_judge(judge)
    check_judge(network, images.shape[1:])
    name = resolve_extractor(params.evaluate.extractor, network.image_shape)
    extractor = load_extractor(name, judge, weights_files(params.evaluate))
    protocol, heldout = read_json(reference / "protocol.json"), read_json(reference / "heldout.json")
    check_protocol(extractor.protocol, protocol, reference)
    with joined(processes, device) as own_device:
        described = describe_images(images, extractor, own_device)
        beside = None if extractor.prefix in ("", "domain_") else judge_images(network, images, own_device).features
        if rank() != 0:
            return
    result = evaluate(
        described,
        load_reference(reference),
        heldout,
        prefix=extractor.prefix,
        draws=params.evaluate.draws,
        subsets=params.evaluate.subsets,
        random=np.random.default_rng(random_generator(params.seed, "evaluate/draws").initial_seed()),
    )
    order = content_order(images)
    table = confusion_of(generated, described.classes[np.argsort(order)], network)
    asked = {} if table is None else {"class_agreement": agreement_of(table)}
    if beside is not None:
        asked["domain_fid"] = gaussian_distance(fit_gaussian(beside), load_gaussian(reference))
    protocol |= {"protocol_generated": len(images), "protocol_draws": params.evaluate.draws}
    bar, name = params.evaluate.min_judge_accuracy, protocol["protocol_extractor"]
    notes = notes_on(protocol) | notes_on_judge(load_eyes(judge), name, bar)
    trained = read_json(training / "training.json") | read_json(model / "published.json")
    figures = rounded(result.metrics | asked) | trained | notes | protocol
    headline = headline_of(figures, extractor.prefix)
    write_json(metrics, headline)
    write_json(details, {name: value for name, value in figures.items() if name not in headline})
    pairs = in_order_given(result.nearest, order, np.load(reference / "train_order.npy"))
    heldout_table = read_table(judge / "confusion.csv", "asked", "judged")
    tables = {classes: result.per_class, nearest: pairs, confusion: heldout_table if table is None else table}
    for path, content in tables.items():
        write_table(path, content)
    for name in ("history.csv", "evaluations.csv", "alarms.csv"):
        with whole_file(curves / name) as partial:
            partial.write_bytes((training / name).read_bytes())


def confusion_of(generated: Path, judged: NDArray[np.int64], judge: Judge) -> pd.DataFrame | None:
    """Return the classes that a conditional model was asked for beside those judged, (N,); None of another model."""
    labels = generated / "labels.npy"
    known = labels.is_file() and judge.class_names != ROTATIONS
    return asked_and_judged(np.load(labels), judged, judge) if known else None


def agreement_of(confusion: pd.DataFrame) -> float:
    """Return the share of images that the judge takes for the class asked for."""
    return float(np.mean(confusion["asked"].to_numpy() == confusion["judged"].to_numpy()))


@app.command()
def folders(
    real: Annotated[Path, typer.Argument(help="Real images: a folder, a zip or tar archive, a .npy or .npz array.")],
    fake: Annotated[Path, typer.Argument(help="Generated images, likewise, of the same size and channels.")],
    extractor: Annotated[
        Literal["auto", "judge", "lite0", "inception", "dinov2"],
        typer.Option(help="Whose features to measure in; auto: lite0 for colour, the judge for grey."),
    ] = "inception",
    inception_weights: Annotated[Path | None, typer.Option(help="File with Inception's weights.")] = None,
    dinov2_weights: Annotated[Path | None, typer.Option(help="File with DINOv2's weights.")] = None,
    judge: Annotated[Path, typer.Option(help="Folder of the judge.")] = Path("data/judge"),
    neighbours: Annotated[int, typer.Option(min=1, help="k of the neighbourhoods.")] = 5,
    bins: Annotated[int, typer.Option(min=1, help="Bins of real features, where no judge names classes.")] = 10,
    draws: Annotated[int, typer.Option(min=1, help="Draws of the intra-class diversity.")] = 5,
    subsets: Annotated[int, typer.Option(min=2, help="Random halves that the intervals rest on.")] = 20,
    image_size: Annotated[
        int | None, typer.Option(min=8, help="Resize the shorter side of every image to it, and cut the centre out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Where random draws come from.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 1,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes the GPU if there is one.")
    ] = "auto",
) -> None:
    """Compare any two sets of images; print a figure a line."""
    pin_arithmetic(threads)
    where = resolve_device(device)
    real_images, fake_images = in_same_colours(read_images(real, image_size), read_images(fake, image_size))
    check_images(real_images, str(real))
    check_images(fake_images, str(fake))
    check_same_shape(real_images, fake_images, f"{real} and {fake}")
    weights = {"inception": inception_weights, "dinov2": dinov2_weights}
    name = resolve_extractor(extractor, real_images.shape[1:])
    opened = load_extractor(name, judge if name == "judge" else None, weights)
    class_names = []
    if opened.judge:
        check_judge(opened.judge, real_images.shape[1:])
        class_names = [] if opened.judge.class_names == ROTATIONS else opened.judge.class_names
    figures = compare_sets(
        describe_images(fake_images, opened, where),
        describe_images(real_images, opened, where),
        class_names,
        opened.prefix,
        Settings(neighbours=neighbours, bins=bins, draws=draws, subsets=subsets),
        np.random.default_rng(random_generator(seed, "evaluate/draws").initial_seed()),
    )
    protocol = opened.protocol | {
        "protocol_draws": draws,
        "protocol_generated": len(fake_images),
        "protocol_heldout": "a random half of the reference",
        "protocol_neighbours": neighbours,
        "protocol_reference": len(real_images),
        "protocol_resize": RESIZES["crop"].protocol if image_size else "none",
    }
    print(
        *(f"{name}: {value}" for name, value in sorted((rounded(figures) | notes_on(protocol) | protocol).items())),
        sep="\n",
    )


if __name__ == "__main__":
    run(app)
