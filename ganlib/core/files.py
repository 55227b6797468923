"""Files that are whole or absent: everything is written beside its target and then renamed."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from glob import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from ganlib.core.errors import UserError

if TYPE_CHECKING:  # else only those who have tables wait half a second for it
    import pandas as pd

NOTHING_FREE = 2**16
"""Bytes under which a disk is full: what is left is less than a file wants."""


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder to write into; it becomes `target` when the block ends well and vanishes when it fails."""
    with _beside(target, target.name) as partial:
        partial.mkdir()
        yield partial
        while True:
            with _beside(target, target.name, ".old") as old:
                with suppress(FileNotFoundError):
                    target.rename(old)
                try:
                    partial.rename(target)
                    return
                except OSError as error:  # another process was faster: its folder is complete too, and goes
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes `target` when the block ends well and vanishes when it fails."""
    with _beside(target, target.stem, target.suffix) as partial:  # writers go by the suffix
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())  # else a power cut may leave the new name with nothing in it
        partial.replace(target)


@contextmanager
def _beside(target: Path, stem: str, suffix: str = "") -> Iterator[Path]:
    """Yield a path of this process alone, and remove what is left there; so too what killed processes have left."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f"{escape(stem)}.*.partial{escape(suffix)}"):
        owner = left.name.removeprefix(f"{stem}.").partition(".")[0]
        if owner == str(os.getpid()) or (owner.isdecimal() and not psutil.pid_exists(int(owner))):
            _remove(left)
    partial = target.with_name(f"{stem}.{os.getpid()}.partial{suffix}")
    try:
        yield partial
    except Exception as error:
        if not isinstance(error, UserError) and _is_full(target.parent, error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from error
        raise
    finally:
        _remove(partial)


def _is_full(folder: Path, error: Exception) -> bool:
    # Libraries raise what they like when a disk is full, seldom with its number, and never with the file's name.
    numbered = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    told = numbered or os.strerror(errno.ENOSPC) in str(error)
    return told or shutil.disk_usage(folder).free < NOTHING_FREE


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)  # what comes of it here must not hide an error
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write sorted JSON with a final newline, so that equal values are equal bytes."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds; raise UserError where it was cut off."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: is damaged ({error}): make it anew") from None


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write CSV with 6 significant digits; `read_table` returns names as they are here, line ends and all."""
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\r\n")  # else a \r in a name is not quoted
    parts = text.split('"')
    parts[::2] = [outside.replace("\r\n", "\n") for outside in parts[::2]]
    with whole_file(path) as partial:
        partial.write_bytes('"'.join(parts).encode())


def read_table(source: Path | BytesIO, *text: str) -> "pd.DataFrame":
    """Read CSV: columns of `text` as they were written, the others as numbers, NaN where empty, or booleans.

    A column of names must be among `text`: a class may be called NA or 01.
    """
    import pandas as pd

    as_written = dict.fromkeys(text, str)
    return pd.read_csv(source, converters=as_written, keep_default_na=False, na_values=[""])


def sha256_of(path: Path) -> str:
    """Return a file's sha256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Round every float to 6 significant digits: the rest is rounding noise, and nobody reads it."""
    return {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in values.items()}
