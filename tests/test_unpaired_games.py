"""Games without partners: their steps in plain PyTorch, their pools, and two processes that share one training."""

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import multiprocessing, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

from ganlib.core.errors import UserError
from ganlib.core.launch import joined
from ganlib.core.packed import Split
from ganlib.features.training import trained_classifier
from ganlib.games import cogan, cyclegan, dualgan, simgan
from ganlib.networks.coupled import CoupledDiscriminator, CoupledGenerator
from ganlib.networks.pool import Pool, draw_picks
from ganlib.training.claims import Translated
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


def test_a_pool_under_a_batch_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"games.cyclegan.pool = 4: is under batch_size = 8: raise it, or set it to 0"):
        params_of(tmp_path, "cyclegan", games__cyclegan__pool="4")


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
@pytest.mark.long
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


def test_a_step_of_simgan_is_that_of_plain_pytorch(tmp_path: Path):
    changes = {"games__simgan__l1": "5", "games__simgan__pool": "4", "batch_size": "4", "loss__r1": "0"}
    params = params_of(tmp_path, "simgan", train__precision="fp32", **changes)
    players = players_of(simgan, params)
    refiner, critic = (copy.deepcopy(players.networks[name]) for name in ("generator", "discriminator"))
    optimizers = [torch.optim.Adam(net.parameters(), 1e-3, (0.5, 0.999)) for net in (critic, refiner)]
    draws, constant, pool = Draws(1), simgan.recipe(params, CPU), [torch.zeros(1, 16, 16)] * 4
    for number in (1, 2, 3):
        recipe = simgan.recipe_at(number, constant, params)
        (batch,) = simgan.draw(data(), draws, recipe, params)
        assert batch.slots is not None and batch.old is not None and batch.kept is not None
        result = simgan.step(players, [batch], recipe)
        refined, shown = refiner(batch.a), list[torch.Tensor]()
        for image, slot, old, kept in zip(refined.detach(), batch.slots[0], batch.old[0], batch.kept[0], strict=True):
            shown.append(pool[slot] if old else image)
            pool[slot] = image if kept else pool[slot]
        said = critic(batch.b), critic(torch.stack(shown))
        targets = torch.ones_like(said[0]), torch.zeros_like(said[1])
        d_loss = sum(binary_cross_entropy_with_logits(*both) for both in zip(said, targets, strict=True))
        descend(optimizers[0], d_loss)  # pyright: ignore[reportArgumentType]
        logits = critic(refined)
        g_loss = binary_cross_entropy_with_logits(logits, torch.ones_like(logits)) + 5 * l1_loss(refined, batch.a)
        descend(optimizers[1], g_loss)
        assert float(result.d_loss) == pytest.approx(float(d_loss), rel=1e-4)
        assert float(result.g_loss) == pytest.approx(float(g_loss.detach()), rel=1e-4)
    for ours, plain in ((players.networks["generator"], refiner), (players.networks["discriminator"], critic)):
        for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
            assert (one - other).abs().mean() < 5e-5


@pytest.mark.parametrize("tied", ["true", "false"])
def test_a_step_of_cogan_is_two_games_in_plain_pytorch(tmp_path: Path, tied: str):
    params = params_of(tmp_path, "cogan", train__precision="fp32", games__cogan__tied=tied, loss__r1_every="1")
    players = players_of(cogan, params)
    generator, critic = (copy.deepcopy(players.networks[name]) for name in ("generator", "discriminator"))
    optimizers = [torch.optim.Adam(net.parameters(), 1e-3, (0.5, 0.999)) for net in (critic, generator)]
    recipe = cogan.recipe_at(1, cogan.recipe(params, CPU), params)
    (batch,) = cogan.draw(data(), Draws(1), recipe, params)
    result = cogan.step(players, [batch], recipe)
    fakes = generator.of(0, batch.latents), generator.of(1, batch.latents)
    d_loss, total = torch.zeros(()), torch.zeros(())
    for domain, real in enumerate((batch.a, batch.b)):
        real = real.clone().requires_grad_()
        said, other = critic.of(domain, real), critic.of(domain, fakes[domain].detach())
        loss = binary_cross_entropy_with_logits(said, torch.ones_like(said))
        loss = loss + binary_cross_entropy_with_logits(other, torch.zeros_like(other))
        slope = torch.autograd.grad(said.sum(), real, create_graph=True)[0]
        d_loss, total = d_loss + loss, total + loss + 0.5 * slope.flatten(1).norm(dim=1).square().mean()
    descend(optimizers[0], total)
    believed = [critic.of(domain, fakes[domain]) for domain in (0, 1)]
    g_loss = torch.stack([binary_cross_entropy_with_logits(each, torch.ones_like(each)) for each in believed]).sum()
    descend(optimizers[1], g_loss)
    assert float(result.d_loss) == pytest.approx(float(d_loss.detach()), rel=1e-4)
    assert float(result.g_loss) == pytest.approx(float(g_loss.detach()), rel=1e-4)
    for ours, plain in ((players.networks["generator"], generator), (players.networks["discriminator"], critic)):
        for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
            assert (one - other).abs().mean() < 5e-5


