"""Files that are whole or absent: everything is written beside its target and then renamed."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # else only those who have tables wait half a second for it
    import pandas as pd


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder to write into; it becomes `target` when the block ends well and vanishes when it fails."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a killed run
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial)
        raise
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes `target` when the block ends well and vanishes when it fails."""
    partial = target.with_name(f"{target.stem}.partial{target.suffix}")  # writers go by the suffix
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())  # else a power cut may leave the new name with nothing in it
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write sorted JSON with a final newline, so that equal values are equal bytes."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


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
