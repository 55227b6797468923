"""Files from the network: found or fetched, resumed where they stopped, checked, and whole or absent."""

import os
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import pooch
import requests
from tqdm import tqdm

from ganlib.core.errors import UserError

TIMEOUT = (10, 30)
"""Seconds to connect, and to wait for the next bytes."""
PIECE = 2**16


def fetch(url: str, checksum: str, path: Path, folder: Path) -> Path:
    """Return the file of a URL: one anywhere under `path` that has the checksum, or else downloaded into `folder`.

    `checksum` is `sha256:...` or `md5:...`. Raise UserError that says what to get and where to put it.
    """
    name = unquote(PurePosixPath(urlsplit(url).path).name)
    algorithm, _, digest = checksum.partition(":")
    for found in sorted(file for file in path.rglob("*") if file.name == name and file.is_file()):
        if pooch.file_hash(str(found), algorithm) == digest:
            return found
    part = folder / f"{name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        downloader: Any = partial(_resume, part)
        return Path(pooch.retrieve(url, checksum, name, folder, downloader=downloader))
    except (requests.RequestException, ValueError, OSError) as error:
        mend = f"run again to go on, or get it in another way and put it into {folder}"
        raise UserError(f"cannot download {url}: {_reason(error)}; {mend}") from None


def _resume(part: Path, url: str, output_file: str, _pooch: object) -> None:
    """Download to `part`, from where an earlier attempt stopped, then move it to where pooch checks it."""
    start = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={start}-", "Accept-Encoding": "identity"}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code != requests.codes.requested_range_not_satisfiable:  # else it is all there
            response.raise_for_status()
            resumed = response.status_code == requests.codes.partial_content
            _save(response, part, start if resumed else 0)
    os.replace(part, output_file)  # noqa: PTH105 - pooch hands over text


def _save(response: requests.Response, part: Path, start: int) -> None:
    left = int(response.headers.get("Content-Length", 0))
    with (
        part.open("ab" if start else "wb") as file,
        tqdm(desc=part.stem, total=start + left, initial=start, unit="B", unit_scale=True, disable=None) as bar,
    ):
        for piece in response.iter_content(PIECE):
            bar.update(file.write(piece))


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server says {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT[1]} seconds"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off midway"
    if isinstance(error, requests.ConnectionError):
        return "no answer within the time" if "timed out" in str(error) else "no connection"
    return " ".join(str(error).split())
