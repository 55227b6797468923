"""The page of one run: what it shows, and why what it can't show is absent."""

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from platform import python_version
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML

from ganlib.core.files import read_table
from ganlib.core.packed import read_meta, read_split
from ganlib.core.schema import DataParams, Params
from ganlib.evaluation.table import METRICS
from ganlib.report.diversity import diversity_section
from ganlib.report.figures import figures_in, headline
from ganlib.report.latent import completion_section, latent_section
from ganlib.report.parts import Absent, flat, found, tiled
from ganlib.report.promises import promises_section
from ganlib.report.training import training_section

REJECTED = 20
"""Files left out, or unlike the others, that are named."""
LIBRARIES = ("numpy", "pillow", "scipy", "torch", "torchvision")
"""Libraries whose version can change results."""
PACKED = re.compile(r"(\.(tar|zip|tgz|tbz2?|txz|gz|bz2|xz|zst))+$", re.IGNORECASE)
TELL_NOTHING = {"data", "dataset", "images", "img", "imgs", "raw", "train", "training", "photos", "pictures"}
"""Names of folders that do not say what is in them."""

Section = dict[str, Any]


def page_sections(
    params: Params,
    *,
    prepared: Path,
    training: Path,
    model: Path,
    samples: Path,
    exploration: Path,
    completion: Path,
    metrics: Path,
    lock: Path,
) -> Section:
    """Gather all that the templates show; only the prepared images and the samples must be there."""
    meta, (train, labels) = read_meta(prepared), read_split(prepared, "train")
    generated, columns = np.load(samples / "grid_images.npy"), params.sample.grid
    classes = row_classes(meta, columns) if params.model.conditional != "none" else []
    real = train[real_rows(len(train), len(generated), params.seed, labels, classes)]
    figures = found(metrics / "details.json", lambda path: figures_in(path.parent), "evaluate")
    measured = {} if isinstance(figures, Absent) else figures
    return {
        "title": f"{data_name(params.data, meta['dataset'])}, {meta['image_size']} px",
        "params": params,
        "meta": meta,
        "row_names": [meta["class_names"][index] for index in classes],
        "generated": tiled(generated, columns, f"{len(generated)} generated images in a grid"),
        "real_images": real,
        "real": tiled(real, columns, f"{len(real)} real training images in a grid"),
        "figures": figures,
        "headline": headline(measured),
        "texts": {name: metric.text for name, metric in METRICS.items()},
        "protocol": {
            key.removeprefix("protocol_"): value for key, value in measured.items() if key.startswith("protocol_")
        },
        "training": training_section(training, metrics, measured),
        "promises": promises_section(metrics),
        "diversity": diversity_section(metrics, train, samples),
        "latent": latent_section(exploration),
        "completion": completion_section(completion, metrics),
        "provenance": provenance_section(
            params, meta, prepared, lock, [prepared, training, model, samples, exploration, completion]
        ),
    }


def data_name(data: DataParams, dataset: str) -> str:
    """Return what the images are called: the set's name, or the last that tells of their folder or address."""
    where = {"folder": data.path, "url": urlsplit(data.url or "").path}.get(dataset)
    if where is None:
        return dataset.replace("_", " ")
    names = [PACKED.sub("", name) for name in PurePosixPath(where).parts if name.strip("./")]
    return next((name for name in reversed(names) if name.lower() not in TELL_NOTHING), dataset)


def row_classes(meta: Mapping[str, Any], rows: int) -> list[int]:
    """Return the class of each row of a conditional model's grid."""
    counts = meta["counts_per_class"]["train"]
    seen = [index for index, name in enumerate(meta["class_names"]) if counts[name]]
    return [seen[row % len(seen)] for row in range(rows)]


def real_rows(
    count: int, shown: int, seed: int, labels: NDArray[np.int64] | None, classes: Sequence[int]
) -> NDArray[np.int64]:
    """Draw so many of `count` training images to show; if rows have classes, of each row's, round again where few."""
    drawn = np.random.default_rng(seed).permutation(count)
    if labels is None or not classes:
        return np.sort(drawn[:shown])
    columns = shown // len(classes)
    return np.concatenate([np.resize(drawn[labels[drawn] == index], columns) for index in classes])


def provenance_section(
    params: Params, meta: Mapping[str, Any], prepared: Path, lock: Path, inputs: list[Path]
) -> Section:
    """Tell where the page comes from, in what is the same for every run of one commit."""
    rejected = found(prepared / "rejected.csv", lambda path: read_table(path, "file", "reason"), "prepare")
    return {
        "params": flat(params.model_dump()),
        "counts": {name: meta[name] for name in ("read", "duplicates_dropped", "rejected")} | meta["counts"],
        "listed": 0 if isinstance(rejected, Absent) else len(rejected),
        "rejected": rejected if isinstance(rejected, Absent) else rejected.head(REJECTED).to_dict("records"),
        "hashes": {"source": meta["source_sha256"]} | meta["sha256"],
        "inputs": found(lock, lambda path: _tracked(path, inputs), "report"),
        "libraries": {"Python": python_version()} | {name: version(name) for name in LIBRARIES},
    }


def _tracked(lock: Path, inputs: list[Path]) -> dict[str, str]:
    """Return the md5 by which DVC knows those inputs that are outputs of its stages."""
    stages = YAML(typ="safe", pure=True).load(lock.read_text(encoding="utf-8"))["stages"]
    md5 = {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}
    return {path.as_posix(): md5.get(path.as_posix(), "not in the lock") for path in inputs}
