"""What the families share: activations, normalisations, and how a size is reached by doubling."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

FIRST_SIZES = range(4, 8)
"""Heights of the smallest feature map: the image is one of these, doubled at least once."""

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": partial(nn.LeakyReLU, 0.2, inplace=True),
    "elu": partial(nn.ELU, inplace=True),
}
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": partial(nn.InstanceNorm2d, affine=True),
    "none": lambda channels: nn.Identity(),
}


def first_size(image_size: int) -> int:
    """Return the height 4 to 7 that doubles up to `image_size`; raise ValueError when none does."""
    size = image_size
    while size not in FIRST_SIZES:
        if size % 2 or size < FIRST_SIZES.start:
            raise ValueError(f"{image_size} is not 4, 5, 6 or 7 doubled one or more times")
        size //= 2
    if size == image_size:
        raise ValueError(f"{image_size} is not 4, 5, 6 or 7 doubled one or more times")
    return size


def layer_widths(width: int, image_size: int) -> list[int]:
    """Return the channels of each layer from the image inwards: `width`, doubled each time the size is halved."""
    doublings = (image_size // first_size(image_size)).bit_length() - 1
    return [width * 2**depth for depth in range(doublings)]


def initialise(network: nn.Module) -> None:
    """Draw weights from N(0, 0.02) and norms' scales from N(1, 0.02), as in Radford 2015; biases are 0."""
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, (nn.BatchNorm2d, nn.InstanceNorm2d)):
            nn.init.normal_(module.weight, 1.0, 0.02)
        if isinstance(getattr(module, "bias", None), torch.Tensor):
            nn.init.zeros_(module.bias)  # pyright: ignore[reportArgumentType]


def apply_spectral_norm(network: nn.Module) -> None:
    """Divide every weight by its largest singular value (Miyato et al. 2018, arXiv:1802.05957)."""
    for module in list(network.modules()):
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.utils.parametrizations.spectral_norm(module)
