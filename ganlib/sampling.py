"""Draw images from a generator."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ganlib.images import to_pixels

BATCH_SIZE = 500


@torch.no_grad()
def generate(generator: nn.Module, latents: torch.Tensor, device: torch.device) -> NDArray[np.uint8]:
    """Return (N, C, H, W) uint8 images of latents (N, latent_dim); the generator must be in evaluation mode."""
    generator.to(device)
    return np.concatenate([to_pixels(generator(batch.to(device))).cpu().numpy() for batch in latents.split(BATCH_SIZE)])
