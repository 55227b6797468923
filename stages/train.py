"""Train the GAN."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from ganlib.console import run
from ganlib.params import check_classes, load_params

DEPENDS_ON: Any = {
    **dict.fromkeys(("seed", "lr", "batch_size", "steps", "threads", "device", "model", "loss", "train"), True),
    "data": {"flip"},
}
"""The parameters that a checkpoint is bound to: those that dvc.yaml names for this stage."""


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    judge: Annotated[Path, typer.Argument(help="Folder that judge made.")],
    out: Annotated[Path, typer.Option(help="Folder for the networks, the training history and its alarms.")],
    checkpoints: Annotated[Path, typer.Option(help="Folder for checkpoints; GAN_CHECKPOINTS names another.")],
) -> None:
    """Train a generator on the prepared training images, watch it, and publish its moving average.

    A run that was killed goes on from its last checkpoint when the same command is given again.
    """
    params = load_params()
    import torch
    from tqdm import tqdm

    from ganlib.datasets.packed import labels_path, read_meta, read_split
    from ganlib.distributed import check_alike, from_first, is_launched, joined, launch, rank, synchronise
    from ganlib.files import sha256_of, whole_folder
    from ganlib.networks.families import build_discriminator, build_generator, network_configs
    from ganlib.networks.judge import check_judge, load_judge
    from ganlib.seeding import pin_arithmetic, resolve_device, seeded_weights
    from ganlib.training.checkpoint import checkpoint_folder, checkpoint_key, load_latest_checkpoint, save_checkpoint
    from ganlib.training.loop import train_gan
    from ganlib.training.precision import precision_of
    from ganlib.training.publish import publish
    from ganlib.training.state import Training, build_gan, start_training
    from ganlib.training.watch import build_watch

    if params.train.distributed > 1 and not is_launched():
        return launch(params.train.distributed, [sys.executable, "-m", "stages.train", *sys.argv[1:]])
    pin_arithmetic(params.threads)
    meta, train, heldout = read_meta(prepared), read_split(prepared, "train"), read_split(prepared, "heldout")
    # sample.count is read here only to refuse, before the training; no output depends on it.
    check_classes(params, meta["class_names"])
    network = load_judge(judge)
    check_judge(network, train.images.shape[1:], meta["class_names"])
    configs = network_configs(params.model, meta)
    images, labels = torch.from_numpy(train.images.copy(order="K")), None  # channels_last, as they lie on disk
    data = [meta["sha256"], sha256_of(judge / "judge.safetensors"), sha256_of(Path(__file__))]
    if params.model.conditional != "none":
        labels = torch.tensor(train.labels)
        data.append(sha256_of(labels_path(prepared, "train")))
    with ExitStack() as stack:
        device = stack.enter_context(joined(params.train.distributed, resolve_device(params.device)))
        key = checkpoint_key(params.model_dump(include=DEPENDS_ON), device.type, data)
        check_alike(key)
        with seeded_weights(params.seed, "train/weights"):
            networks = build_generator(**configs["generator"]), build_discriminator(**configs["discriminator"])
        for net in networks:
            synchronise(net)
        training = start_training(build_gan(*networks, params.lr, device), images, params)
        counts = configs["generator"].get("class_counts", [])
        watch = build_watch(network, train.images, heldout.images, params, device, counts)
        writes = rank() == 0
        folder = Path(os.environ.get("GAN_CHECKPOINTS", checkpoints)) / key
        if writes:
            stack.enter_context(checkpoint_folder(folder))
        bar = stack.enter_context(tqdm(total=params.steps, desc="train", unit="step", disable=None if writes else True))

        def say(message: str) -> None:
            if writes:
                bar.write(message, file=sys.stderr)

        if state := from_first(lambda: load_latest_checkpoint(folder)):
            training.restore(state)
            bar.update(training.step)
            say(f"resumed at step {training.step}")

        def show(row: dict[str, float]) -> None:
            bar.set_postfix({name: row[name] for name in ("d_loss", "g_loss")}, refresh=False)
            bar.update(int(row["step"]) - bar.n)

        def save(training: Training) -> None:
            if writes:
                save_checkpoint(folder, training.step, training.state())

        train_gan(training, images, params, device, labels=labels, watch=watch, report=show, warn=say, checkpoint=save)
        if writes:
            protocol = watch.protocol | {"train_precision": precision_of(params.train.precision, device)}
            with whole_folder(out) as published:
                publish(published, training, configs, params.train.publish, protocol)


if __name__ == "__main__":
    run(lambda: typer.run(main))
