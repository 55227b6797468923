"""Archives of strangers: what is read of them is bounded, whatever they say of themselves."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import IO, Any

from ganlib.datasets.decode import MAX_BYTES

MAX_HEADERS = 2**20
"""Bytes between one file of a tar and the next: its name, and what else is noted of it."""
MAX_DICTIONARY = 256 * 2**20
"""Bytes that unpacking xz or LZMA may take; `xz -9` needs a quarter."""
PIECE = 2**20
FREE, MAX_RATIO = 2**30, 200
"""An archive may unpack to so many bytes, and to so many times its size; pictures pack to a half or a tenth."""


class BombError(ValueError):
    """An archive that unpacks to more than any set of pictures."""


class Allowance:
    """What may still be unpacked of an archive in all."""

    def __init__(self, path: Path):
        self.left = FREE + MAX_RATIO * path.stat().st_size

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise BombError(f"it unpacks to more than {FREE >> 30} GiB and {MAX_RATIO} times its size")


def read_zipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo, allowance: Allowance) -> bytes:
    """Return a file of a zip, of the size that it is said to have; raise BadZipFile when it has another."""
    allowance.take(member.file_size)
    if member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with archive.open(member) as file:
            return read_pieces(file, member.file_size)
    if member.compress_type not in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        raise NotImplementedError("a compression that is neither deflate, bzip2 nor LZMA")
    if member.compress_size > MAX_BYTES:
        raise zipfile.BadZipFile("larger packed than it may be unpacked")
    raw = copy(member)
    raw.compress_type, raw.file_size = zipfile.ZIP_STORED, member.compress_size
    del raw.CRC  # of what is packed
    with archive.open(raw) as file:
        packed = file.read(raw.file_size)
    if member.compress_type == zipfile.ZIP_BZIP2:
        content = bz2.BZ2Decompressor().decompress(packed, member.file_size + 1)
    else:
        content = _unpack_lzma(packed, member.file_size + 1)
    if len(content) != member.file_size or zlib.crc32(content) != member.CRC:
        raise zipfile.BadZipFile("Bad CRC-32 or size")
    return content


def read_pieces(file: IO[bytes], size: int) -> bytes:
    """Return so many bytes, or what there is; a whole read would hold them twice, or unpack more than is asked for."""
    content = io.BytesIO()
    while piece := file.read(min(PIECE, size - content.tell())):
        content.write(piece)
    return content.getvalue()


def _unpack_lzma(packed: bytes, most: int) -> bytes:
    _, length, properties, dictionary = struct.unpack_from("<HHBI", packed)  # APPNOTE.TXT 5.8.8
    if length != 5 or dictionary > MAX_DICTIONARY:
        raise lzma.LZMAError(f"a dictionary of more than {MAX_DICTIONARY >> 20} MiB")
    settings = {"lc": properties % 9, "lp": properties // 9 % 5, "pb": properties // 45, "dict_size": dictionary}
    filters = [{"id": lzma.FILTER_LZMA1, **settings}]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters).decompress(packed[9:], most)


@contextmanager
def open_tar(path: Path) -> Iterator[tuple[tarfile.TarFile, "BoundedReader"]]:
    """Open a tar, compressed or not, and what it reads through; to be read from front to end."""
    with path.open("rb") as packed:
        start = packed.read(6)
        packed.seek(0)
        reader = BoundedReader(_unpacked(packed, start), Allowance(path))
        with tarfile.open(fileobj=reader, mode="r:") as archive:  # pyright: ignore[reportArgumentType, reportCallIssue]
            yield archive, reader


def _unpacked(packed: IO[bytes], start: bytes) -> Any:
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=packed)
    if start.startswith(b"BZh"):
        return bz2.BZ2File(packed)
    if start.startswith((b"\xfd7zXZ", b"\x5d\0\0")):
        return io.BufferedReader(XzReader(packed))
    return packed


class BoundedReader:
    """A stream, forwards only, of which no more is read at once than is allowed, nor in all than pictures need."""

    def __init__(self, stream: Any, allowance: Allowance):
        self.stream, self.allowance, self.position = stream, allowance, 0
        self.at_once = MAX_HEADERS
        """Bytes that may be read until it is set anew."""

    def tell(self) -> int:
        return self.position

    def read(self, size: int) -> bytes:
        self.at_once -= size
        if self.at_once < 0:
            raise BombError(f"what it notes of one file is larger than {MAX_HEADERS >> 20} MiB")
        self.allowance.take(size)
        content = self.stream.read(size)
        self.position += len(content)
        return content

    def seek(self, position: int) -> None:
        if position < self.position:
            raise ValueError("it points backwards")
        while self.position < position:
            piece = min(position - self.position, 2**16)
            self.allowance.take(piece)
            skipped = len(self.stream.read(piece))
            self.position += skipped
            if not skipped:
                break


class XzReader(io.RawIOBase):
    """What an .xz or .lzma file holds; unlike lzma.LZMAFile it keeps to MAX_DICTIONARY."""

    def __init__(self, packed: IO[bytes]):
        self.packed, self.rest, self.unpacker = packed, b"", self._unpacker()

    def _unpacker(self) -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(memlimit=MAX_DICTIONARY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = b""
        while not content:
            if self.unpacker.eof:
                self.rest = (self.unpacker.unused_data or self.packed.read(2**16)).lstrip(b"\0")  # padding
                if not self.rest:
                    return 0
                self.unpacker = self._unpacker()
            elif self.unpacker.needs_input and not self.rest:
                self.rest = self.packed.read(2**16)
                if not self.rest:
                    raise EOFError("it ends before its end is marked")
            content = self.unpacker.decompress(self.rest, len(buffer))
            self.rest = b""
        buffer[: len(content)] = content
        return len(content)
