"""A reference on disk: the arrays in one file, the rest beside it."""

from pathlib import Path
from typing import Any

import numpy as np

from ganlib.core.errors import UserError
from ganlib.core.files import read_json, write_json
from ganlib.metrics.diversity import Labelled
from ganlib.metrics.frechet import Gaussian
from ganlib.metrics.reference import Reference

ARRAYS = "reference.npz"
NAMES = "reference.json"
GAUSSIAN = "judge_gaussian.npz"


def save_reference(folder: Path, reference: Reference) -> None:
    """Write a reference; features as the float32 that networks compute."""
    arrays: dict[str, Any] = {
        "radii": reference.radii,
        "sigmas": reference.sigmas,
        "mean": reference.gaussian.mean,
        "factor": reference.gaussian.factor,
    }
    for name, images in (("train", reference.train), ("heldout", reference.heldout)):
        arrays |= {f"{name}_features": images.features.astype(np.float32), f"{name}_classes": images.classes}
    if reference.centres is not None:
        arrays["centres"] = reference.centres
    np.savez(folder / ARRAYS, **arrays)
    names = {"class_names": reference.class_names, "neighbours": reference.neighbours, "spacing": reference.spacing}
    write_json(folder / NAMES, names)


def load_reference(folder: Path) -> Reference:
    """Read what `save_reference` wrote."""
    if not (folder / NAMES).is_file():
        raise UserError(f"{folder}: no reference there; run dvc repro reference")
    names: dict[str, Any] = read_json(folder / NAMES)
    with np.load(folder / ARRAYS) as arrays:
        splits = {
            name: Labelled(features=arrays[f"{name}_features"].astype(np.float64), classes=arrays[f"{name}_classes"])
            for name in ("train", "heldout")
        }
        return Reference(
            **splits,
            **names,
            radii=arrays["radii"],
            sigmas=arrays["sigmas"],
            gaussian=Gaussian(arrays["mean"], arrays["factor"]),
            centres=arrays.get("centres"),
        )


def save_gaussian(folder: Path, gaussian: Gaussian) -> None:
    """Write the judge's Gaussian of the training images, which stands beside the reference of another extractor."""
    np.savez(folder / GAUSSIAN, **gaussian._asdict())


def load_gaussian(folder: Path) -> Gaussian:
    """Read what `save_gaussian` wrote."""
    with np.load(folder / GAUSSIAN) as arrays:
        return Gaussian(**arrays)
