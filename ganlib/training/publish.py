"""The model that a training is known by: the networks of one of its ends."""

import shutil
from pathlib import Path

from ganlib.core.files import read_json, write_json
from ganlib.training.card import model_card

AVERAGE = "_ema"
"""Ends the names of moving averages."""


def publish(training: Path, folder: Path, checkpoint: str, ema: bool) -> int:
    """Copy the networks of one end of a training, `best` or `final`, into a folder, with a card; return the end's step.

    Those that have a moving average are it or, without `ema`, the weights themselves.
    """
    figures, end = read_json(training / "training.json"), training / checkpoint
    step = figures[f"train_{checkpoint}_step"]
    for name in sorted(path.stem for path in end.glob("*.json") if not path.stem.endswith(AVERAGE)):
        averaged = name + AVERAGE
        kept = averaged if ema and (end / f"{averaged}.json").is_file() else name
        for suffix in ("json", "safetensors"):
            shutil.copyfile(end / f"{kept}.{suffix}", folder / f"{name}.{suffix}")
    published = {"published": checkpoint, "published_ema": ema, "published_step": step}
    write_json(folder / "published.json", published)
    card = model_card(read_json(folder / "generator.json"), published, figures)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return step
