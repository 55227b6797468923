"""How much memory one image may take: what its header promises is checked first, what it really takes is bounded."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

if sys.platform != "win32":
    import resource

MAX_MEMORY = 512 * 2**20
"""Bytes for one image: its file, its pixels, and what the decoder needs besides."""
BACKSTOP = 16 * 2**20
"""More than that may be taken before the system refuses it, where it does."""
ONE_BYTE, TWO_BYTES = {"1", "L", "P"}, {"I;16", "I;16L", "I;16B", "I;16N"}
ORIENTED = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}
"""Where an orientation may be noted, besides a TIFF's own tags."""
START_OF_SCAN = b"\xff\xda"


def memory_needed(image: Image.Image, content: bytes) -> int:
    """Return the bytes that preparing an image takes at most, as its header has it; nothing is decoded."""
    width, height = image.size
    if image.format == "TIFF":  # a tile is unpacked whole, however little of it is in the picture
        width, height = (max(side, _tag(image, tag)) for side, tag in zip(image.size, (322, 323), strict=True))
    return len(content) + width * height * max(_to_decode(image, content), _to_flatten(image))


def _tag(image: Image.Image, number: int) -> int:
    value = getattr(image, "tag_v2", {}).get(number, 0)
    return value if isinstance(value, int) else 0


def _to_decode(image: Image.Image, content: bytes) -> int:
    """Return bytes a pixel while decoding, as measured of each library."""
    held = _held(image)
    if image.format in ("JPEG", "MPO") and content.count(START_OF_SCAN) > 1:  # all coefficients wait for the last scan
        return held + 2 * len(image.getbands())
    if image.format == "TIFF" and image.info.get("compression") != "raw":
        return held + 8  # a strip of four channels of 16 bits may be the whole image
    return {"WEBP": 18, "AVIF": 16, "JPEG2000": 7 * len(image.getbands())}.get(image.format or "", held)


def _to_flatten(image: Image.Image) -> int:
    """Return bytes a pixel while an image is turned upright, or another one is made of it."""
    turned = image.format == "TIFF" or ORIENTED & image.info.keys()
    plain = image.mode in ("L", "RGB") and "transparency" not in image.info
    return _held(image) + (0 if plain and not turned else 4)


def _held(image: Image.Image) -> int:
    return 1 if image.mode in ONE_BYTE else 2 if image.mode in TWO_BYTES else 4


@contextmanager
def bounded_memory(held: int) -> Iterator[None]:
    """Let this process take so much more memory than one image may, of which `held` bytes are taken; else MemoryError.

    Only Linux keeps to it. It stops what no header tells of, such as ten thousand tags that all stand for one place.
    """
    if sys.platform != "linux":
        yield
        return
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = pages * resource.getpagesize() + MAX_MEMORY + BACKSTOP - held
    resource.setrlimit(resource.RLIMIT_DATA, (most if soft < 0 else min(soft, most), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
