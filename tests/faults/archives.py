"""Archives that are damaged, or made to fill the memory, read and packed as `prepare` does it."""

import bz2
import gzip
import io
import lzma
import random
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from ganlib.core.console import run
from ganlib.datasets.pack import pack
from ganlib.datasets.trees import tree_source
from tests.faults.child import in_child
from tests.faults.images import _judge, damaged, png_of_zeros
from tests.faults.rounds import Outcome, Round, damaged_and_bombs
from tests.pictures import PREPARATION, pets

ZIPS = {
    "stored": zipfile.ZIP_STORED,
    "deflate": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}
PACKERS = {"tar": bytes, "tar.gz": partial(gzip.compress, mtime=0), "tar.bz2": bz2.compress, "tar.xz": lzma.compress}
GIB = 2**30


@cache
def whole() -> dict[str, bytes]:
    zips = {f"zip {name}": zipped(pets(), kind) for name, kind in ZIPS.items()}
    tars = {f"{name} {form}": pack_(tarred(form)) for name, pack_ in PACKERS.items() for form in ("gnu", "pax")}
    return zips | tars | {"tar.lzma gnu": lzma.compress(tarred("gnu"), lzma.FORMAT_ALONE)}


def zipped(files: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, kind)  # of 1980, so that rounds repeat
    return buffer.getvalue()


def tarred(form: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format={"gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}[form]
    ) as tar:
        for name, content in (pets() | {"cats/" + "long" * 60 + ".png": pets()["cats/0 猫.png"]}).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def lying_zip(kind: int, content: bytes, says: int = 1000) -> bytes:
    """Return a zip of one file that unpacks to more than it says."""
    data = bytearray(zipped({"a.png": content}, kind))
    for signature, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", data, data.index(signature) + place, says)
    return bytes(data)


def lzma_dictionary() -> bytes:
    data = bytearray(zipped(pets(), zipfile.ZIP_LZMA))
    start = data.index(b"PK\3\4")
    name, extra = struct.unpack_from("<HH", data, start + 26)
    struct.pack_into("<I", data, start + 30 + name + extra + 5, 2**32 - 1)
    return bytes(data)


def overlapping(count: int = 400) -> bytes:
    """Return a zip whose files are all one and the same 200 MiB of zeros."""
    data = zipped({"0.png": bytes(200 * 2**20)})
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    entry = bytearray(data[start:end])
    entries = b"".join(
        bytes(entry[:28]) + struct.pack("<H", 5) + bytes(entry[30:46]) + f"{number:05}".encode()
        for number in range(count)
    )
    tail = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(entries), start, 0)
    return data[:start] + entries + tail


def tar_header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def streamed(packer: str, start: bytes, size: int) -> bytes:
    """Return a packed stream: a start, and so many zeros."""
    packed = {"gz": gzip.compress, "bz2": bz2.compress, "xz": partial(lzma.compress, preset=0)}[packer]
    return packed(start) + packed(bytes(2**26)) * (size >> 26)  # one stream after another


def xz_dictionary() -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**20}]
    data = bytearray(lzma.compress(tarred("gnu"), filters=filters))
    place = data.index(b"\x21\x01", 12) + 2
    data[place] = 40  # 4 GiB less a byte
    size = (data[12] + 1) * 4
    struct.pack_into("<I", data, 12 + size - 4, zlib.crc32(data[12 : 12 + size - 4]))
    return bytes(data)


def sparse() -> bytes:
    """Return a tar whose one file is a hole of 255 MiB, of which nothing is there."""
    header = bytearray(tar_header("hole.png", 0, tarfile.GNUTYPE_SPARSE))
    header[386:398], header[398:410] = b"%011o\0" % (255 * 2**20), b"%011o\0" % 0
    header[483:495] = b"%011o\0" % (255 * 2**20)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(1024)


def nested(depth: int = 5) -> bytes:
    data = zipped({"a.png": bytes(20 * 2**20)})
    for _ in range(depth):
        data = zipped({f"{number}.zip": data for number in range(16)})
    return data


BOMB_KINDS: dict[str, Callable[[], bytes]] = {
    "zip bzip2 lies": lambda: lying_zip(zipfile.ZIP_BZIP2, bytes(GIB)),
    "zip deflate lies": lambda: lying_zip(zipfile.ZIP_DEFLATED, bytes(GIB)),
    "zip lzma lies": lambda: lying_zip(zipfile.ZIP_LZMA, bytes(GIB // 2)),
    "zip of zeros": lambda: zipped({f"{number}.png": bytes(250 * 2**20) for number in range(8)}),
    "zip lzma dictionary": lzma_dictionary,
    "zip overlapping": overlapping,
    "zip nested": nested,
    "zip of deep pictures": lambda: zipped({f"{number}.png": png_of_zeros(16, 0) for number in range(3)}),
    "tar.gz large file": lambda: streamed("gz", tar_header("a.png", 3 * GIB), 3 * GIB),
    "tar.bz2 large file": lambda: streamed("bz2", tar_header("a.png", 2 * GIB), 2 * GIB),
    "tar.xz large file": lambda: streamed("xz", tar_header("a.png", 2 * GIB), 2 * GIB),
    "tar.gz pax header": lambda: streamed("gz", tar_header("a.png", 2 * GIB, tarfile.XHDTYPE), 2 * GIB),
    "tar.gz long name": lambda: streamed("gz", tar_header("a.png", 2 * GIB, tarfile.GNUTYPE_LONGNAME), 2 * GIB),
    "tar.gz headers": lambda: gzip.compress(tar_header("a.png", 512, tarfile.XHDTYPE) * 5000),
    "tar.xz dictionary": xz_dictionary,
    "tar sparse": sparse,
    "tar endless size": lambda: tar_header("a.png", 2**60) + bytes(4096),
}


def rounds(seed: int, count: int) -> Iterator[Round]:
    return damaged_and_bombs(seed, count, list(whole()), _damaged, _damage, BOMB_KINDS, _bomb)


def _damaged(name: str, random_: random.Random) -> bytes:
    """Damage what is packed, or, of every second compressed tar, what it is unpacked to."""
    kind, _, form = name.partition(" ")
    if kind in PACKERS and random_.random() < 0.5:
        return PACKERS[kind](damaged(tarred(form), random_))
    return damaged(whole()[name], random_)


def _bomb(name: str, folder: Path) -> Outcome:
    file = folder / f"{name}.bomb"
    if not file.exists():
        in_child(lambda: file.write_bytes(BOMB_KINDS[name]()))
    return _attempt(file, folder)


def _damage(content: bytes, folder: Path) -> Outcome:
    file = folder / "archive"
    file.write_bytes(content)
    return _attempt(file, folder)


def _attempt(file: Path, folder: Path) -> Outcome:
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    code, said, seconds, mib = in_child(lambda: run(lambda: _pack(file, out)))
    return Outcome(_judge(0 if code == 1 else code, said, seconds, mib), round(seconds, 3), mib, said.strip()[:500])


def _pack(file: Path, out: Path) -> None:
    pack(tree_source(file, "data.path = archive"), PREPARATION, out, heldout=0.4, workers=1)
    print("taken")
