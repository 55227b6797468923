"""Moving average of the generator (Yazici et al. 2019, arXiv:1806.04498)."""

import torch
from torch import nn


@torch.no_grad()
def update_ema(average: nn.Module, current: nn.Module, decay: float) -> None:
    """Move every parameter of `average` towards `current` by 1 - decay; copy buffers (batch norm's statistics)."""
    torch._foreach_lerp_(list(average.parameters()), list(current.parameters()), 1 - decay)
    for target, source in zip(average.buffers(), current.buffers(), strict=True):
        target.copy_(source)


def decay_for(halflife_images: int, batch_size: int) -> float:
    """Return the decay per step under which a batch's weight halves after `halflife_images` images; 0 for 0."""
    return 0.5 ** (batch_size / halflife_images) if halflife_images else 0.0
