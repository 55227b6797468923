"""Charts as SVG text, drawn offline by Vega-Lite; they take their ink from the page, so they follow light and dark."""

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd
import vl_convert
from numpy.typing import NDArray

COLOURS = [f"var(--series-{number})" for number in range(1, 7)]
DASHES = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2]]
"""Of lines of several runs, which may lie upon each other."""
LINES = len(COLOURS) * len(DASHES)
"""Lines of several runs that a reader can tell apart."""
INK, ALARM = "currentColor", "var(--alarm)"
WIDTH, HEIGHT = 270, 190
NAMES_SHOWN = 12
"""Classes up to which their names stand upright, and shares are written into the confusion's cells."""
POINTS = 1200
"""Points of all lines together up to which a chart draws each."""
CELLS, BARS = 2500, 90
"""Cells of a confusion, and classes of a histogram, that are drawn at most: nobody can see more."""
LETTER = 7
"""Width of a letter of a name, in pixels, with the space that names side by side want."""
LABELS = 16
"""Places for the numbers of alarms along the steps."""


class Style(NamedTuple):
    """How a line is drawn."""

    colour: str
    dashes: list[int]


CLIP = r'(?:(?<=<clipPath id=")|(?<="url\(#))clip(\d+)'
"""Where Vega names or uses a clip path, but not a class that is called so."""


def curves(
    long: pd.DataFrame,
    title: str,
    description: str,
    *,
    alarms: pd.DataFrame | None = None,
    best: tuple[str, int] | None = None,
    domain: tuple[float, float] | None = None,
    points: bool = False,
    styles: Mapping[str, Style] | None = None,
    log: bool = False,
) -> str:
    """Draw a line for each series of a table with columns step, series and value, and at which step alarms fired.

    `best` names a series and the step at which its value is marked. Values that are not finite leave a gap. Where
    `styles` says how each series is drawn, what shows them is its key, and the chart has none.
    """
    names = list(dict.fromkeys(long["series"]))
    long = long.replace([float("inf"), float("-inf")], float("nan"))
    chosen = long.loc[(long["series"] == best[0]) & (long["step"] == best[1])] if best else None
    long = thinned(long)
    steps = long["step"].to_numpy(float)
    scale, axis = _scales(long["value"].to_numpy(float), domain, log)
    step = alt.X("step:Q", title="step", axis=alt.Axis(tickCount=5, grid=False, labelExpr="format(datum.value, '~s')"))
    value = alt.Y("value:Q", title=title, scale=scale, axis=axis)
    drawn = [styles[name] if styles else Style(line_style(place).colour, DASHES[0]) for place, name in enumerate(names)]
    colour = _colour("series", names, [style.colour for style in drawn], "stroke", legend=not styles)
    dashes = [style.dashes for style in drawn]
    dash = alt.StrokeDash("series:N", scale=alt.Scale(domain=names, range=dashes), legend=None)
    chart: Any = alt.Chart(long).mark_line(strokeWidth=1.5).encode(x=step, y=value, color=colour, strokeDash=dash)
    if points or len(long) <= len(names):
        chart += alt.Chart(long).mark_point(size=16, filled=True, opacity=1).encode(x=step, y=value, color=colour)
    if alarms is not None and len(alarms):
        chart += _rules(alarms, steps.min(), steps.max())
    if best:
        ring = alt.Chart(chosen).encode(x=step, y=value)
        chart += ring.mark_point(size=110, stroke=INK, strokeWidth=1.5)
        right = best[1] > np.median(steps)
        chart += ring.mark_text(
            text="best", fill=INK, fontSize=11, dy=-13, align="right" if right else "left", dx=4 if right else -4
        )
    return _svg(chart, description)


