"""One network for two domains: what both have in common is in shared layers (CoGAN, Liu & Tuzel 2016, 1606.07536)."""

from itertools import pairwise

import torch
from torch import nn

from ganlib.networks.blocks import MOST, NORMS, first_size, initialise, layer_widths
from ganlib.networks.products import Doubling, Halving, Projection

KERNEL = 4
DOMAINS = A, B = 0, 1


class CoupledGenerator(nn.Module):
    """Latents (N, latent_dim) to images of both domains, (N, C, H, H) in [-1, 1]: a DCGAN with two last layers.

    `channels` are those of A and B. With `tied` all layers but the last are shared; without, each domain has its own.
    """

    def __init__(
        self, *, latent_dim: int, latents: str, width: int, image_size: int, channels: list[int], norm: str, tied: bool
    ):
        super().__init__()
        self.latent_dim, self.latents = latent_dim, latents
        widths = layer_widths(width, image_size, MOST)[::-1]

        def trunk() -> nn.Sequential:
            layers = [Projection(latent_dim, widths[0], first_size(image_size), norm == "none")]
            layers += [NORMS[norm](widths[0]), nn.ReLU()]
            for wide, narrow in pairwise(widths):
                layers += [Doubling(wide, narrow, KERNEL, norm == "none"), NORMS[norm](narrow), nn.ReLU()]
            return nn.Sequential(*layers)

        self.trunks = nn.ModuleList(trunk() for _ in (DOMAINS[:1] if tied else DOMAINS))
        self.heads = nn.ModuleList(
            nn.Sequential(Doubling(widths[-1], each, KERNEL, True), nn.Tanh()) for each in channels
        )
        initialise(self)

    def both(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the pair that each latent stands for, of A and of B."""
        found = [trunk(latents) for trunk in self.trunks]
        return self.heads[A](found[0]), self.heads[B](found[-1])

    def of(self, domain: int, latents: torch.Tensor) -> torch.Tensor:
        return self.heads[domain](self.trunks[domain if len(self.trunks) > 1 else 0](latents))

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Return the images of B."""
        return self.of(B, latents)


class OfA(nn.Module):
    """The half of a generator that makes images of A."""

    def __init__(self, generator: CoupledGenerator):
        super().__init__()
        self.generator = generator

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self.generator.of(A, latents)


class CoupledDiscriminator(nn.Module):
    """Images of either domain, (N, C, H, H) in [-1, 1], to logits (N, 1, 1, 1): a DCGAN with two first layers.

    With `tied` all layers but the first are shared; without, each domain has its own.
    """

    def __init__(self, *, width: int, image_size: int, channels: list[int], norm: str, tied: bool):
        super().__init__()
        widths = layer_widths(width, image_size, MOST)

        def trunk() -> nn.Sequential:
            layers: list[nn.Module] = []
            for narrow, wide in pairwise(widths):
                layers += [Halving(narrow, wide, KERNEL, norm == "none"), NORMS[norm](wide), nn.LeakyReLU(0.2)]
            return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, first_size(image_size)))

        self.heads = nn.ModuleList(
            nn.Sequential(Halving(each, widths[0], KERNEL, True), nn.LeakyReLU(0.2)) for each in channels
        )
        self.trunks = nn.ModuleList(trunk() for _ in (DOMAINS[:1] if tied else DOMAINS))
        initialise(self)

    def of(self, domain: int, images: torch.Tensor) -> torch.Tensor:
        return self.trunks[domain if len(self.trunks) > 1 else 0](self.heads[domain](images))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of images of B."""
        return self.of(B, images)
