"""Draw images from a generator."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ganlib.images import to_pixels

BATCH_SIZE = 64
"""Few enough that a batch's feature maps stay in a processor's cache."""


@torch.inference_mode()
def generate(
    generator: nn.Module, latents: torch.Tensor, device: torch.device, labels: torch.Tensor | None = None
) -> NDArray[np.uint8]:
    """Return (N, C, H, W) uint8 images of latents (N, latent_dim), for a conditional generator with labels (N,).

    The generator must be in evaluation mode.
    """
    generator.to(device)
    inputs = [latents] if labels is None else [latents, labels]
    batches = zip(*(tensor.to(device).split(BATCH_SIZE) for tensor in inputs), strict=True)
    return np.concatenate([to_pixels(generator(*batch)).cpu().numpy() for batch in batches])
