"""Adversarial losses: pure functions of logits. D returns logits, so sigmoid and log are one stable softplus."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn.functional import relu, softplus


class Loss(NamedTuple):
    discriminator: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
    """(real_logits, fake_logits, real_label) to a scalar."""
    generator: Callable[[torch.Tensor], torch.Tensor]
    """fake_logits to a scalar."""


def nonsaturating_d_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor, real_label: float) -> torch.Tensor:
    """Cross-entropy of D (Goodfellow 2014), the real target smoothed on one side (Salimans 2016)."""
    real = real_label * softplus(-real_logits) + (1 - real_label) * softplus(real_logits)  # softplus(-x) = -log D(x)
    return real.mean() + softplus(fake_logits).mean()


def nonsaturating_g_loss(fake_logits: torch.Tensor) -> torch.Tensor:
    """-log D(G(z)): the generator loss that Goodfellow 2014 proposes against vanishing gradients."""
    return softplus(-fake_logits).mean()


def hinge_d_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor, real_label: float) -> torch.Tensor:
    """Hinge loss (Lim & Ye 2017)."""
    return relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()


def hinge_g_loss(fake_logits: torch.Tensor) -> torch.Tensor:
    """-D(G(z)): the generator's side of the hinge loss (Lim & Ye 2017)."""
    return -fake_logits.mean()


def least_squares_d_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor, real_label: float) -> torch.Tensor:
    """LSGAN (Mao et al. 2017) with targets 1 and 0."""
    return 0.5 * ((real_logits - 1).square().mean() + fake_logits.square().mean())


def least_squares_g_loss(fake_logits: torch.Tensor) -> torch.Tensor:
    """LSGAN's generator (Mao et al. 2017): fake logits are pulled to 1."""
    return 0.5 * (fake_logits - 1).square().mean()


def r1_penalty(real_logits: torch.Tensor, real_images: torch.Tensor) -> torch.Tensor:
    """Return half the mean squared norm of D's gradient at real images (Mescheder 2018, arXiv:1801.04406).

    It keeps D from telling the few real images apart by detail that no generator can match. `real_images` (N, C, H, W)
    must require a gradient and have led to `real_logits` (N,).
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), real_images, create_graph=True)
    return 0.5 * gradient.square().sum((1, 2, 3)).mean()


LOSSES = {
    "nonsaturating": Loss(nonsaturating_d_loss, nonsaturating_g_loss),
    "hinge": Loss(hinge_d_loss, hinge_g_loss),
    "least_squares": Loss(least_squares_d_loss, least_squares_g_loss),
}
