"""Eyes: whose features stand for images, and how far the judge can be trusted; both resolved once, by the judge stage.

An extractor makes features of uint8 images. `auto` takes lite0 for colour and the judge for grey. What is slow, or is
kept out of every choice that a training makes, is for the evaluation alone: a training is then watched as with `auto`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.core.errors import UserError
from ganlib.core.files import read_json, rounded, sha256_of, write_json
from ganlib.core.packed import AnyImages
from ganlib.features.fitness import Fitness
from ganlib.features.judge import FEATURES as JUDGE_FEATURES
from ganlib.features.judge import ROTATIONS, Judge, load_judge
from ganlib.features.judging import judge_images
from ganlib.features.lite0 import FEATURES as LITE0_FEATURES
from ganlib.features.lite0 import RESIZE as LITE0_RESIZE
from ganlib.features.lite0 import SMALLEST, find_lite0, lite0_features, load_lite0
from ganlib.metrics.diversity import Labelled

EYES = "eyes.json"


class Extractor(NamedTuple):
    judge: Judge | None
    """Names the classes, and supplies the features if nothing else does."""
    features: Callable[[AnyImages, torch.device], NDArray[np.float64]] | None
    """Makes features (N, d) of (N, C, H, W) uint8 images in the judge's place."""
    prefix: str
    """Begins the names of distances, so that those of different extractors share none: empty for Inception."""
    protocol: dict[str, Any]
    """What the figures depend on, by key of metrics."""

    def describe(self, images: AnyImages, device: torch.device) -> Labelled:
        """Return features and the judge's classes (all 0 without a judge), in the order given."""
        if self.features is None:
            assert self.judge, "neither judge nor another extractor"
            return judge_images(self.judge, images, device)
        classes = judge_images(self.judge, images, device).classes if self.judge else np.zeros(len(images), np.int64)
        return Labelled(features=self.features(images, device), classes=classes)


class Eyes(NamedTuple):
    """What the judge stage has left about seeing."""

    extractor: str
    """`judge` or `lite0`: who watches the training."""
    judge_tells_apart: str
    """`classes`, or `rotations` where the images have no labels or one class."""
    judge_accuracy: float
    judge_fit: bool
    """Whether it has two classes with enough images and is right more often than chance."""
    judge_unfit_because: str
    """Empty if it is fit."""
    names_classes: bool
    """Whether the judge is good enough to name classes beside features that are not its own; else bins are."""


def resolve_extractor(name: str, image_shape: tuple[int, ...]) -> str:
    """Return what `auto` stands for with images (C, H, W); raise UserError where lite0 can't see such small ones."""
    channels, size, _ = image_shape
    if name == "lite0" and size < SMALLEST:
        raise UserError(
            f"images of {size} px are too small for the extractor lite0, which sees from {SMALLEST} px on: "
            "set evaluate.extractor to judge, or raise image_size"
        )
    return ("lite0" if channels == 3 and size >= SMALLEST else "judge") if name == "auto" else name


def watching_extractor(name: str, image_shape: tuple[int, ...]) -> str:
    """Return who watches a training whose evaluation is asked for in the features of `name`."""
    return resolve_extractor(name if name in ("judge", "lite0") else "auto", image_shape)


def open_eyes(name: str, judge_folder: Path | None) -> Extractor:
    """Load `judge` or `lite0`; beside lite0 the judge, if there is one, names the classes."""
    judge = load_judge(judge_folder) if judge_folder else None
    if name == "lite0":
        path = find_lite0()
        network = load_lite0(path)
        protocol = extractor_protocol(name, sha256_of(path), LITE0_FEATURES, LITE0_RESIZE)
        return Extractor(judge, lambda images, device: lite0_features(network, images, device), "lite0_", protocol)
    assert judge_folder, "the judge needs its folder"
    sha256 = sha256_of(judge_folder / "judge.safetensors")
    return Extractor(judge, None, "domain_", extractor_protocol(name, sha256, JUDGE_FEATURES, "none"))


def extractor_protocol(name: str, sha256: str, dimension: int, resize: str) -> dict[str, Any]:
    return {
        "protocol_extractor": name,
        "protocol_extractor_resize": resize,
        "protocol_extractor_sha256": sha256,
        "protocol_feature_dim": dimension,
    }


def eyes_of(extractor: str, fitness: Fitness, labelled: bool, bar: float) -> Eyes:
    """Return what is known of eyes; `bar` is `evaluate.min_judge_accuracy`."""
    fit = not fitness.unfit_because
    return Eyes(
        extractor=extractor,
        judge_tells_apart="classes" if labelled else "rotations",
        judge_accuracy=fitness.accuracy,
        judge_fit=fit,
        judge_unfit_because=fitness.unfit_because,
        names_classes=labelled and fit and fitness.accuracy >= bar,
    )


def class_names_for(extractor: Extractor, eyes: Eyes) -> list[str]:
    """Return the classes that diversity is judged by, none where bins of features stand for them.

    Those of a judge of labels, which beside features that are not its own must be a good one.
    """
    assert extractor.judge, "the judge stage trains one"
    own = extractor.features is None
    return (
        extractor.judge.class_names if extractor.judge.class_names != ROTATIONS and (own or eyes.names_classes) else []
    )


def save_eyes(folder: Path, eyes: Eyes) -> None:
    write_json(folder / EYES, rounded(eyes._asdict()))


def load_eyes(folder: Path) -> Eyes:
    """Read what `save_eyes` wrote."""
    if not (folder / EYES).is_file():
        raise UserError(f"{folder}: no {EYES} there; run dvc repro judge")
    return Eyes(**read_json(folder / EYES))
