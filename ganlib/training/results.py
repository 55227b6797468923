"""What a training leaves behind: both ends of it, the best and the last weights, and how it got there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ganlib.files import rounded, write_json
from ganlib.networks.weights import save_network
from ganlib.training.state import Training

NETWORKS = {"generator": "generator", "generator_ema": "generator", "discriminator": "discriminator"}
"""Networks that are saved, and whose configuration each has."""
ALARM_COLUMNS = ["step", "alarm", "value", "advice"]


def save_results(
    folder: Path, training: Training, configs: Mapping[str, dict[str, Any]], protocol: Mapping[str, Any]
) -> None:
    """Write all networks of both ends, `best` and `final`, curves, alarms, images and figures.

    The training is left with its best weights.
    """
    assert training.best, "the last step evaluates"
    for name in ("final", "best"):
        if name == "best":
            training.load_gan(training.best)
        (folder / name).mkdir()
        for network, config in NETWORKS.items():
            save_network(folder / name, network, getattr(training.gan, network), configs[config])
    tables = {
        "history": pd.DataFrame(training.history),
        "evaluations": pd.DataFrame(training.evaluations),
        "alarms": pd.DataFrame(training.alarms, columns=ALARM_COLUMNS),
    }
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
    np.save(folder / "progress.npy", torch.stack(training.progress).numpy())
    write_json(folder / "training.json", rounded(training_figures(training)) | dict(protocol))


def training_figures(training: Training) -> dict[str, Any]:
    """Return the best and the last evaluation, and how far the end fell from the best."""
    best, final = min(training.evaluations, key=lambda row: row["domain_fid"]), training.evaluations[-1]
    names = "step", "domain_fid", "diversity_score", "valid"
    figures = {f"{end}_{name}": row[name] for end, row in (("best", best), ("final", final)) for name in names}
    if best["domain_fid"] > 0:
        figures["final_over_best"] = final["domain_fid"] / best["domain_fid"]
    figures |= {"alarms": len(training.alarms), "restored": training.restored}
    return {f"train_{name}": value for name, value in figures.items()}
