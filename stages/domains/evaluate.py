"""Measure translations, beside their baselines."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer

from ganlib.core.console import run
from ganlib.core.domains_schema import OF_LATENTS, DomainsParams
from ganlib.core.files import read_json, rounded, write_json, write_table
from ganlib.core.packed import SPLITS, Split, read_meta, read_split
from ganlib.core.params import load_domains_params
from ganlib.core.precision import prepared_device
from ganlib.core.seeding import random_generator
from ganlib.datasets.derive import DERIVE, Hidden, Images, derive, given_for, grey, resized
from ganlib.datasets.plain import in_same_colours
from ganlib.evaluation.extractors import (
    check_protocol,
    describe_images,
    load_extractor,
    notes_on_judge,
    weights_files,
)
from ganlib.evaluation.pairs import class_kept, floor, pair_figures
from ganlib.evaluation.stored import load_reference
from ganlib.evaluation.summary import evaluate
from ganlib.evaluation.table import headline_of
from ganlib.features.eyes import Extractor, load_eyes
from ganlib.features.judge import load_judge
from ganlib.training.claims import Translated
from ganlib.training.ends import load_average
from ganlib.training.game import translating_game_of

NAMES = {
    "ours": "the game",
    "identity": "A itself",
    "mean": "mean image",
    "first": "stage I enlarged",
    "real": "held-out images of B",
}
"""What stands in the table for who made images; a baseline that is trained has the name that the game gives it."""


def main(
    pairs: Annotated[Path, typer.Argument(help="Folder that pairs made.")],
    judge: Annotated[Path, typer.Argument(help="Folder that judge made of domain B.")],
    reference: Annotated[Path, typer.Argument(help="Folder that reference made of domain B.")],
    training: Annotated[Path, typer.Argument(help="Folder that train made.")],
    baseline: Annotated[Path, typer.Argument(help="Folder that train --baseline made.")],
    translated: Annotated[Path, typer.Argument(help="Folder that translate made.")],
    metrics: Annotated[Path, typer.Option(help="JSON file for the figures of the game.")],
    claims: Annotated[Path, typer.Option(help="JSON file for what the game promises.")],
    table: Annotated[Path, typer.Option(help="CSV file: the same figures of all baselines.")],
) -> None:
    """Compare translations of held-out images with their partners, pixel by pixel and in features, and hold claims."""
    params = load_domains_params()

    device = prepared_device(params)
    protocol, real = read_json(reference / "protocol.json"), load_reference(reference)
    extractor = load_extractor(protocol["protocol_extractor"], judge, weights_files(params.evaluate))
    check_protocol(extractor.protocol, protocol, reference)
    random = np.random.default_rng(random_generator(params.seed, "evaluate/draws").initial_seed())
    given: dict[str, Any] = {"subsets": params.evaluate.subsets, "random": random}
    game = translating_game_of(params)
    found = what_was_made(pairs, judge, {"ours": training, "baseline": baseline}, translated, params, device)
    hidden = np.load(pairs / "hidden.npy") if params.pairs.kind == "masked" else None
    figures = figures_of(found, hidden, params, extractor, **given)
    lowest = {"fid_to_heldout": floor(real.train.features, real.heldout.features, random)}
    ours, heldout = describe_images(found.made["ours"], extractor, device), read_json(reference / "heldout.json")
    as_set = evaluate(ours, real, heldout, prefix=extractor.prefix, draws=params.evaluate.draws, **given).metrics
    notes = notes_on_judge(load_eyes(judge), protocol["protocol_extractor"], params.evaluate.min_judge_accuracy)
    protocol |= {"protocol_kind": params.pairs.kind, "protocol_translated": len(found.made["ours"])}
    promises = game.promises(figures)
    seen_by = {"protocol_extractor": protocol["protocol_extractor"], "fid_to_heldout_floor": lowest["fid_to_heldout"]}
    headline = headline_of(as_set | notes | protocol, extractor.prefix)
    write_json(metrics, rounded(figures["ours"] | seen_by | headline))
    write_json(claims, {claim.name: rounded(claim.described()) for claim in promises})
    rows = figures | {"training images of B": lowest}
    names = NAMES | {"baseline": game.BASELINE.name}
    write_table(table, pd.DataFrame([{"made by": names.get(name, name), **row} for name, row in rows.items()]))
    for claim in promises:
        print(claim.verdict())


def what_was_made(
    pairs: Path,
    judge: Path,
    trainings: Mapping[str, Path],
    translated: Path,
    params: DomainsParams,
    device: torch.device,
) -> Translated:
    """Return all that the figures are of, from the folders of the stages before."""
    game, meta_a = translating_game_of(params), read_meta(pairs / "a")
    return Translated(
        made={path.stem: np.load(path) for path in sorted(translated.glob("*.npy"))},
        a=splits_of(pairs / "a"),
        b=splits_of(pairs / "b"),
        judge=load_judge(judge),
        class_names_a=meta_a["class_names"],
        vocabulary=meta_a.get("vocabulary", []),
        load=lambda who, name: load_average(trainings[who], name, game),
        derive=deriving(params),
        device=device,
    )


def figures_of(
    found: Translated, hidden: Hidden | None, params: DomainsParams, extractor: Extractor, **given: Any
) -> dict[str, dict[str, float]]:
    """Return figures by who made images: those of all games, then the game's own."""
    made = {name: found.made[name] for name in ("ours", "baseline")} | untrained(found, params, hidden)
    real_b, labels = found.b["heldout"].images, found.a["heldout"].labels
    figures = pair_figures(made, real_b, extractor, found.device, hidden, partners=params.partners, **given)
    asked = params.game not in OF_LATENTS or params.pairs.kind == "captions"
    if asked and labels is not None and found.class_names_a == found.judge.class_names:
        for name, images in made.items():
            figures[name]["class_kept"] = class_kept(images, labels, found.judge, found.device)
    for name, row in translating_game_of(params).examine(found, params).items():
        figures.setdefault(name, {}).update(row)
    return figures


def splits_of(side: Path) -> dict[str, Split]:
    """Return both splits of a domain by name."""
    return {name: read_split(side, name) for name in SPLITS}


def deriving(params: DomainsParams) -> Callable[[Images], Images] | None:
    """Return what makes images of one domain of those of the other, as pairs did."""
    pairs = params.pairs
    if pairs.kind not in DERIVE:
        return None
    channels = pairs.channels_a if pairs.made == "a" else pairs.channels_b
    return lambda images: derive(images, pairs.kind, channels, given_for(pairs, params.seed, "evaluate"))


def untrained(found: Translated, params: DomainsParams, hidden: Hidden | None) -> dict[str, Images]:
    """Return what the game's images are held against besides the baseline, where there is anything.

    A itself or enlarged, stage I's enlarged and, where there is a hole, the mean training image in it.
    """
    if params.game in OF_LATENTS:
        return {"first": found.made["ours_first"]} if params.pairs.kind == "captions" else {}
    a, train = found.a["heldout"].images, found.b["train"].images
    if params.pairs.kind == "lowres":
        return {"bicubic": resized(a, params.pairs.image_size)}
    identity = in_same_colours(a, train[:1])[0]
    identity = identity if identity.shape[1] == train.shape[1] else grey(identity)
    if hidden is None:
        return {"identity": identity}
    mean = np.rint(train.mean(0)).astype(np.uint8)
    return {"identity": identity, "mean": np.where(hidden, mean, a)}


if __name__ == "__main__":
    run(lambda: typer.run(main))
