"""What the game promises: its claims beside their baselines, and the pictures, curves and tables that show them."""

from pathlib import Path
from typing import Any

import pandas as pd

from ganlib.core.files import read_json, read_table
from ganlib.report import charts
from ganlib.report.parts import Absent, found, framed

CURVE = {"step", "series", "value"}
"""Columns of a table that is shown as curves."""
PARTS = ("claims", "wide", "pictures", "charts", "tables")
WIDE = 4
"""Width of a picture over its height from which it gets the page's."""

Section = dict[str, Any]


def promises_section(metrics: Path) -> Section:
    """Gather what the probe stage has left; names of files are shown with spaces for their underscores."""
    found_claims = found(metrics / "probe.json", read_json, "probe")
    if isinstance(found_claims, Absent):
        return {name: {} for name in PARTS} | {"absent": found_claims}
    absent = found_claims.pop("absent", None)
    shown = sorted((metrics / "probe").glob("*"))
    tables = {title_of(path): read_table(path, "series") for path in shown if path.suffix == ".csv"}
    pictures = {
        title_of(path): framed(path.read_bytes(), "png", title_of(path))
        for path in shown
        if path.suffix == ".png" and path.stem != "nothing"
    }
    return {
        "absent": Absent(absent) if absent else None,
        "claims": found_claims,
        "wide": {title: picture for title, picture in pictures.items() if picture.width > WIDE * picture.height},
        "pictures": {title: picture for title, picture in pictures.items() if picture.width <= WIDE * picture.height},
        "charts": {
            name: charts.curves(table, name, f"{name} by step", points=True)
            for name, table in tables.items()
            if set(table.columns) == CURVE
        },
        "tables": {name: cells(table) for name, table in tables.items() if set(table.columns) != CURVE},
    }


def title_of(path: Path) -> str:
    """Return what stands over a file's content."""
    return path.stem.replace("_", " ").capitalize()


def cells(table: pd.DataFrame) -> Section:
    """Return a table's columns, and its rows as text."""
    rows = [[f"{value:.3g}" if isinstance(value, float) else str(value) for value in row] for row in table.to_numpy()]
    return {"columns": list(table.columns), "rows": rows}
