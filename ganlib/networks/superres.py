"""SRResNet: small images to large ones (Ledig et al. 2017, arXiv:1609.04802, figure 4)."""

import torch
from torch import nn

from ganlib.networks.blocks import NORMS, Residual


class SuperResolver(nn.Module):
    """Images (N, channels, h, w) to (N, channels, factor h, factor w), both in [-1, 1].

    k9n64, so many residual blocks, a skip over all of them, and each doubling a convolution whose four times as many
    channels are shuffled into pixels (Shi 2016, arXiv:1609.05158). What comes out is added to a bicubic enlargement,
    and is 0 at first, so that a short training starts from that.
    """

    def __init__(self, *, channels: int, width: int, blocks: int, factor: int, norm: str):
        super().__init__()
        self.in_channels, self.factor = channels, factor
        self.first = nn.Sequential(nn.Conv2d(channels, width, 9, padding=4), nn.PReLU())
        self.trunk = nn.Sequential(
            *(Residual(width, norm, nn.PReLU) for _ in range(blocks)),
            nn.Conv2d(width, width, 3, padding=1),
            NORMS[norm](width),
        )
        doublings = factor.bit_length() - 1
        self.larger = nn.Sequential(
            *(
                layer
                for _ in range(doublings)
                for layer in (nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.PReLU())
            )
        )
        self.last = nn.Conv2d(width, channels, 9, padding=4)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.first(images)  # (N, width, h, w)
        large = self.last(self.larger(found + self.trunk(found)))  # (N, channels, factor h, factor w)
        return large + nn.functional.interpolate(images, scale_factor=float(self.factor), mode="bicubic")
