"""Images that are damaged, or made to fill the memory, prepared as a worker of `prepare` does it."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from PIL import Image, PngImagePlugin

import ganlib.datasets.sources  # noqa: F401 - a worker holds what this imports
from ganlib.datasets.decode import prepare_chunk
from ganlib.datasets.examples import Example, Rejected
from tests.faults.child import CRASHED, in_child
from tests.faults.rounds import Outcome, Round, damaged_and_bombs
from tests.pictures import PREPARATION, encoded, picture, png_header

MIB = 1024
"""Most that a worker may hold, with all that it has imported."""
SECONDS = 30
SIDE = 9400
"""Of a square of 88 megapixels, the most that Pillow opens."""


@cache
def whole() -> dict[str, bytes]:
    """Return pictures of every format and of many kinds of it."""
    colour, clear = picture(0, (40, 30)), picture(1, (40, 30), "RGBA")
    grey, palette = picture(2, (40, 30), "L"), picture(3, (40, 30), "P")
    deep = Image.frombytes("I;16", (40, 30), random.Random(0).randbytes(2400))
    real = Image.frombytes("L", (40, 30), random.Random(1).randbytes(1200)).convert("F")
    exif, notes = Image.Exif(), PngImagePlugin.PngInfo()
    exif[0x0112] = 6
    notes.add_itxt("Comment", "text" * 50, zip=True)
    kinds = {
        "png": (colour, "PNG", {}),
        "png notes": (clear, "PNG", {"pnginfo": notes, "exif": exif}),
        "png deep": (deep, "PNG", {}),
        "png palette": (palette, "PNG", {"transparency": 3}),
        "png frames": (colour, "PNG", {"save_all": True, "append_images": [grey.convert("RGB")]}),
        "jpeg": (colour, "JPEG", {"exif": exif}),
        "jpeg progressive": (colour, "JPEG", {"progressive": True}),
        "jpeg cmyk": (colour.convert("CMYK"), "JPEG", {}),
        "gif": (palette, "GIF", {"save_all": True, "append_images": [grey.convert("P")]}),
        "bmp": (colour, "BMP", {}),
        "ppm": (colour, "PPM", {}),
        "pgm deep": (deep, "PPM", {}),
        "tiff": (colour, "TIFF", {"exif": exif}),
        "tiff deep": (deep, "TIFF", {"compression": "tiff_lzw"}),
        "tiff float": (real, "TIFF", {}),
        "tiff deflate": (clear, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "tiff jpeg": (colour, "TIFF", {"compression": "jpeg"}),
        "tiff lzma": (grey, "TIFF", {"compression": "lzma"}),
        "webp": (clear, "WEBP", {"exif": exif}),
        "webp lossless": (colour, "WEBP", {"lossless": True}),
        "webp frames": (colour, "WEBP", {"save_all": True, "append_images": [grey.convert("RGB")]}),
        "jpeg2000": (colour, "JPEG2000", {}),
        "avif": (colour, "AVIF", {"speed": 10}),
    }
    return {name: encoded(image, kind, **options) for name, (image, kind, options) in kinds.items()}


def damaged(content: bytes, random_: random.Random) -> bytes:
    """Return bytes with one to four faults: flipped, lost, repeated, or fields that say a huge number."""
    changed = bytearray(content)
    for _ in range(random_.randint(1, 4)):
        start, length = random_.randrange(max(1, len(changed))), random_.choice((1, 2, 4, 16))
        match random_.randrange(6):
            case 0:
                changed[start : start + 1] = bytes([changed[start] ^ 1 << random_.randrange(8)]) if changed else b"x"
            case 1:
                changed[start : start + length] = b"\xff" * length
            case 2:
                start = random_.randrange(min(64, max(1, len(changed))))  # where headers have sizes
                changed[start : start + length] = random_.randbytes(length)
            case 3:
                del changed[start : start + random_.choice((1, 10, 10**4))]
            case 4:
                changed[start:start] = changed[start : start + 200] * random_.choice((1, 50))
            case 5:
                changed[start : start + length] = struct.pack(">Q", 2 ** random_.randrange(8, 40))[-length:]
    return bytes(changed)


def png_of_zeros(depth: int, colour: int, side: int = SIDE, extra: bytes = b"") -> bytes:
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    packer, line = zlib.compressobj(1), bytes(1 + (side * bits + 7) // 8)
    data = b"".join(packer.compress(line) for _ in range(side)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0))
    palette = chunk(b"PLTE", bytes(6)) + chunk(b"tRNS", b"\0\1") if colour == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + header + extra + palette + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(tags: list[tuple[int, int, int, int]], after: bytes = b"") -> bytes:
    """Return a TIFF of tags, each with type, count and value or place."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + after


def tags_that_share(count: int = 200, size: int = 30 * 2**20) -> bytes:
    """Return a TIFF of which every tag is one and the same large place."""
    sides = [(256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    return tiff([*sides, *((40000 + number, 7, size, 8) for number in range(count))], bytes(size + 8))


def shared_exif() -> bytes:
    return png_of_zeros(8, 0, 16, chunk(b"eXIf", tags_that_share(100, 20 * 2**20)))


def many_strips(count: int = 8 * 2**20) -> bytes:
    sides = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (278, 4, 1, 1)]
    return tiff([*sides, (273, 4, count, 200), (279, 4, count, 200)], bytes(200 + 4 * count))


def giant_tile(side: int = 40_000) -> bytes:
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(bytes(side)) for _ in range(side // 4)) + packer.flush()
    sides = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1)]
    tile = [(322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 200), (325, 4, 1, len(data))]
    return tiff([*sides, *tile], bytes(200)[: 200 - 126] + data)


