"""Two generators, and two discriminators, share layers: one latent is a pair (CoGAN, Liu & Tuzel 2016, 1606.07536).

No pair is ever shown. What ties images of one latent together is that both come of the same features.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from ganlib.core.domains_schema import DomainsParams
from ganlib.features.judging import judge_images
from ganlib.features.training import trained_classifier
from ganlib.functional.latents import draw_latents
from ganlib.games import pix2pix
from ganlib.games.cyclegan import draw_apart
from ganlib.games.pix2pix import Judging, judged, judging
from ganlib.metrics.likeness import mean_psnr
from ganlib.networks.coupled import DOMAINS, CoupledDiscriminator, CoupledGenerator
from ganlib.training.claims import Ablation, Claim, Translated
from ganlib.training.game import Draws, Players
from ganlib.training.steps import autocast, frozen_weights, send, update

BUILDERS: Mapping[str, Callable[..., nn.Module]] = {
    "generator": CoupledGenerator,
    "discriminator": CoupledDiscriminator,
}
TEAMS, AVERAGED, HIDES_LABELS = pix2pix.TEAMS, pix2pix.AVERAGED, pix2pix.HIDES_LABELS
DIMS: Mapping[str, int | None] = {}
TRANSLATED = ("heldout",)
BASELINE = Ablation("untied weights", {"tied": False})
LATENTS = "normal"
shown, recipe_at, kind, limits, figures = (
    pix2pix.shown,
    pix2pix.recipe_at,
    pix2pix.kind,
    pix2pix.limits,
    pix2pix.figures,
)


class Batch(NamedTuple):
    a: torch.Tensor
    """(N, C, H, W) in [-1, 1]"""
    b: torch.Tensor
    """(N, C', H, W) in [-1, 1], no partners."""
    latents: torch.Tensor
    """(N, latent_dim)"""


class Result(NamedTuple):
    """Detached scalars, and means of logits as probabilities, over both domains."""

    d_loss: torch.Tensor
    g_loss: torch.Tensor
    d_real: torch.Tensor
    d_fake: torch.Tensor


def configs(params: DomainsParams, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    section, size = params.games.cogan, meta["b"]["image_size"]
    shape: dict[str, Any] = {
        "width": params.model.width,
        "image_size": size,
        "channels": [meta["a"]["channels"], meta["b"]["channels"]],
        "norm": params.model.norm,
        "tied": section.tied,
    }
    return {"generator": {"latent_dim": section.latent_dim, "latents": LATENTS, **shape}, "discriminator": shape}


def recipe(params: DomainsParams, device: torch.device) -> Judging:
    return Judging(**judging(params, device))


def draw(data: Mapping[str, Any], draws: Draws, recipe: Judging, params: DomainsParams) -> list[Batch]:
    """Return a batch of each domain, each in an order of its own, and latents."""
    a, b = draw_apart(data, draws, params)
    latents = draw_latents(len(a), params.games.cogan.latent_dim, draws.stream("latents"), LATENTS)
    return [Batch(a, b, send(latents, a.device))]


def step(players: Players, batches: Sequence[Batch], recipe: Judging) -> Result:
    """Update D on both domains, then G on pairs."""
    (batch,) = batches
    generator, discriminator = players.networks["generator"], players.networks["discriminator"]
    with autocast(batch.a, recipe.bf16):
        fakes = [fake.float() for fake in generator.both(batch.latents)]
    reals = batch.a, batch.b
    said = [
        judged(partial(discriminator.of, domain), reals[domain], fakes[domain].detach(), recipe) for domain in DOMAINS
    ]
    update(players.optimizers["d"], said[0].total + said[1].total)
    with frozen_weights(discriminator), autocast(batch.a, recipe.bf16):
        believed = [recipe.loss.generator(discriminator.of(domain, fakes[domain]).float()) for domain in DOMAINS]
    g_loss = believed[0] + believed[1]
    update(players.optimizers["g"], g_loss)
    real, fake = ((said[0][side].sigmoid().mean() + said[1][side].sigmoid().mean()) / 2 for side in (2, 3))
    return Result(*(tensor.detach() for tensor in (said[0].loss + said[1].loss, g_loss, real, fake)))


def measure(result: Result) -> dict[str, torch.Tensor]:
    """Return losses, and what D believes of both domains."""
    return result._asdict()


def examine(found: Translated, params: DomainsParams) -> dict[str, dict[str, float]]:
    """Return how often both images of a pair are of one class, and how near one is to what the other should make of it.

    Beside each the same of shuffled pairs: what comes of chance. Classes are those of a judge of each domain.
    """
    rows: dict[str, dict[str, float]] = {name: {} for name in ("ours", "baseline")}
    shuffled = np.random.default_rng(0).permutation(len(found.made["ours"]))
    if found.a["train"].labels is not None and found.judge.class_names == found.class_names_a:
        given: dict[str, Any] = {"epochs": params.evaluate.judge_epochs, "seed": params.seed, "device": found.device}
        judge_a = trained_classifier(found.a["train"], found.judge.class_names, **given)
        for name, row in rows.items():
            a = judge_images(judge_a, found.made[f"{name}_a"], found.device).classes
            b = judge_images(found.judge, found.made[name], found.device).classes
            row |= {"same_class": float((a == b).mean()), "same_class_shuffled": float((a == b[shuffled]).mean())}
    if found.derive:
        for name, row in rows.items():
            pair = {"a": found.made[f"{name}_a"], "b": found.made[name]}
            made, given_side = ("a", "b") if params.pairs.made == "a" else ("b", "a")
            derived = found.derive(pair[given_side])
            row["derived_psnr"] = mean_psnr(pair[made], derived)
            row["derived_psnr_shuffled"] = mean_psnr(pair[made], derived[shuffled])
    return rows


def promises(figures: Mapping[str, Mapping[str, float]]) -> list[Claim]:
    """Compare with untied weights, and with shuffled pairs: Liu & Tuzel 2016, section 4."""
    ours, untied, source = figures["ours"], figures["baseline"], "Liu & Tuzel 2016, section 4"
    names = {"same_class": "share of pairs of one class", "derived_psnr": "PSNR to what the other makes, dB"}
    claims: list[Claim] = []
    for key, name in names.items():
        if key in ours:
            claims.append(Claim(name, ours[key], BASELINE.name, untied[key], "higher", source))
            chance = ours[f"{key}_shuffled"]
            claims.append(Claim(f"{name}, again", ours[key], "shuffled pairs", chance, "higher", "a check"))
    return claims
