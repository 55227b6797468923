"""The bidirectional GAN against plain PyTorch."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from ganlib.functional.losses import LOSSES
from ganlib.games import bigan
from tests import plain_gan
from tests.plain_games import (
    Deep,
    adam_of,
    assert_alike,
    dense,
    descend,
    params_of,
    plain_discriminator,
    plain_generator,
    players_of,
    take_steps,
    trunk,
)
from tests.test_oracle import in_double  # noqa: F401


class DeepEncoder(nn.Module):
    """A discriminator's trunk, a hidden layer, and a linear one."""

    def __init__(self, latent_dim: int):
        super().__init__()
        self.trunk, self.to_latents = Deep(64), nn.Linear(64, latent_dim).double()
        del self.trunk.to_logit

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.to_latents(self.trunk.features(images))


class Pairs(nn.Module):
    """A discriminator's trunk beside an embedding of the latents, and a hidden layer over both."""

    def __init__(self, latent_dim: int):
        super().__init__()
        self.trunk = plain_discriminator()
        self.embed = nn.Sequential(nn.Linear(latent_dim, 64), nn.Identity(), nn.LeakyReLU(0.2)).double()
        self.to_logit = dense(128 + 64, 64, 1, 1, norm=False)
        del self.trunk.to_logit

    def forward(self, images: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        return self.to_logit(torch.cat([trunk(self.trunk, images), self.embed(latents)], 1))[:, 0]


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize(
    "changes",
    [*({"name": name} for name, loss in LOSSES.items() if not loss.relative), {"r1": 2.0, "translation": 0.125}],
)
def test_a_step_is_that_of_plain_pytorch(changes: dict[str, Any]):
    params = params_of(**changes)
    players = players_of(bigan, params)
    plain = {"generator": plain_generator(4), "encoder": DeepEncoder(4), "pair_discriminator": Pairs(4)}
    for name, network in plain.items():
        network.load_state_dict(players.networks[name].state_dict())
    batches, rows = take_steps(bigan, players, params)
    generator, encoder, discriminator = plain.values()
    d_adam, g_adam = adam_of(params, [discriminator]), adam_of(params, [generator, encoder])
    how = SimpleNamespace(**params.loss.model_dump() | params.train.model_dump())
    expected = []
    for number, batch in enumerate(batches, 1):
        latents, images = batch.latents.double(), batch.real_images.double()
        fakes, codes = generator(latents, None), encoder(images)
        real = plain_gan.seen(images, batch, 0, how).requires_grad_()
        real_logits = discriminator(real, codes.detach())
        fake_logits = discriminator(plain_gan.seen(fakes.detach(), batch, 1, how), latents)
        d_loss = total = plain_gan.D_LOSSES[how.name](real_logits, fake_logits, batch.targets.double())
        if how.r1 and number % how.r1_every == 0:
            slope = torch.autograd.grad(real_logits.sum(), real, create_graph=True)[0].flatten(1).norm(dim=1)
            total = total + how.r1_every * how.r1 / 2 * slope.square().mean()
        descend(d_adam, total)
        logits = discriminator(plain_gan.seen(fakes, batch, 2, how), latents)
        swapped = discriminator(real.detach(), codes)
        middle = 1 if how.name == "least_squares" else 0  # twice the logit where D is undecided
        g_loss = plain_gan.G_LOSSES[how.name](logits) + plain_gan.G_LOSSES[how.name](middle - swapped)
        descend(g_adam, g_loss)
        expected.append({"d_loss": d_loss, "g_loss": g_loss, "d_real": real_logits.sigmoid()})
    assert_alike(players, plain, rows, expected)


@pytest.mark.parametrize("name", ["nonsaturating", "least_squares"])
def test_the_encoders_loss_is_d_s_own_with_the_labels_swapped(name: str):
    logits, loss = torch.randn(50), LOSSES[name]
    zeros = torch.zeros(50)
    swapped = loss.discriminator(logits, zeros, zeros, zeros) - loss.discriminator(zeros, zeros, zeros, zeros)
    at_zero = loss.generator(bigan.mirrored(zeros, loss))
    torch.testing.assert_close(loss.generator(bigan.mirrored(logits, loss)) - at_zero, swapped)
