"""A refiner makes synthetic images look real, and leaves what they show (SimGAN, Shrivastava et al. 2017, 1612.07828).

A is synthetic and may be labelled, B is real. D judges patches, of images refined lately and earlier.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import l1_loss

from ganlib.core.domains_schema import DomainsParams
from ganlib.core.packed import Split
from ganlib.features.judging import judge_images
from ganlib.features.training import trained_classifier
from ganlib.games import cyclegan, pix2pix
from ganlib.games.cyclegan import Batch, Pooling, draw_with_pools, pooled
from ganlib.games.pix2pix import judged, judging, patches_config, translator_config
from ganlib.networks.patches import PatchDiscriminator
from ganlib.networks.pool import Pool
from ganlib.networks.translators import build_translator
from ganlib.training.claims import Ablation, Claim, Translated
from ganlib.training.game import Draws, Players
from ganlib.training.steps import autocast, frozen_weights, update

BUILDERS: Mapping[str, Callable[..., nn.Module]] = {
    "generator": build_translator,
    "discriminator": PatchDiscriminator,
    "pool": Pool,
}
TEAMS, AVERAGED, HIDES_LABELS = pix2pix.TEAMS, pix2pix.AVERAGED, pix2pix.HIDES_LABELS
DIMS = cyclegan.DIMS
TRANSLATED = ("heldout", "train")
BASELINE = Ablation("without the distance to A", {"l1": 0.0})
shown, limits, figures = pix2pix.shown, pix2pix.limits, pix2pix.figures
recipe_at, kind = cyclegan.recipe_at, cyclegan.kind


@dataclass(frozen=True, kw_only=True)
class Recipe(Pooling):
    """How a step is taken."""

    l1: float
    """Weight of what the refiner changes."""


class Result(NamedTuple):
    """Detached scalars, and means of logits as probabilities."""

    d_loss: torch.Tensor
    g_loss: torch.Tensor
    change: torch.Tensor
    d_real: torch.Tensor
    d_fake: torch.Tensor


def configs(params: DomainsParams, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    a, b = meta["a"], meta["b"]
    pool = {"size": params.games.simgan.pool, "channels": b["channels"], "image_size": b["image_size"]}
    discriminator = patches_config(params, b["image_size"], b["channels"])
    return {"generator": translator_config(params, a, b), "discriminator": discriminator, "pool": pool}


def recipe(params: DomainsParams, device: torch.device) -> Recipe:
    section = params.games.simgan
    return Recipe(**judging(params, device), pool=section.pool, l1=section.l1)


def draw(data: Mapping[str, Any], draws: Draws, recipe: Recipe, params: DomainsParams) -> list[Batch]:
    """Return a batch of each domain, each in an order of its own, and what is exchanged with the history."""
    return draw_with_pools(1, data, draws, recipe, params)


def step(players: Players, batches: Sequence[Batch], recipe: Recipe) -> Result:
    """Update D on real images and refined ones, then the refiner: algorithm 1, with one update of each."""
    (batch,) = batches
    discriminator = players.networks["discriminator"]
    with autocast(batch.a, recipe.bf16):
        refined = players.networks["generator"](batch.a).float()
    change = l1_loss(refined, batch.a)
    (seen,) = pooled([players.networks["pool"]], [refined], batch)
    said = judged(discriminator, batch.b, seen, recipe)
    update(players.optimizers["d"], said.total)
    with frozen_weights(discriminator), autocast(batch.a, recipe.bf16):
        logits = discriminator(refined).float()
    g_loss = recipe.loss.generator(logits) + recipe.l1 * change
    update(players.optimizers["g"], g_loss)
    means = said.real_logits.sigmoid().mean(), said.fake_logits.sigmoid().mean()
    return Result(*(tensor.detach() for tensor in (said.loss, g_loss, change, *means)))


def measure(result: Result) -> dict[str, torch.Tensor]:
    """Return losses, what the refiner changes without its weight, and what D believes of patches."""
    return result._asdict()


def examine(found: Translated, params: DomainsParams) -> dict[str, dict[str, float]]:
    """Return the accuracy on real held-out images of classifiers trained on training images of A, refined and raw."""
    train, real = found.a["train"], found.b["heldout"]
    if train.labels is None or real.labels is None or found.class_names_a != found.judge.class_names:
        return {}
    rows: dict[str, dict[str, float]] = {}
    shown = {name: found.made[f"{name}_train"] for name in ("ours", "baseline")} | {"identity": train.images}
    given: dict[str, Any] = {"epochs": params.evaluate.judge_epochs, "seed": params.seed, "device": found.device}
    for name, images in shown.items():
        classifier = trained_classifier(Split(images, train.labels), found.class_names_a, **given)
        judged_as = judge_images(classifier, real.images, found.device).classes
        rows[name] = {"accuracy_on_real": float((judged_as == real.labels).mean())}
    return rows


def promises(figures: Mapping[str, Mapping[str, float]]) -> list[Claim]:
    """Compare refined images with raw ones: Shrivastava 2017, tables 3 and 5."""
    ours, raw, source = figures["ours"], figures["identity"], "Shrivastava 2017, tables 3 and 5"
    claims = [
        Claim(
            "distance of sets (FID) to held-out B", ours["fid_to_heldout"], "A", raw["fid_to_heldout"], "lower", source
        )
    ]
    names = {
        "accuracy_on_real": "accuracy on B of a classifier trained on refined A",
        "class_kept": "share of refined images whose class is recognised",
    }
    return claims + [
        Claim(name, ours[key], "raw A", raw[key], "higher", source) for key, name in names.items() if key in ours
    ]