def resized(name: str, old: bytes, new: bytes) -> bytes:
    """Return a whole picture that says another size in its header."""
    return whole()[name].replace(old, new, 1)


def large(kind: str, mode: str, side: int, **options: object) -> bytes:
    return encoded(Image.new(mode, (side, side)), kind, **options)


def text_chunks(kind: bytes, start: bytes) -> bytes:
    text = zlib.compress(bytes(60 * 2**20))
    return png_of_zeros(8, 0, 16, b"".join(chunk(kind, start + text) for _ in range(20)))


def with_scans(count: int = 3000) -> bytes:
    content = large("JPEG", "RGB", 4000, progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * count + b"\xff\xd9"


BOMB_KINDS: dict[str, Callable[[], bytes]] = {
    "png 16 bits": partial(png_of_zeros, 16, 0),
    "png grey": partial(png_of_zeros, 8, 0),
    "png colour": partial(png_of_zeros, 8, 2),
    "png clear": partial(png_of_zeros, 8, 6),
    "png clear, 16 bits": partial(png_of_zeros, 16, 6),
    "png grey clear": partial(png_of_zeros, 8, 4),
    "png palette": partial(png_of_zeros, 8, 3),
    "png bits": partial(png_of_zeros, 1, 0),
    "png header": partial(png_header, 2**31 - 1, 2**31 - 1),
    "png zTXt": partial(text_chunks, b"zTXt", b"Comment\0\0"),
    "png iTXt": partial(text_chunks, b"iTXt", b"Comment\0\1\0\0\0"),
    "png iCCP": partial(text_chunks, b"iCCP", b"profile\0\0"),
    "png exif": shared_exif,
    "jpeg header": lambda: resized("jpeg", struct.pack(">HH", 30, 40), struct.pack(">HH", 65500, 65500)),
    "jpeg progressive header": lambda: resized(
        "jpeg progressive", struct.pack(">HH", 30, 40), struct.pack(">HH", 9400, 9400)
    ),
    "jpeg progressive": partial(large, "JPEG", "RGB", 6000, progressive=True, subsampling=0),
    "jpeg scans": with_scans,
    "jpeg cmyk": partial(large, "JPEG", "CMYK", 8000),
    "gif screen": lambda: resized("gif", struct.pack("<HH", 40, 30), struct.pack("<HH", 65535, 65535)),
    "gif 88 megapixels": partial(large, "GIF", "P", SIDE, transparency=0),
    "tiff tags": tags_that_share,
    "tiff strips": many_strips,
    "tiff tile": giant_tile,
    "tiff float": partial(large, "TIFF", "F", 5500, compression="tiff_adobe_deflate"),
    "tiff lzma": partial(large, "TIFF", "RGB", SIDE, compression="lzma"),
    "webp": partial(large, "WEBP", "RGBA", 6000, lossless=True, method=0, quality=0),
    "webp large": partial(large, "WEBP", "RGB", 9000, method=0),
    "jpeg2000": partial(large, "JPEG2000", "RGB", 4500),
    "avif": partial(large, "AVIF", "RGB", 5000, speed=10),
    "bmp header": lambda: resized("bmp", struct.pack("<ii", 40, 30), struct.pack("<ii", 9000, 9000)),
    "ppm header": lambda: resized("ppm", b"40 30", b"9000 9000"),
    "pgm 16 bits": lambda: b"P5 6000 6000 65535\n" + bytes(72 * 10**6),
}


def rounds(seed: int, count: int) -> Iterator[Round]:
    return damaged_and_bombs(
        seed, count, list(whole()), lambda name, random_: damaged(whole()[name], random_), _damage, BOMB_KINDS, _bomb
    )


def _bomb(name: str, folder: Path) -> Outcome:
    file = folder / f"{name}.bomb"
    if not file.exists():
        in_child(lambda: file.write_bytes(BOMB_KINDS[name]()))  # in a child: this process stays as small as a worker
    return _attempt(file)


def _damage(content: bytes, folder: Path) -> Outcome:
    file = folder / "picture.png"
    file.write_bytes(content)
    return _attempt(file)


def _attempt(file: Path) -> Outcome:
    code, said, seconds, mib = in_child(lambda: _prepare(file))
    return Outcome(_judge(code, said, seconds, mib), round(seconds, 3), mib, said.strip()[:500])


def _prepare(file: Path) -> None:
    (outcome,) = prepare_chunk([Example("picture.png", None, file)], PREPARATION)
    print(outcome.reason if isinstance(outcome, Rejected) else "taken")


def _judge(code: int, said: str, seconds: float, mib: int) -> str:
    if code == CRASHED or "Traceback" in said:
        return "traceback"
    if code or not said.strip():
        return "died"
    if mib > MIB:
        return "large"
    if seconds > SECONDS:
        return "slow"
    return "taken" if said.strip() == "taken" else "refused"
