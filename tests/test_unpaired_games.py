"""Games without partners: their steps in plain PyTorch, their pools, and two processes that share one training."""

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import multiprocessing, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

from ganlib.core.errors import UserError
from ganlib.core.launch import joined
from ganlib.games import cyclegan, dualgan
from ganlib.networks.pool import Pool, draw_picks
from ganlib.training.game import Draws, Players, build_networks, build_players
from ganlib.training.loop import own_part
from tests.test_distributed import free_port, left_by, place
from tests.test_pair_games import params_of
from tests.test_training import CPU

META: dict[str, Any] = {side: {"image_size": 16, "channels": 1} for side in ("a", "b")}


def players_of(game: Any, params: Any) -> Players:
    return build_players(build_networks(game, game.configs(params, META), 1), game, 1e-3, (0.5, 0.999), CPU)


def data(count: int = 24) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    shape = count, 1, 16, 16
    return {name: torch.randint(0, 256, shape, dtype=torch.uint8, generator=random) for name in ("a", "images")}


def descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


class Plain:
    """The game as its authors' code has it: a pool is a list, discriminators learn of what it gives."""

    def __init__(self, players: Players, size: int):
        names = "generator", "back_generator", "discriminator", "back_discriminator"
        self.g, self.f, self.d_b, self.d_a = (copy.deepcopy(players.networks[name]) for name in names)
        self.optimizers = [
            torch.optim.Adam([*one.parameters(), *other.parameters()], 1e-3, (0.5, 0.999))
            for one, other in ((self.d_b, self.d_a), (self.g, self.f))
        ]
        self.size, self.pools = size, (list[torch.Tensor](), list[torch.Tensor]())

    def from_pool(self, number: int, fakes: torch.Tensor, batch: Any) -> torch.Tensor:
        """Return what D sees; chance as it was drawn for the game."""
        pool, shown = self.pools[number], list[torch.Tensor]()
        for fake, slot, old in zip(fakes.detach(), batch.slots[number], batch.old[number], strict=True):
            if len(pool) < self.size:
                pool.append(fake)
                shown.append(fake)
            elif old:
                shown.append(pool[slot])
                pool[slot] = fake
            else:
                shown.append(fake)
        return torch.stack(shown)

    def step(self, batch: Any, r1: float, cycle_weight: float, identity_weight: float) -> tuple[float, float]:
        fake_b, fake_a = self.g(batch.a), self.f(batch.b)
        d_loss, total = torch.zeros(()), torch.zeros(())
        for number, (critic, real, fake) in enumerate(((self.d_b, batch.b, fake_b), (self.d_a, batch.a, fake_a))):
            real = real.clone().requires_grad_()
            said, other = critic(real), critic(self.from_pool(number, fake, batch))
            loss = binary_cross_entropy_with_logits(said, torch.ones_like(said))
            loss = loss + binary_cross_entropy_with_logits(other, torch.zeros_like(other))
            slope = torch.autograd.grad(said.mean((1, 2, 3)).sum(), real, create_graph=True)[0]
            d_loss, total = d_loss + loss, total + loss + r1 * 0.5 * slope.flatten(1).norm(dim=1).square().mean()
        cycle = l1_loss(self.f(fake_b), batch.a) + l1_loss(self.g(fake_a), batch.b)
        identity = l1_loss(self.g(batch.b), batch.b) + l1_loss(self.f(batch.a), batch.a)
        descend(self.optimizers[0], total)
        believed = self.d_b(fake_b), self.d_a(fake_a)
        g_loss = cycle_weight * cycle + identity_weight * identity
        for logits in believed:
            g_loss = g_loss + binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
        descend(self.optimizers[1], g_loss)
        return float(d_loss.detach()), float(g_loss.detach())


def test_steps_of_cyclegan_are_those_of_plain_pytorch_with_a_list_for_a_pool(tmp_path: Path):
    params = params_of(
        tmp_path, "cyclegan", train__precision="fp32", games__cyclegan__identity="2", games__cyclegan__pool="8",
        batch_size="4", loss__r1_every="1", games__cyclegan__cycle="3",
    )  # fmt: skip
    players = players_of(cyclegan, params)
    plain, draws, constant, olds = Plain(players, 8), Draws(1), cyclegan.recipe(params, CPU), 0
    for number in range(1, 7):
        recipe = cyclegan.recipe_at(number, constant, params)
        (batch,) = cyclegan.draw(data(), draws, recipe, params)
        assert batch.old is not None
        olds += int(batch.old.sum())
        assert (number <= 2) == (not batch.old.any())  # two batches of 4 fill a pool of 8
        result = cyclegan.step(players, [batch], recipe)
        d_loss, g_loss = plain.step(batch, 1.0, 3.0, 2.0)
        assert float(result.d_loss) == pytest.approx(d_loss, rel=1e-4)
        assert float(result.g_loss) == pytest.approx(g_loss, rel=1e-4)
    assert 8 < olds < 24
    names = "generator", "back_generator", "discriminator", "back_discriminator"
    for name, network in zip(names, (plain.g, plain.f, plain.d_b, plain.d_a), strict=True):
        for ours, other in zip(players.networks[name].parameters(), network.parameters(), strict=True):
            assert (ours - other).abs().mean() < 1e-4, name  # six of Adam's steps are 6e-3
    for name, pool in zip(("pool", "back_pool"), plain.pools, strict=True):
        torch.testing.assert_close(players.networks[name].images, torch.stack(pool), atol=1e-3, rtol=0)


