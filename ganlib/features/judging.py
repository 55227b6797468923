"""What the judge makes of images: features and classes, in batches."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ganlib.core.console import QUIET, progress
from ganlib.core.distributed import own_rows, rank, together
from ganlib.core.images import to_unit_range
from ganlib.core.packed import AnyImages
from ganlib.features.judge import ROTATIONS, Judge
from ganlib.metrics.diversity import Labelled

BATCH_SIZE = 128
"""Few enough that a batch's feature maps stay in a processor's cache."""

TURNED = 1024
"""Images turned at a time."""


@torch.inference_mode()
def judge_images(judge: Judge, images: AnyImages, device: torch.device) -> Labelled:
    """Return the judge's features (N, 64) and classes of (N, C, H, W) uint8 images, in the order given.

    Each process judges its part of the images that all have, and all return the whole.
    """
    judge.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    features: list[torch.Tensor] = []
    classes: list[torch.Tensor] = []
    for batch in own_batches(images, BATCH_SIZE, device):
        batch_features = judge.features(to_unit_range(batch.contiguous(memory_format=torch.channels_last)))
        features.append(batch_features.cpu())
        classes.append(judge.to_logits(batch_features).argmax(1).cpu())
    judged = torch.cat(features).double().numpy(), torch.cat(classes).numpy()
    return Labelled(features=together(judged[0]), classes=together(judged[1]))


def judge_rotations(
    judge: Judge, images: AnyImages, device: torch.device
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how far each of N held-out images was turned, by none to three quarters, and what it is taken for, (4N,).

    All images turned by none come first.
    """
    judged: list[NDArray[np.int64]] = []
    for start in range(0, len(images), TURNED):
        some, quarters = images[start : start + TURNED], range(len(ROTATIONS))
        turned = (np.rot90(some, quarter, (2, 3)) for quarter in quarters)
        judged.append(np.stack([judge_images(judge, each, device).classes for each in turned]))
    classes = np.concatenate(judged, 1)  # (4, N)
    return np.arange(len(ROTATIONS)).repeat(classes.shape[1]), classes.flatten()


def asked_and_judged(asked: NDArray[np.int64], judged: NDArray[np.int64], judge: Judge) -> pd.DataFrame:
    """Return a row per image: the name of the class that was asked for, (N,), and of what the judge takes it for."""
    names = np.array(judge.class_names)
    return pd.DataFrame({"asked": names[asked], "judged": names[judged]})


def own_batches(images: AnyImages, size: int, device: torch.device) -> Iterator[torch.Tensor]:
    """Yield this process's part of (N, C, H, W) images that all have, as `batches` does."""
    return batches(images, size, device, own_rows(len(images)))


def batches(images: AnyImages, size: int, device: torch.device, rows: range | None = None) -> Iterator[torch.Tensor]:
    """Yield (N, C, H, W) images, or some rows of them, in tensors of at most `size` on a device."""
    rows = range(len(images)) if rows is None else rows
    starts = range(rows.start, rows.stop, size)
    for start in progress(starts, desc="features", unit="batch", leave=False, delay=QUIET, disable=rank() > 0):
        # Each is copied into one layout, on which the last bits of features depend.
        yield torch.from_numpy(images[start : min(start + size, rows.stop)].copy()).to(device)