def thinned(long: pd.DataFrame) -> pd.DataFrame:
    """Return at most 1,200 rows, of each series the lowest and the highest of each stretch of its steps.

    A chart shows no more, and Altair takes no more than 5,000.
    """
    if len(long) <= POINTS:
        return long
    long = long.reset_index(drop=True)
    series = long.groupby("series")
    place = series.cumcount() * (POINTS // 2 // series.ngroups) // series["step"].transform("size")
    ordered = long.assign(place=place).sort_values("value", kind="stable")
    lowest = ordered.groupby(["series", "place"]).head(1)  # a gap only where there is nothing else
    highest = ordered.dropna(subset="value").groupby(["series", "place"]).tail(1)
    return long.loc[sorted({*lowest.index, *highest.index})]


def series(table: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """Return columns of a table as `curves` takes them, by the names given."""
    return table.rename(columns=columns).melt("step", list(columns.values()), "series", "value")


def overlaid(
    tables: dict[str, pd.DataFrame],
    column: str,
    title: str,
    description: str,
    styles: Mapping[str, Style],
    *,
    domain: tuple[float, float] | None = None,
    log: bool = False,
) -> str:
    """Draw one column of several tables, a line for each by its name."""
    named = [table.assign(series=name, value=table[column]) for name, table in tables.items()]
    long = pd.concat(named).filter(["step", "series", "value"])
    return curves(long, title, description, domain=domain, points=len(named[0]) < 40, styles=styles, log=log)


def line_style(place: int) -> Style:
    """Return how a line is drawn, by its place: no two of the first 24 alike."""
    return Style(COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)])


def class_histogram(per_class: pd.DataFrame) -> str:
    """Draw each class's share of real and generated images; `per_class` has columns class, real and generated.

    Of more than 90 classes it draws those that differ most.
    """
    count = len(per_class)
    apart = (per_class["real"] - per_class["generated"]).abs()
    per_class = per_class.iloc[np.sort(apart.to_numpy().argsort(kind="stable")[-BARS:])]
    long = per_class.melt("class", ["real", "generated"], "set", "share")
    told = _told(BARS, count, "classes that differ most")
    order = list(per_class["class"])
    return _svg(
        alt.Chart(long)
        .mark_bar(cornerRadiusEnd=1)
        .encode(
            x=alt.X("class:N", title=told or None, sort=order, axis=_names(order)),
            xOffset=alt.XOffset("set:N", sort=["real", "generated"]),
            y=alt.Y("share:Q", title="share of images", axis=alt.Axis(format="%", tickCount=5)),
            color=_colour("set", ["real", "generated"], COLOURS[:2], "square"),
        ),
        "Bars: share of each class among real and among generated images",
        height=WIDTH - 20,
    )


def confusion(pairs: pd.DataFrame, order: Sequence[str]) -> str:
    """Draw, for each class asked for, the shares of what the judge takes it for; `pairs`: columns asked and judged.

    Of more than 2,500 pairs of classes it draws the most frequent.
    """
    counts = pairs.value_counts(["asked", "judged"]).reset_index(name="images")
    counts["share"] = counts["images"] / counts.groupby("asked")["images"].transform("sum")
    told = _told(CELLS, len(counts), "most frequent pairs")
    counts = counts.head(CELLS)
    base = alt.Chart(counts).encode(
        x=alt.X("judged:N", title=f"judged as{told and f' ({told})'}", sort=order, axis=_names(order)),
        y=alt.Y("asked:N", title="class", sort=order, axis=alt.Axis(labelOverlap="greedy", ticks=len(order) <= BARS)),
    )
    cells = base.mark_rect(fill=COLOURS[0], stroke=COLOURS[0], strokeOpacity=0.3).encode(
        fillOpacity=alt.FillOpacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.04, 0.5]), legend=None)
    )
    if len(order) <= NAMES_SHOWN:
        cells += base.mark_text(fontSize=9, fill=INK).encode(text=alt.Text("share:Q", format=".0%"))
    return _svg(cells, "Matrix: the share of each class that the judge takes for each class", height=WIDTH - 20)


def _told(most: int, count: int, what: str) -> str:
    return f"{most:,} {what} of {count:,}" if count > most else ""


