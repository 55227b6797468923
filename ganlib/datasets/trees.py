"""A user's own images: a folder, a zip or a tar, with class subfolders or flat, nested, under any names.

Archives are read in place: no name in them ever reaches the file system.
"""

import os
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from stat import S_ISLNK

from ganlib.core.errors import UserError
from ganlib.datasets.decode import MAX_BYTES, MAX_REASON
from ganlib.datasets.examples import Example, Rejected, Source, named_as_image
from ganlib.datasets.unpack import MAX_HEADERS, Allowance, BombError, BoundedReader, open_tar, read_pieces, read_zipped

SPLIT_FOLDERS = {"train", "training", "test", "testing", "val", "valid", "validation"}
"""Folders of splits, which are looked through for the classes: prepare splits by content."""
SYSTEM_NAMES = {"__MACOSX", "Thumbs.db", "desktop.ini"}
TOO_LARGE = f"larger than {MAX_BYTES >> 20} MiB"

BLOCKS = 2**14
"""Bytes that tarfile may read beyond a file."""

Label = Callable[[str], int | None]


def tree_source(path: Path, origin: str | None = None) -> Source:
    """Open a folder or an archive, called `origin` in errors; raise UserError when it is neither."""
    origin = origin or f"data.path = {path}"
    if path.is_dir():
        return _folder_source(path, origin)
    if not path.is_file():
        raise UserError(f"{origin}: there is no such folder or file")
    try:
        if zipfile.is_zipfile(path):
            return _zip_source(path, origin)
        return _tar_source(path, origin)
    except Exception as error:  # on damaged archives zipfile and tarfile raise nearly every kind there is
        raise _damaged(origin, error) from None


def find_classes(names: Iterable[str]) -> tuple[list[str], Label]:
    """Return class names, empty for a flat tree, and the function that gives a file's label.

    The classes are the first folders that differ; folders above that hold everything, or are named as splits, are
    looked through. Files named as images decide, where there are any.
    """
    names = list(names)
    paths = [name.split("/") for name in names if named_as_image(name)] or [name.split("/") for name in names]
    depth = 0
    while True:
        folders = {parts[depth] for parts in paths if len(parts) > depth + 1}
        mixed = any(len(parts) == depth + 1 for parts in paths)
        if mixed or not folders or not (len(folders) == 1 or folders <= SPLIT_FOLDERS):
            break
        depth += 1
    class_names = sorted(folders)
    index = {name: label for label, name in enumerate(class_names)}

    def label(name: str) -> int | None:
        parts = name.split("/")
        return index.get(parts[depth]) if len(parts) > depth + 1 else None

    return class_names, label


def _folder_source(root: Path, origin: str) -> Source:
    found = sorted(_walk(root), key=lambda item: item.name if isinstance(item, Rejected) else item)
    class_names, label = find_classes(item for item in found if isinstance(item, str))
    examples = (
        item if isinstance(item, Rejected) else Example(_printable(item), label(item), root / item) for item in found
    )
    return Source(origin, [_printable(name) for name in class_names], len(found), examples)


def _walk(root: Path) -> Iterator[str | Rejected]:
    """Yield the name of every file under a folder, or why it is not taken."""
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            yield Rejected(_printable(folder.relative_to(root).as_posix()), f"cannot be read: {error.strerror}")
            continue
        for entry in entries:
            name = Path(entry.path).relative_to(root).as_posix()
            if reason := _unfit(entry, root):
                yield Rejected(_printable(name), reason, counts=not _is_system(name))
            elif entry.is_dir():
                waiting.append(Path(entry.path))
            else:
                yield name


def _unfit(entry: "os.DirEntry[str]", root: Path) -> str | None:
    if _is_system(entry.name):
        return "hidden or system file"
    if entry.is_symlink():
        target = Path(os.path.realpath(entry.path))
        if not target.is_relative_to(root.resolve()):
            return "symlink out of the tree"
        if not target.is_file():
            return "symlink to no file"
    return None if entry.is_dir() or entry.is_file() else "not a regular file"


def _zip_source(path: Path, origin: str) -> Source:
    with zipfile.ZipFile(path) as archive:
        names = [_slashed(member.filename) for member in archive.infolist() if not member.is_dir()]
    class_names, label = find_classes(name for name in names if not _unsafe(name))

    def examples() -> Iterator[Example | Rejected]:
        allowance = Allowance(path)
        try:
            with zipfile.ZipFile(path) as archive:
                for member in sorted(archive.infolist(), key=lambda member: member.filename):
                    if not member.is_dir():
                        yield _read_zip(archive, member, label, allowance)
        except Exception as error:
            raise _damaged(origin, error) from None

    return Source(origin, [_printable(name) for name in class_names], len(names), examples())


def _read_zip(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, label: Label, allowance: Allowance
) -> Example | Rejected:
    name = _slashed(member.filename)
    if reason := _unsafe(name):
        return Rejected(_printable(name), reason, counts=not _is_system(name))
    if S_ISLNK(member.external_attr >> 16):
        return Rejected(_printable(name), "a link, not a file")
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
    names = [_slashed(member.name) for member in _members(path)]
    class_names, label = find_classes(name for name in names if not _unsafe(name))

    def examples() -> Iterator[Example | Rejected]:
        try:
            with open_tar(path) as (archive, reader):
                for member in _files(archive, reader):
                    yield _read_tar(archive, member, label, reader)
        except Exception as error:
            raise _damaged(origin, error) from None

    return Source(origin, [_printable(name) for name in class_names], len(names), examples())


def _members(path: Path) -> Iterator[tarfile.TarInfo]:
    with open_tar(path) as (archive, reader):
        yield from _files(archive, reader)


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
        return Rejected(_printable(name), "a link, not a file")
    if member.size > MAX_BYTES:
        return Rejected(_printable(name), TOO_LARGE)
    reader.at_once = member.size + BLOCKS
    file = archive.extractfile(member)
    if file is None:
        return Rejected(_printable(name), "not a regular file")
    return Example(_printable(name), label(name), read_pieces(file, member.size))


def _unsafe(name: str) -> str | None:
    if name.startswith("/") or name[1:2] == ":" or ".." in name.split("/"):
        return "a name that leads out of the archive"
    return "hidden or system file" if _is_system(name) else None


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
