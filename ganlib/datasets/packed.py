"""Read and write a prepared data set: one folder of arrays that can be memory-mapped, and meta.json."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "heldout")


class Split(NamedTuple):
    images: NDArray[np.uint8]
    """(N, C, H, W)"""
    labels: NDArray[np.int64]
    """(N,), indices into meta's class_names."""


def write_split(folder: Path, name: str, split: Split) -> None:
    np.save(folder / f"{name}_images.npy", split.images)
    np.save(folder / f"{name}_labels.npy", split.labels)


def read_split(folder: Path, name: str) -> Split:
    """Memory-map the `train` or `heldout` split of a prepared folder."""
    images, labels = (np.load(folder / f"{name}_{part}.npy", mmap_mode="r") for part in ("images", "labels"))
    return Split(images, labels)


def read_meta(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "meta.json").read_text(encoding="utf-8"))
