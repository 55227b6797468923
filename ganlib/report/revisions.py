"""What git has of a run: a commit, branch, tag or DVC experiment, or the files as they lie."""

import subprocess
from collections.abc import Callable
from io import BytesIO
from json import loads
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from ruamel.yaml import YAML

from ganlib.core.errors import UserError
from ganlib.core.files import read_table
from ganlib.report.parts import Absent, flat

WORKSPACE = "workspace"
"""Name of the files as they lie, as in `dvc metrics diff`."""
GRID, METRICS, DETAILS = "metrics/grid.png", "metrics/evaluate.json", "metrics/details.json"


class Run(NamedTuple):
    name: str
    commit: str
    """Abbreviated; empty for the workspace."""
    params: dict[str, Any]
    """By dotted keys."""
    metrics: dict[str, Any] | Absent
    tables: dict[str, pd.DataFrame | Absent]
    grid: bytes | Absent


def read_run(name: str) -> Run:
    """Read the committed files of a revision; raise UserError if there is none of that name, or no params in it."""
    commit = "" if name == WORKSPACE else find_commit(name)

    def read(path: str) -> bytes | Absent:
        if not commit:
            return Path(path).read_bytes() if Path(path).is_file() else Absent(f"no {path} here; dvc repro makes it")
        shown = _git("show", f"{commit}:./{path}")
        return Absent(f"{name} has no {path}") if shown is None else shown

    params = read("params.yaml")
    if isinstance(params, Absent):
        raise UserError(f"{name}: has no params.yaml: it is no run of this pipeline")
    tables = {
        table: _parsed(read(f"metrics/{table}.csv"), lambda text: read_table(BytesIO(text)))
        for table in ("history", "evaluations")
    }
    metrics, details = (_parsed(read(path), loads) for path in (METRICS, DETAILS))
    return Run(
        name=name,
        commit=commit[:8],
        params=flat(YAML(typ="safe", pure=True).load(params)),
        metrics=metrics if isinstance(metrics, Absent) or isinstance(details, Absent) else metrics | details,
        tables=tables,
        grid=read(GRID),
    )


def find_commit(name: str) -> str:
    """Return the commit that a name stands for: what git resolves, or the name of a DVC experiment."""
    if found := _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"):
        return found.decode().strip()
    if _git("rev-parse", "--git-dir") is None:
        raise UserError(f"{name}: this folder is in no git repository, so it has no revisions")
    refs = _git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps") or b""
    for commit, ref in (line.split(" ", 1) for line in refs.decode().splitlines()):
        if ref.rsplit("/", 1)[1] == name:
            return commit
    raise UserError(f"{name}: no commit, branch, tag or experiment of that name; git log and dvc exp show list them")


def _parsed(content: bytes | Absent, parse: Callable[[bytes], Any]) -> Any:
    return content if isinstance(content, Absent) else parse(content)


def _git(*arguments: str) -> bytes | None:
    """Return what git prints, None if it fails."""
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise UserError("git: not found; install it to compare revisions") from None
    return None if result.returncode else result.stdout
