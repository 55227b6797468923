"""A model with its figures, protocol and grid: a folder to share."""

import shutil
from pathlib import Path
from typing import Any

from ganlib.core.errors import UserError
from ganlib.core.files import read_json, whole_folder
from ganlib.report.figures import figures_in, headline
from ganlib.report.parts import render

GRID = "grid.png"


def write_hub(model: Path, metrics: Path, out: Path) -> None:
    """Copy a model, and add to its card what the evaluation measured of it and a grid of its images.

    Raise UserError when something is missing, `out` is there already, or the figures are another model's.
    """
    card, figures, grid = model / "README.md", metrics / "details.json", metrics / GRID
    for path in (card, model / "published.json", metrics / "evaluate.json", figures, grid):
        if not path.is_file():
            raise UserError(f"{path} is missing: dvc repro makes it")
    if out.exists():
        raise UserError(f"--out: {out} is there already, and nothing is overwritten: name another, or remove it")
    measured = figures_in(metrics)
    for key, value in read_json(model / "published.json").items():
        if measured.get(key) != value:
            raise UserError(f"{figures} has {key} = {measured.get(key)}, the model {value}: dvc repro evaluate")
    with whole_folder(out) as folder:
        shutil.copytree(model, folder, copy_function=shutil.copyfile, dirs_exist_ok=True)  # DVC's are read-only
        shutil.copyfile(grid, folder / GRID)
        text = card.read_text(encoding="utf-8") + render("hub.md.jinja", _sections(measured))
        (folder / "README.md").write_text(text, encoding="utf-8")


def _sections(measured: dict[str, Any]) -> dict[str, Any]:
    protocol = {key.removeprefix("protocol_"): measured[key] for key in sorted(measured) if key.startswith("protocol_")}
    return {"headline": headline(measured), "protocol": protocol, "grid": GRID}
