"""One image from its file to prepared pixels, or to the reason why not."""

import hashlib
import io
import re
import struct
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import xxhash
from PIL import AvifImagePlugin, Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from ganlib.datasets.depth import WHITE_IS_ZERO, Extent, Ranges, UnusableError, bands, extent_of, is_deep, to_eight_bits
from ganlib.datasets.examples import Example, Rejected, named_as_image
from ganlib.datasets.limits import MAX_MEMORY, ORIENTED, START_OF_SCAN, bounded_memory, memory_needed

AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # images are decoded side by side, and each thread takes memory
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 64 * 2**20  # of profiles and notes, which go unread

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "JPEG2000", "AVIF")
"""Those that Pillow decodes by itself; for some others it would start a program of the machine."""
if find_spec("pillow_heif"):  # the extra `heif`
    heif: Any = import_module("pillow_heif")
    heif.options.DECODE_THREADS = 1
    heif.register_heif_opener()
    FORMATS = (*FORMATS, "HEIF")
MAX_BYTES = 256 * 2**20
"""Of one file; larger ones are rejected unread."""
MIN_SIDE = 4
"""Pixels; less is no picture of anything."""
TOO_MUCH = f"more than {MAX_MEMORY >> 20} MiB of memory"
MODES = {1: "L", 3: "RGB"}
MAX_SCANS = 4 * 10**9
"""Pixels times scans of a JPEG, each of which is decoded in full; ten scans of 50 megapixels are an eighth."""
MAX_REASON = 200
EXTREME = 3
"""Times a side is longer than the other where cropping or squashing leaves little of the picture."""
UPSCALED, LONG = "made larger from", "far from square:"


class Preparation(NamedTuple):
    """What one image is made into."""

    image_size: int
    channels: int
    resize: str
    background: int
    ranges: Ranges = Ranges()
    """Of pixels of over 8 bits."""


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
    extent: Extent | None
    """None for an image of 8 bits."""
    note: str
    """What its owner should know of it, or nothing."""


def prepare_example(example: Example, preparation: Preparation) -> Prepared | Rejected:
    """Decode and resize one example; whatever is wrong with its file becomes a reason."""
    (outcome,) = prepare_chunk([example], preparation)
    return outcome


def prepare_chunk(examples: list[Example | Rejected], preparation: Preparation) -> list[Prepared | Rejected]:
    """Prepare several examples; what was rejected before passes through in its place."""
    held = sum(len(item.content) for item in examples if isinstance(item, Example) and isinstance(item.content, bytes))
    with warnings.catch_warnings(), bounded_memory(held):  # not image by image, which takes as long as a small one
        warnings.simplefilter("ignore")  # of metadata that nobody uses here
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return [item if isinstance(item, Rejected) else _prepare(item, preparation) for item in examples]


def _prepare(example: Example, preparation: Preparation) -> Prepared | Rejected:
    try:
        content = read_content(example.content)
        image = open_image(content)
        pixels, aspect, extent = prepare_image(image, preparation)
    except Exception as error:  # on damaged files Pillow raises nearly every kind there is
        failed = error.with_traceback(None)  # its frames hold what has filled the memory
        failed.__context__ = failed.__cause__ = None
    else:
        packed = content.tobytes() if isinstance(content, Image.Image) else content
        digest, content_digest = xxhash.xxh3_128_digest(pixels), hashlib.sha256(packed).digest()
        note = noteworthy(image.size, preparation)
        return Prepared(example.name, example.label, pixels, digest, content_digest, aspect, extent, note)
    return rejection(example.name, failed)


def noteworthy(size: tuple[int, int], preparation: Preparation) -> str:
    """Say what resizing does to an image of this width and height that its owner may not want."""
    short, long = sorted(size)
    shown = f"{size[0]}x{size[1]} pixels"
    if long > EXTREME * short and preparation.resize != "pad":
        return f"{LONG} {shown}, {preparation.resize} keeps little of it"
    return f"{UPSCALED} {shown}" if (long if preparation.resize == "pad" else short) < preparation.image_size else ""


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
        iphone = content[4:8] == b"ftyp" and content[8:11] in (b"hei", b"mif", b"msf")
        told = "HEIC, which takes pip install pillow-heif" if iphone else "not an image that Pillow reads"
        raise UnidentifiedImageError(told) from None
    if memory_needed(image, content) > MAX_MEMORY:
        raise UnusableError(f"{image.width}x{image.height} pixels: decoding takes {TOO_MUCH}")
    if image.format in ("JPEG", "MPO") and content.count(START_OF_SCAN) * image.width * image.height > MAX_SCANS:
        raise UnusableError(f"{image.width}x{image.height} pixels in more scans than any picture has")
    return image


def prepare_image(image: Image.Image, preparation: Preparation) -> tuple[bytes, float, Extent | None]:
    """Return (image_size, image_size, channels) uint8 of an image's first frame, upright, without alpha.

    Beside it come the aspect, width / height, that it had before, and its extent. What would only copy the pixels is
    left out: that takes a tenth of the time of a small image.
    """
    if min(image.size) < MIN_SIDE:
        raise UnusableError(f"{image.width}x{image.height} pixels: a side is shorter than {MIN_SIDE}")
    image, extent = eight_bits(image, preparation.ranges, preparation.background)
    size, mode, aspect = preparation.image_size, MODES[preparation.channels], image.width / image.height
    image = image if image.mode == mode else image.convert(mode)
    if image.size != (size, size):
        image = RESIZES[preparation.resize].apply(image, size, preparation.background)
    return image.tobytes(), aspect, extent


def eight_bits(image: Image.Image, ranges: Ranges, background: int) -> tuple[Image.Image, Extent | None]:
    """Return an image upright, with 8 bits a channel and nothing transparent, and the extent of one that had more."""
    inverted = is_deep(image) and getattr(image, "tag_v2", {}).get(WHITE_IS_ZERO[0], 1) == WHITE_IS_ZERO[1]
    if image.format == "TIFF" or ORIENTED & image.info.keys():
        image = upright(image)
    if is_deep(image):
        extent = extent_of(image)
        return to_eight_bits(image, getattr(ranges, extent.kind), background, inverted), extent
    plain = image.mode in MODES.values() and "transparency" not in image.info
    return (image if plain else flatten(image, background)), None


def upright(image: Image.Image) -> Image.Image:
    """Turn an image as its notes say; where these can't be read, leave it as it lies."""
    image.load()  # what is wrong with its pixels is an error
    try:
        return ImageOps.exif_transpose(image)
    except (SyntaxError, ValueError, TypeError, LookupError, struct.error, OSError):
        return image


def flatten(image: Image.Image, background: int) -> Image.Image:
    """Lay what is transparent in an image of 8 bits over a grey level."""
    if not image.has_transparency_data:
        return image
    flat = Image.new("RGB", image.size)
    for box in bands(image):
        part = image.crop(box).convert("RGBA")
        canvas = Image.new("RGBA", part.size, (background, background, background, 255))
        flat.paste(Image.alpha_composite(canvas, part).convert("RGB"), box)
    return flat


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