def _rules(alarms: pd.DataFrame, first: float, last: float) -> Any:
    """Draw a rule where each alarm fired, and their numbers above, those that stand close together as one label."""
    table = alarms.assign(number=np.arange(1, len(alarms) + 1))
    along = (table["step"] - first) / max(last - first, 1)
    table["place"] = (along * LABELS).astype(int)
    labels = table.groupby("place").agg(step=("step", "mean"), number=("number", _numbers)).reset_index()
    table = table.loc[~(along * WIDTH).astype(int).duplicated()]  # nobody sees two in one pixel
    rules = alt.Chart(table).mark_rule(stroke=ALARM, strokeDash=[4, 3]).encode(x="step:Q")
    numbers = alt.Chart(labels).mark_text(fill=ALARM, fontSize=11, fontWeight="bold", dy=-8)
    return rules + numbers.encode(x="step:Q", y=alt.value(0), text="number:N")


def _numbers(numbers: pd.Series) -> str:
    """Return numbers as text, many of them as the first and the last."""
    told = [str(number) for number in numbers]
    return ", ".join(told) if len(told) <= 3 else f"{told[0]} to {told[-1]}"


def _scales(values: NDArray[np.float64], domain: tuple[float, float] | None, log: bool) -> tuple[alt.Scale, alt.Axis]:
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0, 0)
    if log and low > 0:
        powers = 10.0 ** np.arange(-9, 10)
        ticks = (np.outer(powers, steps).ravel() for steps in ((1, 2, 5), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)))
        wide, close = ([float(f"{tick:.2g}") for tick in row if 0.8 * low <= tick <= 1.25 * high] for row in ticks)
        shown = wide if len(wide) > 2 else close
        scale = alt.Scale(type="log", domain=[0.8 * low, 1.25 * high])
        return scale, alt.Axis(values=shown, format="~f")
    return alt.Scale(domain=list(domain)) if domain else alt.Scale(zero=True), alt.Axis(tickCount=5, format="~f")


def _names(order: Sequence[str]) -> alt.Axis:
    upright = len(order) * max(map(len, order), default=0) * LETTER <= WIDTH
    return alt.Axis(labelAngle=0 if upright else -60, labelOverlap="greedy", ticks=len(order) <= BARS)


def _colour(field: str, domain: list[str], colours: list[str], symbol: str, legend: bool = True) -> alt.Color:
    scale = alt.Scale(domain=domain, range=colours)
    if not legend or len(domain) == 1:  # the title says it
        return alt.Color(f"{field}:N", scale=scale, legend=None)
    columns = 1 if sum(map(len, domain)) > 40 else len(domain)
    keyed = alt.Legend(title=None, orient="top", columns=columns, symbolType=symbol, symbolSize=120)
    return alt.Color(f"{field}:N", scale=scale, legend=keyed)


def _svg(chart: Any, description: str, height: int = HEIGHT) -> str:
    sized = chart.properties(width=WIDTH, height=height, description=description, background="transparent")
    ink: dict[str, Any] = {"labelColor": INK, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 11}
    axis = ink | {"domainColor": INK, "tickColor": INK, "gridColor": INK, "gridOpacity": 0.15, "domainOpacity": 0.4}
    sized = sized.configure(font="system-ui, sans-serif").configure_axis(**axis, titleFontWeight="normal")
    sized = sized.configure_legend(**ink, symbolStrokeWidth=3, labelLimit=WIDTH).configure_view(stroke=None)
    svg = vl_convert.vegalite_to_svg(sized.to_json())
    # Vega counts its clip paths on from chart to chart: name them so that each chart is the same wherever it is drawn.
    numbers = {number: str(index) for index, number in enumerate(dict.fromkeys(re.findall(CLIP, svg)))}
    prefix = f"clip-{zlib.crc32(description.encode()):08x}-"
    return re.sub(CLIP, lambda match: prefix + numbers[match[1]], svg)
