"""Read a plain set of images: a folder, a zip or tar archive, or an array, without resizing anything."""

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ganlib.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
GREY_MODES = {"1", "L", "LA"}

Named = Iterator[tuple[str, bytes]]


def read_images(path: Path) -> NDArray[np.uint8]:
    """Return all images of a folder and its subfolders, a .zip or .tar archive, or a .npy or .npz array, (N, C, H, W).

    Raise UserError when there are none, one is broken, or they differ in size or channels.
    """
    if not path.exists():
        raise UserError(f"{path}: no such folder or file")
    if path.suffix in (".npy", ".npz"):
        return _read_array(path)
    if path.is_dir():
        return _stack(path, _from_folder(path))
    if zipfile.is_zipfile(path):
        return _stack(path, _from_zip(path))
    if tarfile.is_tarfile(path):
        return _stack(path, _from_tar(path))
    raise UserError(f"{path}: neither a folder of images nor a .zip, .tar, .npy or .npz file")


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES and not Path(name).name.startswith(".")


def _from_folder(path: Path) -> Named:
    return ((str(file), file.read_bytes()) for file in sorted(path.rglob("*")) if _is_image(file.name))


def _from_zip(path: Path) -> Named:
    with zipfile.ZipFile(path) as archive:
        for name in sorted(filter(_is_image, archive.namelist())):
            yield name, archive.read(name)


def _from_tar(path: Path) -> Named:
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if _is_image(member.name) else None
            if content:
                yield member.name, content.read()


def _stack(path: Path, files: Named) -> NDArray[np.uint8]:
    images: list[NDArray[np.uint8]] = []
    for name, content in files:
        images.append(_decode(name, content))
        if images[-1].shape != images[0].shape:
            shapes = f"{_say(images[0])} and, in {name}, {_say(images[-1])}"
            raise UserError(f"{path}: images differ in size or channels ({shapes}): convert them to one")
    if not images:
        raise UserError(f"{path}: no images there ({', '.join(sorted(SUFFIXES))})")
    return np.stack(images)


def _decode(name: str, content: bytes) -> NDArray[np.uint8]:
    try:
        image = Image.open(io.BytesIO(content))
        pixels = np.asarray(image.convert("L" if image.mode in GREY_MODES else "RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise UserError(f"{name}: not a readable image ({error}): replace or delete it") from None
    return np.atleast_3d(pixels).transpose(2, 0, 1)


def _say(image: NDArray[np.uint8]) -> str:
    return "x".join(str(length) for length in (*image.shape[1:], image.shape[0]))


def _read_array(path: Path) -> NDArray[np.uint8]:
    try:
        loaded = np.load(path)
        array = loaded if path.suffix == ".npy" else loaded[loaded.files[0]]
    except (ValueError, OSError, EOFError, IndexError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a readable array ({error})") from None
    if array.ndim == 3:
        array = array[:, None]  # grey, (N, H, W)
    last = array.ndim == 4 and array.shape[1] not in (1, 3) and array.shape[3] in (1, 3)
    return array.transpose(0, 3, 1, 2) if last else array
