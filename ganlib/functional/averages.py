"""Moving average of the generator (Yazici et al. 2019, arXiv:1806.04498)."""

import torch
from torch import nn

RAMP = 0.05
"""Share of the images seen that the half-life may be."""


@torch.no_grad()
def update_ema(average: nn.Module, current: nn.Module, decay: float) -> None:
    """Move every parameter of `average` towards `current` by 1 - decay; copy buffers (batch norm's statistics)."""
    torch._foreach_lerp_(list(average.parameters()), list(current.parameters()), 1 - decay)
    for target, source in zip(average.buffers(), current.buffers(), strict=True):
        target.copy_(source)


def decay_for(halflife_images: int, batch_size: int, seen: int) -> float:
    """Return the decay per step under which a batch's weight halves after `halflife_images` images; 0 for 0.

    The half-life is at most a twentieth of the images `seen`, as in EDM (Karras et al. 2022, arXiv:2206.00364) and
    StyleGAN2: a short training would else publish its random start.
    """
    halflife = min(halflife_images, RAMP * seen)
    return 0.5 ** (batch_size / halflife) if halflife else 0.0
