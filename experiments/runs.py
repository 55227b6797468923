"""Runs: read from the experiments that DVC keeps in git, stored as results, and their figures."""

import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from ruamel.yaml import YAML
from scipy.stats import spearmanr

from ganlib.core.errors import UserError
from ganlib.core.files import read_table
from ganlib.report.parts import flat
from ganlib.report.revisions import in_repository, said_by_git

FOLDER = Path("experiments")
RESULTS = FOLDER / "results"
KEPT = ("_low", "_high", "_floor", "coverage_heldout", "published_step", "protocol_extractor")
"""Of metrics/details.json, names or their ends."""
AVERAGED = ("d_loss", "g_loss", "d_grad_norm", "g_grad_norm")
"""Of the history: means of its rows since the evaluation before."""
QUARTER = 0.25
SIDE = 400
"""Pixels of a stored grid."""


class Run(NamedTuple):
    """An experiment, as it is stored."""

    name: str
    side: str
    seed: int
    commit: str
    """What it was run on."""
    changes: dict[str, Any]
    """Params that differ from those of the commit; data.path, which is a matter of the machine, is left out."""
    protocol: str
    data: str
    """sha256 of the prepared images."""
    metrics: dict[str, Any]
    evaluations: dict[str, list[float]]
    """Columns: step, distance (to held-out images), and what AVERAGED says."""


def read_runs(side: str) -> list[Run]:
    """Return the stored runs of a side, by seed; none where it has not been collected."""
    path = RESULTS / f"{side}.json"
    return [Run(**run) for run in json.loads(path.read_text(encoding="utf-8"))] if path.is_file() else []


def write_runs(side: str, runs: list[Run]) -> None:
    """Store the runs of a side, a line each."""
    lines = [json.dumps(run._asdict(), sort_keys=True) for run in sorted(runs, key=lambda run: run.seed)]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{side}.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def read_committed(revision: str, path: str) -> bytes:
    """Return a file of a revision; raise UserError where it has none."""
    found = said_by_git("show", f"{revision}:{path}")
    if found is None:
        raise UserError(f"{revision[:8]} has no {path}: it is no finished run; dvc exp remove drops it")
    return found


def experiments_of(side: str) -> dict[str, tuple[str, str]]:
    """Return the finished experiments of a side: their names, with the commits they were run on and their own.

    Raise UserError outside a git repository.
    """
    lines = in_repository("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps").decode().splitlines()
    found = {}
    for ref, own in (line.split() for line in lines):
        parts = ref.split("/")  # refs/exps/ab/cdef.../NAME
        name = parts[-1]
        if len(parts) == 5 and (name == side or (name.rpartition("-")[0] == side and name.split("-")[-1].isdigit())):
            found[name] = parts[2] + parts[3], own
    return found


def collect(name: str, side: str, commit: str, own: str) -> Run:
    """Read an experiment from git; raise UserError where a file of it is missing."""
    params, before = (flat(YAML(typ="safe", pure=True).load(read_committed(at, "params.yaml"))) for at in (own, commit))
    changes = {key: value for key, value in params.items() if value != before.get(key) and key != "data.path"}
    metrics, details = (json.loads(read_committed(own, f"metrics/{file}.json")) for file in ("evaluate", "details"))
    kept = {key: value for key, value in details.items() if key.endswith(KEPT)}
    evaluations, history = (
        read_table(io.BytesIO(read_committed(own, f"metrics/{file}.csv"))) for file in ("evaluations", "history")
    )
    return Run(
        name=name,
        side=side,
        seed=params["seed"],
        commit=commit,
        changes=changes,
        protocol=metrics["protocol"],
        data=details["protocol_data_sha256"],
        metrics=metrics | kept,
        evaluations=joined(evaluations, history),
    )


def write_grid(name: str, own: str) -> None:
    """Store the grid of an experiment as a small picture."""
    with Image.open(io.BytesIO(read_committed(own, "metrics/grid.png"))) as grid:
        small = grid.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    small.save(RESULTS / f"{name}.webp", quality=72, method=6)


def joined(evaluations: pd.DataFrame, history: pd.DataFrame) -> dict[str, list[float]]:
    """Return the distance at each evaluation, and losses and gradient norms on the way there."""
    distance = next(name for name in evaluations if name.endswith("_to_heldout"))
    steps = evaluations["step"].to_numpy()
    place = np.searchsorted(steps, history["step"].to_numpy())  # the evaluation that a row leads to
    means = {name: [history[name].to_numpy()[place == n].mean() for n in range(len(steps))] for name in AVERAGED}
    table = {"step": steps, "distance": evaluations[distance], **means}
    return {name: [float(f"{value:.6g}") for value in column] for name, column in table.items()}


def end(run: Run) -> float:
    return run.evaluations["distance"][-1]


def lost(run: Run) -> float:
    return end(run) / min(run.evaluations["distance"]) - 1


def gained(run: Run) -> float:
    steps, distances = (np.array(run.evaluations[name]) for name in ("step", "distance"))
    return float(distances[np.argmax(steps >= QUARTER * steps[-1])] - distances[-1])


def in_floors(run: Run, bound: str = "") -> float:
    return run.metrics[f"domain_fid{bound}"] / run.metrics["domain_fid_floor"]


def rank(name: str) -> Callable[[Run], float]:
    """Return what computes the size of Spearman's rank correlation of this and the distance along a training."""
    return lambda run: abs(float(np.asarray(spearmanr(run.evaluations[name], run.evaluations["distance"]))[0]))


class Figure(NamedTuple):
    """What a test may name."""

    title: str
    compute: Callable[[Run], float] | None = None
    """Computes it of a run; None where the metrics have it."""
    within: bool = False
    """Whether it is a ratio within a run, which compares over protocols."""


FIGURES = {
    "domain_fid": Figure("domain FID"),
    "in_floors": Figure("domain FID in units of its judge", in_floors, within=True),
    "in_floors_low": Figure("lower end of its interval", partial(in_floors, bound="_low")),
    "in_floors_high": Figure("upper end of its interval", partial(in_floors, bound="_high")),
    "lite0_fid": Figure("lite0 FID"),
    "lite0_fid_over_floor": Figure("lite0 FID over that of held-out images", within=True),
    "coverage_over_heldout": Figure("coverage over that of held-out images"),
    "diversity_score": Figure("diversity score"),
    "end": Figure("distance to held-out images at the end", end),
    "lost": Figure("how far the end lies over the best, as a share of it", lost, within=True),
    "gained": Figure("what distance falls from a quarter of the steps to the end", gained),
    **{
        f"rank_{name}": Figure(f"rank correlation of `{name}` and distance, its size", rank(name), within=True)
        for name in AVERAGED
    },
}


def figure_of(run: Run, name: str) -> float:
    compute = FIGURES[name].compute if name in FIGURES else None
    return compute(run) if compute else float(run.metrics[name])


def measured(run: Run, name: str) -> bool:
    """Return whether a run has what a figure rests on."""
    try:
        figure_of(run, name)
    except KeyError:
        return False
    return True


def kin(one: Run, other: Run, figure: str) -> None:
    """Raise UserError where two runs were not measured alike."""
    if one.protocol != other.protocol and not FIGURES[figure].within:
        raise UserError(f"{one.name} and {other.name}: {figure} was measured by two protocols; run both on one machine")
