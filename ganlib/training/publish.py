"""The model that a training is known by: the networks of one of its ends."""

import shutil
from pathlib import Path

from ganlib.core.files import read_json, write_json

AVERAGE = "_ema"
"""Ends the names of moving averages."""


def publish(training: Path, folder: Path, checkpoint: str, ema: bool) -> int:
    """Copy the networks of one end of a training, `best` or `final`, into a folder; return the end's step.

    Those that have a moving average are it or, without `ema`, the weights themselves.
    """
    step = read_json(training / "training.json")[f"train_{checkpoint}_step"]
    publish_end(training / checkpoint, folder, ema)
    write_json(folder / "published.json", {"published": checkpoint, "published_ema": ema, "published_step": step})
    return step


def publish_end(end: Path, folder: Path, ema: bool) -> None:
    """Copy the networks of an end; of each that has a moving average, with `ema` that."""
    for name in sorted(path.stem for path in end.glob("*.json") if not path.stem.endswith(AVERAGE)):
        averaged = name + AVERAGE
        kept = averaged if ema and (end / f"{averaged}.json").is_file() else name
        for suffix in ("json", "safetensors"):
            shutil.copyfile(end / f"{kept}.{suffix}", folder / f"{name}.{suffix}")
