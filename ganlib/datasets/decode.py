"""One image from its file to prepared pixels, or to the reason why not."""

import hashlib
import io
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xxhash
from PIL import AvifImagePlugin, Image, ImageOps, UnidentifiedImageError

from ganlib.datasets.examples import Example, Rejected, named_as_image
from ganlib.datasets.limits import MAX_MEMORY, ORIENTED, START_OF_SCAN, bounded_memory, memory_needed

AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # images are decoded side by side, and each thread takes memory

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "JPEG2000", "AVIF")
"""Those that Pillow decodes by itself; for some others it would start a program of the machine."""
MAX_BYTES = 256 * 2**20
"""Of one file; larger ones are rejected unread."""
MIN_SIDE = 4
"""Pixels; less is no picture of anything."""
SIXTEEN_BITS = 65535
TOO_MUCH = f"more than {MAX_MEMORY >> 20} MiB of memory"
MODES = {1: "L", 3: "RGB"}
BAND = 2**18
"""Pixels that are flattened at a time: what that takes on the way is many times as large as they are."""
MAX_SCANS = 4 * 10**9
"""Pixels times scans of a JPEG, each of which is decoded in full; ten scans of 50 megapixels are an eighth."""
MAX_REASON = 200


class Preparation(NamedTuple):
    """What one image is made into."""

    image_size: int
    channels: int
    resize: str
    background: int


class Prepared(NamedTuple):
    name: str
    label: int | None
    pixels: bytes
    """(image_size, image_size, channels) uint8; as bytes they cross to another process twenty times faster."""
    digest: bytes
    """xxh3_128 of the pixels: tells images apart as well as sha256, many times faster."""
    content_digest: bytes
    """sha256 of the file."""
    aspect: float
    """Width / height that the image had, upright."""


class UnusableError(ValueError):
    """An image that is whole, but not usable; the message says why."""


def prepare_example(example: Example, preparation: Preparation) -> Prepared | Rejected:
    """Decode and resize one example; whatever is wrong with its file becomes a reason."""
    try:
        content = read_content(example.content)
        with bounded_memory(len(content) if isinstance(content, bytes) else 0):
            pixels, aspect = prepare_image(open_image(content), preparation)
    except Exception as error:  # on damaged files Pillow raises nearly every kind there is
        return rejection(example.name, error)
    packed = content.tobytes() if isinstance(content, Image.Image) else content
    digest, content_digest = xxhash.xxh3_128_digest(pixels), hashlib.sha256(packed).digest()
    return Prepared(example.name, example.label, pixels, digest, content_digest, aspect)


def read_content(content: Path | bytes | Image.Image) -> bytes | Image.Image:
    if not isinstance(content, Path):
        return content
    if content.stat().st_size > MAX_BYTES:
        raise UnusableError(f"larger than {MAX_BYTES >> 20} MiB")
    return content.read_bytes()


def open_image(content: bytes | Image.Image) -> Image.Image:
    """Read the header; raise before any pixel is decoded when there would be too many."""
    if isinstance(content, Image.Image):
        return content
    if not content:
        raise UnidentifiedImageError("empty file")
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:  # its own message holds an address in memory
        raise UnidentifiedImageError("not an image that Pillow reads") from None
    if memory_needed(image, content) > MAX_MEMORY:
        raise UnusableError(f"{image.width}x{image.height} pixels: decoding takes {TOO_MUCH}")
    if image.format in ("JPEG", "MPO") and content.count(START_OF_SCAN) * image.width * image.height > MAX_SCANS:
        raise UnusableError(f"{image.width}x{image.height} pixels in more scans than any picture has")
    return image


def prepare_image(image: Image.Image, preparation: Preparation) -> tuple[bytes, float]:
    """Return (image_size, image_size, channels) uint8 of an image's first frame, upright, without alpha.

    Beside it comes the aspect, width / height, that it had before. What would only copy the pixels is left out: that
    takes a tenth of the time of a small image.
    """
    if min(image.size) < MIN_SIDE:
        raise UnusableError(f"{image.width}x{image.height} pixels: a side is shorter than {MIN_SIDE}")
    if image.format == "TIFF" or ORIENTED & image.info.keys():
        image = ImageOps.exif_transpose(image)
    size, mode, aspect = preparation.image_size, MODES[preparation.channels], image.width / image.height
    if image.mode != mode or "transparency" in image.info:
        image = flatten(image, preparation.background)
        image = image if image.mode == mode else image.convert(mode)  # apart, so that the first one is freed before
    if image.size != (size, size):
        image = RESIZES[preparation.resize].apply(image, size, preparation.background)
    return image.tobytes(), aspect


