"""What the judge makes of images: features and classes, in batches."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ganlib.core.console import QUIET, progress
from ganlib.core.distributed import array_part, rank, together
from ganlib.core.images import to_unit_range
from ganlib.features.judge import Judge, four_rotations
from ganlib.metrics.diversity import Labelled

BATCH_SIZE = 128
"""Few enough that a batch's feature maps stay in a processor's cache."""

Images = NDArray[np.uint8]


@torch.inference_mode()
def judge_images(judge: Judge, images: Images, device: torch.device) -> Labelled:
    """Return the judge's features (N, 64) and classes of (N, C, H, W) uint8 images, in the order given.

    Each process judges its part of the images that all have, and all return the whole.
    """
    judge.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    features: list[torch.Tensor] = []
    classes: list[torch.Tensor] = []
    for batch in batches(array_part(images), BATCH_SIZE, device):
        batch_features = judge.features(to_unit_range(batch.contiguous(memory_format=torch.channels_last)))
        features.append(batch_features.cpu())
        classes.append(judge.to_logits(batch_features).argmax(1).cpu())
    judged = torch.cat(features).double().numpy(), torch.cat(classes).numpy()
    return Labelled(features=together(judged[0]), classes=together(judged[1]))


def judge_confusion(
    judge: Judge, images: Images, labels: NDArray[np.int64] | None, device: torch.device
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the true and the judged class of held-out images, two (N,); without labels, of the images' 4 rotations."""
    if labels is not None:
        return labels, judge_images(judge, images, device).classes
    turned, rotations = four_rotations(torch.from_numpy(np.array(images)))
    return rotations.numpy(), judge_images(judge, turned.numpy(), device).classes


def asked_and_judged(asked: NDArray[np.int64], judged: NDArray[np.int64], judge: Judge) -> pd.DataFrame:
    """Return a row per image: the name of the class that was asked for, (N,), and of what the judge takes it for."""
    names = np.array(judge.class_names)
    return pd.DataFrame({"asked": names[asked], "judged": names[judged]})


def batches(images: Images, size: int, device: torch.device) -> Iterator[torch.Tensor]:
    """Yield (N, C, H, W) images in tensors of at most `size` on a device."""
    starts = range(0, len(images), size)
    for start in progress(starts, desc="features", unit="batch", leave=False, delay=QUIET, disable=rank() > 0):
        # Each is copied into one layout, on which the last bits of features depend.
        yield torch.from_numpy(images[start : start + size].copy()).to(device)
