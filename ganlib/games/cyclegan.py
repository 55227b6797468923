"""Two translators, there and back again, learn without partners (CycleGAN, Zhu et al. 2017, arXiv:1703.10593).

What comes back must be what went there. G leads from A to B, `back_generator` from B to A; each has a PatchGAN, which
sees translations from a pool of earlier ones, too.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn
from torch.nn.functional import l1_loss

from ganlib.core.domains_schema import DomainsParams
from ganlib.core.images import to_unit_range
from ganlib.core.packed import Split, evenly
from ganlib.games import pix2pix
from ganlib.games.pix2pix import Judging, judged, judging, mirrored, patches_config, translator_config
from ganlib.metrics.likeness import mean_psnr
from ganlib.networks.patches import PatchDiscriminator
from ganlib.networks.pool import Pool, draw_picks
from ganlib.networks.sampling import generate
from ganlib.networks.translators import build_translator
from ganlib.training.claims import Ablation, Claim, Translated
from ganlib.training.game import Draws, Players
from ganlib.training.steps import autocast, clip_weights, frozen_weights, send, update

BUILDERS: Mapping[str, Callable[..., nn.Module]] = {
    "generator": build_translator,
    "back_generator": build_translator,
    "discriminator": PatchDiscriminator,
    "back_discriminator": PatchDiscriminator,
    "pool": Pool,
    "back_pool": Pool,
}
TEAMS = {"d": ["discriminator", "back_discriminator"], "g": ["generator", "back_generator"]}
AVERAGED = ["generator", "back_generator"]
HIDES_LABELS = False
DIMS: Mapping[str, int | None] = {"slots": None, "old": None, "kept": None}
TRANSLATED = pix2pix.TRANSLATED
BASELINE = Ablation("GAN alone", {"cycle": 0.0, "identity": 0.0})
WATCHED = 500
"""Held-out images that are sent there and back again at an evaluation, at most."""
shown, limits = pix2pix.shown, pix2pix.limits


@dataclass(frozen=True, kw_only=True)
class Pooling(Judging):
    """How discriminators learn that see earlier translations, too."""

    pool: int
    """Size of each pool; 0 for none."""
    seen: int = 0
    """Translations of each domain before this step."""


AnyPooling = TypeVar("AnyPooling", bound=Pooling)


@dataclass(frozen=True, kw_only=True)
class Recipe(Pooling):
    """How a step is taken."""

    cycle: float
    """Weight of the distance to what comes back, of both ways."""
    identity: float
    """Weight of what translators change of their own targets."""
    clip: float
    """Largest absolute weight of the discriminators; 0 for none."""


class Batch(NamedTuple):
    a: torch.Tensor
    """(N, C, H, W) in [-1, 1]"""
    b: torch.Tensor
    """(N, C', H, W) in [-1, 1], no partners."""
    slots: torch.Tensor | None
    """As `Picks`, of each pool, (pools, N) for the whole batch; None without pools."""
    old: torch.Tensor | None
    kept: torch.Tensor | None


class Result(NamedTuple):
    """Detached scalars, and means of logits as probabilities, over both discriminators."""

    d_loss: torch.Tensor
    g_loss: torch.Tensor
    cycle_loss: torch.Tensor
    identity_loss: torch.Tensor
    d_real: torch.Tensor
    d_fake: torch.Tensor


def configs(params: DomainsParams, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return configs_with(params, meta, params.games.cyclegan.pool)


def configs_with(params: DomainsParams, meta: Mapping[str, Any], pool: int) -> dict[str, dict[str, Any]]:
    """Return what rebuilds each network, with pools of this size."""
    a, b = meta["a"], meta["b"]
    sides = {"": (a, b), "back_": (b, a)}
    found = {f"{way}generator": translator_config(params, *ends) for way, ends in sides.items()}
    for way, (_, end) in sides.items():
        found[f"{way}discriminator"] = patches_config(params, end["image_size"], end["channels"])
        found[f"{way}pool"] = {"size": pool, "channels": end["channels"], "image_size": end["image_size"]}
    return found


def recipe(params: DomainsParams, device: torch.device) -> Recipe:
    section = params.games.cyclegan
    return Recipe(
        **judging(params, device),
        cycle=section.cycle,
        identity=section.identity,
        clip=0,
        pool=section.pool,
    )


def recipe_at(step: int, recipe: AnyPooling, params: DomainsParams) -> AnyPooling:
    """Return the recipe of one step: R1 when it is due, and how full the pools are."""
    return replace(pix2pix.recipe_at(step, recipe, params), seen=(step - 1) * params.batch_size)


def kind(recipe: Pooling) -> Hashable:
    """Return it but for how full the pools are: full ones exchange by the same kernels."""
    return replace(recipe, seen=0)


def draw(data: Mapping[str, Any], draws: Draws, recipe: Recipe, params: DomainsParams) -> list[Batch]:
    """Return a batch of each domain, each in an order of its own, and what is exchanged with the pools."""
    return draw_with_pools(2, data, draws, recipe, params)


def draw_apart(data: Mapping[str, Any], draws: Draws, params: DomainsParams) -> list[torch.Tensor]:
    """Return a batch of each domain, each in an order of its own, (N, C, H, W) in [-1, 1]."""
    sides = list[torch.Tensor]()
    for name, order in (("a", "order/a"), ("images", "order")):
        picked = draws.order(len(data[name]), params.batch_size, order).next_batch()
        images = to_unit_range(data[name][picked])
        (images,) = mirrored([images], draws, f"flip/{name}") if params.pairs.flip else [images]
        sides.append(images.contiguous(memory_format=torch.channels_last))
    return sides


def draw_with_pools(
    pools: int, data: Mapping[str, Any], draws: Draws, recipe: Pooling, params: DomainsParams
) -> list[Batch]:
    """Return a batch of each domain, and what is exchanged with so many pools."""
    sides = draw_apart(data, draws, params)
    if not recipe.pool:
        return [Batch(sides[0], sides[1], None, None, None)]
    picks = draw_picks(pools, params.batch_size, recipe.pool, recipe.seen, draws.stream("pool"))
    slots, old, kept = (send(each, sides[0].device) for each in picks)
    return [Batch(sides[0], sides[1], slots, old, kept)]


def step(players: Players, batches: Sequence[Batch], recipe: Recipe) -> Result:
    """Update both discriminators on real images and translations, then both translators."""
    (batch,) = batches
    there, back = players.networks["generator"], players.networks["back_generator"]
    with autocast(batch.a, recipe.bf16):
        fakes = there(batch.a).float(), back(batch.b).float()
        returned = back(fakes[0]).float(), there(fakes[1]).float()
        kept = (there(batch.b).float(), back(batch.a).float()) if recipe.identity else (batch.b, batch.a)
    cycle = l1_loss(returned[0], batch.a) + l1_loss(returned[1], batch.b)
    identity = l1_loss(kept[0], batch.b) + l1_loss(kept[1], batch.a)
    critics = players.networks["discriminator"], players.networks["back_discriminator"]
    seen = pooled([players.networks["pool"], players.networks["back_pool"]], fakes, batch)
    said = [
        judged(critic, real, fake, recipe) for critic, real, fake in zip(critics, (batch.b, batch.a), seen, strict=True)
    ]
    update(players.optimizers["d"], said[0].total + said[1].total)
    if recipe.clip:
        for critic in critics:
            clip_weights(critic, recipe.clip)
    with frozen_weights(*critics), autocast(batch.a, recipe.bf16):
        believed = [recipe.loss.generator(critic(fake).float()) for critic, fake in zip(critics, fakes, strict=True)]
    g_loss = believed[0] + believed[1] + recipe.cycle * cycle + recipe.identity * identity
    update(players.optimizers["g"], g_loss)
    d_loss = said[0].loss + said[1].loss
    real, fake = ((said[0][side].sigmoid().mean() + said[1][side].sigmoid().mean()) / 2 for side in (2, 3))
    return Result(*(tensor.detach() for tensor in (d_loss, g_loss, cycle, identity, real, fake)))


def pooled(pools: Sequence[Pool], fakes: Sequence[torch.Tensor], batch: Batch) -> list[torch.Tensor]:
    """Return what the discriminators are shown: the fakes, or for half of them what the pools had."""
    newest = [fake.detach() for fake in fakes]
    if batch.slots is None or batch.old is None or batch.kept is None:
        return newest
    picks = zip(newest, batch.slots, batch.old, batch.kept, strict=True)
    return [pool.exchange(*each) for pool, each in zip(pools, picks, strict=True)]


def measure(result: Result) -> dict[str, torch.Tensor]:
    """Return losses, distances without their weights, and what the discriminators believe of patches."""
    return result._asdict()


def figures(players: Players, heldout: Split, device: torch.device) -> dict[str, float]:
    """Return how near held-out images of B come to themselves by way of A."""
    images = heldout.images[evenly(len(heldout.images), WATCHED)]
    averages = players.averages
    over = generate(averages["back_generator"], to_unit_range(torch.from_numpy(images.copy())), device)
    again = generate(averages["generator"], to_unit_range(torch.from_numpy(over)), device)
    return {"cycle_psnr": mean_psnr(again, images)}


def examine(found: Translated, params: DomainsParams) -> dict[str, dict[str, float]]:
    """Return how near images of A come to themselves by way of B."""
    images = found.a["heldout"].images
    return {name: {"cycle_psnr": mean_psnr(found.made[f"{name}_cycle"], images)} for name in ("ours", "baseline")}


def promises(figures: Mapping[str, Mapping[str, float]]) -> list[Claim]:
    """Compare with images of A as they are, and with GAN alone: Zhu 2017, tables 4 and 5."""
    ours, alone, source = figures["ours"], figures["baseline"], "Zhu 2017, tables 4 and 5"
    claims: list[Claim] = []
    if "identity" in figures:
        half = figures["identity"]["fid_to_heldout"] / 2
        name = "distance of sets (FID) to held-out B"
        claims.append(Claim(name, ours["fid_to_heldout"], "half of that of A itself", half, "lower", "a check"))
    names = {"class_kept": "share of translations of the same class", "psnr": "PSNR to the partner, dB"}
    return claims + [
        Claim(name, ours[key], BASELINE.name, alone[key], "higher", source)
        for key, name in names.items()
        if key in ours
    ]
