"""A classifier of few labels learns from filled holes (context-conditional GAN, Denton et al. 2016, 1611.06430).

The discriminator is that of game `semi`: its class logits are all that it has, and their logsumexp says whether an
image is real. The fakes are real images whose hole a generator has filled. The judge, and what chooses the best
weights, know all labels: the last step's weights count.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from ganlib.core.domains_schema import DomainsParams
from ganlib.core.errors import UserError
from ganlib.core.images import to_unit_range
from ganlib.core.packed import Split
from ganlib.core.seeding import random_generator
from ganlib.games import context_encoder, pix2pix
from ganlib.games.pix2pix import judged, mirrored, recipe_of, translated
from ganlib.games.semi import WATCHED, Labelled, chosen, classes_of, told_loss
from ganlib.networks.dcgan import Discriminator
from ganlib.networks.translators import Inpainter
from ganlib.training.claims import Ablation, Claim, Translated
from ganlib.training.game import Draws, Players
from ganlib.training.steps import autocast, frozen_weights, send, update

BUILDERS: Mapping[str, Callable[..., nn.Module]] = {"generator": Inpainter, "discriminator": Discriminator}
TEAMS, DIMS, TRANSLATED = pix2pix.TEAMS, pix2pix.DIMS, pix2pix.TRANSLATED
AVERAGED = ["generator", "discriminator"]
HIDES_LABELS = True
BASELINE = Ablation("labels alone", {"adversary": 0.0})
recipe_at, kind, limits = pix2pix.recipe_at, pix2pix.kind, pix2pix.limits


@dataclass(frozen=True, kw_only=True)
class Recipe(pix2pix.Recipe):
    told: float
    """Weight of the labelled images' class loss."""


class Result(NamedTuple):
    """Detached scalars, and means of logits as probabilities."""

    d_loss: torch.Tensor
    g_loss: torch.Tensor
    class_loss: torch.Tensor
    d_real: torch.Tensor
    d_fake: torch.Tensor


def configs(params: DomainsParams, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    b, asked = meta["b"], params.games.ccgan.labels
    names, size = b["class_names"], b["image_size"]
    if len(names) < 2:
        raise UserError(
            "game = ccgan: the images have no two classes to tell apart; give them in a subfolder per class"
        )
    fewest = min(names, key=lambda name: b["counts_per_class"]["train"][name])
    if (count := b["counts_per_class"]["train"][fewest]) < asked:
        raise UserError(f"games.ccgan.labels = {asked}: class {fewest} has {count} training images; lower it")
    discriminator = {
        "width": params.model.width,
        "image_size": size,
        "channels": b["channels"],
        "norm": params.model.norm,
        "conditional": "classes",
        "classes": len(names),
    }
    return {"generator": context_encoder.inpainter_config(params, meta), "discriminator": discriminator}


def shown(data: dict[str, Any], params: DomainsParams) -> dict[str, Any]:
    """Return both domains, and which images are labelled, with their labels; no others'."""
    random = random_generator(params.seed, "train/labelled/which")
    labelled = chosen(data["labels"], params.games.ccgan.labels, random)
    return {"images": data["images"], "a": data["a"], "labelled": labelled, "labels": data["labels"][labelled]}


def recipe(params: DomainsParams, device: torch.device) -> Recipe:
    section = params.games.ccgan
    return Recipe(**vars(recipe_of(params, device, 0.0, section.adversary)), told=section.told)


def draw(data: Mapping[str, Any], draws: Draws, recipe: Recipe, params: DomainsParams) -> list[Any]:
    """Return a batch of pairs, and as many labelled images, with replacement."""
    picked = torch.randint(len(data["labels"]), (params.batch_size,), generator=draws.stream("labelled/picked"))
    images = to_unit_range(data["images"][data["labelled"][picked]])
    (images,) = mirrored([images], draws, "labelled/flip") if params.pairs.flip else [images]
    images = images.contiguous(memory_format=torch.channels_last)
    told = Labelled(images, send(data["labels"][picked], images.device))
    return [*pix2pix.draw(data, draws, recipe, params), told]


def step(players: Players, batches: Sequence[Any], recipe: Recipe) -> Result:
    """Update D on real images, filled ones and labelled ones, then G; without adversary D on labelled ones alone."""
    batch, labelled = batches
    discriminator = players.networks["discriminator"]
    class_loss = recipe.told * told_loss(discriminator, labelled, recipe.bf16)
    if not recipe.adversary:
        update(players.optimizers["d"], class_loss)
        nothing = class_loss.detach().new_zeros(())
        return Result(class_loss.detach(), nothing, class_loss.detach(), nothing, nothing)
    fake = translated(players, batch, recipe)
    said = judged(discriminator, batch.b, fake.detach(), recipe)
    update(players.optimizers["d"], recipe.adversary * said.total + class_loss)
    with frozen_weights(discriminator), autocast(fake, recipe.bf16):
        logits = discriminator(fake).float()
    g_loss = recipe.adversary * recipe.loss.generator(logits)
    update(players.optimizers["g"], g_loss)
    means = said.real_logits.sigmoid().mean(), said.fake_logits.sigmoid().mean()
    return Result(*(tensor.detach() for tensor in (said.loss, g_loss, class_loss, *means)))


def measure(result: Result) -> dict[str, torch.Tensor]:
    """Return losses, that of the labelled images with its weight, and what D believes."""
    return result._asdict()


def figures(players: Players, heldout: Split, device: torch.device) -> dict[str, float]:
    """Return the accuracy of D's moving average on held-out images of B."""
    return {"accuracy": accuracy(players.averages["discriminator"], heldout, device, WATCHED)}


def accuracy(discriminator: nn.Module, split: Split, device: torch.device, most: int | None = None) -> float:
    """Return the share of images, `most` of them, whose class is found."""
    assert split.labels is not None, "configs has seen labels"
    every = 1 if most is None else max(1, len(split.images) // most)
    guessed = classes_of(discriminator, split.images[::every], device)
    return float((guessed == split.labels[::every]).mean())


def examine(found: Translated, params: DomainsParams) -> dict[str, dict[str, float]]:
    """Return the accuracy on held-out images of B of both discriminators."""
    return {
        who: {"accuracy": accuracy(found.load(who, "discriminator"), found.b["heldout"], found.device)}
        for who in ("ours", "baseline")
    }


def promises(figures: Mapping[str, Mapping[str, float]]) -> list[Claim]:
    """Compare with the same classifier, told the same labels alone, and with the mean image: Denton 2016, table 1."""
    ours, alone, mean, source = figures["ours"], figures["baseline"], figures["mean"], "Denton 2016, table 1"
    return [
        Claim("held-out accuracy", ours["accuracy"], BASELINE.name, alone["accuracy"], "higher", source),
        Claim(
            "distance of sets (FID) to held-out B",
            ours["fid_to_heldout"],
            "mean image in the hole",
            mean["fid_to_heldout"],
            "lower",
            "a check",
        ),
    ]
