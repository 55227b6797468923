"""The adversarial autoencoder against plain PyTorch."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as entropy

from ganlib.games import aae
from tests.plain_games import (
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


class Encoder(nn.Module):
    """A discriminator's trunk and a linear layer in the place of its own."""

    def __init__(self, latent_dim: int):
        super().__init__()
        self.trunk = plain_discriminator()
        self.to_latents = nn.Linear(128, latent_dim).double()
        del self.trunk.to_logit

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.to_latents(trunk(self.trunk, images))


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("changes", [{}, {"adversary": 0}, {"adversary": 5.0, "r1": 2.0, "r1_every": 2}])
def test_a_step_is_that_of_plain_pytorch(changes: dict[str, Any]):
    params = params_of(**changes)
    players = players_of(aae, params)
    plain = {"generator": plain_generator(4), "encoder": Encoder(4), "critic": dense(4, 64, 1, 2, norm=False)}
    for name, network in plain.items():
        network.load_state_dict(players.networks[name].state_dict())
    batches, rows = take_steps(aae, players, params)
    generator, encoder, critic = plain.values()
    d_adam, g_adam = adam_of(params, [critic]), adam_of(params, [generator, encoder])
    ones, expected = torch.ones(4), []
    for number, batch in enumerate(batches, 1):
        latents, images = batch.latents.double().requires_grad_(), batch.real_images.double()
        codes = encoder(images)
        rebuilt = generator(codes, None)
        real_logits, fake_logits = critic(latents)[:, 0], critic(codes.detach())[:, 0]
        d_loss = total = entropy(real_logits, ones) + entropy(fake_logits, 0 * ones)
        if params.loss.r1 and number % params.loss.r1_every == 0:
            slope = torch.autograd.grad(real_logits.sum(), latents, create_graph=True)[0].norm(dim=1)
            total = total + params.loss.r1_every * params.loss.r1 / 2 * slope.square().mean()
        descend(d_adam, total)
        g_loss = entropy(critic(codes)[:, 0], ones)
        errors = (rebuilt - images).square().flatten(1)
        # -log N(x | G(E(x)), 1) of pixels from 0 to 1, but for a constant
        descend(g_adam, (errors / 4).sum(1).mean() / 2 + params.games.aae.adversary * g_loss)
        expected.append({"d_loss": d_loss, "g_loss": g_loss, "reconstruction": errors, "d_real": real_logits.sigmoid()})
    assert_alike(players, plain, rows, expected)


def test_without_an_adversary_the_latents_drawn_change_nothing_but_the_critic():
    players = [players_of(aae, params_of(adversary=0, latents=kind)) for kind in ("normal", "uniform")]
    for own, kind in zip(players, ("normal", "uniform"), strict=True):
        take_steps(aae, own, params_of(adversary=0, latents=kind))
    for name in ("generator", "encoder"):
        first, second = (own.networks[name].state_dict() for own in players)
        assert all(torch.equal(first[key], second[key]) for key in first)
    first, second = (own.networks["critic"].state_dict() for own in players)
    assert not torch.equal(first["1.0.weight"], second["1.0.weight"])
