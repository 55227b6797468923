"""What a training leaves behind: both ends of it, the best and the last weights, and how it got there."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ganlib.core.files import rounded, write_json, write_table
from ganlib.core.weights import save_weights
from ganlib.metrics.frechet import chooses_best
from ganlib.training.alarms import Row
from ganlib.training.publish import AVERAGE
from ganlib.training.state import Training

ALARM_COLUMNS = ["step", "alarm", "value", "advice"]


def save_results(
    folder: Path, training: Training, configs: Mapping[str, dict[str, Any]], protocol: Mapping[str, Any]
) -> None:
    """Write all networks of both ends, `best` and `final`, curves, alarms, images and figures."""
    assert training.best, "the last step evaluates"
    for end, state in (("best", training.best), ("final", training.players.state())):
        save_end(folder / end, state, configs)
    for name, table in tables_of(training).items():
        write_table(folder / f"{name}.csv", table)
    steps, images = list(training.progress), torch.stack(list(training.progress.values()))
    np.savez(folder / "progress.npz", steps=np.array(steps), images=images.numpy())
    write_json(folder / "training.json", rounded({**training_figures(training), **protocol}))


def save_end(folder: Path, state: Mapping[str, Any], configs: Mapping[str, dict[str, Any]]) -> None:
    """Write all networks of a state of the players, but for those that were given to them, into a new folder."""
    folder.mkdir()
    for kind, suffix in (("networks", ""), ("averages", AVERAGE)):
        for name, weights in state[kind].items():
            if name in configs:
                save_weights(folder, name + suffix, weights, configs[name])


def tables_of(training: Training) -> dict[str, pd.DataFrame]:
    """Return the curves and the alarms."""
    return {
        "history": pd.DataFrame(training.history),
        "evaluations": pd.DataFrame(training.evaluations),
        "alarms": pd.DataFrame(training.alarms, columns=ALARM_COLUMNS),
    }


def best_evaluation(evaluations: Sequence[Row]) -> Row:
    """Return the evaluation at which the best weights were kept."""
    return min(evaluations, key=lambda row: row[chooses_best(row)])


def training_figures(training: Training) -> dict[str, Any]:
    """Return the best and the last evaluation, and how far the end fell from the best."""
    best, distance = best_evaluation(training.evaluations), chooses_best(training.evaluations[-1])
    final = best if training.returned else training.evaluations[-1]
    names = "step", distance, "diversity_score", "valid"
    figures: dict[str, Any] = {
        f"{end}_{name}": row[name] for end, row in (("best", best), ("final", final)) for name in names
    }
    if best[distance] > 0:
        figures["final_over_best"] = final[distance] / best[distance]
    figures |= {"alarms": len(training.alarms), "restored": training.restored}
    if training.active.get("not_finite"):
        figures["only_best"] = "its last weights are not finite"
    if training.continued:
        figures["continued_at"] = training.continued
    return {f"train_{name}": value for name, value in figures.items()}
