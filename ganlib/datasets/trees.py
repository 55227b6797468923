"""A user's own images: a folder, a zip or a tar, with class subfolders or flat, nested, under any names.

Archives are read in place: no name in them ever reaches the file system.
"""

import os
import posixpath
import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from stat import S_ISLNK
from typing import NamedTuple

from ganlib.core.errors import UserError
from ganlib.datasets.classes import LABELS_FILE, Classes, Label, find_classes, labelled_by, told_of
from ganlib.datasets.decode import MAX_BYTES, MAX_REASON
from ganlib.datasets.examples import HEAD_BYTES, Example, Rejected, Source, begins_as_image, named_as_image
from ganlib.datasets.unpack import MAX_HEADERS, Allowance, BombError, BoundedReader, open_tar, read_pieces, read_zipped

SYSTEM_NAMES = {"__MACOSX", "Thumbs.db", "desktop.ini"}
SYSTEM, NO_IMAGE, NO_FILE = "hidden or system file", "not an image", "a link to no file"
TOO_LARGE = f"larger than {MAX_BYTES >> 20} MiB"
LINKS = 20
"""Links that lead to one another, after which they lead nowhere."""

BLOCKS = 2**14
"""Bytes that tarfile may read beyond a file."""


class Listing(NamedTuple):
    """What a tree holds, before any image is decoded."""

    images: list[str]
    """Files that are images, by their names or their first bytes."""
    others: Counter[str]
    """Why others are none."""
    labels: Classes | None = None
    """What a dataset.json says."""

    def source(self, origin: str, total: int, examples: Iterator[Example | Rejected], classes: Classes) -> Source:
        names = [_printable(name) for name in classes.names]
        return Source(origin, names, total, examples, told_of(classes, self.images, self.others))

    def classes(self) -> Classes:
        return self.labels or find_classes(self.images)


def tree_source(path: Path, origin: str | None = None) -> Source:
    """Open a folder or an archive, called `origin` in errors; raise UserError when it is neither."""
    origin = origin or f"data.path = {path}"
    if path.is_dir():
        return _folder_source(path, origin)
    if not path.is_file():
        raise UserError(f"{origin}: there is no such folder or file")
    try:
        with path.open("rb") as file:
            begins_as_zip = file.read(4) in (b"PK\3\4", b"PK\5\6", b"PK\7\x08")
        if begins_as_zip or (zipfile.is_zipfile(path) and not tarfile.is_tarfile(path)):  # a tar may end in a zip
            return _zip_source(path, origin)
        return _tar_source(path, origin)
    except Exception as error:  # on damaged archives zipfile and tarfile raise nearly every kind there is
        raise _damaged(origin, error) from None


def _folder_source(root: Path, origin: str) -> Source:
    found = sorted(_walk(root), key=lambda item: item.name if isinstance(item, Rejected) else item)
    files, labels = [item for item in found if isinstance(item, str)], None
    images = [name for name in files if named_as_image(name) or begins_as_image(_head(root / name))]
    others = Counter(item.reason for item in found if isinstance(item, Rejected))
    others[NO_IMAGE] = len(files) - len(images)
    for name in files:
        if posixpath.basename(name) == LABELS_FILE and (root / name).stat().st_size < MAX_BYTES // 4:
            labels = labels or labelled_by((root / name).read_bytes(), name.removesuffix(LABELS_FILE))
    listing = Listing(images, others, labels)
    classes = listing.classes()
    examples = (
        item if isinstance(item, Rejected) else Example(_printable(item), classes.label(item), root / item)
        for item in found
    )
    return listing.source(origin, len(found), examples, classes)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:  # told when it is read
        return b""


def _walk(root: Path) -> Iterator[str | Rejected]:
    """Yield the name of every file under a folder, or why it is not taken; links are followed, wherever they lead."""
    waiting = [(root, {os.path.realpath(root)})]
    while waiting:
        folder, above = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            yield Rejected(_printable(folder.relative_to(root).as_posix()), f"cannot be read: {error.strerror}")
            continue
        for entry in entries:
            name = Path(entry.path).relative_to(root).as_posix()
            target = os.path.realpath(entry.path)
            if reason := _unfit(entry, above, target):
                yield Rejected(_printable(name), reason, counts=not _is_system(name))
            elif entry.is_dir():
                waiting.append((Path(entry.path), above | {target}))
            else:
                yield name