def test_a_step_of_dualgan_is_a_clipped_critics_in_plain_pytorch(tmp_path: Path):
    params = params_of(tmp_path, "dualgan", train__precision="fp32", batch_size="4", games__dualgan__cycle="7")
    players = players_of(dualgan, params)
    names = "generator", "back_generator", "discriminator", "back_discriminator"
    g, f, d_b, d_a = (copy.deepcopy(players.networks[name]) for name in names)
    critics = torch.optim.Adam([*d_b.parameters(), *d_a.parameters()], 1e-3, (0.5, 0.999))
    translators = torch.optim.Adam([*g.parameters(), *f.parameters()], 1e-3, (0.5, 0.999))
    recipe, draws = dualgan.recipe(params, CPU), Draws(1)
    for number in (1, 2):
        (batch,) = dualgan.draw(data(), draws, recipe, params)
        result = dualgan.step(players, [batch], dualgan.recipe_at(number, recipe, params))
        fake_b, fake_a = g(batch.a), f(batch.b)
        d_loss = d_b(fake_b.detach()).mean() - d_b(batch.b).mean() + d_a(fake_a.detach()).mean() - d_a(batch.a).mean()
        descend(critics, d_loss)
        for weight in (*d_b.parameters(), *d_a.parameters()):
            weight.data.clamp_(-0.05, 0.05)
        g_loss = (
            7 * (l1_loss(f(fake_b), batch.a) + l1_loss(g(fake_a), batch.b)) - d_b(fake_b).mean() - d_a(fake_a).mean()
        )
        descend(translators, g_loss)
        assert float(result.d_loss) == pytest.approx(float(d_loss.detach()), rel=1e-3, abs=1e-5)
        assert float(result.g_loss) == pytest.approx(float(g_loss.detach()), rel=1e-4)
    for name, network in zip(names, (g, f, d_b, d_a), strict=True):
        for ours, other in zip(players.networks[name].parameters(), network.parameters(), strict=True):
            assert (ours - other).abs().mean() < 2e-5, name
    weights = torch.cat([weight.detach().flatten() for weight in players.networks["discriminator"].parameters()])
    assert weights.abs().max() == torch.tensor(0.05)


def test_a_pool_that_is_not_full_keeps_all_and_a_full_one_exchanges_half():
    random = torch.Generator().manual_seed(0)
    pool, given = Pool(size=4, channels=1, image_size=1), 0
    for seen in range(0, 4000, 2):
        picks = draw_picks(1, 2, 4, seen, random)
        new = torch.arange(seen, seen + 2.0).view(2, 1, 1, 1)
        before = set(pool.images.flatten().tolist())
        shown = pool.exchange(new, *(each[0] for each in picks)).flatten().tolist()
        after = set(pool.images.flatten().tolist())
        if seen < 4:
            assert shown == [seen, seen + 1] and {seen, seen + 1} <= after
        else:  # what is there afterwards and what was shown are, together, what was there and what was new
            assert sorted([*shown, *after]) == sorted([*before, seen, seen + 1])
            given += sum(value < seen for value in shown)
    assert given == pytest.approx(2000, abs=120)


def test_pools_under_a_batch_and_unlike_channels_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"games.cyclegan.pool = 4: is under batch_size = 8: raise it, or set it to 0"):
        params_of(tmp_path, "cyclegan", games__cyclegan__pool="4")
    params = params_of(tmp_path, "cyclegan", games__cyclegan__identity="5", pairs__channels_b="3")
    metas = META | {"b": {"image_size": 16, "channels": 3}}
    with pytest.raises(UserError, match=r"games.cyclegan.identity = 5.0: A has 1 channels and B 3: set pairs.channels"):
        cyclegan.configs(params, metas)


def after_steps(folder: Path) -> dict[str, torch.Tensor]:
    """Take three steps with as many processes as there are; return gradients and buffers, pools among them."""
    torch.set_num_threads(1)
    params = params_of(folder, "cyclegan", train__precision="fp32", games__cyclegan__pool="8")
    players, draws, constant = players_of(cyclegan, params), Draws(1), cyclegan.recipe(params, CPU)
    for number in (1, 2, 3):
        recipe = cyclegan.recipe_at(number, constant, params)
        drawn = cyclegan.draw(data(), draws, recipe, params)
        cyclegan.step(players, [own_part(batch, cyclegan.DIMS) for batch in drawn], recipe)
    return left_by(players)


def worker(number: int, port: int, folder: Path) -> None:
    os.environ |= place(number, port)
    with joined(2, CPU):
        own = folder / str(number)
        own.mkdir()
        torch.save(after_steps(own), own / "left.pt")


@pytest.mark.slow
def test_two_processes_hold_equal_pools_which_are_those_of_one(tmp_path: Path):
    multiprocessing.spawn(worker, (free_port(), tmp_path), nprocs=2)  # pyright: ignore[reportPrivateImportUsage]
    whole = after_steps(tmp_path)
    first, second = (torch.load(tmp_path / f"{number}/left.pt") for number in range(2))
    assert {"pool.images", "back_pool.images"} < whole.keys() == first.keys()
    for name, expected in whole.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], expected, rtol=1e-3, atol=2e-3)
    assert whole["pool.images"].flatten(1).std(1).min() > 0  # all eight are filled


def test_only_networks_with_weights_are_averaged_and_moved():
    assert isinstance(Pool(size=1, channels=1, image_size=4), nn.Module)
    assert not list(Pool(size=1, channels=1, image_size=4).parameters())
    assert not {"pool", "back_pool"} & {name for team in cyclegan.TEAMS.values() for name in team}
