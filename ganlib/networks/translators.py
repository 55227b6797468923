"""Networks from images to images of the same size: a U-Net, an encoder and decoder without skips, a residual one."""

from typing import Any

import torch
from torch import nn

from ganlib.networks.blocks import NORMS, Residual, initialise

MOST = 8
"""Times `width` that a layer has channels at most (Isola 2017)."""


def halvings(image_size: int, most: int) -> int:
    """Return how often an image can be halved before its side is odd, at most `most`."""
    count = 0
    while count < most and image_size % 2 == 0:
        image_size, count = image_size // 2, count + 1
    return count


class Translator(nn.Module):
    """Images (N, in_channels, H, H) to (N, out_channels, H, H), both in [-1, 1] (Isola et al. 2017, arXiv:1611.07004).

    C64-C128-C256-C512-... and back, each layer a convolution of 4x4 and stride 2. With `skips` every layer on the way
    back also sees its mirror on the way in: a U-Net (Ronneberger 2015). Without, it is a context encoder (Pathak 2016)
    whose bottleneck is the innermost convolution. The outermost and innermost layers have no norm. The paper's dropout
    is left out, so that a translation is one image.
    """

    def __init__(
        self, *, image_size: int, in_channels: int, out_channels: int, width: int, depth: int, norm: str, skips: bool
    ):
        super().__init__()
        self.in_channels, self.image_size, self.skips = in_channels, image_size, skips
        depth = halvings(image_size, depth)
        widths = [min(2**level, MOST) * width for level in range(depth)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, channels in enumerate(widths):
            plain = level in (0, depth - 1)
            self.down.append(
                nn.Sequential(
                    nn.LeakyReLU(0.2) if level else nn.Identity(),
                    nn.Conv2d(widths[level - 1] if level else in_channels, channels, 4, 2, 1, bias=plain),
                    nn.Identity() if plain else NORMS[norm](channels),
                )
            )
        for level in reversed(range(depth)):
            joined = widths[level] * (2 if skips and level < depth - 1 else 1)
            outputs = widths[level - 1] if level else out_channels
            self.up.append(
                nn.Sequential(
                    nn.ReLU(),
                    nn.ConvTranspose2d(joined, outputs, 4, 2, 1, bias=not level),
                    NORMS[norm](outputs) if level else nn.Tanh(),
                )
            )
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        seen: list[torch.Tensor] = []
        x = images
        for layer in self.down:
            x = layer(x)  # (N, width, H / 2, H / 2) ... (N, 8 width, H / 2^depth, H / 2^depth)
            seen.append(x)
        for number, (layer, mirror) in enumerate(zip(self.up, reversed(seen), strict=True)):
            x = layer(torch.cat([x, mirror], 1) if self.skips and number else x)
        return x


class ResidualTranslator(nn.Module):
    """Images (N, in_channels, H, H), H divisible by 4, to (N, out_channels, H, H), both in [-1, 1].

    Johnson et al. 2016 (arXiv:1603.08155) as in Zhu et al. 2017 (arXiv:1703.10593, section 7.2): c7s1-64, d128, d256,
    so many residual blocks, u128, u64 and c7s1; images are mirrored beyond their borders.
    """

    def __init__(self, *, image_size: int, in_channels: int, out_channels: int, width: int, blocks: int, norm: str):
        super().__init__()
        self.in_channels, self.image_size = in_channels, image_size
        layers: list[nn.Module] = []

        def add(convolution: nn.Module, channels: int) -> None:
            layers.extend([convolution, NORMS[norm](channels), nn.ReLU()])

        add(nn.Conv2d(in_channels, width, 7, padding=3, padding_mode="reflect"), width)
        for inputs in (width, 2 * width):
            add(nn.Conv2d(inputs, 2 * inputs, 3, 2, 1), 2 * inputs)
        layers += [Residual(4 * width, norm, nn.ReLU, "reflect") for _ in range(blocks)]
        for outputs in (2 * width, width):
            add(nn.ConvTranspose2d(2 * outputs, outputs, 3, 2, 1, output_padding=1), outputs)
        last = nn.Conv2d(width, out_channels, 7, padding=3, padding_mode="reflect")
        self.layers = nn.Sequential(*layers, last, nn.Tanh())
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


def build_translator(*, kind: str, **shape: Any) -> nn.Module:
    """Return a U-Net, `unet`, or a `residual` translator."""
    return ResidualTranslator(**shape) if kind == "residual" else Translator(**shape, skips=True)


def box_of(hidden: list[str]) -> tuple[slice, slice]:
    """Return the rows and the columns of the smallest rectangle around the pixels that are 1."""
    rows = [number for number, row in enumerate(hidden) if "1" in row]
    columns = [number for number, column in enumerate(zip(*hidden, strict=True)) if "1" in column]
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


class Inpainter(nn.Module):
    """Images (N, channels, H, H) whose hole is grey to images whose hole is filled, both in [-1, 1].

    `hidden` are rows of the hole, with a 1 for each pixel in it; what lies outside is kept.
    """

    def __init__(self, *, image_size: int, channels: int, width: int, depth: int, norm: str, hidden: list[str]):
        super().__init__()
        shape: dict[str, Any] = {"image_size": image_size, "in_channels": channels, "out_channels": channels}
        self.translator = Translator(**shape, width=width, depth=depth, norm=norm, skips=False)
        self.register_buffer("hidden", torch.tensor([[pixel == "1" for pixel in row] for row in hidden]))
        self.rows, self.columns = box_of(hidden)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.translator(images).to(images).where(self.hidden, images)
