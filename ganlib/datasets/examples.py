"""What a source hands over: images still packed, or files that cannot be taken, each with its name."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

IMAGE_SUFFIXES = (
    *(
        ".apng",
        ".avif",
        ".bmp",
        ".dib",
        ".gif",
        ".jfif",
        ".j2k",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".jpf",
        ".jpx",
        ".pbm",
    ),
    *(".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
"""What a file that Pillow reads is called; what is in it decides."""
OTHER_SUFFIXES = (
    *(".arw", ".bpg", ".cr2", ".cr3", ".dcm", ".dds", ".dng", ".exr", ".hdr", ".heic", ".heif", ".hif", ".ico", ".jxl"),
    *(".jxr", ".nef", ".orf", ".pcx", ".pef", ".psd", ".raf", ".rw2", ".sr2", ".srw", ".svg", ".tga", ".xcf"),
)
"""What else a person calls an image: such a file that can't be read is one that is missing."""
HEADS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ", b"8BPS", b"\0\0\0\x0cJXL ")
"""How files of images begin, whatever they are called."""
HEAD_BYTES = 16


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
    told: tuple[str, ...] = ()
    """What was understood of a user's own files, a line each."""


def named_as_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES + OTHER_SUFFIXES)


def begins_as_image(head: bytes) -> bool:
    """Tell whether a file is an image by its first 16 bytes."""
    container = head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")
    return head.startswith(HEADS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or container
