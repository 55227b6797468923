"""Images: uint8 at rest, [-1, 1] at the device boundary, PNG grids for people."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

SCALE = 127.5
"""Both directions of the one map between pixels and networks: x = pixel / SCALE - 1."""


def to_unit_range(pixels: torch.Tensor) -> torch.Tensor:
    """Map uint8 pixels 0..255 to float32 in [-1, 1]; any shape."""
    return pixels.float() / SCALE - 1


def to_pixels(images: torch.Tensor) -> torch.Tensor:
    """Map floats in [-1, 1] to the nearest uint8 pixel: the exact inverse of `to_unit_range`; clamp what is outside."""
    return (images.float() + 1).mul_(SCALE).round_().clamp_(0, 255).to(torch.uint8)


def to_picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """Return a (C, H, W) uint8 image as a picture, grey or RGB."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def stretched(pixels: NDArray[np.uint8], aspect: float) -> NDArray[np.uint8]:
    """Undo a squash of (N, C, side, side) uint8 images: lengthen one side until width / height is `aspect`."""
    if aspect == 1:
        return pixels
    side = pixels.shape[3]
    size = (round(side * aspect), side) if aspect > 1 else (side, round(side / aspect))
    pictures = [to_picture(image).resize(size, Image.Resampling.BICUBIC) for image in pixels]
    return np.stack([np.atleast_3d(np.asarray(picture)).transpose(2, 0, 1) for picture in pictures])


def grid_image(pixels: NDArray[np.uint8], columns: int, scale: int = 1, margin: int = 2) -> Image.Image:
    """Tile (N, C, H, W) uint8 images row by row on white, each enlarged `scale` times, `margin` pixels apart."""
    height, width = pixels.shape[2] * scale, pixels.shape[3] * scale
    rows = -(-len(pixels) // columns)
    mode = "L" if pixels.shape[1] == 1 else "RGB"
    canvas = Image.new(mode, (columns * (width + margin) - margin, rows * (height + margin) - margin), "white")
    for index, image in enumerate(pixels):
        row, column = divmod(index, columns)
        position = (column * (width + margin), row * (height + margin))
        canvas.paste(to_picture(image).resize((width, height), Image.Resampling.NEAREST), position)
    return canvas
