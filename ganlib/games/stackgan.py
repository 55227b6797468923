"""Captions become images in two stages (StackGAN, Zhang et al. 2017, arXiv:1612.03242).

Stage I draws a small image of a latent and of what the caption says; then it is kept as it is, and stage II adds what a
large one needs, reading the caption again. D is told captions, too, and that a real image beside another's caption is
wrong (Reed et al. 2016, arXiv:1605.05396, algorithm 1).
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d

from ganlib.core.captions import COLOURS, FIRST, asked_by, decoded
from ganlib.core.domains_schema import DomainsParams
from ganlib.core.images import to_unit_range
from ganlib.core.seeding import random_generator
from ganlib.features.judging import judge_images
from ganlib.functional.latents import draw_latents
from ganlib.games import pix2pix
from ganlib.games.pix2pix import Judging, judged, judging
from ganlib.metrics.colours import colours_of
from ganlib.networks.captioned import CaptionDiscriminator, StackedGenerator, first_stage_size
from ganlib.training.claims import Ablation, Claim, Translated
from ganlib.training.game import Draws, Players
from ganlib.training.steps import autocast, evaluating, frozen_weights, send, update

BUILDERS: Mapping[str, Callable[..., nn.Module]] = {
    "generator": StackedGenerator,
    "discriminator": CaptionDiscriminator,
    "small_discriminator": CaptionDiscriminator,
}
TEAMS = {"d": ["discriminator", "small_discriminator"], "g": ["generator"]}
AVERAGED, HIDES_LABELS = pix2pix.AVERAGED, pix2pix.HIDES_LABELS
DIMS: Mapping[str, int | None] = {}
TRANSLATED = ("heldout",)
BASELINE = Ablation("without mismatched captions", {"mismatched": False})
LATENTS = "normal"
shown, limits, figures = pix2pix.shown, pix2pix.limits, pix2pix.figures


@dataclass(frozen=True, kw_only=True)
class Recipe(Judging):
    """How a step is taken."""

    divergence: float
    """Weight of how far what G is told lies from standard normal noise."""
    mismatched: bool
    """Whether D learns that real images beside other captions are wrong."""
    second: bool = False
    """Whether stage II learns in this step, or stage I."""


class Batch(NamedTuple):
    b: torch.Tensor
    """(N, C, H, H) in [-1, 1]"""
    captions: torch.Tensor
    """(N, L), those of B"""
    others: torch.Tensor
    """(N, L), of other images of the batch."""
    latents: torch.Tensor
    """(N, latent_dim)"""


class Result(NamedTuple):
    """Detached scalars, and means of logits as probabilities, of the stage that learns."""

    d_loss: torch.Tensor
    g_loss: torch.Tensor
    divergence: torch.Tensor
    d_real: torch.Tensor
    d_fake: torch.Tensor
    d_mismatched: torch.Tensor


def configs(params: DomainsParams, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    section, model, size = params.games.stackgan, params.model, meta["b"]["image_size"]
    vocabulary, length = meta["a"]["vocabulary"], section.condition_dim
    shared: dict[str, Any] = {"width": model.width, "channels": meta["b"]["channels"], "norm": model.norm}
    generator = {
        "latent_dim": section.latent_dim + 2 * length,
        "latents": LATENTS,
        "condition_dim": length,
        "vocabulary": vocabulary,
        "length": meta["a"]["length"],
        "image_size": size,
        "blocks": model.blocks,
    }
    judge = {"words": len(vocabulary) + FIRST, "length": length}
    return {
        "generator": generator | shared,
        "discriminator": judge | shared | {"image_size": size},
        "small_discriminator": judge | shared | {"image_size": first_stage_size(size)},
    }


def recipe(params: DomainsParams, device: torch.device) -> Recipe:
    section = params.games.stackgan
    return Recipe(**judging(params, device), divergence=section.divergence, mismatched=section.mismatched)


def recipe_at(step: int, recipe: Recipe, params: DomainsParams) -> Recipe:
    """Return the recipe of one step: R1 when it is due, and which stage learns."""
    second = step > params.games.stackgan.alone * params.steps
    return replace(pix2pix.recipe_at(step, recipe, params), second=second)


def kind(recipe: Recipe) -> Hashable:
    return recipe


def draw(data: Mapping[str, Any], draws: Draws, recipe: Recipe, params: DomainsParams) -> list[Batch]:
    """Return a batch of images and their captions, those of the next images, and latents."""
    picked = draws.order(len(data["images"]), params.batch_size).next_batch()
    images = to_unit_range(data["images"][picked])
    (images,) = pix2pix.mirrored([images], draws, "flip") if params.pairs.flip else [images]
    images, section = images.contiguous(memory_format=torch.channels_last), params.games.stackgan
    captions = send(data["a"][picked], images.device)
    length = section.latent_dim + 2 * section.condition_dim
    latents = draw_latents(len(images), length, draws.stream("latents"), LATENTS)
    others = captions[send(unlike(data["a"][picked]), images.device)]
    return [Batch(images, captions, others, send(latents, images.device))]


def unlike(captions: torch.Tensor) -> torch.Tensor:
    """Return of each of (N, L) captions the number of the next one that is another, (N,); its own where none is."""
    differ = (captions[:, None] != captions[None]).any(2)  # (N, N)
    count = len(captions)
    order = (torch.arange(count) - torch.arange(count)[:, None]) % count  # how many further on each is
    return order.where(differ, 2 * count).argmin(1).where(differ.any(1), torch.arange(count))


def step(players: Players, batches: Sequence[Batch], recipe: Recipe) -> Result:
    """Update one stage's D on real images, on fakes and on real images beside other captions, then that stage of G."""
    (batch,) = batches
    generator = players.networks["generator"]
    discriminator = players.networks["discriminator" if recipe.second else "small_discriminator"]
    with autocast(batch.b, recipe.bf16):
        if recipe.second:
            with torch.no_grad(), evaluating(generator.told[0], generator.first):
                drafts, _ = generator.draft(batch.latents, batch.captions)
            fake, divergence = generator.finish(drafts, batch.latents, batch.captions)
        else:
            fake, divergence = generator.draft(batch.latents, batch.captions)
    fake = fake.float()
    real = adaptive_avg_pool2d(batch.b, fake.shape[2])
    said = judged(partial(discriminator, captions=batch.captions), real, fake.detach(), recipe)
    d_loss, total, mismatched = said.loss, said.total, torch.zeros_like(said.real_logits)
    if recipe.mismatched:  # half of all that is wrong: a real image, beside another caption
        with autocast(real, recipe.bf16):
            mismatched = discriminator(real, batch.others).float()
        labels = real.new_ones(()), real.new_zeros(())
        d_loss = (said.loss + recipe.loss.discriminator(said.real_logits, mismatched, *labels)) / 2
        total = said.total - said.loss + d_loss
    update(players.optimizers["d"], total)
    with frozen_weights(discriminator), autocast(fake, recipe.bf16):
        logits = discriminator(fake, batch.captions).float()
    g_loss = recipe.loss.generator(logits) + recipe.divergence * divergence
    update(players.optimizers["g"], g_loss)
    means = (logits.sigmoid().mean() for logits in (said.real_logits, said.fake_logits, mismatched))
    return Result(*(tensor.detach() for tensor in (d_loss, g_loss, divergence, *means)))


