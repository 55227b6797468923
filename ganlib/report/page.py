"""The page of one run: what it shows, and why what it can't show is absent."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from ganlib.core.files import read_table
from ganlib.core.packed import read_meta, read_split
from ganlib.core.schema import Params
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
    meta, train = read_meta(prepared), read_split(prepared, "train").images
    generated, columns = np.load(samples / "grid_images.npy"), params.sample.grid
    real = train[np.sort(np.random.default_rng(params.seed).permutation(len(train))[: len(generated)])]
    figures = found(metrics / "details.json", lambda path: figures_in(path.parent), "evaluate")
    measured = {} if isinstance(figures, Absent) else figures
    return {
        "params": params,
        "meta": meta,
        "generated": tiled(generated, columns, f"{len(generated)} generated images in a grid"),
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
