"""Images of captions in two stages (StackGAN, Zhang et al. 2017, arXiv:1612.03242), and who judges both together.

A caption is word numbers (N, L), 0 behind the last. The paper's char-CNN-RNN, trained elsewhere, is a small net here
that learns with the rest.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import interpolate

from ganlib.core.captions import FIRST, PADDING
from ganlib.networks.blocks import NORMS, Residual, initialise, with_planes
from ganlib.networks.dcgan import Discriminator, Generator, doubling
from ganlib.networks.products import Halving

KERNEL = 4
SMALL = 16
"""Height up to which the first stage's images go."""


def first_stage_size(image_size: int) -> int:
    """Return the height of the first stage's images: half of the whole, or of that, until it is 16 or less."""
    size = image_size // 2
    while size > SMALL and size % 2 == 0:
        size //= 2
    return size


class TextEncoder(nn.Module):
    """Captions (N, L) to vectors (N, length): what is found most of at any place, by nets that see five words."""

    def __init__(self, words: int, length: int):
        super().__init__()
        self.embed = nn.Embedding(words, length, padding_idx=PADDING)
        self.layers = nn.Sequential(
            nn.Conv1d(length, length, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv1d(length, length, 3, padding=1),
            nn.LeakyReLU(0.2),
        )

    def forward(self, captions: torch.Tensor) -> torch.Tensor:
        return self.layers(self.embed(captions).transpose(1, 2)).amax(2)


class ConditioningAugmentation(nn.Module):
    """What a stage is told: a condition drawn from N(mean, diag(variance)), both read from the caption.

    Conditioning augmentation, section 3.2 of the paper: captions lie so far apart that nothing is between them.
    """

    def __init__(self, words: int, length: int):
        super().__init__()
        self.reader = TextEncoder(words, length)
        self.to_normal = nn.Linear(length, 2 * length)

    def forward(self, captions: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return conditions (N, length) of standard normal noise, likewise, and KL(N(mean, variance) || N(0, 1)).

        The divergence is a mean over both dimensions, a scalar.
        """
        mean, log_variance = self.to_normal(self.reader(captions)).float().chunk(2, 1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return mean + (0.5 * log_variance).exp() * noise, divergence


class StageTwo(nn.Module):
    """Images (N, channels, h, h) and conditions (N, length) to (N, channels, H, H): stage II.

    It halves the image, joins the condition, passes so many residual blocks and doubles. What comes out is added to a
    bicubic enlargement, and is 0 at first, so that this stage begins with what the one before has reached.
    """

    def __init__(self, *, small: int, image_size: int, channels: int, length: int, width: int, blocks: int, norm: str):
        super().__init__()
        doublings = (image_size // (small // 2)).bit_length() - 1
        widths = [width * max(1, 2 ** (1 - level)) for level in range(doublings)]  # twice, then once the width
        self.halve = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), Halving(width, widths[0], KERNEL, True), nn.ReLU()
        )
        layers: list[nn.Module] = [
            nn.Conv2d(widths[0] + length, widths[0], 3, padding=1, bias=norm == "none"),
            NORMS[norm](widths[0]),
            nn.ReLU(),
            *(Residual(widths[0], norm, nn.ReLU) for _ in range(blocks)),
        ]
        for wide, narrow in pairwise([*widths, width]):
            layers += [doubling(wide, narrow, 3, "nearest", norm == "none"), NORMS[norm](narrow), nn.ReLU()]
        self.refine = nn.Sequential(*layers)
        initialise(self)
        self.to_image = nn.Conv2d(width, channels, 3, padding=1)
        for parameter in self.to_image.parameters():
            nn.init.zeros_(parameter)

    def forward(self, images: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        found = with_planes(self.halve(images), conditions).contiguous(memory_format=torch.channels_last)
        refined = self.to_image(self.refine(found))
        return refined + interpolate(images, size=refined.shape[2:], mode="bicubic")


class StackedGenerator(nn.Module):
    """Latents (N, latent_dim) and captions (N, L) to images (N, channels, image_size, image_size) in [-1, 1] or near.

    The last `2 * condition_dim` of a latent are the noise of what both stages are told.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        latents: str,
        condition_dim: int,
        vocabulary: Sequence[str],
        length: int,
        width: int,
        image_size: int,
        channels: int,
        blocks: int,
        norm: str,
    ):
        super().__init__()
        self.latent_dim, self.latents = latent_dim, latents
        self.vocabulary, self.length, self.image_size = list(vocabulary), length, image_size
        self.parts = latent_dim - 2 * condition_dim, condition_dim, condition_dim
        small, words = first_stage_size(image_size), len(vocabulary) + FIRST
        self.told = nn.ModuleList(ConditioningAugmentation(words, condition_dim) for _ in range(2))
        inputs = latent_dim - condition_dim
        self.first = Generator(
            latent_dim=inputs,
            width=width,
            image_size=small,
            channels=channels,
            kernel_size=3,
            norm=norm,
            upsampling="nearest",
        )
        self.second = StageTwo(
            small=small,
            image_size=image_size,
            channels=channels,
            length=condition_dim,
            width=width,
            blocks=blocks,
            norm=norm,
        )

    def draft(self, latents: torch.Tensor, captions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return stage I's images (N, channels, h, h), and the divergence of what it was told."""
        z, noise, _ = latents.split(self.parts, 1)
        condition, divergence = self.told[0](captions, noise)
        return self.first(torch.cat([z, condition], 1)), divergence

    def finish(
        self, drafts: torch.Tensor, latents: torch.Tensor, captions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what stage II makes of stage I's images, and the divergence of what it was told."""
        condition, divergence = self.told[1](captions, latents.split(self.parts, 1)[2])
        return self.second(drafts, condition), divergence

    def forward(self, latents: torch.Tensor, captions: torch.Tensor) -> torch.Tensor:
        return self.finish(self.draft(latents, captions)[0], latents, captions)[0]


class Draft(nn.Module):
    """Stage I of a generator alone, its images enlarged to those of stage II."""

    def __init__(self, generator: StackedGenerator):
        super().__init__()
        self.generator = generator

    def forward(self, latents: torch.Tensor, captions: torch.Tensor) -> torch.Tensor:
        size = self.generator.image_size
        return interpolate(self.generator.draft(latents, captions)[0], size=(size, size), mode="bicubic")


class CaptionDiscriminator(nn.Module):
    """Images (N, channels, H, H) in [-1, 1] and captions (N, L) to logits (N,).

    The features' product with what is read is added (Miyato & Koyama 2018, arXiv:1802.05637), where Reed et al. 2016
    (arXiv:1605.05396) join both before the last layers: so half of the digits were right where a tenth had been.
    """

    def __init__(self, *, words: int, length: int, width: int, image_size: int, channels: int, norm: str):
        super().__init__()
        self.judge = Discriminator(width=width, image_size=image_size, channels=channels, norm=norm)
        self.to_caption = nn.Linear(self.judge.to_logit.in_features, length, bias=False)
        initialise(self.to_caption)
        self.reader = TextEncoder(words, length)

    def forward(self, images: torch.Tensor, captions: torch.Tensor) -> torch.Tensor:
        features = self.judge.features(images, None)
        return self.judge.to_logit(features)[:, 0] + (self.to_caption(features) * self.reader(captions)).sum(1)