def measure(result: Result) -> dict[str, torch.Tensor]:
    """Return losses, the divergence without its weight, and what D believes of images beside captions."""
    return result._asdict()


def examine(found: Translated, params: DomainsParams) -> dict[str, dict[str, float]]:
    """Return the shares of images whose class and colours are those that the caption asks for, and all at once.

    Of real held-out images too, which is how well they can be read. Beside them the same share of shuffled captions,
    and what chance would give. Nothing where captions are not of a template, or classes not known.
    """
    labels, captions = found.a["heldout"].labels, decoded(found.a["heldout"].images, found.vocabulary)
    colours = [asked_by(caption) for caption in captions]
    known = np.array([number for number, asked in enumerate(colours) if asked], np.int64)
    if labels is None or not len(known):
        return {}
    asked = np.array([(str(labels[number]), *(colours[number] or ())) for number in known])  # class, figure, ground
    random = np.random.default_rng(random_generator(params.seed, "evaluate/captions").initial_seed())
    shuffled = random.permutation(asked)
    chance = 1 / (len(found.class_names_a) * len(COLOURS) * (len(COLOURS) - 1))
    rows: dict[str, dict[str, float]] = {}
    made = {name: found.made[name] for name in ("ours", "baseline")}
    for name, images in {**made, "real": found.b["heldout"].images}.items():
        classes = judge_images(found.judge, images[known], found.device).classes
        pairs = zip(classes, colours_of(images[known], COLOURS), strict=True)
        read = np.array([(str(label), *colours) for label, colours in pairs])
        right, wrong = read == asked, read == shuffled
        kept, figure, ground = right.mean(0).tolist()
        rows[name] = {
            "class_kept": kept,
            "figure_as_asked": figure,
            "ground_as_asked": ground,
            "as_asked": float(right.all(1).mean()),
            "as_asked_shuffled": float(wrong.all(1).mean()),
            "as_asked_chance": chance,
        }
    return rows


def promises(figures: Mapping[str, Mapping[str, float]]) -> list[Claim]:
    """Compare with shuffled captions, chance and Reed's ablation, and stage II with stage I: Zhang 2017, table 2."""
    ours, alone, first, source = figures["ours"], figures["baseline"], figures["first"], "Zhang 2017, table 2"
    claims: list[Claim] = []
    if "as_asked" in ours:
        name = "share of images of the class and colours asked for"
        for other, value, paper in (
            ("shuffled captions", ours["as_asked_shuffled"], "a check"),
            ("chance", ours["as_asked_chance"], "a check"),
            (BASELINE.name, alone["as_asked"], "Reed 2016, section 4.2"),
        ):
            claims.append(Claim(f"{name}, against {other}", ours["as_asked"], other, value, "higher", paper))
    name = "distance of sets (FID) to held-out B"
    return [*claims, Claim(name, ours["fid_to_heldout"], "stage I enlarged", first["fid_to_heldout"], "lower", source)]
