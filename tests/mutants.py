"""Break the code in small ways, one at a time, and see whether tests notice: python -m tests.mutants --count 200.

`tool.mutants` in pyproject.toml names the modules to break and the tests that have to fail. Every mutant is tried in a
copy of the working tree and written to a CSV file at once: a run that was stopped goes on where it was, until the code
or the tests change. What survives shows what no test looks at, or what makes no difference.
"""

import argparse
import ast
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from ganlib.core.files import read_table, write_table

ROOT = Path(__file__).resolve().parents[1]
WARM_UP, PATIENCE = 20, 4
"""Seconds, and times what the tests take of unbroken code, after which a mutant counts as caught: it hangs."""


class Mutant(NamedTuple):
    module: str
    line: int
    column: int
    operator: str
    occurrence: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="mutants to try")
    parser.add_argument("--seed", type=int, default=1, help="of the draw")
    parser.add_argument("--out", type=Path, default=Path("mutants.csv"), help="what became of them")
    given = parser.parse_args()
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutants"]["groups"]
    tests = {module: tuple(group["tests"]) for group in groups for module in modules_of(group["modules"])}
    mutants = draw(list(tests), given.count, given.seed)
    with tempfile.TemporaryDirectory() as folder:
        tree, state = Path(folder), copy_tree(Path(folder))
        rows = [row for row in rows_of(given.out) if row["state"] == state]
        tried = {tuple(row[key] for key in Mutant._fields) for row in rows}
        limits = {chosen: limit_for(tree, chosen) for chosen in {tests[mutant.module] for mutant in mutants}}
        for mutant in mutants:
            if tuple(mutant) in tried:
                continue
            chosen = tests[mutant.module]
            rows.append(mutant._asdict() | try_mutant(tree, mutant, chosen, limits[chosen]) | {"state": state})
            write_table(given.out, pd.DataFrame(rows))
            print(len(rows), *(rows[-1][key] for key in ("module", "line", "fate", "seconds")), flush=True)
    print(summary(pd.DataFrame(rows)))


def modules_of(patterns: Sequence[str]) -> list[str]:
    """Return the modules of these patterns, each relative to the root; raise ValueError for one without any."""
    found = {pattern: sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern)) for pattern in patterns}
    if missing := [pattern for pattern, modules in found.items() if not modules]:
        raise ValueError(f"tool.mutants: no module is {', '.join(missing)}")
    return [module for modules in found.values() for module in modules]


def draw(modules: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """Draw mutants from all that there are: first one for each place in the code, then a second for each ..."""
    mutants = [mutant for module in modules for mutant in mutants_of(module)]
    random.Random(seed).shuffle(mutants)
    earlier: Counter[tuple[str, int, int]] = Counter()
    turns: list[int] = []
    for mutant in mutants:
        turns.append(earlier[mutant[:3]])
        earlier[mutant[:3]] += 1
    order = sorted(range(len(mutants)), key=turns.__getitem__)
    return list(islice((mutants[index] for index in order if computes_otherwise(mutants[index])), count))


def mutants_of(module: str) -> Iterator[Mutant]:
    """Return all mutants of a module; operators that need arguments of their own are left out."""
    nodes = list(ast_nodes(get_ast((ROOT / module).read_text())))
    for name in operator_names():
        if not get_operator(name).arguments():
            places = (place for node in nodes for place in get_operator(name)().mutation_positions(node))
            for occurrence, ((line, column), _) in enumerate(places):
                yield Mutant(module, line, column, name, occurrence)


def broken(mutant: Mutant) -> str:
    """Return the source of a module with its fault."""
    return mutate_code((ROOT / mutant.module).read_text(), get_operator(mutant.operator)(), mutant.occurrence) or ""


def computes_otherwise(mutant: Mutant) -> bool:
    """Return whether a mutant is valid Python and differs in more than its annotations."""

    def bare(source: str) -> str:
        tree = ast.parse(source)
        for node in ast.walk(tree):
            for name in ("annotation", "returns"):
                if getattr(node, name, None) is not None:
                    setattr(node, name, ast.Constant(None))
        return ast.dump(tree)

    try:
        return bare(broken(mutant)) != bare((ROOT / mutant.module).read_text())
    except SyntaxError:
        return False


def try_mutant(tree: Path, mutant: Mutant, tests: Sequence[str], limit: float) -> dict[str, Any]:
    """Run tests on a copy of the tree with the mutant in it; return its fate, and put things right again."""
    source, start = (ROOT / mutant.module).read_text(), time.perf_counter()
    (tree / mutant.module).write_text(broken(mutant))
    code, said = run_tests(tree, tests, limit)
    (tree / mutant.module).write_text(source)
    failed = [line.split(" - ")[0] for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    lines = zip(source.splitlines(), broken(mutant).splitlines(), strict=False)
    before, after = next(((old.strip(), new.strip()) for old, new in lines if old != new), ("", ""))
    return {
        "fate": {0: "survived", None: "hung"}.get(code, "caught"),
        "by": failed[0] if failed else "",
        "seconds": round(time.perf_counter() - start, 1),
        "before": before,
        "after": after,
    }


def run_tests(tree: Path, tests: Sequence[str], limit: float | None) -> tuple[int | None, str]:
    """Return pytest's exit code, None after the time limit, and what it said; nothing is compiled into the tree."""
    command = [sys.executable, "-B", "-m", "pytest", "-n", "0", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=tree, env=environment, start_new_session=True, **pipes) as process:
        try:
            said = process.communicate(timeout=limit)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, ""
    return process.returncode, said


def limit_for(tree: Path, tests: Sequence[str]) -> float:
    """Return how long these tests may take; exit when they fail on unbroken code."""
    start = time.perf_counter()
    code, said = run_tests(tree, tests, None)
    if code:
        sys.exit(f"tests fail without any mutant:\n{said}")
    return WARM_UP + PATIENCE * (time.perf_counter() - start)


def copy_tree(folder: Path) -> str:
    """Copy the working tree's files; return a hash of them."""
    names = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    digest = hashlib.sha256()
    for name in sorted(filter(None, names.split("\0"))):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
            if name.startswith(("ganlib/", "tests/", "stages/", "params.yaml", "pyproject.toml")):
                digest.update(name.encode() + (ROOT / name).read_bytes())
    return digest.hexdigest()[:16]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return read_table(path, "state").to_dict("records") if path.exists() else []


def summary(rows: pd.DataFrame) -> str:
    """Return the share caught of each module and of all, then what survived."""
    caught = rows["fate"] != "survived"
    shares = caught.groupby(rows["module"]).agg(["size", "sum"]).set_axis(["mutants", "caught"], axis=1)
    survivors = [
        f"{row['module']}:{row['line']}  {row['before']}  ->  {row['after']}" for _, row in rows[~caught].iterrows()
    ]
    total = f"{caught.sum()} of {len(rows)} caught ({caught.mean():.0%}) in {rows['seconds'].sum() / 60:.0f} minutes"
    return "\n".join([shares.to_string(), total, *survivors])


if __name__ == "__main__":
    main()
