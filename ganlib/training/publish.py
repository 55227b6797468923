"""The model that a training is known by: the networks of one of its ends."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganlib.core.errors import UserError
from ganlib.core.files import read_json, write_json
from ganlib.training.card import model_card

AVERAGE = "_ema"
"""Ends the names of moving averages."""
ONLY_FINAL = "train_only_final"
"""Key of training.json: why the best weights of a training may not be published."""
ONLY_BEST = "train_only_best"
"""Likewise of the final ones."""


def publish(training: Path, folder: Path, checkpoint: str, ema: bool) -> tuple[str, int]:
    """Copy the networks of one end of a training, `best` or `final`, into a folder, with a card.

    Those that have a moving average are it or, without `ema`, the weights themselves. Return the end, and its step: the
    final one of a training whose best weights were found by what it must not know. Raise UserError where the final ones
    are asked for and are no numbers.
    """
    figures = read_json(training / "training.json")
    if checkpoint == "final" and ONLY_BEST in figures:
        raise UserError(f"publish.checkpoint = final: {training}: {figures[ONLY_BEST]}; set it to best")
    checkpoint = "final" if ONLY_FINAL in figures else checkpoint
    step = figures[f"train_{checkpoint}_step"]
    publish_end(training / checkpoint, folder, ema)
    describe(folder, {"published": checkpoint, "published_ema": ema, "published_step": step}, figures)
    return checkpoint, step


def publish_end(end: Path, folder: Path, ema: bool) -> None:
    """Copy the networks of an end; of each that has a moving average, with `ema` that."""
    for name in sorted(path.stem for path in end.glob("*.json") if not path.stem.endswith(AVERAGE)):
        averaged = name + AVERAGE
        kept = averaged if ema and (end / f"{averaged}.json").is_file() else name
        for suffix in ("json", "safetensors"):
            shutil.copyfile(end / f"{kept}.{suffix}", folder / f"{name}.{suffix}")


def describe(folder: Path, published: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
    """Write down which end of a training a folder holds, and the card that model hubs show."""
    write_json(folder / "published.json", published)
    card = model_card(read_json(folder / "generator.json"), published, figures)
    (folder / "README.md").write_text(card, encoding="utf-8")
