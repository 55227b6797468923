"""InfoGAN against plain PyTorch and closed forms."""

import copy
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as entropy
from torch.nn.functional import cross_entropy, mse_loss

from ganlib.core.errors import UserError
from ganlib.datasets.masks import make_mask, observe
from ganlib.functional.latents import LENGTH, draw_latents, from_normal, shortened, split_latents, to_normal
from ganlib.games import infogan
from ganlib.looking.completion import search_latents
from ganlib.networks import dcgan
from ganlib.networks.mlp import dense_layers
from tests import plain_gan
from tests.plain_games import (
    CPU,
    META,
    Deep,
    adam_of,
    assert_alike,
    dense,
    descend,
    params_of,
    plain_generator,
    players_of,
    take_steps,
)
from tests.test_oracle import in_double  # noqa: F401


def test_a_last_batch_of_one_image_ends_no_probe():
    networks = {name: network.eval() for name, network in players_of(infogan, params_of()).networks.items()}
    images = np.random.default_rng(0).integers(0, 256, (257, 1, 16, 16), np.uint8)
    whole, more = (infogan.used_to(networks, images[:count], CPU) for count in (256, 257))
    for name in ("discriminator", "reader"):
        for one, other in zip(whole[name].state_dict().values(), more[name].state_dict().values(), strict=True):
            assert torch.equal(one, other)


def test_more_categories_than_images_are_refused_before_any_training():
    with pytest.raises(UserError, match=r"^games.infogan.categories = 41: there are 40 training images; lower it"):
        infogan.configs(params_of(categories=41), META)


