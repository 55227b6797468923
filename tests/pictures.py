"""Small pictures, whole and broken, for the tests of what prepare takes."""

import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from ganlib.datasets.decode import Preparation, prepare_image
from ganlib.datasets.examples import Rejected, Source
from ganlib.datasets.pack import Packed, pack
from ganlib.datasets.parallel import prepare_all

PREPARATION = Preparation(image_size=8, channels=3, resize="crop", background=255)


def picture(seed: int, size: tuple[int, int] = (12, 10), mode: str = "RGB") -> Image.Image:
    pixels = random.Random(seed).randbytes(size[0] * size[1] * 3)
    return Image.frombytes("RGB", size, pixels).convert(mode)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that promises a size and has next to no pixels."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" * 99))]
    packed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def tree(files: dict[str, bytes], root: Path) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def pets() -> dict[str, bytes]:
    """Return twelve pictures in two classes, under names of several scripts."""
    names = [*(f"cats/{index} 猫.png" for index in range(6)), *(f"dogs/more/{index} песик.png" for index in range(6))]
    return {name: encoded(picture(seed)) for seed, name in enumerate(names)}


def prepared(image: Image.Image, preparation: Preparation = PREPARATION) -> "np.ndarray":
    pixels = np.frombuffer(prepare_image(image, preparation)[0], np.uint8)
    return pixels.reshape(preparation.image_size, preparation.image_size, preparation.channels).transpose(2, 0, 1)


def reasons(source: Source) -> dict[str, str]:
    """Return why each rejected file of a source is not taken."""
    outcomes = prepare_all(source.examples, PREPARATION, workers=1)
    return {item.name: item.reason for item in outcomes if isinstance(item, Rejected)}


def packed_into(folder: Path, source: Source, **options: object) -> Packed:
    folder.mkdir(exist_ok=True)
    settings: dict[str, object] = {"heldout": 0.4, "workers": 1} | options
    return pack(source, PREPARATION, folder, **settings)  # pyright: ignore[reportArgumentType]
