"""Where images come from: each source yields (image, label) pairs and names its classes."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


class Source(NamedTuple):
    class_names: list[str]
    examples: Iterator[tuple[Image.Image, int]]
    """Pillow images of any mode and size, with labels 0..len(class_names) - 1."""


def digits() -> Source:
    """Read 1,797 handwritten digits (Alpaydin & Kaynak 1998), 8x8 pixels of 17 greys, from scikit-learn's own files."""
    bunch: Any = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8)
    examples = ((Image.fromarray(image), int(label)) for image, label in zip(pixels, bunch.target, strict=True))
    return Source([str(name) for name in bunch.target_names], examples)


SOURCES: dict[str, Callable[[], Source]] = {"digits": digits}