def _unfit(entry: "os.DirEntry[str]", above: set[str], target: str) -> str | None:
    if _is_system(entry.name):
        return SYSTEM
    if entry.is_symlink() and not Path(target).exists():
        return NO_FILE
    if entry.is_dir():
        return "a link to a folder above it" if target in above else None
    return None if entry.is_file() else "not a regular file"


class Links:
    """Links of an archive: each stands for the file, or for all files of the folder, that it leads to."""

    def __init__(self, targets: dict[str, str], names: set[str]):
        ends = {link: self._end(link, targets) for link in targets}
        folders = {posixpath.dirname(name) for name in names}
        self.files: dict[str, list[str]] = {}
        self.folders = [(f"{end}/", link) for link, end in ends.items() if end in folders and end not in names]
        self.nowhere = {link for link, end in ends.items() if end not in names and end not in folders}
        for link, end in ends.items():
            if end in names:
                self.files.setdefault(end, []).append(link)

    @staticmethod
    def _end(link: str, targets: dict[str, str]) -> str:
        for _ in range(LINKS):
            if link not in targets:
                break
            link = targets[link]
        return link

    def names_of(self, name: str) -> list[str]:
        """Return under which other names a file stands in the archive."""
        inside = (f"{link}/{name.removeprefix(end)}" for end, link in self.folders if name.startswith(end))
        return sorted([*self.files.get(name, ()), *inside])


def _zip_source(path: Path, origin: str) -> Source:
    images, others, targets, labels = list[str](), Counter[str](), dict[str, str](), None
    with zipfile.ZipFile(path) as archive:
        allowance = Allowance(path)
        members = {_slashed(member.filename): member for member in archive.infolist() if not member.is_dir()}
        total = len([member for member in archive.infolist() if not member.is_dir()])
        for name, member in members.items():
            if reason := _unsafe(name):
                others[reason] += 1
            elif S_ISLNK(member.external_attr >> 16):
                if member.file_size < MAX_REASON**2:
                    target = _quietly(lambda member=member: read_zipped(archive, member, allowance))
                    targets[name] = _leads(name, target.decode("utf-8", "replace"))
            elif named_as_image(name) or begins_as_image(_zipped_head(archive, member)):
                images.append(name)
            else:
                others[NO_IMAGE] += 1
            if posixpath.basename(name) == LABELS_FILE and member.file_size < MAX_BYTES // 4:
                text = _quietly(lambda member=member: read_zipped(archive, member, allowance))
                labels = labels or labelled_by(text, name.removesuffix(LABELS_FILE))
    links = Links(targets, set(members) - set(targets))
    images += [other for name in list(images) for other in links.names_of(name)]
    listing = Listing(images, others, labels)
    classes = listing.classes()

    def examples() -> Iterator[Example | Rejected]:
        allowance = Allowance(path)
        try:
            with zipfile.ZipFile(path) as archive:
                for member in sorted(archive.infolist(), key=lambda member: member.filename):
                    if member.is_dir() or _slashed(member.filename) in targets.keys() - links.nowhere:
                        continue
                    item = _read_zip(archive, member, classes.label, allowance)
                    yield item
                    yield from _linked(item, links.names_of(_slashed(member.filename)), classes.label)
        except Exception as error:
            raise _damaged(origin, error) from None

    return listing.source(origin, total, examples(), classes)


def _linked(item: Example | Rejected, names: list[str], label: Label) -> Iterator[Example | Rejected]:
    for name in names:
        printable = _printable(name)
        yield item._replace(name=printable, **({"label": label(name)} if isinstance(item, Example) else {}))


def _quietly(read: Callable[[], bytes]) -> bytes:
    """Return what is read, or nothing: what is wrong with a file is told when its turn comes."""
    try:
        return read()
    except BombError:
        raise
    except Exception:
        return b""


def _zipped_head(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return b""  # others can't be unpacked by a little

    def read() -> bytes:
        with archive.open(member) as file:
            return file.read(HEAD_BYTES)

    return _quietly(read)


def _leads(link: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(link), target.replace("\\", "/")))


def _read_zip(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, label: Label, allowance: Allowance
) -> Example | Rejected:
    name = _slashed(member.filename)
    if reason := _unsafe(name):
        return Rejected(_printable(name), reason, counts=not _is_system(name))
    if S_ISLNK(member.external_attr >> 16):
        return Rejected(_printable(name), NO_FILE)
    if member.file_size > MAX_BYTES:
        return Rejected(_printable(name), TOO_LARGE)
    try:
        return Example(_printable(name), label(name), read_zipped(archive, member, allowance))
    except BombError:
        raise
    except Exception as error:  # damaged, encrypted, unknown compression
        return Rejected(_printable(name), f"cannot be unpacked: {_flat(error)}")


