"""The training: curves, alarms, and the same latents again and again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganlib.core.files import read_table
from ganlib.metrics.frechet import chooses_best
from ganlib.report import charts
from ganlib.report.parts import Absent, found, tiled

KNOWN = {"step", "diversity_score", "valid", "classes_covered", "d_memorises"}
"""Columns of every game's evaluations, besides distances."""
FILM_ROWS = 6
FILM_COLUMNS = 11
"""Evaluations on the film strip, beside the best one."""

Section = dict[str, Any]


def training_section(training: Path, metrics: Path, figures: Mapping[str, Any]) -> Section:
    """Draw the curves with the best evaluation and the alarms, and the film strip of fixed latents."""
    history = _table(metrics / "history.csv", "train.log_every is larger than steps: no step was logged")
    evaluations = _table(metrics / "evaluations.csv", "train.evaluate_every is larger than steps: none was made")
    alarms = found(metrics / "alarms.csv", lambda path: read_table(path, "alarm", "advice"), "evaluate")
    fired, best = None if isinstance(alarms, Absent) else alarms, None
    if not isinstance(evaluations, Absent):
        best = int(figures.get("train_best_step", evaluations["step"][evaluations[chooses_best(evaluations)].idxmin()]))
    return {
        "alarms": alarms if isinstance(alarms, Absent) else alarms.to_dict("records"),
        "best": best,
        "epochs": None if isinstance(history, Absent) or "epoch" not in history else history["epoch"].iloc[-1],
        "distance": "Domain FID" if isinstance(evaluations, Absent) else distance_title(evaluations),
        "distance_name": "distance" if isinstance(evaluations, Absent) else distance_name(evaluations),
        "charts": history_charts(history, fired)
        | evaluation_charts(evaluations, fired, best)
        | {"memory": _memory_chart(evaluations, fired, figures)},
        "own": {} if isinstance(evaluations, Absent) else own_charts(evaluations, fired),
        "film": film_strip(training / "progress.npz", evaluations, best),
    }


def _table(path: Path, why_empty: str) -> pd.DataFrame | Absent:
    table = found(path, read_table, "evaluate")
    return table if isinstance(table, Absent) or len(table) else Absent(why_empty)


def history_charts(history: pd.DataFrame | Absent, alarms: pd.DataFrame | None) -> Section:
    lines = {
        "losses": ({"d_loss": "discriminator", "g_loss": "generator"}, "loss", "Losses of both networks by step"),
        "confidence": (
            {"d_real": "real", "d_fake": "generated", "d_fake_after": "the same, D updated"},
            "mean probability of real",
            "What the discriminator believes of real and generated images by step",
        ),
        "gradients": (
            {"d_grad_norm": "discriminator", "g_grad_norm": "generator"},
            "gradient norm",
            "Gradient norms of both networks by step",
        ),
    }
    drawn: Section = {}
    for name, (columns, title, description) in lines.items():
        if isinstance(history, Absent):
            drawn[name] = history
        elif missing := [column for column in columns if column not in history]:
            drawn[name] = Absent(f"the history has no {', '.join(missing)}; dvc repro train logs it")
        else:
            domain = (0, 1) if name == "confidence" else None
            long = charts.series(history, columns)
            drawn[name] = charts.curves(long, title, description, alarms=alarms, domain=domain)
    return drawn


def evaluation_charts(evaluations: pd.DataFrame | Absent, alarms: pd.DataFrame | None, best: int | None) -> Section:
    if isinstance(evaluations, Absent):
        return {"distance": evaluations, "diversity": evaluations}
    at, distance = "at each evaluation of the moving average", chooses_best(evaluations)
    title, name = distance_title(evaluations), distance_name(evaluations)
    return {
        "distance": charts.curves(
            charts.series(evaluations, {distance: name}),
            f"{name} to held-out images",
            f"{title} to held-out images {at}",
            alarms=alarms,
            best=(name, best) if best else None,
            points=True,
            log=True,
        ),
        "diversity": charts.curves(
            charts.series(evaluations, {"diversity_score": "diversity score", "valid": "valid share"}),
            "of 1",
            f"Diversity score and valid share {at}",
            alarms=alarms,
            best=("diversity score", best) if best else None,
            domain=(0, 1),
            points=True,
        ),
    }


def _memory_chart(
    evaluations: pd.DataFrame | Absent, alarms: pd.DataFrame | None, figures: Mapping[str, Any]
) -> str | Absent:
    if isinstance(evaluations, Absent):
        return evaluations
    if "d_memorises" not in evaluations:
        return Absent(figures.get("train_memory_absent") or "the evaluations have no d_memorises")
    long = charts.series(evaluations, {"d_memorises": "discriminator"})
    return charts.curves(
        long, "0: none, 1: all", "What the discriminator has memorised by step", alarms=alarms, points=True
    )


def own_charts(evaluations: pd.DataFrame, alarms: pd.DataFrame | None) -> dict[str, str]:
    """Draw what the game itself has measured at each evaluation, by what it is."""
    names = [name for name in evaluations if name not in KNOWN and not name.endswith("_fid_to_heldout")]
    titles = {name: name.replace("_", " ").replace("psnr", "PSNR") for name in map(str, names)}
    return {
        title: charts.curves(
            charts.series(evaluations, {name: title}), title, f"{title} by step", alarms=alarms, points=True
        )
        for name, title in titles.items()
    }


def distance_title(evaluations: pd.DataFrame) -> str:
    """Return the name, to begin a sentence with, of the distance that chooses the best weights."""
    return f"{chooses_best(evaluations).removesuffix('_fid_to_heldout')} FID".capitalize().replace("fid", "FID")


def distance_name(evaluations: pd.DataFrame) -> str:
    """Return the same for the middle of a sentence."""
    title = distance_title(evaluations)
    return title[0].lower() + title[1:]


def film_strip(path: Path, evaluations: pd.DataFrame | Absent, best: int | None) -> Section | Absent:
    """Show fixed latents through training: a row for each, a column for up to 12 evaluations, the best among them."""
    frames = found(path, np.load, "train")
    if isinstance(frames, Absent):
        return frames
    if isinstance(evaluations, Absent):
        return evaluations
    steps = frames["steps"].tolist()
    if unknown := sorted(set(steps) - set(evaluations["step"])):
        return Absent(f"{path} has images of step {unknown[0]}, the curves don't: they are of different runs")
    return film_of(frames["images"], steps, best)


def film_of(frames: NDArray[np.uint8], steps: list[int], best: int | None = None) -> Section:
    """Show frames, (evaluations, latents, C, H, W), as `film_strip` does."""
    chosen = set(np.linspace(0, len(steps) - 1, min(FILM_COLUMNS, len(steps))).round().astype(int).tolist())
    columns = sorted(chosen | {steps.index(best)} if best in steps else chosen)
    rows = frames[columns, :FILM_ROWS].swapaxes(0, 1)  # (latents, evaluations, C, H, W)
    alt = f"{len(rows)} fixed latents, a row each, as generated at {len(columns)} steps of the training"
    return {
        "picture": tiled(rows.reshape(-1, *rows.shape[2:]), len(columns), alt),
        "labels": [f"{steps[column]}" for column in columns],
        "marked": [steps[column] == best for column in columns],
    }
