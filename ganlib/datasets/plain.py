"""Read a plain set of images: a folder, a zip or tar archive, or an array, without resizing anything."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganlib.core.errors import UserError
from ganlib.datasets.decode import Preparation, flatten, open_image, prepare_example, read_content, rejection
from ganlib.datasets.examples import Example, Rejected
from ganlib.datasets.limits import bounded_memory
from ganlib.datasets.trees import tree_source

GREY_MODES = {"1", "L", "LA"}
BACKGROUND = 255
"""Grey level behind transparent pixels."""


def read_images(path: Path) -> NDArray[np.uint8]:
    """Return all images of a folder and its subfolders, a .zip or .tar archive, or a .npy or .npz array, (N, C, H, W).

    Raise UserError when there are none, one is broken, or they differ in size or channels.
    """
    if path.suffix in (".npy", ".npz") and path.exists():
        return _read_array(path)
    images: list[NDArray[np.uint8]] = []
    for item in tree_source(path, str(path)).examples:
        if isinstance(item, Rejected):
            if item.counts:
                raise UserError(f"{path}: {item.name}: {item.reason}: replace or delete it")
            continue
        images.append(_decode(item))
        if images[-1].shape != images[0].shape:
            shapes = f"{_say(images[0])} and, in {item.name}, {_say(images[-1])}"
            raise UserError(f"{path}: images differ in size or channels ({shapes}): convert them to one")
    if not images:
        raise UserError(f"{path}: no images there")
    return np.stack(images)


def read_prepared_images(path: Path, preparation: Preparation, limit: int) -> NDArray[np.uint8]:
    """Return the first `limit` images of a folder or archive, prepared as training images are, (N, C, H, W).

    A .npy or .npz array must hold prepared images already. Raise UserError when there are none, or one can't be used.
    """
    shape = (preparation.channels, preparation.image_size, preparation.image_size)
    if path.suffix in (".npy", ".npz") and path.exists():
        array = _read_array(path)
        if array.dtype != np.uint8 or array.shape[1:] != shape or not len(array):
            raise UserError(f"{path}: holds {array.dtype} {array.shape}, not uint8 (N, {str(shape)[1:]}: convert it")
        return np.ascontiguousarray(array[:limit])
    pixels: list[bytes] = []
    for item in tree_source(path, str(path)).examples:
        prepared = item if isinstance(item, Rejected) else prepare_example(item, preparation)
        if isinstance(prepared, Rejected):
            if prepared.counts:
                raise UserError(f"{path}: {prepared.name}: {prepared.reason}: replace or delete it")
            continue
        pixels.append(prepared.pixels)
        if len(pixels) == limit:
            break
    if not pixels:
        raise UserError(f"{path}: no images there")
    return np.frombuffer(bytearray().join(pixels), np.uint8).reshape(-1, *shape)


def _decode(example: Example) -> NDArray[np.uint8]:
    try:
        content = read_content(example.content)
        with bounded_memory(len(content) if isinstance(content, bytes) else 0):
            image = open_image(content)
            opaque = flatten(image, BACKGROUND)
            pixels = np.asarray(opaque.convert("L" if {image.mode, opaque.mode} & GREY_MODES else "RGB"))
    except Exception as error:  # as in decode
        reason = rejection(example.name, error).reason
        raise UserError(f"{example.name}: not a readable image ({reason}): replace or delete it") from None
    return np.atleast_3d(pixels).transpose(2, 0, 1)


def _say(image: NDArray[np.uint8]) -> str:
    return "x".join(str(length) for length in (*image.shape[1:], image.shape[0]))


def _read_array(path: Path) -> NDArray[np.uint8]:
    try:
        loaded = np.load(path)
        array = loaded if path.suffix == ".npy" else loaded[loaded.files[0]]
    except (ValueError, OSError, EOFError, IndexError, MemoryError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a readable array ({error})") from None
    if array.ndim == 3:
        array = array[:, None]  # grey, (N, H, W)
    last = array.ndim == 4 and array.shape[1] not in (1, 3) and array.shape[3] in (1, 3)
    return array.transpose(0, 3, 1, 2) if last else array
