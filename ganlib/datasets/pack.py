"""Turn a source into one checked, packed data set: resized, free of duplicates, split by content."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganlib.datasets.packed import SPLITS, Split
from ganlib.datasets.sources import Source
from ganlib.errors import UserError

RESIZE = "Pillow bicubic, antialiased, shorter side, centre crop"


class Packed(NamedTuple):
    splits: dict[str, Split]
    duplicates: int
    """Images left out because the same pixels had come before."""


def pack(source: Source, *, image_size: int, channels: int, heldout: float) -> Packed:
    """Prepare every image and assign it to a split by its content; raise UserError when a split stays empty."""
    seen: set[bytes] = set()
    duplicates = 0
    pixels: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in SPLITS}
    labels: dict[str, list[int]] = {name: [] for name in SPLITS}
    for image, label in source.examples:
        prepared = prepare_image(image, image_size, channels)
        digest = hashlib.sha256(prepared.tobytes()).digest()
        if digest in seen:
            duplicates += 1
            continue
        seen.add(digest)
        split = "heldout" if belongs_to_heldout(digest, heldout) else "train"
        pixels[split].append(prepared)
        labels[split].append(label)
    for name in SPLITS:
        if not pixels[name]:
            raise UserError(f"data.heldout = {heldout} leaves no image in the {name} split of {len(seen)} images")
    splits = {name: Split(np.stack(pixels[name]), np.array(labels[name], np.int64)) for name in SPLITS}
    return Packed(splits, duplicates)


def prepare_image(image: Image.Image, image_size: int, channels: int) -> NDArray[np.uint8]:
    """Return (channels, image_size, image_size) uint8: shorter side resized, then the centre cropped."""
    image = image.convert("L" if channels == 1 else "RGB")
    scale = image_size / min(image.size)
    size = (max(image_size, round(image.width * scale)), max(image_size, round(image.height * scale)))
    left, top = (size[0] - image_size) // 2, (size[1] - image_size) // 2
    image = image.resize(size, Image.Resampling.BICUBIC).crop((left, top, left + image_size, top + image_size))
    return np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)


def belongs_to_heldout(digest: bytes, share: float) -> bool:
    """Decide by content alone, so that adding an image moves no other, and equal images never end on both sides."""
    return int.from_bytes(digest[:8], "big") < share * 2**64


def describe(packed: Packed, class_names: list[str], dataset: str, image_size: int, channels: int) -> dict[str, Any]:
    """Return what a consumer of the packed data must know (meta.json)."""
    return {
        "dataset": dataset,
        "image_size": image_size,
        "channels": channels,
        "class_names": class_names,
        "counts": {name: len(split.images) for name, split in packed.splits.items()},
        "counts_per_class": {name: count_per_class(split.labels, class_names) for name, split in packed.splits.items()},
        "duplicates_dropped": packed.duplicates,
        "pixel_map": "x = pixel / 127.5 - 1",
        "resize": RESIZE,
        "sha256": {name: hashlib.sha256(split.images.tobytes()).hexdigest() for name, split in packed.splits.items()},
    }


def count_per_class(labels: Iterable[int], class_names: list[str]) -> dict[str, int]:
    counts = Counter(int(label) for label in labels)
    return {name: counts[index] for index, name in enumerate(class_names)}
