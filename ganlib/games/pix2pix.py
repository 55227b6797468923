"""A U-Net translates images, and a PatchGAN says of pairs whether they are real (Isola 2017, arXiv:1611.07004).

Its step, without what only it knows, is that of other games of pairs.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn
from torch.nn.functional import l1_loss

from ganlib.core.domains_schema import DomainsParams
from ganlib.core.errors import UserError
from ganlib.core.images import to_unit_range
from ganlib.core.packed import Split
from ganlib.core.precision import precision_of
from ganlib.functional.losses import LOSSES, Loss, zero_centred_penalty
from ganlib.networks.patches import PatchDiscriminator
from ganlib.networks.translators import build_translator
from ganlib.training.claims import Ablation, Claim, Translated
from ganlib.training.game import Draws, Limits, Players
from ganlib.training.steps import autocast, frozen_weights, send, update

BUILDERS: Mapping[str, Callable[..., nn.Module]] = {"generator": build_translator, "discriminator": PatchDiscriminator}
TEAMS = {"d": ["discriminator"], "g": ["generator"]}
AVERAGED = ["generator"]
HIDES_LABELS = False
DIMS: Mapping[str, int] = {}
TRANSLATED = ("heldout",)
BASELINE = Ablation("L1 alone", {"adversary": 0.0})
LEAST = 3
"""Pixels to which a PatchGAN's halvings may bring an image down: two convolutions of 4x4 still fit."""


@dataclass(frozen=True, kw_only=True)
class Judging:
    """How a discriminator learns."""

    loss: Loss
    r1_weight: float
    """Weight of the R1 penalty in this step; 0 on steps that go without."""
    bf16: bool


AnyRecipe = TypeVar("AnyRecipe", bound=Judging)


@dataclass(frozen=True, kw_only=True)
class Recipe(Judging):
    """How a step is taken."""

    content: float
    """Weight of the distance to the truth."""
    adversary: float
    """Weight of D's judgement in G's loss in this step; 0 leaves D as it is."""


class Batch(NamedTuple):
    a: torch.Tensor
    """(N, C, h, w) in [-1, 1]"""
    b: torch.Tensor
    """(N, C, H, W) in [-1, 1], the truth."""


class Result(NamedTuple):
    """Detached scalars, and means of logits as probabilities."""

    d_loss: torch.Tensor
    g_loss: torch.Tensor
    content_loss: torch.Tensor
    d_real: torch.Tensor
    d_fake: torch.Tensor


