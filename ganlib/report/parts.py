"""What pages are made of: templates, pictures that lie inside the page, and reasons why something is absent."""

import base64
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jinja2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

GAP = 2
"""Transparent pixels between images."""
SHARP = 32
"""Side up to which images are packed without loss and shown pixel by pixel; pages of larger ones would grow heavy."""

Contents = TypeVar("Contents")
Images = NDArray[np.uint8]


class Absent(NamedTuple):
    """What stands where something could not be shown."""

    reason: str


class Picture(NamedTuple):
    uri: str
    alt: str
    width: int
    height: int
    sharp: bool = False


def found(path: Path, read: Callable[[Path], Contents], stage: str) -> Contents | Absent:
    """Read a file that an earlier stage may not have made."""
    return read(path) if path.exists() else Absent(f"{path} is not there; dvc repro {stage} makes it")


def tiled(images: Images, columns: int, alt: str) -> Picture:
    """Tile (N, C, H, W) uint8 images row by row, apart, so that the page shows between them."""
    count, channels, side = len(images), images.shape[1], images.shape[3]
    tiles = np.concatenate([images, np.full_like(images[:, :1], 255)], 1)  # (N, C + 1, H, W): the last is opacity
    rows = -(-count // columns)
    tiles = np.pad(tiles, ((0, rows * columns - count), (0, 0), (0, GAP), (0, GAP)))
    tiles = tiles.reshape(rows, columns, *tiles.shape[1:]).transpose(0, 3, 1, 4, 2)  # (rows, H, columns, W, C + 1)
    canvas = tiles.reshape(rows * tiles.shape[1], columns * tiles.shape[3], channels + 1)[:-GAP, :-GAP]
    image = Image.fromarray(np.ascontiguousarray(canvas), "LA" if channels == 1 else "RGBA")
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=side <= SHARP, quality=85, method=4)
    return Picture(data_uri(buffer.getvalue(), "webp"), alt, *image.size, side <= SHARP)


def framed(content: bytes, kind: str, alt: str) -> Picture:
    """Take an image file as it is."""
    with Image.open(io.BytesIO(content)) as image:
        return Picture(data_uri(content, kind), alt, *image.size)


def data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64," + base64.b64encode(content).decode()


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings to dotted keys, as in `train.precision`."""
    rows: dict[str, Any] = {}
    for key, value in values.items():
        rows |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return rows


def markdown_cell(text: str) -> str:
    """Return text for a cell of a Markdown table, on one line, with nothing in it that is taken for markup."""
    return re.sub(r"([\\`*_\[\]<>|~&])", r"\\\1", " ".join(text.split()))


def render(template: str, context: Mapping[str, Any]) -> str:
    """Fill a template of this folder; every name that it uses must be given."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=lambda name: name is None or ".html" in name,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = markdown_cell
    return environment.get_template(template).render(context)
