"""Read and write a prepared data set: one folder of arrays that can be memory-mapped, and meta.json."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.lib import format as npy_format
from numpy.typing import NDArray

SPLITS = ("train", "heldout")


class Split(NamedTuple):
    images: NDArray[np.uint8]
    """(N, C, H, W): a view of (N, H, W, C), as which they lie on disk; of a domain of captions word numbers (N, L)."""
    labels: NDArray[np.int64] | None
    """(N,), indices into meta's class_names; None when the images have no labels."""


class Rows:
    """Some images of a split, (n, C, H, W) uint8, as an array of which only what is looked at is read into memory."""

    def __init__(self, images: NDArray[np.uint8], rows: NDArray[np.int64]) -> None:
        self.images, self.rows = images, rows
        self.shape, self.dtype, self.ndim = (len(rows), *images.shape[1:]), images.dtype, images.ndim

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        return self.images[self.rows[key]]


AnyImages = NDArray[np.uint8] | Rows
"""(N, C, H, W) uint8, in memory or on disk."""


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Return at most `most` of `count` rows, evenly spaced: images of a folder lie class by class."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


class ImageWriter:
    """Append images to an open .npy file, of which only the one at hand is in memory; equal to what np.save writes."""

    def __init__(self, file: BinaryIO, shape: tuple[int, int, int]) -> None:
        self.count = 0
        self.sha256 = hashlib.sha256()
        self._file, self._shape = file, shape
        self._write_header()

    def append(self, pixels: bytes) -> None:
        self._file.write(pixels)
        self.sha256.update(pixels)
        self.count += 1

    def finish(self) -> None:
        """Write the final count into the header, for which numpy leaves room."""
        self._file.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (self.count, *self._shape)}
        npy_format.write_array_header_1_0(self._file, header)


@contextmanager
def image_writer(folder: Path, name: str, shape: tuple[int, int, int]) -> Iterator[ImageWriter]:
    with images_path(folder, name).open("wb") as file:
        writer = ImageWriter(file, shape)
        yield writer
        writer.finish()


def images_path(folder: Path, name: str) -> Path:
    return folder / f"{name}_images.npy"


def captions_path(folder: Path, name: str) -> Path:
    return folder / f"{name}_captions.npy"


def labels_path(folder: Path, name: str) -> Path:
    return folder / f"{name}_labels.npy"


def read_split(folder: Path, name: str) -> Split:
    """Memory-map the `train` or `heldout` split of a prepared folder."""
    labels, captions = labels_path(folder, name), captions_path(folder, name)
    if captions.exists():
        images = np.load(captions)
    else:
        images = np.load(images_path(folder, name), mmap_mode="r").transpose(0, 3, 1, 2)
    return Split(images, np.load(labels, mmap_mode="r") if labels.exists() else None)


def rows_of(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> AnyImages:
    """Return rows (n,), rising and each there once, of the images (N, C, H, W) of a split."""
    return images if len(rows) == len(images) else Rows(images, rows)


def gather(images: AnyImages, picked: torch.Tensor) -> torch.Tensor:
    """Copy the picked images (n,) of a split into a tensor (n, C, H, W) uint8, as they lie on disk: channels last.

    They are read in the order in which they lie.
    """
    rows = picked.numpy()
    if isinstance(images, Rows):
        images, rows = images.images, images.rows[rows]
    order = rows.argsort()
    found = np.empty((len(rows), *images.shape[2:], images.shape[1]), np.uint8)  # (n, H, W, C)
    found[order] = images.transpose(0, 2, 3, 1)[rows[order]]
    return torch.from_numpy(found).permute(0, 3, 1, 2)


def read_meta(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "meta.json").read_text(encoding="utf-8"))
