"""Masks: what of an image is known, and what has to be completed."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from ganlib.core.errors import UserError

BLOCK = 4
"""Pixels, side of a block of `lowres` and step of `grid`."""
HIDDEN = 0.8
"""Share of the pixels that `random` hides."""


class Mask(NamedTuple):
    """What of an image is known: the pixels that are not hidden or, with a block, the mean of each block."""

    hidden: Tensor
    """(H, W) bool, what has to be completed."""
    block: int = 1
    """Side of the blocks whose means are known; 1 where there are none."""


def make_mask(name: str, size: int, random: torch.Generator) -> Mask:
    """Return the mask of a name in `complete.masks`."""
    at, hidden = torch.arange(size), torch.ones(size, size, dtype=torch.bool)
    if name == "centre":
        inside = (at >= size // 4) & (at < size - size // 4)
        return Mask(inside[:, None] & inside)
    if name == "left":
        return Mask(hidden & (at < size // 2))
    if name == "random":
        return Mask(torch.rand(size, size, generator=random) < HIDDEN)
    if name == "grid":
        return Mask(~((at % BLOCK == 0)[:, None] & (at % BLOCK == 0)))
    assert name == "lowres", name
    if size % BLOCK:
        raise UserError(
            f"complete.masks: lowres needs a data.image_size that {BLOCK} divides, not {size}: leave it out"
        )
    return Mask(hidden, BLOCK)


def read_masks(path: Path, size: int, taken: Sequence[str]) -> dict[str, Mask]:
    """Read a PNG that is white where pixels are hidden, or a folder of such; return masks by the files' stems.

    Raise UserError when there is none, one can't be used, or two masks, those with a name already `taken` among them,
    would have one name.
    """
    files = sorted(file for file in path.iterdir() if not file.name.startswith(".")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"complete.own_masks: {path}: no PNG there: put one into it, or set it to data/none")
    names = [*taken, *(file.stem for file in files)]
    for file in files:
        if names.count(file.stem) > 1:
            raise UserError(f"complete.own_masks: {file}: another mask is called {file.stem}, too: rename the file")
    return {file.stem: _read_mask(file, size) for file in files}


def _read_mask(path: Path, size: int) -> Mask:
    try:
        hidden = np.asarray(Image.open(path, formats=["PNG"]).convert("L")) >= 128
    except FileNotFoundError:
        raise UserError(f"complete.own_masks: {path}: there is no such file") from None
    except (OSError, ValueError, SyntaxError):
        raise UserError(f"complete.own_masks: {path}: not a PNG image that can be read: save it again") from None
    if hidden.shape != (size, size):
        height, width = hidden.shape
        raise UserError(
            f"complete.own_masks: {path}: {width}x{height} pixels, the images have {size}x{size}: resize it"
        )
    if hidden.all() or not hidden.any():
        raise UserError(
            f"complete.own_masks: {path}: all {'white' if hidden.all() else 'black'}: paint what is hidden white"
        )
    return Mask(torch.from_numpy(hidden))


def observe(images: Tensor, mask: Mask) -> Tensor:
    """Return what is known of images (N, C, H, W), likewise: hidden pixels are 0, or each block has its mean."""
    if mask.block > 1:
        return interpolate(avg_pool2d(images, mask.block), scale_factor=float(mask.block))
    return images * ~mask.hidden


def blend(images: Tensor, originals: Tensor, mask: Mask) -> Tensor:
    """Put what is known of the originals into images (N, C, H, W); the paper's Poisson blending is left out."""
    return images + observe(originals - images, mask)
