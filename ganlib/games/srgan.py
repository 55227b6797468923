"""SRResNet makes small images large, and a discriminator asks for detail (Ledig 2017, arXiv:1609.04802).

The judge stands for VGG, whose weights would have to be downloaded: its last convolution's maps are compared, too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn.functional import mse_loss

from ganlib.core.domains_schema import DomainsParams
from ganlib.games import pix2pix
from ganlib.games.pix2pix import Batch, Result, patches_config, play, recipe_of, translated
from ganlib.networks.patches import PatchDiscriminator
from ganlib.networks.superres import SuperResolver
from ganlib.training.claims import Ablation, Claim
from ganlib.training.game import Players

BUILDERS: Mapping[str, Callable[..., nn.Module]] = {"generator": SuperResolver, "discriminator": PatchDiscriminator}
TEAMS, AVERAGED, HIDES_LABELS, DIMS = pix2pix.TEAMS, pix2pix.AVERAGED, pix2pix.HIDES_LABELS, pix2pix.DIMS
TRANSLATED = pix2pix.TRANSLATED
BASELINE = Ablation("SRResNet", {"adversary": 0.0, "features": 0.0})
shown, kind, limits = pix2pix.shown, pix2pix.kind, pix2pix.limits
figures, draw, measure, examine = pix2pix.figures, pix2pix.draw, pix2pix.measure, pix2pix.examine


def configs(params: DomainsParams, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    a, b, model = meta["a"], meta["b"], params.model
    generator = {
        "channels": b["channels"],
        "width": model.width,
        "blocks": model.blocks,
        "factor": b["image_size"] // a["image_size"],
        "norm": model.norm,
    }
    return {"generator": generator, "discriminator": patches_config(params, b["image_size"], b["channels"])}


@dataclass(frozen=True, kw_only=True)
class Recipe(pix2pix.Recipe):
    features: float
    """Weight of the distance between the judge's maps in this step."""


def recipe(params: DomainsParams, device: torch.device) -> Recipe:
    section = params.games.srgan
    shared = recipe_of(params, device, section.l2, section.adversary)
    return Recipe(**vars(shared), features=section.features)


def recipe_at(step: int, recipe: Recipe, params: DomainsParams) -> Recipe:
    """Return the recipe of one step: the first are SRResNet's, by pixels alone."""
    recipe = replace(recipe, r1_weight=pix2pix.recipe_at(step, recipe, params).r1_weight)
    alone = step <= params.games.srgan.alone * params.steps
    return replace(recipe, adversary=0.0, features=0.0) if alone else recipe


def step(players: Players, batches: Sequence[Batch], recipe: Recipe) -> Result:
    """Update D on large images and enlarged ones, then G."""
    (batch,) = batches
    fake = translated(players, batch, recipe)
    content = recipe.content * mse_loss(fake, batch.b)
    if recipe.features:
        judge = players.networks["judge"]
        content = content + recipe.features * mse_loss(judge.maps(fake), judge.maps(batch.b))
    return play(players, batch.b, fake, content, replace(recipe, content=1.0), lambda images: images)


def promises(figures: Mapping[str, Mapping[str, float]]) -> list[Claim]:
    """Compare SRResNet with bicubic in likeness, and SRGAN with both in features: Ledig 2017, tables 1 and 2."""
    ours, alone, bicubic, source = figures["ours"], figures["baseline"], figures["bicubic"], "Ledig 2017, table 2"
    return [
        Claim("PSNR of SRResNet alone, dB", alone["psnr"], "bicubic", bicubic["psnr"], "higher", source),
        Claim("SSIM of SRResNet alone", alone["ssim"], "bicubic", bicubic["ssim"], "higher", source),
        Claim("distance of features of SRGAN", ours["features"], "SRResNet", alone["features"], "lower", source),
        Claim("the same", ours["features"], "bicubic", bicubic["features"], "lower", source),
    ]
