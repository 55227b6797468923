"""Diversity: shares of classes, confusions, and the images that are nearest each other."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ganlib.core.files import read_table
from ganlib.report import charts
from ganlib.report.parts import Absent, Images, found, tiled

Section = dict[str, Any]


def diversity_section(metrics: Path, train: Images, samples: Path) -> Section:
    per_class = found(metrics / "classes.csv", lambda path: read_table(path, "class"), "evaluate")
    pairs = found(metrics / "confusion.csv", lambda path: read_table(path, "asked", "judged"), "evaluate")
    nearest = found(metrics / "nearest.csv", lambda path: read_table(path, "kind"), "evaluate")
    drawn: Section = {"histogram": per_class, "confusion": pairs, "per_class": per_class}
    if not isinstance(per_class, Absent):
        drawn |= {"histogram": charts.class_histogram(per_class), "per_class": per_class.to_dict("records")}
    if not isinstance(pairs, Absent):
        order = list(per_class["class"]) if not isinstance(per_class, Absent) else []
        known = order if set(pairs["asked"]) <= set(order) else sorted(set(pairs["asked"]) | set(pairs["judged"]))
        drawn["confusion"] = charts.confusion(pairs, known)
    if isinstance(nearest, Absent):
        return drawn | {"repeats": nearest, "copies": nearest}
    images = found(samples / "images.npy", lambda path: np.load(path, mmap_mode="r"), "sample")
    if isinstance(images, Absent):
        return drawn | {"repeats": images, "copies": images}
    by_kind = {kind: nearest.loc[nearest["kind"] == kind] for kind in ("generated", "training")}
    copied = train[by_kind["training"]["other"].to_numpy()]
    return drawn | {
        "repeats": _pairs(by_kind["generated"], images, images[by_kind["generated"]["other"]], "generated"),
        "copies": _pairs(by_kind["training"], images, copied, "training"),
    }


def _pairs(table: pd.DataFrame, images: Images, others: Images, kind: str) -> Section:
    alt = f"{len(table)} generated images, and under each the nearest {kind} image"
    return {
        "picture": tiled(np.concatenate([images[table["image"]], others]), len(table), alt),
        "labels": [f"{distance:.2g}" for distance in table["distance"]],
        "marked": table["near_duplicate"].tolist(),
    }
