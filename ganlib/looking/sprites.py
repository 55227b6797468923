"""Pictures that a page carries within its weight: planes to drag over, and walks that move."""

import io
from collections.abc import Callable
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganlib.core.images import grid_image

SHOWN = 64
"""Pixels that small images of a walk are enlarged to."""
SHARP = 32
"""Side up to which images are packed without loss if there is room: their pixels are seen one by one."""
LARGEST = 128
"""Side of an image from which it is packed smaller."""
SMALLEST = 16
"""Side under which nothing is packed smaller, however heavy."""
QUALITIES = (90, 80, 70, 60, 50, 40)

Images = NDArray[np.uint8]


def plane_sprite(images: Images, most_bytes: int) -> bytes:
    """Lay (rows, columns, C, H, W) uint8 images side by side into one WebP."""
    columns, side = images.shape[1], images.shape[-1]
    whole = grid_image(np.concatenate(images), columns, margin=0).convert("RGB")

    def encoded(side: int, quality: int | None) -> bytes:
        return _webp([_resized(whole, side * columns)], quality)

    return _lightest(encoded, min(side, LARGEST), side <= SHARP, most_bytes)


def walk_animation(frames: Images, columns: int, milliseconds: int, most_bytes: int) -> bytes:
    """Return (frames, N, C, H, W) uint8 images, small ones enlarged, as a WebP that starts again for ever."""
    side = frames.shape[-1]
    scale = max(1, SHOWN // side)
    grids = [grid_image(frame, columns, scale).convert("RGB") for frame in frames]

    def encoded(side: int, quality: int | None) -> bytes:
        width = grids[0].width * side // (frames.shape[-1] * scale)
        return _webp([_resized(grid, width) for grid in grids], quality, duration=milliseconds, loop=0)

    return _lightest(encoded, min(side * scale, LARGEST), side <= SHARP, most_bytes)


def _lightest(encoded: Callable[[int, int | None], bytes], side: int, sharp: bool, most_bytes: int) -> bytes:
    """Return the best that has at most so many bytes: without loss, of lower quality, then smaller and smaller."""
    sides = [side >> halvings for halvings in range(8) if not halvings or side >> halvings >= SMALLEST]
    lossy = ((size, quality) for size in sides for quality in QUALITIES)
    packed = b""
    for size, quality in chain([(side, None)] if sharp else [], lossy):
        packed = encoded(size, quality)
        if len(packed) <= most_bytes:
            break
    return packed


def _resized(image: Image.Image, width: int) -> Image.Image:
    if width == image.width:
        return image
    return image.resize((width, image.height * width // image.width), Image.Resampling.BOX)


def _webp(frames: list[Image.Image], quality: int | None, **animation: int) -> bytes:
    """Encode one picture or an animation; without loss if no quality is given."""
    buffer, (first, *others) = io.BytesIO(), frames
    moving = {"save_all": True, "append_images": others} | animation if others else {}
    # A hundredth more bytes than with method 4, in a sixth of the time.
    first.save(buffer, "WEBP", lossless=quality is None, quality=quality or 80, method=1 if others else 4, **moving)
    return buffer.getvalue()