def _tar_source(path: Path, origin: str) -> Source:
    """Read a tar from front to end, twice: a compressed one cannot be read in another order."""
    images, others, targets, labels = list[str](), Counter[str](), dict[str, str](), None
    names = list[str]()
    with open_tar(path) as (archive, reader):
        for member in _files(archive, reader):
            name = _slashed(member.name)
            names.append(name)
            if reason := _unsafe(name):
                others[reason] += 1
            elif member.issym():
                targets[name] = _leads(name, member.linkname)
            elif member.islnk():
                targets[name] = _slashed(member.linkname)
            elif posixpath.basename(name) == LABELS_FILE and member.size < MAX_BYTES // 4:
                others[NO_IMAGE] += 1
                text = _tarred(archive, member, reader, member.size)
                labels = labels or labelled_by(text, name.removesuffix(LABELS_FILE))
            elif named_as_image(name) or begins_as_image(_tarred(archive, member, reader, HEAD_BYTES)):
                images.append(name)
            else:
                others[NO_IMAGE] += 1
    links = Links(targets, set(names) - set(targets))
    images += [other for name in list(images) for other in links.names_of(name)]
    listing = Listing(images, others, labels)
    classes = listing.classes()

    def examples() -> Iterator[Example | Rejected]:
        try:
            with open_tar(path) as (archive, reader):
                for member in _files(archive, reader):
                    name = _slashed(member.name)
                    if name in targets.keys() - links.nowhere and (member.issym() or member.islnk()):
                        continue
                    item = _read_tar(archive, member, classes.label, reader)
                    yield item
                    yield from _linked(item, links.names_of(name), classes.label)
        except Exception as error:
            raise _damaged(origin, error) from None

    return listing.source(origin, len(names), examples(), classes)


def _tarred(archive: tarfile.TarFile, member: tarfile.TarInfo, reader: BoundedReader, count: int) -> bytes:
    """Return the first bytes of a file of a tar."""
    reader.at_once = count + BLOCKS
    file = archive.extractfile(member) if member.isreg() else None
    return read_pieces(file, min(count, member.size)) if file else b""


def _files(archive: tarfile.TarFile, reader: BoundedReader) -> Iterator[tarfile.TarInfo]:
    while member := _next(archive, reader):
        vars(archive)["members"].clear()  # it would keep all of them in memory
        if not member.isdir():
            yield member


def _next(archive: tarfile.TarFile, reader: BoundedReader) -> tarfile.TarInfo | None:
    reader.at_once = MAX_HEADERS
    return archive.next()


def _read_tar(
    archive: tarfile.TarFile, member: tarfile.TarInfo, label: Label, reader: BoundedReader
) -> Example | Rejected:
    name = _slashed(member.name)
    if reason := _unsafe(name):
        return Rejected(_printable(name), reason, counts=not _is_system(name))
    if member.issym() or member.islnk():
        return Rejected(_printable(name), NO_FILE)
    if member.size > MAX_BYTES:
        return Rejected(_printable(name), TOO_LARGE)
    reader.at_once = member.size + BLOCKS
    file = archive.extractfile(member)
    if file is None:
        return Rejected(_printable(name), "not a regular file")
    return Example(_printable(name), label(name), read_pieces(file, member.size))


def _unsafe(name: str) -> str | None:
    if name.startswith("/") or re.match("[A-Za-z]:/", name) or ".." in name.split("/"):
        return "a name that leads out of the archive"
    return SYSTEM if _is_system(name) else None


def _is_system(name: str) -> bool:
    parts = name.removeprefix("./").split("/")
    return ".." not in parts and any(part.startswith(".") or part in SYSTEM_NAMES for part in parts)


def _slashed(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")  # Windows' backslash, tar's leading ./


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()  # a name on disk may be any bytes


def _damaged(origin: str, error: Exception) -> UserError:
    if isinstance(error, UserError):
        return error
    if isinstance(error, tarfile.ReadError) and not str(error).startswith("unexpected"):
        return UserError(f"{origin}: neither a folder nor a zip or tar archive that can be read")
    if isinstance(error, BombError):
        return UserError(f"{origin}: {error}: if it is no bomb, unpack it and name the folder")
    return UserError(f"{origin}: the archive is damaged or cut off ({_flat(error)}); get it again")


def _flat(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:MAX_REASON]
