"""Train the GAN."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from ganlib.core.console import run
from ganlib.core.distributed import check_alike
from ganlib.core.files import sha256_of
from ganlib.core.launch import joined, launch, must_launch
from ganlib.core.memory import keep_freed_memory
from ganlib.core.params import load_params
from ganlib.core.precision import prepare_arithmetic
from ganlib.core.schema import ModelParams, Params, TrainParams
from ganlib.core.seeding import pin_arithmetic, resolve_device
from ganlib.networks.families import FAMILIES
from ganlib.report.live import Reporter
from ganlib.training.checkpoint import checkpoint_key
from ganlib.training.game import game_of
from ganlib.training.inputs import load_inputs
from ganlib.training.run import run_training

DEPENDS_ON: Any = {
    **dict.fromkeys(("seed", "lr", "batch_size", "threads", "device", "game", "loss"), True),
    "data": {"flip"},
    "train": set(TrainParams.model_fields) - {"checkpoint_every", "extend", "start"},
}
"""The parameters that a checkpoint is bound to, but for `own_params`: those that dvc.yaml names for this stage.

Not so `steps` and `train.extend`, so that more steps can go on; the content of `train.start` stands for its name.
"""


def own_params(params: Params) -> dict[str, Any]:
    """Return those of the game, and those of the networks without other families' sections."""
    others = set(FAMILIES) - {params.model.architecture}
    return {"games": {params.game}, "model": set(ModelParams.model_fields) - others}


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    judge: Annotated[Path, typer.Argument(help="Folder that judge made.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the networks of both ends, the training history and its alarms.")
    ],
    checkpoints: Annotated[Path, typer.Option(help="Folder for checkpoints; GAN_CHECKPOINTS names another.")],
) -> None:
    """Train a generator on the prepared training images, watch it, and keep its best and its last weights.

    A run that was killed goes on from its last checkpoint when the same command is given again.
    """
    params = load_params()

    if must_launch(params.train.distributed):
        return launch(params.train.distributed, "stages.train")
    pin_arithmetic(params.threads)
    with ExitStack() as stack:
        device = stack.enter_context(joined(params.train.distributed, resolve_device(params.device)))
        prepare_arithmetic(params.train.precision, device)  # real and generated images are judged in the same
        keep_freed_memory()
        game = game_of(params)
        # sample.count is read here only to refuse, before the training; no output depends on it.
        inputs = load_inputs(prepared, judge, game, params, device)
        data = inputs.digests, sha256_of(Path(__file__))
        key = checkpoint_key(params.model_dump(include=DEPENDS_ON | own_params(params)), device.type, data)
        check_alike(key)
        folder = Path(os.environ.get("GAN_CHECKPOINTS", checkpoints)) / key
        run_training(game, inputs, params, device, out=out, folder=folder, reporting=Reporter)


if __name__ == "__main__":
    run(lambda: typer.run(main))
