"""docs/claims.md and its charts, of what is stored in this folder and of nothing else."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from experiments.claims import CANT_TELL, Claim, Comparison, Outcome, load_claims, outcome_of, pairs_of, together
from experiments.runs import AVERAGED, FIGURES, FOLDER, Run, figure_of, measured, read_runs
from ganlib.core.files import write_table

DOCS = Path("docs")
ACROSS = 3
"""Grids in a row."""
NOT_RUN = ("", "", "0", "not run yet")
"""Cells of a test whose sides have no results."""
COLOURS = ("#1f6fb2", "#d1495b", "#2a9d5c", "#8a5cc2", "#c77f0a", "#4f5d6b")


def write_page() -> None:
    """Write the page, its charts, and a table of all runs."""
    (DOCS / "claims").mkdir(parents=True, exist_ok=True)
    claims = load_claims()
    runs = {side: read_runs(side) for claim in claims.values() for side in claim.sides}
    sections = [section(name, claim, runs) for name, claim in claims.items()]
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined)
    text = environment.get_template("claims.md.jinja").render(claims=sections)
    (DOCS / "claims.md").write_text(text, encoding="utf-8")
    write_table(FOLDER / "results.csv", table_of(runs))


def section(name: str, claim: Claim, runs: Mapping[str, list[Run]]) -> dict[str, Any]:
    """Return what the page says of a claim, and draw its chart; without rows where none of its tests has been run."""
    said: dict[str, Any] = {"name": name, "claim": claim, "rows": [], "told": "not run yet"}
    outcomes = {test: outcome_of(test, runs) for test in claim.tests if all(runs[side] for side in test.sides)}
    if not outcomes:
        return said
    (DOCS / "claims" / f"{name}.svg").write_text(chart(claim, runs), encoding="utf-8")
    return said | {
        "told": told([*outcomes.values()], len(claim.tests)),
        "rows": [
            row(test, outcomes[test], runs) if test in outcomes else [tested(test), *NOT_RUN] for test in claim.tests
        ],
        "commits": ", ".join(sorted({run.commit[:10] for side in claim.sides for run in runs[side]})),
        "lines": [wrapped(line) for line in claim.lines],
        "grids": shown(claim, runs),
    }


def shown(claim: Claim, runs: Mapping[str, Sequence[Run]]) -> list[str]:
    """Return the runs whose grids stand beside each other: of sides with seed 1, or of the first seeds of one side."""
    if len(claim.sides) > 1:
        return [run.name for side in claim.sides for run in runs[side] if run.seed == 1]
    return [run.name for run in runs[claim.sides[0]][:ACROSS]] if claim.tests[0].sense == "scattered" else []


def told(outcomes: Sequence[Outcome], tests: int) -> str:
    """Return a claim's verdict, and how many of its tests hold; those that have not been run tell nothing."""
    held, absent = sum(outcome.verdict == "holds" for outcome in outcomes), tests - len(outcomes)
    counts = [f"{held} of {tests} tests hold"] * (tests > 1) + [f"{absent} not run yet"] * (absent > 0)
    verdict = CANT_TELL if absent and together(outcomes) == "holds" else together(outcomes)
    return "; ".join([f"**{verdict}**", *counts])


def wrapped(line: str, width: int = 110) -> str:
    """Return a command over several lines, with backslashes, broken before options."""
    parts = re.split(r" (?=-S |evaluate$)", line)
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) > width:
            lines.append(f"    {part}")
        else:
            lines[-1] += f" {part}"
    return " \\\n".join(lines)


def row(test: Comparison, outcome: Outcome, runs: Mapping[str, list[Run]]) -> list[str]:
    """Return the cells of a line of a claim's table."""
    sides = [runs[test.of]]
    if isinstance(test.than, str):
        sides = [*zip(*pairs_of(runs[test.of], runs[test.than]), strict=True)]
    means = ", ".join(mean_of(side, test.figure) for side in sides)
    if test.sense == "scattered":
        values = [figure_of(run, test.figure) for run in runs[test.of]]
        means += f", {min(values):.3g} to {max(values):.3g}"
        found = f"{outcome.mean:.3g} times as much ({outcome.low:.3g} to {outcome.high:.3g})"
    else:
        found = f"{outcome.mean:+.3g}" + ("" if outcome.seeds < 2 else f" ({outcome.low:+.3g} to {outcome.high:+.3g})")
    return [tested(test), means, found, str(outcome.seeds), outcome.verdict]


