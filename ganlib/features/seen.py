"""What the judge stage has seen of the real images, once for all who look at them again."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.core.errors import UserError
from ganlib.core.packed import AnyImages, rows_of
from ganlib.features.eyes import Extractor
from ganlib.features.judge import Judge
from ganlib.features.judging import judge_images
from ganlib.metrics.diversity import Labelled


class Seen(NamedTuple):
    """n images of a split: all, or those `evaluate.reference_images` that their content has chosen."""

    rows: NDArray[np.int64]
    """(n,), which images of the split they are, rising."""
    classes: NDArray[np.int64]
    """(n,), what the judge takes them for."""
    judged: NDArray[np.float32]
    """(n, 64), their features in the judge."""
    lite0: NDArray[np.float32] | None
    """(n, 128), their features in lite0; None where it does not watch the training."""

    def described(self, extractor: Extractor, images: AnyImages, device: torch.device) -> Labelled:
        """Return what an extractor says of them, in this order; one that has not seen these images looks at them."""
        known = {"domain_": self.judged, "lite0_": self.lite0}.get(extractor.prefix)
        if known is not None:
            return Labelled(features=known.astype(np.float64), classes=self.classes)
        assert extractor.features, "the judge has seen all"
        return Labelled(features=extractor.features(images, device), classes=self.classes)


def look(
    images: NDArray[np.uint8], rows: NDArray[np.int64], judge: Judge, lite0: Extractor | None, device: torch.device
) -> Seen:
    """Look at rows (n,) of the images (N, C, H, W) of a split, with the judge and lite0 if it is given."""
    chosen = rows_of(images, rows)
    judged = judge_images(judge, chosen, device)
    features = lite0.features(chosen, device).astype(np.float32) if lite0 and lite0.features else None
    return Seen(rows, judged.classes, judged.features.astype(np.float32), features)


def save_seen(folder: Path, split: str, seen: Seen) -> None:
    """Write a file for each array."""
    for name, array in seen._asdict().items():
        if array is not None:
            np.save(seen_path(folder, split, name), array)


def load_seen(folder: Path, split: str) -> Seen:
    """Read what `save_seen` wrote; raise UserError where an older judge stage has written less."""
    arrays: dict[str, Any] = {"lite0": None}
    for name, path in ((name, seen_path(folder, split, name)) for name in Seen._fields):
        if path.is_file():
            arrays[name] = np.load(path)
        elif name not in arrays:
            raise UserError(f"{path} is not there: run dvc repro judge")
    return Seen(**arrays)


def seen_path(folder: Path, split: str, name: str) -> Path:
    return folder / f"{split}_{name}.npy"
