"""Images by their content: orders and choices that depend on no file order."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from ganlib.core.packed import AnyImages


def content_order(images: AnyImages) -> NDArray[np.int64]:
    """Return the order of (N, C, H, W) images by the hash of their pixels."""
    digests = (int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:8]) for image in images)
    return np.argsort(np.fromiter(digests, np.uint64, len(images)), kind="stable")


def chosen_by_content(images: AnyImages, most: int) -> NDArray[np.int64]:
    """Return which of (N, C, H, W) images are the first `most` of them by content, rising; all if there are no more."""
    return np.arange(len(images)) if len(images) <= most else np.sort(content_order(images)[:most])
