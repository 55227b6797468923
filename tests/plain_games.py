"""What the tests of several games share: their players at 16 pixels, and the same networks in plain PyTorch."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from ganlib.core.schema import Params
from ganlib.training.game import Draws, Players, build_players
from tests import plain_gan
from tests.test_training import CPU, settings

META = {"image_size": 16, "channels": 1, "class_names": [], "counts_per_class": {"train": {}}, "aspect": 1.0}
META |= {"counts": {"train": 40}}
PLAIN = {
    "precision": "fp32",
    "batch_size": 4,
    "width": 4,
    "lr": 1e-3,
    "lr_decay_start": 1,
    "real_label_low": 1,
    "real_label_high": 1,
    "r1": 0,
    "translation": 0,
}
"""The simplest settings; a case names what it adds."""

Tensor = torch.Tensor


def params_of(**changes: Any) -> Params:
    return settings(**PLAIN | changes)


def players_of(game: Any, params: Params) -> Players:
    """Build a game's players, with weights so large that every loss has a slope."""
    configs = game.configs(params, META)
    assert configs.keys() == game.BUILDERS.keys()
    networks = {name: build(**configs[name]) for name, build in game.BUILDERS.items()}
    random = torch.Generator().manual_seed(0)
    for network in networks.values():
        for weight in network.parameters():
            nn.init.normal_(weight, 0.0, 0.3, random)
    return build_players(networks, game, params.lr, params.train.betas, CPU)


def take_steps(game: Any, players: Players, params: Params) -> tuple[list[Any], list[dict[str, float]]]:
    """Take all steps of the params on 40 random images; return the batches and what the game measures of each step."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 1, 16, 16), dtype=torch.uint8, generator=random)
    draws, constant, batches, rows = Draws(1), game.recipe(params, CPU), [], []
    for number in range(1, params.steps + 1):
        recipe = game.recipe_at(number, constant, params)
        drawn = game.draw({"images": images}, draws, recipe, params)
        batches += drawn
        measured = game.measure(game.step(players, [own(batch) for batch in drawn], recipe))
        rows.append({name: value.item() for name, value in measured.items()})
    return batches, rows


def own(batch: Any) -> Any:
    """Return a copy of a batch, as precise as the test asks for: a step may ask its tensors for gradients."""
    return type(batch)(
        *(x.clone().to(torch.get_default_dtype()) if x is not None and x.is_floating_point() else x for x in batch)
    )


def plain_discriminator() -> plain_gan.Discriminator:
    return plain_gan.Discriminator(4, 1, 0, "none", norm=True, spectral=False).double()


def plain_generator(latent_dim: int) -> plain_gan.Generator:
    return plain_gan.Generator(latent_dim, 4, 1, 0).double()


def trunk(discriminator: Any, images: Tensor) -> Tensor:
    """Return (N, 128) features of images (N, 1, 16, 16)."""
    return discriminator.downsample(images).movedim(1, 3).flatten(1)


class Deep(nn.Module):
    """A discriminator with a hidden layer between its trunk and its verdict."""

    def __init__(self, units: int):
        super().__init__()
        self.trunk, hidden = plain_discriminator(), [nn.Linear(128, units), nn.BatchNorm1d(units), nn.LeakyReLU(0.2)]
        self.hidden, self.to_logit = nn.Sequential(*hidden).double(), nn.Linear(units, 1).double()
        del self.trunk.to_logit

    def features(self, images: Tensor) -> Tensor:
        return self.hidden(trunk(self.trunk, images))


def dense(inputs: int, units: int, outputs: int, layers: int, norm: bool) -> nn.Sequential:
    """Return hidden layers with leaky rectifiers, and a linear one."""
    hidden = [
        nn.Sequential(
            nn.Linear(inputs if layer == 0 else units, units),
            nn.BatchNorm1d(units) if norm else nn.Identity(),
            nn.LeakyReLU(0.2),
        )
        for layer in range(layers)
    ]
    return nn.Sequential(*hidden, nn.Linear(units, outputs)).double()


def descend(adam: torch.optim.Adam, loss: Tensor) -> None:
    """Take one step of Adam, for its own weights alone."""
    weights = [weight for group in adam.param_groups for weight in group["params"]]
    for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
        weight.grad = gradient
    adam.step()


def adam_of(params: Params, networks: Iterable[nn.Module]) -> torch.optim.Adam:
    return torch.optim.Adam([w for network in networks for w in network.parameters()], params.lr, params.train.betas)


def assert_alike(players: Players, plain: dict[str, Any], rows: Sequence[dict[str, float]], expected: Any) -> None:
    """Compare all weights and statistics, and each step's figures."""
    for name, network in plain.items():
        ours = players.networks[name].state_dict()
        assert ours.keys() == network.state_dict().keys()
        for key, value in network.state_dict().items():
            torch.testing.assert_close(ours[key].to(value), value, atol=1e-6, rtol=0, msg=f"{name}.{key}")
    for row, wanted in zip(rows, expected, strict=True):
        for name, value in wanted.items():
            assert abs(row[name] - value.mean().item()) < 1e-6, name
