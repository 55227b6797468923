"""Measure what the game promises, beside the baseline that it must beat."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ganlib.core.console import run
from ganlib.core.files import read_json, read_table, rounded, whole_folder, write_json, write_table
from ganlib.core.packed import read_meta, read_split
from ganlib.core.params import load_params
from ganlib.core.precision import prepared_device
from ganlib.core.seeding import random_generator
from ganlib.core.weights import load_network
from ganlib.features.eyes import load_eyes, open_eyes
from ganlib.features.judge import load_judge
from ganlib.looking.pictures import labelled_rows, words
from ganlib.training.claims import Findings, Subject
from ganlib.training.game import game_of


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    judge: Annotated[Path, typer.Argument(help="Folder that judge made.")],
    training: Annotated[Path, typer.Argument(help="Folder that train made.")],
    model: Annotated[Path, typer.Argument(help="Folder that publish made.")],
    metrics: Annotated[Path, typer.Option(help="JSON file for the claims.")],
    pictures: Annotated[Path, typer.Option(help="Folder for what shows them: PNG and CSV files.")],
) -> None:
    """Hold the published networks to the claims of the papers that their game is of.

    Baselines are trained here with the same params, or are the same measurement of plain pixels.
    """
    params = load_params()

    device, game, meta = prepared_device(params), game_of(params), read_meta(prepared)
    subject = Subject(
        networks={name: load_network(model, name, build).to(device) for name, build in game.BUILDERS.items()},
        configs={name: read_json(model / f"{name}.json") for name in game.BUILDERS},
        train=read_split(prepared, "train"),
        heldout=read_split(prepared, "heldout"),
        judge=load_judge(judge),
        extractor=open_eyes(load_eyes(judge).extractor, judge),
        class_names=meta["class_names"],
        evaluations=read_table(training / "evaluations.csv"),
        device=device,
    )
    findings = game.probe(subject, params, random_generator(params.seed, "probe"))
    write_json(metrics, described(findings))
    with whole_folder(pictures) as folder:
        for name, table in findings.tables.items():
            write_table(folder / f"{name}.csv", table)
        for name, rows in findings.pictures.items():
            labelled_rows([rows]).save(folder / f"{name}.png")
        if not findings.pictures and not findings.tables:  # git keeps no empty folder
            words(findings.absent).save(folder / "nothing.png")
    for claim in findings.claims:
        print(claim.verdict())
    if findings.absent:
        print(f"No claim: {findings.absent}")


def described(findings: Findings) -> dict[str, Any]:
    """Return what probe.json holds: each claim by its name, and why there is none where there is none."""
    absent = {"absent": findings.absent} if findings.absent else {}
    return {claim.name: rounded(claim.described()) for claim in findings.claims} | absent


if __name__ == "__main__":
    run(lambda: typer.run(main))
