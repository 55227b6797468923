"""The Inception network of published FIDs: pytorch-fid's InceptionV3 with the weights of TensorFlow's (Heusel 2017)."""

import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pytorch_fid import inception

from ganlib.core.errors import UserError
from ganlib.core.files import sha256_of, whole_file

FEATURES = 2048
RESIZE = "bilinear to 299, without antialiasing, in the network"
PUBLISHED = "pt_inception-2015-12-05-6726825d.pth"
"""Name of the published weights; its last part is the beginning of their sha256."""
PUBLISHED_SHA256 = "6726825d"
TIMEOUT_SECONDS = 30


class Weights(NamedTuple):
    path: Path
    sha256: str
    published: bool
    """Whether these are the weights of published FIDs."""


def find_weights(given: Path | None) -> Weights:
    """Return the given file, else the published one from torch hub's cache, downloaded first if need be.

    Raise UserError when it is absent, cannot be downloaded, or bears the published name without its content.
    """
    path = given or Path(torch.hub.get_dir()) / "checkpoints" / PUBLISHED
    if given and not given.is_file():
        raise UserError(f"{given}: no such weights file; correct evaluate.inception_weights or --inception-weights")
    if not path.is_file():
        _download(path)
    sha256 = sha256_of(path)
    published = sha256.startswith(PUBLISHED_SHA256)
    if path.name == PUBLISHED and not published:
        raise UserError(
            f"{path}: its sha256 is {sha256[:8]}..., not {PUBLISHED_SHA256}...: delete it and fetch it again"
        )
    return Weights(path, sha256, published)


def load_inception(path: Path) -> inception.InceptionV3:
    """Build the network, in evaluation mode, with weights from a file; raise UserError when they don't fit."""
    original = inception.load_state_dict_from_url
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
        # The constructor downloads, and has no parameter for a file.
        inception.load_state_dict_from_url = lambda *_, **__: state
        network = inception.InceptionV3([inception.InceptionV3.BLOCK_INDEX_BY_DIM[FEATURES]]).eval()
        return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # 1.6 times as fast
    except Exception as error:  # torch.load raises whatever the bytes lead to
        reason = (str(error) or type(error).__name__).splitlines()[0][:100]
        raise UserError(
            f"{path} does not hold the weights of pytorch-fid's Inception ({reason}): use {PUBLISHED}"
        ) from None
    finally:
        inception.load_state_dict_from_url = original


def _download(target: Path) -> None:
    url = inception.FID_WEIGHTS_URL
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, whole_file(target) as partial:
            partial.write_bytes(response.read())
    except OSError as error:
        raise UserError(
            f"cannot download the Inception weights ({error}): fetch {url} elsewhere and name the file in "
            "evaluate.inception_weights or --inception-weights, or set the extractor to judge"
        ) from None
