"""Train a game of two domains."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ganlib.core.console import run
from ganlib.core.distributed import check_alike
from ganlib.core.domains_schema import DomainsParams
from ganlib.core.files import sha256_of
from ganlib.core.launch import joined, launch, must_launch
from ganlib.core.memory import keep_freed_memory
from ganlib.core.params import changed, load_domains_params
from ganlib.core.precision import prepare_arithmetic
from ganlib.core.schema import SharedTrainParams
from ganlib.core.seeding import pin_arithmetic, resolve_device
from ganlib.report.live import Reporter
from ganlib.training.checkpoint import checkpoint_key
from ganlib.training.game import translating_game_of
from ganlib.training.inputs import load_pairs
from ganlib.training.run import run_training

DEPENDS_ON: Any = {
    **dict.fromkeys(("seed", "lr", "batch_size", "threads", "device", "game", "model", "loss"), True),
    "pairs": {"flip"},
    "train": set(SharedTrainParams.model_fields) - {"checkpoint_every", "extend"},
}
"""The parameters that a checkpoint is bound to, with the game's own: those that dvc.yaml names, but for the number of
steps, so that more can go on."""


def main(
    pairs: Annotated[Path, typer.Argument(help="Folder that pairs made.")],
    judge: Annotated[Path, typer.Argument(help="Folder that judge made of domain B.")],
    out: Annotated[Path, typer.Option(help="Folder for the networks of both ends, the history and its alarms.")],
    checkpoints: Annotated[Path, typer.Option(help="Folder for checkpoints; GAN_CHECKPOINTS names another.")],
    baseline: Annotated[bool, typer.Option("--baseline", help="Train what the game is compared with.")] = False,
) -> None:
    """Train a network from A to B on the training pairs, watch it, and keep its best and its last weights.

    A run that was killed goes on from its last checkpoint when the same command is given again.
    """
    params = load_domains_params()

    game = translating_game_of(params)
    params = changed(params, game.BASELINE.changes) if baseline else params
    if must_launch(params.train.distributed):
        return launch(params.train.distributed, "stages.domains.train")
    pin_arithmetic(params.threads)
    with joined(params.train.distributed, resolve_device(params.device)) as device:
        prepare_arithmetic(params.train.precision, device)
        keep_freed_memory()
        inputs = load_pairs(pairs, judge, game, params, device)
        key = checkpoint_key(bound_to(params), device.type, inputs.digests, sha256_of(Path(__file__)))
        check_alike(key)
        folder = Path(os.environ.get("GAN_CHECKPOINTS", checkpoints)) / key
        run_training(game, inputs, params, device, out=out, folder=folder, reporting=Reporter)


def bound_to(params: DomainsParams) -> dict[str, Any]:
    """Return the parameters that a checkpoint is bound to."""
    return params.model_dump(include=DEPENDS_ON | {"games": {params.game}})


if __name__ == "__main__":
    run(lambda: typer.run(main))
