"""What git has of a run: a commit, branch, tag or DVC experiment, or the files as they lie."""

import os
import re
import subprocess
from collections.abc import Callable
from io import BytesIO
from json import loads
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from PIL import Image
from ruamel.yaml import YAML

from ganlib.core.document import shortened
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
    params: dict[str, Any] | Absent
    """By dotted keys."""
    metrics: dict[str, Any] | Absent
    tables: dict[str, pd.DataFrame | Absent]
    grid: bytes | Absent


def read_run(name: str) -> Run:
    """Read the committed files of a revision; raise UserError if there is none of that name, or no params in it.

    Files of it that can't be read are absent, and say why.
    """
    commit = "" if name == WORKSPACE else find_commit(name)

    def read(path: str) -> bytes | Absent:
        if not commit:
            return Path(path).read_bytes() if Path(path).is_file() else Absent(f"no {path} here; dvc repro makes it")
        shown = said_by_git("show", f"{commit}:./{path}")
        return Absent(f"{name} has no {path}") if shown is None else shown

    params = read("params.yaml")
    if isinstance(params, Absent):
        raise UserError(f"{name}: has no params.yaml: it is no run of this pipeline")

    def parsed(path: str, parse: Callable[[bytes], Any]) -> Any:
        content = read(path)
        return content if isinstance(content, Absent) else _parsed(content, parse, f"{name}: {path}")

    metrics, details = (parsed(path, _figures) for path in (METRICS, DETAILS))
    return Run(
        name=name,
        commit=commit[:8],
        params=parsed("params.yaml", lambda text: flat(_mapping(YAML(typ="safe", pure=True).load(text)))),
        metrics=metrics if isinstance(metrics, Absent) or isinstance(details, Absent) else metrics | details,
        tables={table: parsed(f"metrics/{table}.csv", _curves) for table in ("history", "evaluations")},
        grid=parsed(GRID, _picture),
    )


def find_commit(name: str) -> str:
    """Return the commit that a name stands for: what git resolves, or the name of a DVC experiment."""
    if found := said_by_git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"):
        return found.decode().strip()
    refs = in_repository("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps")
    found = [line.split(" ", 1) for line in refs.decode().splitlines() if line.rsplit("/", 1)[1] == name]
    if len(found) > 1:  # refs/exps/BA/SELINE/NAME
        baselines = ", ".join(f"{commit[:8]} on {''.join(ref.split('/')[2:4])[:8]}" for commit, ref in found)
        raise UserError(f"{name}: {len(found)} experiments have that name ({baselines}): give one's commit")
    if found:
        return found[0][0]
    raise UserError(f"{name}: no commit, branch, tag or experiment of that name; git log and dvc exp show list them")


def _parsed(content: bytes, parse: Callable[[bytes], Any], what: str) -> Any:
    """Return what a file says; why it can't be read, where it can't."""
    if re.search(rb"^<{7} ", content, re.MULTILINE):
        return Absent(f"{what} holds a merge conflict")
    try:
        return parse(content)
    except Exception as error:  # parsers raise whatever the bytes lead to
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        return Absent(f"{what} can't be read: {reason}")


def _mapping(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise ValueError("it holds no keys")
    return document


def _figures(content: bytes) -> dict[str, Any]:
    return {key: value for key, value in _mapping(loads(content)).items() if value is not None}


def _curves(content: bytes) -> pd.DataFrame:
    table = read_table(BytesIO(content))
    if "step" not in table:
        raise ValueError("it has no column step")
    return table


def _picture(content: bytes) -> bytes:
    with Image.open(BytesIO(content)) as image:
        image.load()
    return content


def in_repository(*arguments: str) -> bytes:
    """Return what git prints; raise UserError where it fails, as it does outside a repository."""
    result = _run_git(*arguments)
    if result.returncode:
        here, reason = Path.cwd(), result.stderr.decode(errors="replace")
        if "dubious ownership" in reason:
            raise UserError(
                f"git reads nothing of {here}, whose owner is another user; if you trust it: "
                f"git config --global --add safe.directory {here}"
            )
        if "not a git repository" in reason:
            raise UserError(f"{here} is in no git repository, so it has no revisions")
        raise UserError(f"git {arguments[0]} in {here}: {shortened(reason, 100)}")
    return result.stdout


def said_by_git(*arguments: str) -> bytes | None:
    """Return what git prints, None where it fails; raise UserError without git."""
    result = _run_git(*arguments)
    return None if result.returncode else result.stdout


def _run_git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    try:
        english = os.environ | {"LC_ALL": "C"}  # what `in_repository` reads
        return subprocess.run(["git", *arguments], capture_output=True, stdin=subprocess.DEVNULL, env=english)
    except FileNotFoundError:
        raise UserError("git: not found; install it to compare revisions") from None
