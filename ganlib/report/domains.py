"""The page of a run of two domains: what it shows, and why what it can't show is absent."""

import math
from pathlib import Path
from typing import Any

import pandas as pd

from ganlib.core.domains_schema import DomainsParams
from ganlib.core.files import read_json, read_table
from ganlib.core.packed import read_meta
from ganlib.report.parts import Absent, flat, found, framed
from ganlib.report.promises import cells
from ganlib.report.training import training_section

TITLES = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "hidden_psnr": "PSNR in the hole, dB",
    "features": "distance to the partner",
    "class_kept": "share of the same class",
    "cycle_psnr": "PSNR after there and back, dB",
    "fid_to_heldout": "FID to held-out images",
    "as_asked": "share as asked",
    "figure_as_asked": "of the colour asked for",
    "ground_as_asked": "on the ground asked for",
}
ASIDE = ("_low", "_high", "_shuffled", "_chance")
"""Ends of columns that stand elsewhere: bounds beside their figures, what shuffling and chance give in the claims."""


def domains_sections(params: DomainsParams, pairs: Path, training: Path, metrics: Path) -> dict[str, Any]:
    """Gather all that the template shows; only the pairs and the training must be there."""
    figures = found(metrics / "evaluate.json", read_json, "evaluate")
    last = "their partners" if params.partners else "images of B, no partners"
    rows = f"A, the baseline, {params.game}, and {last}"
    if params.pairs.kind == "captions":
        rows = "captions, and of each both stages, the baseline's second stage and a real image"
    return {
        "params": params,
        "rows": rows,
        "meta": read_meta(pairs / "b"),
        "picture": found(
            metrics / "translated.png",
            lambda path: framed(path.read_bytes(), "png", f"Rows of held-out images: {rows}"),
            "translate",
        ),
        "claims": found(metrics / "claims.json", read_json, "evaluate"),
        "table": found(metrics / "baselines.csv", lambda path: cells(shown(read_table(path, "made by"))), "evaluate"),
        "extractor": "" if isinstance(figures, Absent) else figures["protocol_extractor"],
        "training": training_section(training, training, read_json(training / "training.json")),
        "values": flat(params.model_dump()),
    }


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return figures of baselines as text, each with its bounds if it has any; nothing where there is none."""
    columns: dict[str, Any] = {"made by": table["made by"]}
    for name in (name for name in table.columns[1:] if not str(name).endswith(ASIDE)):
        ends = [table[key] for key in (f"{name}_low", f"{name}_high") if key in table]
        columns[TITLES.get(str(name), str(name))] = [cell(*values) for values in zip(table[name], *ends, strict=True)]
    return pd.DataFrame(columns)


def cell(value: float, *bounds: float) -> str:
    """Return a figure and, if it has any, its bounds."""
    if math.isnan(value):
        return ""
    within = [f"{bound:.3g}" for bound in bounds if not math.isnan(bound)]
    return " ".join([f"{value:.3g}", *([f"({' to '.join(within)})"] if within else [])])
