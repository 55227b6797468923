"""The model that a training is known by: the networks of one of its ends."""

import shutil
from pathlib import Path

from ganlib.files import read_json, write_json


def publish(training: Path, folder: Path, checkpoint: str, ema: bool) -> int:
    """Copy the networks of one end of a training, `best` or `final`, into a folder; return the end's step.

    The generator is the moving average of its weights or, without `ema`, these themselves.
    """
    step = read_json(training / "training.json")[f"train_{checkpoint}_step"]
    networks = {"generator": "generator_ema" if ema else "generator", "discriminator": "discriminator"}
    for published, kept in networks.items():
        for suffix in ("json", "safetensors"):
            shutil.copyfile(training / checkpoint / f"{kept}.{suffix}", folder / f"{published}.{suffix}")
    chosen = {"published": checkpoint, "published_ema": ema, "published_step": step}
    write_json(folder / "published.json", chosen)
    return step
