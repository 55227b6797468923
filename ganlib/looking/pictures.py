"""Pictures for people, put together from images."""

import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ganlib.core.images import grid_image, to_picture

SHOWN = 64
"""Pixels that small images are enlarged to."""
FONT_SIZE = 14
GAP = 10
"""Pixels between groups of rows, and around the labels."""
MARGIN = 2
"""Pixels between images."""

Images = NDArray[np.uint8]
Named = tuple[str, Images]
"""The name of a file, and its image (C, H, W)."""


def grid(pixels: Images, columns: int) -> Image.Image:
    """Lay out (N, C, H, W) uint8 images row by row, small ones enlarged to be seen."""
    return grid_image(pixels, columns, max(1, SHOWN // pixels.shape[2]), MARGIN)


def labelled_rows(groups: Sequence[Mapping[str, Images]], headings: Sequence[str] = ()) -> Image.Image:
    """Lay out rows of (N, C, H, W) uint8 images with their names on the left, groups apart, headings over columns."""
    font = ImageFont.load_default(FONT_SIZE)
    strips = [[(name, grid(pixels, len(pixels))) for name, pixels in group.items()] for group in groups]
    rows = [row for group in strips for _, row in group]
    left = GAP * 3 // 2 + max(round(font.getlength(name)) for group in strips for name, _ in group)
    top = FONT_SIZE + GAP if headings else 0
    height = top + sum(row.height + MARGIN for row in rows) + GAP * (len(groups) - 1) - MARGIN
    canvas = Image.new(rows[0].mode, (left + max(row.width for row in rows), height), "white")
    draw, side = ImageDraw.Draw(canvas), rows[0].height + MARGIN
    for column, heading in enumerate(headings):
        draw.text((left + column * side, GAP // 2), heading, fill="black", font=font)
    for group in strips:
        for name, row in group:
            draw.text((GAP // 2, top + row.height // 2), name, fill="black", font=font, anchor="lm")
            canvas.paste(row, (left, top))
            top += row.height + MARGIN
        top += GAP
    return canvas


def words(reason: str) -> Image.Image:
    """Return a picture that says why there is none."""
    return labelled_rows([{reason: np.full((1, 1, 1, 1), 255, np.uint8)}])


def numbered(pixels: Images) -> Iterator[Named]:
    """Name (N, C, H, W) images by their numbers from 0."""
    width = len(str(len(pixels) - 1))
    return ((f"{index:0{width}}.png", image) for index, image in enumerate(pixels))


def write_pngs(named: Iterable[Named], folder: Path) -> None:
    """Write images as PNG files of a folder."""
    folder.mkdir(exist_ok=True)
    for name, image in named:
        (folder / name).write_bytes(_png(image))


def write_zip(named: Iterable[Named], path: Path) -> None:
    """Write images as PNG files of a zip."""
    with zipfile.ZipFile(path, "w") as archive:  # stored: PNG is compressed already
        for name, image in named:
            archive.writestr(zipfile.ZipInfo(name), _png(image))  # dated 1980, whenever it is written


def _png(image: Images) -> bytes:
    buffer = io.BytesIO()
    to_picture(image).save(buffer, "PNG")
    return buffer.getvalue()
