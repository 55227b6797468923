"""Evaluate the generated images against the real ones."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ganlib.console import run
from ganlib.params import load_params


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    judge: Annotated[Path, typer.Argument(help="Folder that judge made.")],
    model: Annotated[Path, typer.Argument(help="Folder that train made; its history is copied beside the metrics.")],
    samples: Annotated[Path, typer.Argument(help="Folder that sample made.")],
    metrics: Annotated[Path, typer.Option(help="JSON file for the figures and their protocol.")],
    classes: Annotated[Path, typer.Option(help="CSV file for the figures of each class.")],
    history: Annotated[Path, typer.Option(help="CSV file for the training history.")],
) -> None:
    """Measure quality, diversity and mode collapse in the judge's feature space."""
    params = load_params()
    import numpy as np

    from ganlib.datasets.packed import read_meta, read_split
    from ganlib.files import rounded, sha256_of, whole_file, write_json
    from ganlib.metrics.features import judge_images
    from ganlib.metrics.summary import evaluate
    from ganlib.networks.judge import FEATURES, load_judge
    from ganlib.seeding import pin_arithmetic, random_generator, resolve_device

    pin_arithmetic(params.threads)
    device = resolve_device(params.device)
    meta, network = read_meta(prepared), load_judge(judge)
    splits = {name: read_split(prepared, name) for name in ("train", "heldout")}
    real = {name: judge_images(network, split.images, device) for name, split in splits.items()}
    fake = judge_images(network, np.load(samples / "images.npy", mmap_mode="r"), device)
    result = evaluate(
        fake,
        real["train"],
        real["heldout"],
        meta["class_names"],
        neighbours=params.evaluate.neighbours,
        draws=params.evaluate.draws,
        seed=random_generator(params.seed, "evaluate/draws").initial_seed(),
    )
    accuracy = float((real["heldout"].classes == splits["heldout"].labels).mean())
    reliable = accuracy >= params.evaluate.min_judge_accuracy
    if not reliable:
        bar = params.evaluate.min_judge_accuracy
        print(f"WARNING: the judge's held-out accuracy {accuracy:.3f} is under {bar}: do not rely on", file=sys.stderr)
        print("these figures; raise evaluate.judge_epochs", file=sys.stderr)
    protocol = {
        "protocol_data_sha256": meta["sha256"]["train"],
        "protocol_extractor": "judge",
        "protocol_extractor_sha256": sha256_of(judge / "judge.safetensors"),
        "protocol_feature_dim": FEATURES,
        "protocol_generated": len(fake.features),
        "protocol_heldout": len(splits["heldout"].images),
        "protocol_neighbours": params.evaluate.neighbours,
        "protocol_reference": len(splits["train"].images),
        "protocol_reference_split": "train",
        "protocol_resize": meta["resize"],
    }
    judged = {"judge_accuracy": accuracy, "judge_reliable": reliable}
    write_json(metrics, rounded(result.metrics | judged) | protocol)
    with whole_file(classes) as partial:
        result.per_class.to_csv(partial, index=False, float_format="%.6g")
    with whole_file(history) as partial:
        partial.write_bytes((model / "history.csv").read_bytes())


if __name__ == "__main__":
    run(lambda: typer.run(main))
