"""A user's images in a zip or a tar, read in place: no name in them ever reaches the file system."""

import posixpath
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from stat import S_ISLNK

from ganlib.datasets.classes import LABELS_FILE, Label, labelled_by
from ganlib.datasets.decode import MAX_BYTES
from ganlib.datasets.examples import HEAD_BYTES, Example, Rejected, Source, begins_as_image, named_as_image
from ganlib.datasets.listing import (
    MAX_LABELS,
    NO_FILE,
    NO_IMAGE,
    TOO_LARGE,
    Listing,
    damaged,
    flat,
    is_system,
    printable,
    slashed,
    unsafe,
)
from ganlib.datasets.unpack import MAX_HEADERS, Allowance, BombError, BoundedReader, open_tar, read_pieces, read_zipped

LINKS = 20
"""Links that lead to one another, after which they lead nowhere."""
MAX_TARGET = 4096
"""Bytes of the name that a link of a zip leads to."""
ENCRYPTED = 1
"""Flag of a zip's member that needs a password."""
BLOCKS = 2**14
"""Bytes that tarfile may read beyond a file."""


class Links:
    """Links of an archive: each stands for the file, or for all files of the folder, that it leads to."""

    def __init__(self, targets: dict[str, str], names: set[str]):
        ends = {link: self._end(link, targets) for link in targets}
        folders = {str(folder) for name in names for folder in PurePosixPath(name).parents} - {"."}
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


def zip_source(path: Path, origin: str) -> Source:
    images, others, targets, labels = list[str](), Counter[str](), dict[str, str](), None
    with zipfile.ZipFile(path) as archive:
        allowance = Allowance(path)
        files = [member for member in archive.infolist() if not member.is_dir()]
        members = {slashed(member.filename): member for member in files}
        for name, member in members.items():
            if reason := unsafe(name):
                others[reason] += 1
            elif S_ISLNK(member.external_attr >> 16):
                if member.file_size <= MAX_TARGET:
                    target = _quietly(lambda member=member: read_zipped(archive, member, allowance))
                    targets[name] = _leads(name, target.decode("utf-8", "replace"))
            elif named_as_image(name) or begins_as_image(_zipped_head(archive, member)):
                images.append(name)
            else:
                others[NO_IMAGE] += 1
            if posixpath.basename(name) == LABELS_FILE and member.file_size < MAX_LABELS:
                text = _quietly(lambda member=member: read_zipped(archive, member, allowance))
                labels = labels or labelled_by(text, name.removesuffix(LABELS_FILE))
    listing, links = _with_links(Listing(images, others, labels), targets, set(members))
    classes = listing.classes()

    def examples() -> Iterator[Example | Rejected]:
        allowance = Allowance(path)
        try:
            with zipfile.ZipFile(path) as archive:
                for member in sorted(archive.infolist(), key=lambda member: member.filename):
                    if member.is_dir() or slashed(member.filename) in targets.keys() - links.nowhere:
                        continue
                    item = _read_zip(archive, member, classes.label, allowance)
                    yield item
                    yield from _linked(item, links.names_of(slashed(member.filename)), classes.label, allowance)
        except Exception as error:
            raise damaged(origin, error) from None

    return listing.source(origin, len(files), examples(), classes)


def _with_links(listing: Listing, targets: dict[str, str], names: set[str]) -> tuple[Listing, Links]:
    """Add the images that links lead to, and count the links that lead nowhere."""
    links = Links(targets, names - set(targets))
    linked = [other for name in listing.images for other in links.names_of(name)]
    nowhere = Counter({NO_FILE: len(links.nowhere)})
    return listing._replace(images=listing.images + linked, others=listing.others + nowhere), links


def _linked(
    item: Example | Rejected, names: list[str], label: Label, allowance: Allowance
) -> Iterator[Example | Rejected]:
    for name in names:
        allowance.take(len(item.content) if isinstance(item, Example) and isinstance(item.content, bytes) else 0)
        named = item._replace(name=printable(name))
        yield named._replace(label=label(name)) if isinstance(named, Example) else named


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


def _refused(name: str, is_link: bool, size: int) -> Rejected | None:
    """Say why a file is not even read, of its name and what the archive notes of it; a link here leads nowhere."""
    if reason := unsafe(name):
        return Rejected(printable(name), reason, counts=not is_system(name))
    if is_link:
        return Rejected(printable(name), NO_FILE)
    return Rejected(printable(name), TOO_LARGE) if size > MAX_BYTES else None


def _read_zip(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, label: Label, allowance: Allowance
) -> Example | Rejected:
    name = slashed(member.filename)
    if refused := _refused(name, S_ISLNK(member.external_attr >> 16), member.file_size):
        return refused
    if member.flag_bits & ENCRYPTED:
        return Rejected(printable(name), "has a password: unpack it, and name the folder")
    try:
        return Example(printable(name), label(name), read_zipped(archive, member, allowance))
    except BombError:
        raise
    except Exception as error:  # damaged, unknown compression
        return Rejected(printable(name), f"cannot be unpacked: {flat(error)}")


def tar_source(path: Path, origin: str) -> Source:
    """Read a tar from front to end, twice: a compressed one cannot be read in another order."""
    images, others, targets, labels = list[str](), Counter[str](), dict[str, str](), None
    names = list[str]()
    with open_tar(path) as (archive, reader):
        for member in _files(archive, reader):
            name = slashed(member.name)
            names.append(name)
            if reason := unsafe(name):
                others[reason] += 1
            elif member.issym():
                targets[name] = _leads(name, member.linkname)
            elif member.islnk():
                targets[name] = slashed(member.linkname)
            elif posixpath.basename(name) == LABELS_FILE and member.size < MAX_LABELS:
                others[NO_IMAGE] += 1
                text = _tarred(archive, member, reader, member.size)
                labels = labels or labelled_by(text, name.removesuffix(LABELS_FILE))
            elif named_as_image(name) or begins_as_image(_tarred(archive, member, reader, HEAD_BYTES)):
                images.append(name)
            else:
                others[NO_IMAGE] += 1
    listing, links = _with_links(Listing(images, others, labels), targets, set(names))
    classes = listing.classes()

    def examples() -> Iterator[Example | Rejected]:
        try:
            with open_tar(path) as (archive, reader):
                for member in _files(archive, reader):
                    name = slashed(member.name)
                    if name in targets.keys() - links.nowhere and (member.issym() or member.islnk()):
                        continue
                    item = _read_tar(archive, member, classes.label, reader)
                    yield item
                    yield from _linked(item, links.names_of(name), classes.label, reader.allowance)
        except Exception as error:
            raise damaged(origin, error) from None

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
    name = slashed(member.name)
    if refused := _refused(name, member.issym() or member.islnk(), member.size):
        return refused
    reader.at_once = member.size + BLOCKS
    file = archive.extractfile(member)
    if file is None:
        return Rejected(printable(name), "not a regular file")
    return Example(printable(name), label(name), read_pieces(file, member.size))
