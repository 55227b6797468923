"""PatchGAN: a discriminator that says of every patch of an image whether it is real (Isola et al. 2017)."""

import torch
from torch import nn

from ganlib.networks.blocks import NORMS, initialise

MOST = 8
"""Times `width` that a layer has channels at most."""


class PatchDiscriminator(nn.Module):
    """Images (N, channels, H, W) to logits (N, 1, h, w) of overlapping patches (arXiv:1611.07004, section 3.2.2).

    `layers` convolutions of 4x4 and stride 2, then two of stride 1: a logit sees 9 * 2^layers - 2 pixels a side.
    """

    def __init__(self, *, channels: int, width: int, layers: int, norm: str):
        super().__init__()
        widths = [min(2**level, MOST) * width for level in range(layers + 1)]
        stages: list[nn.Module] = []
        for level, outputs in enumerate(widths):
            inputs, stride = (widths[level - 1] if level else channels), (2 if level < layers else 1)
            stages += [nn.Conv2d(inputs, outputs, 4, stride, 1, bias=not level)]
            stages += [NORMS[norm](outputs)] if level else []
            stages += [nn.LeakyReLU(0.2)]
        self.stages = nn.Sequential(*stages, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.stages(images)
