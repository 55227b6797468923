"""Which colours an image has: of its border, and of what is unlike it."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHARE = 0.05
"""Of an image's pixels, those least like its border, whose mean is the figure's colour."""


class Found(NamedTuple):
    """Names of colours."""

    figure: str
    ground: str


def colours_of(images: NDArray[np.uint8], palette: Mapping[str, tuple[int, int, int]]) -> list[Found]:
    """Return the names of the colours of images (N, 3, H, W) that are nearest in a palette of red, green and blue.

    The ground's is that of the border's median; the figure's that of the twentieth of pixels farthest from it.
    """
    names, colours = list(palette), np.array(list(palette.values()), np.float64)
    found: list[Found] = []
    for image in images.astype(np.float64):
        border = np.concatenate([image[:, [0, -1]].reshape(3, -1), image[:, :, [0, -1]].reshape(3, -1)], 1)
        ground = np.median(border, 1)
        pixels = image.reshape(3, -1)
        unlike = np.linalg.norm(pixels - ground[:, None], axis=0).argsort(kind="stable")
        figure = pixels[:, unlike[-max(1, round(SHARE * len(unlike))) :]].mean(1)
        nearest = (int(np.linalg.norm(colours - colour, axis=1).argmin()) for colour in (figure, ground))
        found.append(Found(*(names[number] for number in nearest)))
    return found
