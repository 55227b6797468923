"""Features of images, as the judge sees them."""

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.images import to_unit_range
from ganlib.metrics.diversity import Labelled
from ganlib.networks.judge import Judge

BATCH_SIZE = 500


@torch.no_grad()
def judge_images(judge: Judge, images: NDArray[np.uint8], device: torch.device) -> Labelled:
    """Return the judge's features and classes of (N, C, H, W) uint8 images, in order."""
    features: list[torch.Tensor] = []
    classes: list[torch.Tensor] = []
    for start in range(0, len(images), BATCH_SIZE):
        batch = torch.from_numpy(np.array(images[start : start + BATCH_SIZE])).to(device)
        batch_features = judge.features(to_unit_range(batch))
        features.append(batch_features.cpu())
        classes.append(judge.to_logits(batch_features).argmax(1).cpu())
    return Labelled(features=torch.cat(features).double().numpy(), classes=torch.cat(classes).numpy())