def tested(test: Comparison) -> str:
    """Say a test in words."""
    label = FIGURES[test.figure].title
    if test.sense == "scattered":
        return f"{label} of `{test.of}` scatters by more than a run's own interval"
    other = f"`{test.than}`" if isinstance(test.than, str) else test.than
    return f"{label}: `{test.of}` {test.sense} than {other}"


def mean_of(runs: Sequence[Run], figure: str) -> str:
    return f"{np.mean([figure_of(run, figure) for run in runs]):.3g}"


def table_of(runs: Mapping[str, list[Run]]) -> pd.DataFrame:
    """Return a row for each run: what it is, and each figure that it was measured in."""
    return pd.DataFrame(
        {
            "name": run.name,
            "side": run.side,
            "seed": run.seed,
            "commit": run.commit,
            "protocol": run.protocol,
            "data": run.data,
            **{name: figure_of(run, name) if measured(run, name) else np.nan for name in FIGURES},
        }
        for side in sorted(runs)
        for run in runs[side]
    )


def chart(claim: Claim, runs: Mapping[str, list[Run]]) -> str:
    """Draw what a claim is about: curves of all seeds, intervals of seeds, or losses against distance."""
    first = claim.tests[0]
    if first.sense == "scattered":
        drawn = intervals(runs[first.of], first.figure)
    elif first.figure.startswith("rank_"):
        drawn = against(runs[first.of][0])
    else:
        drawn = curves({side: runs[side] for side in claim.sides if runs[side]})
    svg = vl_convert.vegalite_to_svg(drawn.configure(background="white").configure_axis(grid=False).to_dict())
    return re.sub(r"(gradient|clip)_?\d+", r"\1", svg) + "\n"


def curves(sides: Mapping[str, list[Run]]) -> Any:
    """Draw the distance along each training, thin, and each side's mean over seeds."""
    rows = [
        {"side": side, "seed": run.seed, "step": step, "distance": distance}
        for side, found in sides.items()
        for run in found
        for step, distance in zip(run.evaluations["step"], run.evaluations["distance"], strict=True)
    ]
    table = pd.DataFrame(rows)
    colour = alt.Color(
        "side:N",
        scale=alt.Scale(domain=list(sides), range=COLOURS[: len(sides)]),
        legend=alt.Legend(title=None, symbolOpacity=1, symbolStrokeWidth=3),
    )
    base = alt.Chart(table, width=560, height=240).encode(
        x=alt.X("step:Q", title="step", axis=alt.Axis(tickCount=6)),
        y=alt.Y("distance:Q", title="distance to held-out images", scale=alt.Scale(type="log", nice=False)),
        color=colour,
    )
    thin = base.mark_line(opacity=0.35, strokeWidth=1).encode(detail="seed:N")
    return thin + base.mark_line(strokeWidth=2.2).encode(y="mean(distance):Q")


def intervals(runs: Sequence[Run], figure: str) -> Any:
    """Draw a figure of each seed with the interval that its run gives."""
    ends = ("low", "high")
    rows = [
        {"seed": run.seed, "value": figure_of(run, figure)} | {end: figure_of(run, f"{figure}_{end}") for end in ends}
        for run in runs
    ]
    base = alt.Chart(pd.DataFrame(rows), width=560, height=240).encode(x=alt.X("seed:O", axis=alt.Axis(labelAngle=0)))
    scale = alt.Scale(zero=False)
    bars = base.mark_rule(color=COLOURS[0]).encode(
        y=alt.Y("low:Q", title=FIGURES[figure].title, scale=scale), y2="high:Q"
    )
    return bars + base.mark_point(color=COLOURS[0], filled=True, size=50).encode(y=alt.Y("value:Q", scale=scale))


def against(run: Run) -> Any:
    """Draw the distance at each evaluation of one run against losses and gradient norms."""
    table = pd.DataFrame(run.evaluations)
    base = alt.Chart(table, width=250, height=160).mark_point(filled=True, size=40)
    shade = alt.Color("step:Q", scale=alt.Scale(scheme="viridis", reverse=True))

    def panel(name: str) -> Any:
        x = alt.X(f"{name}:Q", scale=alt.Scale(zero=False))
        return base.encode(x=x, y=alt.Y("distance:Q", scale=alt.Scale(type="log")), color=shade)

    panels = [panel(name) for name in AVERAGED]
    return (panels[0] | panels[1]) & (panels[2] | panels[3])


def seeds_of(line: str) -> list[int]:
    """Return the seeds of a line that queues runs."""
    (seeds,) = (word.removeprefix("seed=") for word in shlex.split(line) if word.startswith("seed="))
    return [int(seed) for seed in seeds.split(",")]