def configs(params: DomainsParams, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    a, b = meta["a"], meta["b"]
    return {
        "generator": translator_config(params, a, b),
        "discriminator": patches_config(params, b["image_size"], a["channels"] + b["channels"]),
    }


def translator_config(params: DomainsParams, start: Mapping[str, Any], end: Mapping[str, Any]) -> dict[str, Any]:
    """Return what rebuilds a translator between domains of these meta.json."""
    model = params.model
    own = {"blocks": model.blocks} if model.translator == "residual" else {"depth": model.depth}
    return {
        "kind": model.translator,
        "image_size": end["image_size"],
        "in_channels": start["channels"],
        "out_channels": end["channels"],
        "width": model.width,
        "norm": model.norm,
        **own,
    }


def patches_config(params: DomainsParams, image_size: int, channels: int) -> dict[str, Any]:
    """Return what rebuilds D; raise UserError where its patches are larger than the image."""
    model = params.model
    if image_size >> model.patch_layers < LEAST:
        most = (image_size // LEAST).bit_length() - 1
        raise UserError(f"model.patch_layers = {model.patch_layers}: at {image_size} pixels, {most} is the most")
    return {"channels": channels, "width": model.width, "layers": model.patch_layers, "norm": model.norm}


def shown(data: dict[str, Any], params: DomainsParams) -> dict[str, Any]:
    """Return both domains."""
    return {name: data[name] for name in ("images", "a")}


def recipe(params: DomainsParams, device: torch.device) -> Recipe:
    section = params.games.pix2pix
    return recipe_of(params, device, section.l1, section.adversary)


def recipe_of(params: DomainsParams, device: torch.device, content: float, adversary: float) -> Recipe:
    """Return the recipe of a game that has these weights."""
    return Recipe(**judging(params, device), content=content, adversary=adversary)


def judging(params: DomainsParams, device: torch.device) -> dict[str, Any]:
    """Return the fields of `Judging`, which the recipes of all games of two domains begin with."""
    bf16 = precision_of(params.train.precision, device) == "bf16"
    return {"loss": LOSSES[params.loss.name], "r1_weight": 0.0, "bf16": bf16}


def recipe_at(step: int, recipe: AnyRecipe, params: DomainsParams) -> AnyRecipe:
    """Return the recipe of one step: R1 when it is due."""
    due = step % params.loss.r1_every == 0
    return replace(recipe, r1_weight=params.loss.r1 * params.loss.r1_every * due)


def kind(recipe: Recipe) -> Hashable:
    return recipe


def limits(params: DomainsParams) -> Limits:
    """Return none: the mean over patches, most of which look like others, says little."""
    return Limits()


def figures(players: Players, heldout: Split, device: torch.device) -> dict[str, float]:
    """Return none."""
    return {}


def draw(data: Mapping[str, Any], draws: Draws, recipe: Recipe, params: DomainsParams) -> list[Batch]:
    """Return a batch of partners, mirrored alike."""
    picked = draws.order(len(data["images"]), params.batch_size).next_batch()
    sides = [to_unit_range(data[name][picked]) for name in ("a", "images")]
    if params.pairs.flip:
        sides = mirrored(sides, draws, "flip")
    return [Batch(*(side.contiguous(memory_format=torch.channels_last) for side in sides))]


def mirrored(sides: list[torch.Tensor], draws: Draws, stream: str) -> list[torch.Tensor]:
    """Return images of which half, by this stream, are mirrored left to right, the same of each side."""
    turned = torch.rand(len(sides[0]), generator=draws.stream(stream)) < 0.5
    where = send(turned, sides[0].device)[:, None, None, None]
    return [side.flip(3).where(where, side) for side in sides]


def step(players: Players, batches: Sequence[Batch], recipe: Recipe) -> Result:
    """Update D on the pairs, A beside B and A beside its translation, then G."""
    (batch,) = batches
    fake = translated(players, batch, recipe)
    content = l1_loss(fake, batch.b)
    return play(players, batch.b, fake, content, recipe, lambda images: torch.cat([batch.a, images], 1))


def translated(players: Players, batch: Batch, recipe: Recipe) -> torch.Tensor:
    """Return what G makes of A, in float32."""
    with autocast(batch.a, recipe.bf16):
        return players.networks["generator"](batch.a).float()


def play(
    players: Players,
    real: torch.Tensor,
    fake: torch.Tensor,
    content: torch.Tensor,
    recipe: Recipe,
    see: Callable[[torch.Tensor], torch.Tensor],
) -> Result:
    """Update D on real and fake images as it sees them, then G, whose `content` loss is a scalar of the fakes."""
    content_loss = recipe.content * content
    if not recipe.adversary:
        update(players.optimizers["g"], content_loss)
        nothing = content_loss.detach().new_zeros(())
        return Result(nothing, content_loss.detach(), content.detach(), nothing, nothing)
    discriminator = players.networks["discriminator"]
    said = judged(discriminator, see(real), see(fake.detach()), recipe)
    update(players.optimizers["d"], said.total)
    with frozen_weights(discriminator), autocast(fake, recipe.bf16):
        logits = discriminator(see(fake)).float()
    g_loss = content_loss + recipe.adversary * recipe.loss.generator(logits)
    update(players.optimizers["g"], g_loss)
    means = said.real_logits.sigmoid().mean(), said.fake_logits.sigmoid().mean()
    return Result(*(tensor.detach() for tensor in (said.loss, g_loss, content, *means)))


class Judged(NamedTuple):
    loss: torch.Tensor
    total: torch.Tensor
    """With the penalty."""
    real_logits: torch.Tensor
    """(N, 1, h, w), or (N,) of a discriminator of whole images."""
    fake_logits: torch.Tensor


def judged(
    discriminator: Callable[[torch.Tensor], torch.Tensor], real: torch.Tensor, fake: torch.Tensor, recipe: Judging
) -> Judged:
    """Return D's loss on real and fake images as it sees them."""
    penalised = recipe.r1_weight > 0
    real = real.detach().requires_grad_(penalised)
    with autocast(real, recipe.bf16 and not penalised):  # as in gan
        real_logits = discriminator(real).float()
    with autocast(fake, recipe.bf16):
        fake_logits = discriminator(fake).float()
    labels = real_logits.new_ones(()), real_logits.new_zeros(())
    d_loss = recipe.loss.discriminator(real_logits, fake_logits, *labels)
    total = d_loss
    if penalised:  # of an image's mean logit, whatever the number of its patches
        total = d_loss + recipe.r1_weight * zero_centred_penalty(real_logits.reshape(len(real), -1).mean(1), real)
    return Judged(d_loss, total, real_logits, fake_logits)


def measure(result: Result) -> dict[str, torch.Tensor]:
    """Return losses, the distance to the truth without its weight, and what D believes of patches."""
    return result._asdict()


def examine(found: Translated, params: DomainsParams) -> dict[str, dict[str, float]]:
    """Return none."""
    return {}


def promises(figures: Mapping[str, Mapping[str, float]]) -> list[Claim]:
    """Compare with L1 alone: Isola 2017, tables 1 and 2."""
    ours, alone, source = figures["ours"], figures["baseline"], "Isola 2017, tables 1 and 2"
    sets = ours["fid_to_heldout"], alone["fid_to_heldout"]
    return [
        Claim("distance of features to the truth", ours["features"], "L1 alone", alone["features"], "lower", source),
        Claim("distance of sets (FID) to held-out B", sets[0], "L1 alone", sets[1], "lower", source),
        Claim("PSNR, dB", ours["psnr"], "L1 alone, less 1 dB", alone["psnr"] - 1, "higher", "a check"),
    ]
