"""The report: one HTML file that needs nothing else."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from PIL import Image

TEMPLATE = Path(__file__).with_name("page.html.jinja")


class Figure(NamedTuple):
    """A headline figure."""

    name: str
    value: str
    aside: str
    """What to hold the value against."""


def headline(metrics: Mapping[str, Any]) -> list[Figure]:
    """Return the figures that a reader looks for first, each with what it is to be held against."""
    fid, name = ("fid", "FID") if "fid" in metrics else ("domain_fid", "Domain FID")
    multiple, floor = metrics[f"{fid}_over_floor"], metrics[f"{fid}_floor"]
    against = f"{_interval(metrics, fid, '.2f')}; {multiple:.1f} times the floor of {floor:.2f}; lower is better"
    diverse = f"{_interval(metrics, 'diversity_score', '.2f')}; of 1; mode collapse is 1 less this"
    valid = f"{_interval(metrics, 'valid', '.0%')}; held-out real images reach {metrics['valid_heldout']:.0%}"
    covered = f"{metrics['classes_covered']} of {metrics['classes']}"
    return [
        Figure(name, f"{metrics[fid]:.2f}", against),
        Figure("Diversity score", f"{metrics['diversity_score']:.2f}", diverse),
        Figure("Valid share", f"{metrics['valid']:.0%}", valid),
        Figure("Classes covered", covered, "a class counts from a tenth of its real share"),
    ]


def _interval(metrics: Mapping[str, Any], name: str, form: str) -> str:
    return f"95 % within {metrics[f'{name}_low']:{form}} to {metrics[f'{name}_high']:{form}}"


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings to dotted keys, as in `train.precision`."""
    rows: dict[str, Any] = {}
    for key, value in values.items():
        rows |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return rows


def data_uri(image: Image.Image) -> str:
    """Return a PNG data URI."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def render(**context: Any) -> str:
    """Fill the page's template; every name that it uses must be given."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(context)
