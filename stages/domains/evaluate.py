"""Measure translations, beside their baselines."""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from ganlib.core.console import run
from ganlib.core.files import rounded, write_json, write_table
from ganlib.core.memory import keep_freed_memory
from ganlib.core.packed import read_split
from ganlib.core.params import load_domains_params
from ganlib.core.precision import prepare_arithmetic
from ganlib.core.schema import DomainsParams
from ganlib.core.seeding import pin_arithmetic, resolve_device
from ganlib.datasets.derive import Images, resized
from ganlib.datasets.plain import in_same_colours
from ganlib.evaluation.pairs import described_claim, pair_figures
from ganlib.features.eyes import load_eyes, open_eyes
from ganlib.training.game import translating_game_of


def main(
    pairs: Annotated[Path, typer.Argument(help="Folder that pairs made.")],
    judge: Annotated[Path, typer.Argument(help="Folder that judge made of domain B.")],
    translated: Annotated[Path, typer.Argument(help="Folder that translate made.")],
    metrics: Annotated[Path, typer.Option(help="JSON file for the figures of the game.")],
    claims: Annotated[Path, typer.Option(help="JSON file for what the game promises.")],
    table: Annotated[Path, typer.Option(help="CSV file: the same figures of all baselines.")],
) -> None:
    """Compare translations of held-out images with their partners, pixel by pixel and in features, and hold claims."""
    params = load_domains_params()

    pin_arithmetic(params.threads)
    keep_freed_memory()
    device = resolve_device(params.device)
    prepare_arithmetic(params.train.precision, device)
    eyes = load_eyes(judge)
    a, b = (read_split(pairs / side, "heldout").images for side in ("a", "b"))
    hidden = np.load(pairs / "hidden.npy") if params.pairs.kind == "masked" else None
    made = {name: np.load(translated / f"{name}.npy") for name in ("ours", "alone")}
    made |= untrained(a, read_split(pairs / "b", "train").images, params, hidden)
    figures = pair_figures(made, b, open_eyes(eyes.extractor, judge), device, hidden)
    promises = translating_game_of(params).promises(figures)
    protocol = {"protocol_extractor": eyes.extractor, "protocol_heldout": len(b), "protocol_kind": params.pairs.kind}
    write_json(metrics, rounded(figures["ours"]) | protocol)
    write_json(claims, {claim.name: rounded(described_claim(claim)) for claim in promises})
    write_table(table, pd.DataFrame([{"made by": name, **row} for name, row in figures.items()]))
    for claim in promises:
        verdict = "held" if claim.held else "NOT held"
        print(f"{claim.name}: {claim.value:.4g} ({claim.baseline}: {claim.baseline_value:.4g}), {verdict}")


def untrained(a: Images, train: Images, params: DomainsParams, hidden: Images | None) -> dict[str, Images]:
    """Return what needs no training: A itself or enlarged and, where there is a hole, the mean training image in it."""
    if params.pairs.kind == "lowres":
        return {"bicubic": resized(a, params.pairs.image_size)}
    identity = in_same_colours(a, train[:1])[0]
    identity = identity if identity.shape[1] == train.shape[1] else identity[:, :1]
    if hidden is None:
        return {"identity": identity}
    mean = np.rint(train.mean(0)).astype(np.uint8)
    return {"identity": identity, "mean": np.where(hidden, mean, a)}


if __name__ == "__main__":
    run(lambda: typer.run(main))
