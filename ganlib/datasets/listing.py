"""What a tree of files holds, before any image is decoded: names, and why files are left out."""

import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from ganlib.core.errors import UserError
from ganlib.datasets.classes import Classes, find_classes, told_of
from ganlib.datasets.decode import MAX_BYTES, MAX_REASON
from ganlib.datasets.examples import Example, Rejected, Source
from ganlib.datasets.unpack import BombError

SYSTEM_NAMES = {"__MACOSX", "Thumbs.db", "desktop.ini"}
SYSTEM, NO_IMAGE, NO_FILE = "hidden or system file", "not an image", "a link to no file"
TOO_LARGE = f"larger than {MAX_BYTES >> 20} MiB"
MAX_LABELS = MAX_BYTES // 4
"""Bytes of a dataset.json that is read."""


class Listing(NamedTuple):
    """What a tree holds, before any image is decoded."""

    images: list[str]
    """Files that are images, by their names or their first bytes."""
    others: Counter[str]
    """Why others are none."""
    labels: Classes | None = None
    """What a dataset.json says."""

    def source(self, origin: str, total: int, examples: Iterator[Example | Rejected], classes: Classes) -> Source:
        names = [printable(name) for name in classes.names]
        return Source(origin, names, total, examples, told_of(classes, self.images, self.others))

    def classes(self) -> Classes:
        return self.labels or find_classes(self.images)


def unsafe(name: str) -> str | None:
    if name.startswith("/") or re.match("[A-Za-z]:/", name) or ".." in name.split("/"):
        return "a name that leads out of the archive"
    return SYSTEM if is_system(name) else None


def is_system(name: str) -> bool:
    parts = name.removeprefix("./").split("/")
    return ".." not in parts and any(part.startswith(".") or part in SYSTEM_NAMES for part in parts)


def slashed(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")  # Windows' backslash, tar's leading ./


def printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()  # a name on disk may be any bytes


def damaged(origin: str, error: Exception) -> UserError:
    if isinstance(error, UserError):
        return error
    if isinstance(error, tarfile.ReadError) and not str(error).startswith("unexpected"):
        return UserError(f"{origin}: neither a folder nor a zip or tar archive that can be read")
    if isinstance(error, BombError):
        return UserError(f"{origin}: {error}: if it is no bomb, unpack it and name the folder")
    return UserError(f"{origin}: the archive is damaged or cut off ({flat(error)}); get it again")


def flat(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:MAX_REASON]
