"""What the families share: activations, normalisations, how a size is reached by doubling, and how labels come in."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import nn
from torch.nn.functional import one_hot

FIRST_SIZES = range(4, 8)
"""Heights of the smallest feature map: the image is one of these, doubled at least once."""

MOST = 2**14
"""Channels of a layer where no bound is asked for."""

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.2),
    "elu": nn.ELU,
}
"""Not in place: a residual block's shortcut takes what its branch took."""
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": partial(nn.InstanceNorm2d, affine=True),
    "none": lambda channels: nn.Identity(),
}


class Residual(nn.Module):
    """Two convolutions of 3x3 on (N, width, H, W), whose sum with their input comes out."""

    def __init__(
        self,
        width: int,
        norm: str,
        activation: Callable[[], nn.Module],
        padding_mode: Literal["zeros", "reflect"] = "zeros",
    ):
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, padding_mode=padding_mode),
            NORMS[norm](width),
            activation(),
            nn.Conv2d(width, width, 3, padding=1, padding_mode=padding_mode),
            NORMS[norm](width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.branch(x)


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


def layer_widths(width: int, image_size: int, most: int = MOST, doubled: bool = True) -> list[int]:
    """Return the channels of each layer from the image inwards: `width`, doubled or kept as the size is halved.

    None is doubled beyond `most`.
    """
    doublings = (image_size // first_size(image_size)).bit_length() - 1
    return [max(width, min(width * 2**depth, most)) if doubled else width for depth in range(doublings)]


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


class Discriminator(nn.Module):
    """What every family's discriminator says of its features, and how labels change that.

    A family computes `features`, and calls `add_heads` when it is built. `conditional` names what labels do:
    - `concat`: they are joined to the images, inside `features` (Mirza & Osindero 2014, arXiv:1411.1784);
    - `projection`: the features' product with the label's embedding is added (Miyato & Koyama 2018, arXiv:1802.05637);
    - `auxiliary`: nothing; `classify` guesses them (Odena et al. 2017, arXiv:1610.09585);
    - `classes`: nothing; `classify` guesses them, and an image is as real as its classes' logits are large, as if fakes
      were one more class, of logit 0: the logit is their logsumexp (Salimans et al. 2016, arXiv:1606.03498, section 5).
    """

    def add_heads(self, features: int, conditional: str, classes: int) -> None:
        """Add what maps (N, features) to logits."""
        self.conditional, self.classes = conditional, classes
        if conditional == "classes":
            self.to_classes = nn.Linear(features, classes)
            return
        self.to_logit = nn.Linear(features, 1)
        if conditional in ("projection", "auxiliary"):
            self.to_classes = nn.Linear(features, classes, bias=False)

    def features(self, images: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        """Return (N, features) of images (N, C, H, W); only `concat` looks at the labels."""
        raise NotImplementedError

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (N,) of images (N, C, H, W) in [-1, 1]; `concat` and `projection` need labels (N,)."""
        if self.conditional == "classes":
            return self.classify(images)[0]
        features = self.features(images, labels)
        logits = self.to_logit(features).squeeze(1)
        if self.conditional == "projection":
            # Row y of `to_classes` is the embedding of label y.
            logits = logits + (self.to_classes(features) * encoded(labels, self.classes)).sum(1)
        return logits

    def classify(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (N,) and class logits (N, classes) of images; only for `auxiliary` and `classes`."""
        features = self.features(images, None)
        if self.conditional == "classes":
            class_logits = self.to_classes(features)
            return class_logits.float().logsumexp(1), class_logits
        return self.to_logit(features).squeeze(1), self.to_classes(features)


def encoded(labels: torch.Tensor | None, classes: int) -> torch.Tensor:
    """Return labels (N,) as one-hot vectors (N, classes); raise ValueError when there are none."""
    if labels is None:
        raise ValueError(f"this network is conditional: give it labels (N,) from 0 to {classes - 1}")
    return one_hot(labels, classes)


def join_labels(vectors: torch.Tensor, labels: torch.Tensor | None, classes: int) -> torch.Tensor:
    """Return vectors (N, d) with the labels as one-hot vectors behind them, (N, d + classes)."""
    return torch.cat([vectors, encoded(labels, classes).to(vectors)], 1) if classes else vectors


def join_planes(images: torch.Tensor, labels: torch.Tensor | None, classes: int) -> torch.Tensor:
    """Return images (N, C, H, W) with a constant plane for each class, 1 for the label's, (N, C + classes, H, W)."""
    return with_planes(images, encoded(labels, classes)) if classes else images


def with_planes(maps: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Return maps (N, C, h, w) with vectors (N, d) at every place behind them, (N, C + d, h, w)."""
    planes = vectors.to(maps)[:, :, None, None].expand(-1, -1, *maps.shape[2:])
    return torch.cat([maps, planes], 1)