def test_tied_domains_share_all_layers_but_the_last_of_g_and_the_first_of_d():
    shape: dict[str, Any] = {"width": 8, "image_size": 16, "channels": [1, 3], "norm": "batch"}
    latents = torch.rand(2, 5)
    weights: dict[bool, list[int]] = {}
    for tied in (True, False):
        generator = CoupledGenerator(latent_dim=5, latents="normal", **shape, tied=tied)
        critic = CoupledDiscriminator(**shape, tied=tied)
        weights[tied] = [sum(weight.numel() for weight in net.parameters()) for net in (generator, critic)]
        a, b = generator.both(latents)
        assert a.shape == (2, 1, 16, 16) and b.shape == (2, 3, 16, 16)
        assert critic.of(0, a).shape == critic(b).shape == (2, 1, 1, 1)
    # G: a doubling of 4x4 from 8 channels, and its bias, of each domain; D: a halving to 8.
    apart = [8 * 16 * (1 + 3) + 4, 16 * 8 * (1 + 3) + 2 * 8]
    assert [2 * (tied - own) + own for tied, own in zip(weights[True], apart, strict=True)] == weights[False]


def translated(made: dict[str, Any], a: Split, b: Split) -> Translated:
    judge, names = trained_classifier(b, NAMES, epochs=6, seed=1, device=CPU), NAMES
    sides = {"train": a, "heldout": a}, {"train": b, "heldout": b}
    rest: Any = {"class_names_a": names, "vocabulary": [], "derive": negative, "load": dict.get, "device": CPU}
    return Translated(made=made, a=sides[0], b=sides[1], judge=judge, **rest)


NAMES = ["dark", "light"]


def negative(images: Any) -> Any:
    return 255 - images


def shades(count: int, flipped: bool = False) -> Split:
    """Return images of two classes, dark and light; or the negatives of such."""
    labels = np.arange(count) % 2
    images = np.random.default_rng(0).integers(0, 60, (count, 1, 16, 16)) + 190 * labels[:, None, None, None]
    return Split((255 - images if flipped else images).astype(np.uint8), labels)


def test_pairs_of_cogan_are_of_one_class_where_they_are_and_as_often_as_chance_where_they_are_shuffled(tmp_path: Path):
    params = params_of(tmp_path, "cogan", pairs__kind="negative", evaluate__judge_epochs="6")
    a, b = shades(400, flipped=True), shades(400)  # A is the negative of B
    made = {"ours": b.images, "ours_a": a.images, "baseline": b.images, "baseline_a": np.roll(a.images, 1, 0)}
    rows = cogan.examine(translated(made, a, b), params)
    assert rows["ours"]["same_class"] == 1 and rows["ours"]["derived_psnr"] == 60
    assert rows["ours"]["same_class_shuffled"] == pytest.approx(0.5, abs=0.1)
    assert rows["baseline"]["same_class"] == 0 and rows["baseline"]["derived_psnr"] < 6
    claims = cogan.promises(rows)
    assert len(claims) == 4 and all(claim.held for claim in claims)


def test_a_classifier_of_refined_images_is_measured_on_real_ones(tmp_path: Path):
    params = params_of(tmp_path, "simgan", evaluate__judge_epochs="6")
    a, b = shades(400, flipped=True), shades(400)  # raw A is wrong about what is dark
    rows = simgan.examine(translated({"ours_train": b.images, "baseline_train": a.images}, a, b), params)
    assert rows["ours"]["accuracy_on_real"] == 1 and rows["identity"]["accuracy_on_real"] == 0
    assert rows["baseline"] == rows["identity"]
