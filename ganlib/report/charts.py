"""Charts as SVG text, drawn offline by Vega-Lite; they take their ink from the page, so they follow light and dark."""

from typing import Any

import altair as alt
import pandas as pd
import vl_convert

SERIES_COLOURS = ["var(--series-1)", "var(--series-2)"]
INK = "currentColor"
WIDTH = 420
HEIGHT = 220


def losses(history: pd.DataFrame) -> str:
    """Draw both losses against the step; `history` has columns step, d_loss and g_loss."""
    return _lines(
        history, {"d_loss": "discriminator", "g_loss": "generator"}, "loss", "Losses of both networks by step"
    )


def confidence(history: pd.DataFrame) -> str:
    """Draw D(x) and D(G(z)) against the step; `history` has columns step, d_real and d_fake."""
    names = {"d_real": "D(x), real", "d_fake": "D(G(z)), generated"}
    return _lines(history, names, "mean probability of real", "What the discriminator believes by step", domain=[0, 1])


def class_histogram(per_class: pd.DataFrame) -> str:
    """Draw each class's share of real and generated images; `per_class` has columns class, real and generated."""
    long = per_class.melt("class", ["real", "generated"], "set", "share")
    chart = alt.Chart(long).mark_bar(cornerRadiusEnd=2)
    order = list(per_class["class"])
    return _svg(
        chart.encode(
            x=alt.X("class:N", title=None, sort=order, axis=alt.Axis(labelAngle=0 if len(order) <= 12 else -60)),
            xOffset=alt.XOffset("set:N", sort=["real", "generated"]),
            y=alt.Y("share:Q", title="share of images", axis=alt.Axis(format="%", tickCount=5)),
            color=_colour("set", ["real", "generated"]),
        ),
        "Share of each class among real and generated images",
    )


def _lines(
    history: pd.DataFrame, columns: dict[str, str], title: str, description: str, domain: list[float] | None = None
) -> str:
    long = history.rename(columns=columns).melt("step", list(columns.values()), "series", "value")
    chart = alt.Chart(long).mark_line(strokeWidth=1.5, interpolate="linear")
    scale = alt.Scale(domain=domain) if domain else alt.Scale(zero=True)
    return _svg(
        chart.encode(
            x=alt.X("step:Q", title="step", axis=alt.Axis(tickCount=5, grid=False)),
            y=alt.Y("value:Q", title=title, scale=scale, axis=alt.Axis(tickCount=5)),
            color=_colour("series", list(columns.values())),
        ),
        description,
    )


def _colour(field: str, domain: list[str]) -> alt.Color:
    scale = alt.Scale(domain=domain, range=SERIES_COLOURS)
    return alt.Color(f"{field}:N", scale=scale, legend=alt.Legend(title=None, orient="top"))


def _svg(chart: alt.Chart, description: str) -> str:
    sized = chart.properties(width=WIDTH, height=HEIGHT, description=description, background="transparent")
    ink: dict[str, Any] = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12}
    axis = ink | {"domainColor": INK, "tickColor": INK, "gridColor": INK, "gridOpacity": 0.15, "domainOpacity": 0.4}
    sized = sized.configure(font="system-ui, sans-serif").configure_axis(**axis, titleFontWeight="normal")
    sized = sized.configure_legend(**ink, symbolStrokeWidth=3).configure_view(stroke=None)
    return vl_convert.vegalite_to_svg(sized.to_json())
