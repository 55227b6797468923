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


def grid_image(pixels: NDArray[np.uint8], columns: int, scale: int = 1, margin: int = 2) -> Image.Image:
    """Tile (N, C, H, W) uint8 images row by row on white, each enlarged `scale` times, `margin` pixels apart."""
    height, width = pixels.shape[2] * scale, pixels.shape[3] * scale
    rows = -(-len(pixels) // columns)
    mode = "L" if pixels.shape[1] == 1 else "RGB"
    canvas = Image.new(mode, (columns * (width + margin) - margin, rows * (height + margin) - margin), "white")
    for index, image in enumerate(pixels):
        tile = Image.fromarray(image[0] if mode == "L" else image.transpose(1, 2, 0))
        row, column = divmod(index, columns)
        position = (column * (width + margin), row * (height + margin))
        canvas.paste(tile.resize((width, height), Image.Resampling.NEAREST), position)
    return canvas
