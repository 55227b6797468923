"""Queue the runs of claims, collect what DVC has run, and write the page."""

import os
import shlex
import subprocess
from typing import Annotated

import typer

from experiments.claims import Claim, load_claims
from experiments.gallery import write_gallery
from experiments.page import seeds_of, shown, write_page
from experiments.runs import collect, experiments_of, read_runs, write_grid, write_runs
from ganlib.core.console import run
from ganlib.core.errors import UserError

app = typer.Typer(add_completion=False, no_args_is_help=True)
Names = Annotated[list[str] | None, typer.Argument(help="Claims; all if none is named.")]


def chosen(names: list[str] | None) -> list[Claim]:
    """Return claims by their names; raise UserError where there is none of a name."""
    claims = load_claims()
    for name in names or ():
        if name not in claims:
            raise UserError(f"no claim {name!r}: there are {', '.join(claims)}")
    return [claims[name] for name in names or claims]


@app.command()
def queue(names: Names = None) -> None:
    """Put the runs that have no result yet into DVC's queue; dvc queue start runs them."""
    status = [line.split() for line in dvc("queue", "status").splitlines()]
    waiting = {words[1] for words in status if words[-1:] in (["Queued"], ["Running"])}
    lines = {line: None for claim in chosen(names) for line in claim.lines}
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
            dvc(*own[1:])
            print(f"queued {name}")


def dvc(*words: str) -> str:
    """Return what DVC prints; raise UserError with its last line where it fails."""
    done = subprocess.run(["dvc", *words], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"dvc {words[0]} {words[1]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout


def with_images(word: str) -> str:
    """Return a word of a line with $IMAGES filled in; raise UserError where it is not set."""
    if "$IMAGES" in word and not os.environ.get("IMAGES"):
        raise UserError("IMAGES is not set: export IMAGES=/a/folder that holds the images; docs/claims.md says which")
    return word.replace("$IMAGES", os.environ.get("IMAGES", ""))


@app.command(name="collect")
def collect_all() -> None:
    """Store what DVC's experiments have found, and the grids that the page shows."""
    for claim in load_claims().values():
        runs, own = {}, {}
        for side in claim.sides:
            found = experiments_of(side)
            stored = {run.name: run for run in read_runs(side)}
            stored |= {name: collect(name, side, *commits) for name, commits in found.items()}
            own |= {name: commits[1] for name, commits in found.items()}
            if stored:
                write_runs(side, list(stored.values()))
            runs[side] = read_runs(side)
        for name in own.keys() & set(shown(claim, runs)):
            write_grid(name, own[name])


@app.command()
def page() -> None:
    """Write docs/claims.md, its charts and results.csv."""
    write_page()


@app.command()
def gallery(name: Annotated[str, typer.Argument(help="What the pictures are called.")]) -> None:
    """Write pictures of the run in the workspace to docs/gallery/: its grid, its walk, its completion."""
    write_gallery(name)


if __name__ == "__main__":
    run(app)