def flatten(image: Image.Image, background: int) -> Image.Image:
    """Bring any mode to 8 bits a channel, and lay what is transparent over a grey level."""
    if image.mode == "F" or image.mode.startswith("I"):
        return to_eight_bits(image)
    if not image.has_transparency_data:
        return image
    flat = Image.new("RGB", image.size)
    for box in bands(image):
        part = image.crop(box).convert("RGBA")
        canvas = Image.new("RGBA", part.size, (background, background, background, 255))
        flat.paste(Image.alpha_composite(canvas, part).convert("RGB"), box)
    return flat


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Map integers from 0..65535, and floats from 0..1 or 0..255, to grey 0..255; refuse what lies outside."""
    highest = 0.0
    for box in bands(image):
        values = np.asarray(image.crop(box))
        if not (np.isfinite(values).all() and values.min() >= 0):
            raise UnusableError("values that are negative or not finite")
        highest = max(highest, float(values.max()))
    float_top = 1 if highest <= 1 else 255
    top = float_top if image.mode == "F" else SIXTEEN_BITS
    if highest > top:
        raise UnusableError(f"values above {top}")
    flat = Image.new("L", image.size)
    for box in bands(image):
        values = np.asarray(image.crop(box)).astype(np.float64)
        flat.paste(Image.fromarray(np.rint(values * (255 / top)).astype(np.uint8)), box)
    return flat


def bands(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes that cover an image from top to bottom."""
    rows = max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)


def crop(image: Image.Image, size: int, background: int) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))


def squash(image: Image.Image, size: int, background: int) -> Image.Image:
    return image.resize((size, size), Image.Resampling.BICUBIC)


def pad(image: Image.Image, size: int, background: int) -> Image.Image:
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    canvas = Image.new(image.mode, (size, size), (background,) * len(image.getbands()))
    canvas.paste(image.resize((width, height), Image.Resampling.BICUBIC), ((size - width) // 2, (size - height) // 2))
    return canvas


class Resize(NamedTuple):
    apply: Callable[[Image.Image, int, int], Image.Image]
    protocol: str
    """For meta.json: figures of images that were resized in another way do not compare."""
    keeps_aspect: bool = True


RESIZES = {
    "crop": Resize(crop, "Pillow bicubic, antialiased, shorter side, centre crop"),
    "squash": Resize(squash, "Pillow bicubic, antialiased, both sides, aspect not kept", keeps_aspect=False),
    "pad": Resize(pad, "Pillow bicubic, antialiased, longer side, padded with data.background"),
}


def rejection(name: str, error: Exception) -> Rejected:
    """Say in a few words, the same on every machine, why a file is not taken."""
    if isinstance(error, UnidentifiedImageError):
        return Rejected(name, str(error), counts=named_as_image(name))
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return Rejected(name, f"decompression bomb: more than {(Image.MAX_IMAGE_PIXELS or 0) // 10**6} megapixels")
    if isinstance(error, MemoryError):
        return Rejected(name, f"decoding takes {TOO_MUCH}")
    if isinstance(error, UnusableError):
        return Rejected(name, str(error))
    if isinstance(error, OSError) and error.strerror:
        return Rejected(name, f"cannot be read: {error.strerror}")
    message = re.sub(r" at 0x[0-9a-f]+", "", " ".join(str(error).split())) or type(error).__name__
    return Rejected(name, f"damaged: {message[:MAX_REASON]}")


def prepare_chunk(examples: list[Example | Rejected], preparation: Preparation) -> list[Prepared | Rejected]:
    """Prepare several examples; what was rejected before passes through in its place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metadata that nobody uses here
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return [item if isinstance(item, Rejected) else prepare_example(item, preparation) for item in examples]
