"""Read a plain set of images: a folder, a zip or tar archive, or an array, without resizing anything."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganlib.core.errors import UserError
from ganlib.datasets.decode import (
    RESIZES,
    Preparation,
    Prepared,
    eight_bits,
    open_image,
    prepare_example,
    read_content,
    rejection,
)
from ganlib.datasets.depth import Extent, Ranges, UnusableError, decide_ranges, joined
from ganlib.datasets.examples import Example, Rejected
from ganlib.datasets.limits import bounded_memory
from ganlib.datasets.trees import tree_source

GREY_MODES = {"1", "L", "LA"}
BACKGROUND = 255
"""Grey level behind transparent pixels."""


def read_images(path: Path, image_size: int | None = None) -> NDArray[np.uint8]:
    """Return all images of a folder and its subfolders, a .zip or .tar archive, or a .npy or .npz array, (N, C, H, W).

    All are in colour if one is. Given a size, the shorter side of each is resized to it and the centre cut out. Raise
    UserError when there are none, one is broken, or they differ in size. An array of several is named as a.npz:images.
    """
    if is_array(path):
        return _read_array(path)
    ranges = Ranges()
    images, extents = _decoded(path, ranges, image_size)
    if extents and (decided := _decide(path, extents)) != ranges:
        images = _decoded(path, decided, image_size)[0]
    if not images:
        raise UserError(f"{path}: no images there")
    (first, shown), *_ = images.items()
    for name, image in images.items():
        if image.shape[1:] != shown.shape[1:]:
            sizes = f"{_say(shown)} in {first}, {_say(image)} in {name}"
            raise UserError(f"{path}: images differ in size ({sizes}): give --image-size 64, or convert them to one")
    return np.stack(in_same_colours(*images.values(), axis=0))


def in_same_colours(*images: NDArray[np.uint8], axis: int = 1) -> list[NDArray[np.uint8]]:
    """Return arrays whose axis of channels is 1 or 3 long, the grey ones repeated if one is in colour."""
    channels = max(array.shape[axis] for array in images)
    return [np.repeat(array, channels // array.shape[axis], axis) for array in images]


def _decoded(path: Path, ranges: Ranges, image_size: int | None) -> tuple[dict[str, NDArray[np.uint8]], list[Extent]]:
    """Return images (C, H, W) by their names, and the extents of deep ones; raise UserError where one is broken."""
    images, extents = dict[str, NDArray[np.uint8]](), list[Extent]()
    for item in tree_source(path, str(path)).examples:
        decoded = item if isinstance(item, Rejected) else _decode(item, ranges, image_size)
        if isinstance(decoded, Rejected):
            if decoded.counts:
                raise UserError(f"{path}: {decoded.name}: {decoded.reason}: replace or delete it")
            continue
        images[item.name], extent = decoded
        if extent:
            extents.append(extent)
    return images, extents


def read_prepared_images(path: Path, preparation: Preparation, limit: int) -> NDArray[np.uint8]:
    """Return the first `limit` images of a folder or archive, prepared as training images are, (N, C, H, W).

    A .npy or .npz array must hold prepared images already. Raise UserError when there are none, or one can't be used.
    """
    shape = (preparation.channels, preparation.image_size, preparation.image_size)
    if is_array(path):
        array = _read_array(path)
        if array.dtype != np.uint8 or array.shape[1:] != shape or not len(array):
            raise UserError(f"{path}: holds {array.dtype} {array.shape}, not uint8 (N, {str(shape)[1:]}: convert it")
        return np.ascontiguousarray(array[:limit])
    prepared = _prepared(path, preparation, limit)
    extents = [image.extent for image in prepared if image.extent]
    if extents and preparation.ranges == Ranges():  # training has decided no other
        decided = preparation._replace(ranges=_decide(path, extents))
        prepared = prepared if decided == preparation else _prepared(path, decided, limit)
    if not prepared:
        raise UserError(f"{path}: no images there")
    pixels = np.frombuffer(bytearray().join(image.pixels for image in prepared), np.uint8)
    return np.ascontiguousarray(pixels.reshape(-1, *shape[1:], shape[0]).transpose(0, 3, 1, 2))


def _prepared(path: Path, preparation: Preparation, limit: int) -> list[Prepared]:
    images: list[Prepared] = []
    for item in tree_source(path, str(path)).examples:
        prepared = item if isinstance(item, Rejected) else prepare_example(item, preparation)
        if isinstance(prepared, Rejected):
            if prepared.counts:
                raise UserError(f"{path}: {prepared.name}: {prepared.reason}: replace or delete it")
            continue
        images.append(prepared)
        if len(images) == limit:
            break
    return images


def _decide(path: Path, extents: Iterable[Extent]) -> Ranges:
    """Return what is black and white in a set; raise UserError where nobody can tell."""
    try:
        return decide_ranges(joined(extents))
    except UnusableError as error:
        raise UserError(f"{path}: {error}: which is black and which is white? convert them to 8 bits") from None


def _decode(
    example: Example, ranges: Ranges, image_size: int | None
) -> tuple[NDArray[np.uint8], Extent | None] | Rejected:
    try:
        content = read_content(example.content)
        with bounded_memory(len(content) if isinstance(content, bytes) else 0):
            image = open_image(content)
            grey, (opaque, extent) = image.mode in GREY_MODES, eight_bits(image, ranges, BACKGROUND)
            opaque = opaque.convert("L" if grey or opaque.mode in GREY_MODES else "RGB")
            if image_size:
                opaque = RESIZES["crop"].apply(opaque, image_size, BACKGROUND)
            return np.atleast_3d(np.asarray(opaque)).transpose(2, 0, 1), extent
    except Exception as error:  # as in decode
        return rejection(example.name, error)


def _say(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[2]}x{image.shape[1]}"


def is_array(path: Path) -> bool:
    """Tell whether a path names an array: a .npy file, a .npz file, or one of its arrays, as in a.npz:images."""
    file = _array_file(path)[0]
    return file.suffix in (".npy", ".npz") and file.exists()


def _array_file(path: Path) -> tuple[Path, str | None]:
    start, found, name = str(path).rpartition(".npz:")
    return (Path(f"{start}.npz"), name) if found else (path, None)


def _read_array(path: Path) -> NDArray[np.uint8]:
    file, name = _array_file(path)
    try:
        loaded = np.load(file)
        names = [] if file.suffix == ".npy" else loaded.files
        if names and name not in names and (name or len(names) > 1):
            raise UserError(f"{path}: holds {', '.join(names)}: name one, as {file}:{names[0]}")
        array = loaded[name or names[0]] if file.suffix == ".npz" else loaded
    except (ValueError, OSError, EOFError, IndexError, MemoryError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a readable array ({error})") from None
    if array.ndim == 3:
        array = array[:, None]  # grey, (N, H, W)
    last = array.ndim == 4 and array.shape[1] not in (1, 3) and array.shape[3] in (1, 3)
    return array.transpose(0, 3, 1, 2) if last else array
