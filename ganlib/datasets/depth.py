"""Images of over 8 bits a channel: which of their values are black and white, decided for a whole set."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

DEPTHS = tuple((1 << bits) - 1 for bits in (8, 10, 12, 14, 16))
"""What is white in integers of so many bits."""
OVERSHOOT = 1.5
"""Times white, to which sharpening brings floats; beyond it white is something else."""
WHITE_IS_ZERO = 262, 0
"""A TIFF's tag, and what it says then; Pillow inverts 8 bits by itself."""
BAND = 2**18
"""Pixels that are flattened at a time: what that takes on the way is many times as large as they are."""


class Ranges(NamedTuple):
    """Which values of pixels of over 8 bits are black and white, throughout a set of images."""

    integers: tuple[float, float] = (0, 65535)
    floats: tuple[float, float] = (0, 1)


class Extent(NamedTuple):
    """The least and the greatest value of pixels of over 8 bits."""

    kind: str
    """A field of Ranges."""
    low: float
    high: float


class UnusableError(ValueError):
    """An image that is whole, but not usable; the message says why."""


def is_deep(image: Image.Image) -> bool:
    """Tell whether pixels are integers of over 8 bits, or floats."""
    return image.mode == "F" or image.mode.startswith("I")


def extent_of(image: Image.Image) -> Extent:
    """Return the least and the greatest value of an image's pixels, but for one that stands for transparency."""
    low, high, clear = math.inf, -math.inf, image.info.get("transparency")
    for box in bands(image):
        values = np.asarray(image.crop(box))
        if not np.isfinite(values).all():
            raise UnusableError("values that are not finite")
        seen = values if clear is None else values[values != clear]
        if seen.size:
            low, high = min(low, float(seen.min())), max(high, float(seen.max()))
    return Extent("floats" if image.mode == "F" else "integers", *((low, high) if low <= high else (0.0, 0.0)))


def joined(extents: Iterable[Extent]) -> list[Extent]:
    """Return one extent of each kind, which takes in all of it."""
    found = dict[str, Extent]()
    for new in extents:
        old = found.get(new.kind, new)
        found[new.kind] = new._replace(low=min(old.low, new.low), high=max(old.high, new.high))
    return list(found.values())


def decide_ranges(extents: Iterable[Extent]) -> Ranges:
    """Return what is black and white in a set of images of these extents; raise UnusableError where that can't be told.

    Integers are white at the greatest value of 8, 10, 12, 14 or 16 bits, the least that none exceeds. Floats lie
    between 0 or -1 and 1, or between 0 and 255; a little beyond is what sharpening makes, and is cut off.
    """
    decided = Ranges()
    for kind, low, high in extents:
        if kind == "integers":
            white = next((white for white in DEPTHS if high <= white), None)
            fitting = [] if low < 0 or white is None else [(0, white)]
        else:
            signed, slack = low < 1 - OVERSHOOT, OVERSHOOT - 1
            fits = {
                (0, 1): not signed and high <= OVERSHOOT,
                (-1, 1): signed and low >= -OVERSHOOT and high <= OVERSHOOT,
                (0, 255): low >= -255 * slack and 255 / 4 <= high <= 255 * OVERSHOOT,
            }
            fitting = [between for between, fit in fits.items() if fit]
        if not fitting:
            raise UnusableError(f"{kind} from {low:g} to {high:g}")
        decided = decided._replace(**{kind: fitting[0]})
    return decided


def to_eight_bits(image: Image.Image, between: tuple[float, float], background: int, inverted: bool) -> Image.Image:
    """Map values from black to white to grey 0..255, or the other way round, and transparent ones to a grey level."""
    (low, high), clear = between, image.info.get("transparency")
    flat = Image.new("L", image.size)
    for box in bands(image):
        values = np.asarray(image.crop(box))
        greys = np.rint((values.astype(np.float64) - low) * (255 / (high - low))).clip(0, 255)
        greys = 255 - greys if inverted else greys
        if clear is not None:
            greys[values == clear] = background
        flat.paste(Image.fromarray(greys.astype(np.uint8)), box)
    return flat


def bands(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes that cover an image from top to bottom."""
    rows = max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)
