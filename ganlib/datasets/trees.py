"""A user's own images: a folder, a zip or a tar, with class subfolders or flat, nested, under any names."""

import os
import posixpath
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ganlib.core.errors import UserError
from ganlib.datasets.archives import tar_source, zip_source
from ganlib.datasets.classes import LABELS_FILE, labelled_by
from ganlib.datasets.examples import HEAD_BYTES, Example, Rejected, Source, begins_as_image, named_as_image
from ganlib.datasets.listing import MAX_LABELS, NO_FILE, NO_IMAGE, SYSTEM, Listing, damaged, is_system, printable


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
            return zip_source(path, origin)
        return tar_source(path, origin)
    except Exception as error:  # on damaged archives zipfile and tarfile raise nearly every kind there is
        raise damaged(origin, error) from None


def _folder_source(root: Path, origin: str) -> Source:
    found = sorted(_walk(root), key=lambda item: item.name if isinstance(item, Rejected) else item)
    files, labels = [item for item in found if isinstance(item, str)], None
    images = [name for name in files if is_image(root / name)]
    others = Counter(item.reason for item in found if isinstance(item, Rejected))
    others[NO_IMAGE] = len(files) - len(images)
    for name in files:
        if posixpath.basename(name) == LABELS_FILE and (root / name).stat().st_size < MAX_LABELS:
            labels = labels or labelled_by((root / name).read_bytes(), name.removesuffix(LABELS_FILE))
    listing = Listing(images, others, labels)
    classes = listing.classes()
    examples = (
        item if isinstance(item, Rejected) else Example(printable(item), classes.label(item), root / item)
        for item in found
    )
    return listing.source(origin, len(found), examples, classes)


def is_image(path: Path) -> bool:
    """Tell whether a file is called like an image, or begins like one."""
    return named_as_image(path.name) or begins_as_image(_head(path))


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
            yield Rejected(printable(folder.relative_to(root).as_posix()), f"cannot be read: {error.strerror}")
            continue
        for entry in entries:
            name = Path(entry.path).relative_to(root).as_posix()
            target = os.path.realpath(entry.path)
            if reason := _unfit(entry, above, target):
                yield Rejected(printable(name), reason, counts=not is_system(name))
            elif entry.is_dir():
                waiting.append((Path(entry.path), above | {target}))
            else:
                yield name


def _unfit(entry: "os.DirEntry[str]", above: set[str], target: str) -> str | None:
    if is_system(entry.name):
        return SYSTEM
    if entry.is_symlink() and not Path(target).exists():
        return NO_FILE
    if entry.is_dir():
        return "a link to a folder above it" if target in above else None
    return None if entry.is_file() else "not a regular file"