CODES = {"categories": 3, "continuous": 2}


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("changes", [{}, {"weight": 3.0, "r1": 2.0, "r1_every": 2, "translation": 0.125}])
def test_a_step_is_that_of_plain_pytorch(changes: dict[str, float]):
    params = params_of(**CODES | changes)
    players = players_of(infogan, params)
    plain = {
        "generator": plain_generator(4 + 3 + 2),
        "discriminator": Deep(512),
        "reader": dense(512, 128, 5, 1, norm=True),
    }
    for name, network in plain.items():
        network.load_state_dict(players.networks[name].state_dict())
    batches, rows = take_steps(infogan, players, params)
    generator, discriminator, reader = plain.values()
    d_adam, g_adam = adam_of(params, (discriminator, reader)), adam_of(params, [generator])
    how = SimpleNamespace(**params.loss.model_dump() | params.train.model_dump())
    expected = []

    def code_losses(features: torch.Tensor, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        guesses = reader(features)
        category = cross_entropy(guesses[:, :3], latents[:, 4:7].argmax(1))
        return category, mse_loss(guesses[:, 3:], latents[:, 7:], reduction="sum") / 2 / len(latents)

    for number, batch in enumerate(batches, 1):
        latents, ones = batch.latents.double(), torch.ones(4)
        fakes = generator(latents, None)
        real = plain_gan.seen(batch.real_images.double(), batch, 0, how).requires_grad_()
        real_logits = discriminator.to_logit(discriminator.features(real))[:, 0]
        features = discriminator.features(plain_gan.seen(fakes.detach(), batch, 1, how))
        fake_logits = discriminator.to_logit(features)[:, 0]
        d_loss = entropy(real_logits, ones) + entropy(fake_logits, 0 * ones)
        total = d_loss + params.games.infogan.weight * sum(code_losses(features, latents))
        if params.loss.r1 and number % params.loss.r1_every == 0:
            slope = torch.autograd.grad(real_logits.sum(), real, create_graph=True)[0].flatten(1).norm(dim=1)
            total = total + params.loss.r1_every * params.loss.r1 / 2 * slope.square().mean()
        descend(d_adam, total)
        features = discriminator.features(plain_gan.seen(fakes, batch, 2, how))
        logits, losses = discriminator.to_logit(features)[:, 0], code_losses(features, latents)
        g_loss = entropy(logits, ones)
        descend(g_adam, g_loss + params.games.infogan.weight * sum(losses))
        figures = {"d_loss": d_loss, "g_loss": g_loss, "category_loss": losses[0], "number_loss": losses[1]}
        expected.append(figures | {"d_real": real_logits.sigmoid(), "d_fake_after": logits.sigmoid()})
    assert_alike(players, plain, rows, expected)


def test_q_trains_the_trunk_of_d_and_not_its_verdict():
    moved = {}
    for weight in (0, 1):
        params = params_of(**CODES, weight=weight, steps=1)
        players = players_of(infogan, params)
        before = copy.deepcopy(players.networks["discriminator"].state_dict())
        take_steps(infogan, players, params)
        after = players.networks["discriminator"].state_dict()
        moved[weight] = {name: after[name] - before[name] for name in after}
    assert not torch.equal(moved[0]["trunk.downsample.0.weight"], moved[1]["trunk.downsample.0.weight"])
    torch.testing.assert_close(moved[0]["to_logit.weight"], moved[1]["to_logit.weight"])


def test_the_information_is_bounded_by_the_codes_entropy_and_nothing_of_a_reader_that_knows_nothing():
    recipe = SimpleNamespace(categories=10, continuous=2)
    latents = draw_latents(20000, 16, torch.Generator().manual_seed(0), "normal+10+2")
    blind = infogan.losses_of(torch.zeros(20000, 12), latents, recipe)  # pyright: ignore[reportArgumentType]
    assert math.log(10) - blind[0].item() == pytest.approx(0, abs=1e-6)
    assert blind[1].item() == pytest.approx(2 / 3 / 2, rel=0.02)  # half the variance of two numbers from [-1, 1]
    sure = torch.cat([1000 * latents[:, 4:14], latents[:, 14:]], 1)
    assert [x.item() for x in infogan.losses_of(sure, latents, recipe)] == [0, 0]  # pyright: ignore[reportArgumentType]


def test_codes_are_drawn_behind_the_noise_and_alike_in_all_shares():
    random = torch.Generator().manual_seed(0)
    noise, category, numbers = split_latents(draw_latents(6000, 12, random, "uniform+3+2"), "uniform+3+2")
    assert noise.shape == (6000, 7) and noise.abs().max() <= 1
    assert ((category > 0).sum(1) == 1).all() and (category == 0).double().mean().item() == pytest.approx(2 / 3)
    torch.testing.assert_close(category.sum(1), torch.full((6000,), LENGTH))
    assert (category > 0).double().mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
    assert numbers.shape == (6000, 2) and numbers.std().item() == pytest.approx(3**-0.5, rel=0.03)


def test_walks_and_truncation_leave_a_category_alone():
    latents = draw_latents(50, 12, torch.Generator().manual_seed(0), "normal+3+2")
    normal = to_normal(latents, "normal+3+2")
    assert torch.equal(normal[:, :10], latents[:, :10])
    assert torch.equal(normal[:, 10:], to_normal(latents[:, 10:], "uniform"))
    torch.testing.assert_close(from_normal(normal, "normal+3+2"), latents)
    factors = torch.tensor([0.5, 1.0])[:, None, None]
    short = shortened(latents, factors, "normal+3+2")
    assert short.shape == (2, 50, 12) and torch.equal(short[1], latents)
    assert torch.equal(short[0, :, :7], latents[:, :7] / 2) and torch.equal(short[0, :, 7:], latents[:, 7:])


def test_the_reader_has_the_papers_hidden_layer():
    reader = infogan.configs(params_of(**CODES), META | {"image_size": 28})["reader"]
    network = dense_layers(**reader)
    sizes = [(layer.in_features, layer.out_features) for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert sizes == [(512, 128), (128, 5)]


def test_a_search_moves_noise_and_numbers_and_keeps_the_category():
    size: Any = {"width": 4, "image_size": 8, "channels": 1}
    generator = dcgan.Generator(latent_dim=12, latents="normal+3+2", **size).eval()
    discriminator = dcgan.Discriminator(**size).eval()
    starts = draw_latents(6, 12, torch.Generator().manual_seed(0), "normal+3+2")
    mask = make_mask("centre", 8, torch.Generator())
    known, settings = observe(torch.rand(6, 1, 8, 8), mask), params_of().complete
    arguments = generator, discriminator, known, mask, starts, None, lambda scores: -scores, settings, 5
    found, _ = search_latents(*arguments)
    assert torch.equal(found[:, 7:10], starts[:, 7:10])
    assert (found[:, :7] != starts[:, :7]).all() and (found[:, 10:] != starts[:, 10:]).all()
    assert found[:, 10:].abs().max() <= 1
