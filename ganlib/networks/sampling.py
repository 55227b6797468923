"""Draw images from a generator."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ganlib.core.console import QUIET, progress
from ganlib.core.distributed import part, rank, together
from ganlib.core.images import to_pixels

BATCH_SIZE = 64
"""Few enough that a batch's feature maps stay in a processor's cache."""


@torch.inference_mode()
def generate(
    generator: nn.Module,
    latents: torch.Tensor,
    device: torch.device,
    labels: torch.Tensor | None = None,
    bf16: bool = False,
) -> NDArray[np.uint8]:
    """Return (N, C, H, W) uint8 images of latents (N, latent_dim), for a conditional generator with labels (N,).

    The generator must be in evaluation mode. Each process makes its part, and all return the whole.
    """
    generator.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    inputs = [part(latents)] if labels is None else [part(latents), part(labels)]
    batches = list(zip(*(tensor.to(device).split(BATCH_SIZE) for tensor in inputs), strict=True))
    shown = progress(batches, desc="images", unit="batch", leave=False, delay=QUIET, disable=rank() > 0)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        images = [to_pixels(generator(*batch)).cpu().numpy() for batch in shown]
    return together(np.concatenate(images))
