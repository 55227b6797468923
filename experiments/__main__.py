"""Queue the runs of claims, collect what DVC has run, and write the page."""

import os
import shlex
import subprocess
from typing import Annotated

import typer

from experiments.claims import ORDER, load_claim
from experiments.page import seeds_of, shown, write_grids, write_page
from experiments.runs import collect, experiments_of, grid_of, read_runs, write_runs
from ganlib.core.console import run
from ganlib.core.errors import UserError

app = typer.Typer(add_completion=False, no_args_is_help=True)
Names = Annotated[list[str] | None, typer.Argument(help="Claims; all if none is named.")]


def chosen(names: list[str] | None) -> list[str]:
    """Return claims by their names; raise UserError where there is none of a name."""
    for name in names or ():
        if name not in ORDER:
            raise UserError(f"no claim {name!r}: there are {', '.join(ORDER)}")
    return names or list(ORDER)


@app.command()
def queue(names: Names = None) -> None:
    """Put the runs that have no result yet into DVC's queue; dvc queue start runs them."""
    status = subprocess.run(["dvc", "queue", "status"], check=True, capture_output=True, text=True).stdout
    waiting = {
        words[1] for words in (line.split() for line in status.splitlines()) if words[-1:] in (["Queued"], ["Running"])
    }
    lines = {line: None for name in chosen(names) for line in load_claim(name).lines}
    for words in map(shlex.split, lines):
        side, seeds = words[5], seeds_of(shlex.join(words))
        there = {one.seed for one in read_runs(side)}
        for seed in seeds:
            name = side if len(seeds) == 1 else f"{side}-{seed}"
            if seed in there or name in waiting or name in experiments_of(side):
                continue
            own = [f"seed={seed}" if word.startswith("seed=") else with_images(word) for word in words]
            own[5] = name
            waiting.add(name)
            subprocess.run(own, check=True, stdout=subprocess.DEVNULL)
            print(f"queued {name}")


def with_images(word: str) -> str:
    """Return a word of a line with $IMAGES filled in; raise UserError where it is not set."""
    if "$IMAGES" in word and not os.environ.get("IMAGES"):
        raise UserError("IMAGES is not set: export IMAGES=/a/folder that holds the images; docs/claims.md says which")
    return word.replace("$IMAGES", os.environ.get("IMAGES", ""))


@app.command(name="collect")
def collect_all() -> None:
    """Store what DVC's experiments have found, and the grids of claims all of whose sides have run."""
    for name in ORDER:
        claim = load_claim(name)
        runs, own = {}, {}
        for side in claim.sides:
            found = experiments_of(side)
            stored = {run.name: run for run in read_runs(side)}
            stored |= {run: collect(run, side, *commits) for run, commits in found.items()}
            own |= {run: commits[1] for run, commits in found.items()}
            if stored:
                write_runs(side, list(stored.values()))
            runs[side] = read_runs(side)
        grids = shown(claim, runs)
        if all(runs.values()) and grids and own.keys() >= set(grids):
            write_grids(name, {run: grid_of(own[run]) for run in grids})


@app.command()
def page() -> None:
    """Write docs/claims.md, its charts and results.csv."""
    write_page()


if __name__ == "__main__":
    run(app)
