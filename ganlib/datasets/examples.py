"""What a source hands over: images still packed, or files that cannot be taken, each with its name."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

IMAGE_SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm"),
    *(".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
"""What a file that means to be an image is called; what is in it decides."""


class Place(NamedTuple):
    """Where a source finds its files."""

    dataset: str
    """Value of data.dataset."""
    path: Path | None
    """A folder, zip or tar of images, or a folder that has a named set's files; None where there is none of these."""
    downloads: Path
    """A folder where files of known checksum are found, and downloaded to."""
    scratch: Path
    """A folder for what must be unpacked; it goes when the source has been read."""
    url: str | None = None
    sha256: str | None = None


class Example(NamedTuple):
    name: str
    """The file's name inside its folder or archive, with forward slashes."""
    label: int | None
    """Index into the source's class names; None when the file lies in no class."""
    content: Path | bytes | Image.Image


class Rejected(NamedTuple):
    name: str
    reason: str
    counts: bool = True
    """Whether it counts against data.max_rejected; a file that never meant to be an image does not."""


class Source(NamedTuple):
    origin: str
    """What an error message calls it."""
    class_names: list[str]
    """Empty when the images have no labels."""
    total: int
    """How many examples come, before a choice of classes."""
    examples: Iterator[Example | Rejected]
    """In an order that is the same on every machine."""


def named_as_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)
