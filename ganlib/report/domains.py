"""The page of a run of two domains: what it shows, and why what it can't show is absent."""

from pathlib import Path
from typing import Any

from ganlib.core.files import read_json, read_table
from ganlib.core.packed import read_meta
from ganlib.core.schema import DomainsParams
from ganlib.report.parts import Absent, flat, found, framed
from ganlib.report.promises import cells
from ganlib.report.training import training_section


def domains_sections(params: DomainsParams, pairs: Path, training: Path, metrics: Path) -> dict[str, Any]:
    """Gather all that the template shows; only the pairs and the training must be there."""
    figures = found(metrics / "evaluate.json", read_json, "evaluate")
    rows = f"Rows of held-out images: A, without D, {params.game}, the truth"
    return {
        "params": params,
        "meta": read_meta(pairs / "b"),
        "picture": found(metrics / "translated.png", lambda path: framed(path.read_bytes(), "png", rows), "translate"),
        "claims": found(metrics / "claims.json", read_json, "evaluate"),
        "table": found(metrics / "baselines.csv", lambda path: cells(read_table(path, "made by")), "evaluate"),
        "extractor": "" if isinstance(figures, Absent) else figures["protocol_extractor"],
        "training": training_section(training, training, read_json(training / "training.json")),
        "values": flat(params.model_dump()),
    }
