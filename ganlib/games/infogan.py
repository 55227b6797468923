"""InfoGAN (Chen et al. 2016, arXiv:1606.03657): codes beside the noise, which a reader Q finds again in the images.

Q sits on D's trunk and both are trained on fakes, whose codes are known. G is moved to make images of which Q is sure:
how sure it is bounds the mutual information of codes and images from below, equations 5 and 6.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm

from ganlib.core.errors import UserError
from ganlib.core.images import to_unit_range
from ganlib.core.schema import Params
from ganlib.features.judge import Judge
from ganlib.features.judging import BATCH_SIZE, batches, judge_images
from ganlib.functional.latents import LENGTH, draw_latents, parts_of, split_latents
from ganlib.functional.losses import zero_centred_penalty
from ganlib.games import gan
from ganlib.games.gan import FAKE, JUDGED, REAL, Batch, as_seen, draw_batch, draw_real
from ganlib.metrics.agreement import counts_of, matched_error, mutual_information
from ganlib.metrics.bins import bin_of, fit_bins
from ganlib.networks.families import Generator, build_discriminator, build_generator, network_configs
from ganlib.networks.mlp import dense_layers
from ganlib.networks.sampling import Images, generate
from ganlib.training.baseline import sampled, train_baseline
from ganlib.training.claims import Claim, Findings, Subject
from ganlib.training.codes import flat, some
from ganlib.training.game import Draws, Players
from ganlib.training.steps import autocast, frozen_weights, update

HIDDEN = 512
"""Units between D's convolutions and both heads; 1024 in the paper. Without them D lets categories share digits."""
READER_UNITS = 128
"""Units of Q's hidden layer, as in the paper."""

BUILDERS: Mapping[str, Callable[..., nn.Module]] = {
    "generator": build_generator,
    "discriminator": build_discriminator,
    "reader": dense_layers,
}
TEAMS = {"d": ["discriminator", "reader"], "g": ["generator"]}
AVERAGED = ["generator"]
DIMS = gan.DIMS
HIDES_LABELS = False
SAMPLES, PROBED = 10_000, 5000
"""Fakes of which the judge names the class, and real images of each split that are looked at, at most."""
SHOWN, ROWS = 10, 3
"""Columns of pictures, and images of which each number is swept."""
SOURCE = "Chen 2016, arXiv:1606.03657"


@dataclass(frozen=True, kw_only=True)
class Recipe(gan.Recipe):
    categories: int
    """Values of the category, and numbers of its vector, with which the codes begin."""
    continuous: int
    """Numbers in [-1, 1] behind it."""
    weight: float
    """lambda of equation 6, of the information."""


class Result(NamedTuple):
    """Detached scalars and logits of a step; reading them waits for the device."""

    d_loss: torch.Tensor
    g_loss: torch.Tensor
    real_logits: torch.Tensor
    fake_logits: torch.Tensor
    fake_logits_after: torch.Tensor
    category_loss: torch.Tensor
    """-log Q(category | image) of G's fakes, once Q has been updated: 0 if Q is sure and right."""
    number_loss: torch.Tensor
    """Half the squared error of Q's guesses at the numbers."""


def configs(params: Params, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found, game = network_configs(params.model, meta), params.games.infogan
    if (count := meta["counts"]["train"]) < game.categories:
        raise UserError(f"games.infogan.categories = {game.categories}: there are {count} training images; lower it")
    codes = game.categories + game.continuous
    found["generator"] |= {
        "latent_dim": params.model.latent_dim + codes,
        "latents": f"{params.model.latents}+{game.categories}+{game.continuous}",
    }
    found["discriminator"]["hidden"] = HIDDEN
    return found | {
        "reader": {
            "inputs": HIDDEN,
            "units": READER_UNITS,
            "outputs": codes,
            "layers": 1,
            "activation": params.model.d_activation,
            "norm": params.model.d_norm,
        }
    }


def shown(data: dict[str, Any], params: Params) -> dict[str, Any]:
    """Return the images alone: the game has no use for labels."""
    return {"images": data["images"]}


def recipe(params: Params, device: torch.device) -> Recipe:
    plain, game = gan.recipe(params, device), params.games.infogan
    return Recipe(**vars(plain), categories=game.categories, continuous=game.continuous, weight=game.weight)


recipe_at, kind, limits, figures = gan.recipe_at, gan.kind, gan.limits, gan.figures


def draw(data: Mapping[str, Any], draws: Draws, recipe: Recipe, params: Params) -> list[Batch]:
    picked = draws.order(len(data["images"]), params.batch_size).next_batch()
    real_images = draw_real(picked, data, draws, params)
    codes = recipe.categories + recipe.continuous
    latents = draw_latents(
        params.batch_size,
        params.model.latent_dim + codes,
        draws.stream("latents"),
        f"{params.model.latents}+{recipe.categories}+{recipe.continuous}",
    )
    return [draw_batch(real_images, latents, (None, None), recipe, draws.stream("augment"))]


def step(players: Players, batches: Sequence[Batch], recipe: Recipe) -> Result:
    """Update D and Q, then G on the same fakes."""
    (batch,) = batches
    networks = players.networks
    with autocast(batch.latents, recipe.bf16):
        fake_images = networks["generator"](batch.latents)
    d_step = discriminator_step(players, batch, fake_images.detach(), recipe)
    with frozen_weights(networks["discriminator"], networks["reader"]):
        logits, guesses = look(players, as_seen(fake_images, batch, JUDGED, recipe), recipe.bf16)
    code_losses = losses_of(guesses, batch.latents, recipe)
    g_loss = recipe.loss.generator(logits)
    update(players.optimizers["g"], g_loss + recipe.weight * sum(code_losses))
    d_loss, real_logits, fake_logits = d_step
    return Result(*(x.detach() for x in (d_loss, g_loss, real_logits, fake_logits, logits, *code_losses)))


def discriminator_step(
    players: Players, batch: Batch, fake_images: torch.Tensor, recipe: Recipe
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Update D's trunk by both of its tasks, and both heads; return D's loss without penalty, and both logits."""
    penalised = recipe.r1_weight > 0
    seen_real = as_seen(batch.real_images, batch, REAL, recipe).requires_grad_(penalised)
    with autocast(seen_real, recipe.bf16 and not penalised):
        real_logits = players.networks["discriminator"](seen_real).float()
    fake_logits, guesses = look(players, as_seen(fake_images, batch, FAKE, recipe), recipe.bf16)
    d_loss = recipe.loss.discriminator(real_logits, fake_logits, *batch.targets)
    total = d_loss + recipe.weight * sum(losses_of(guesses, batch.latents, recipe))
    if penalised:
        total = total + recipe.r1_weight * zero_centred_penalty(real_logits, seen_real)
    update(players.optimizers["d"], total)
    return d_loss, real_logits, fake_logits


def look(players: Players, images: torch.Tensor, bf16: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return D's logits (N,) of images and Q's guesses at their codes (N, codes), in float32."""
    with autocast(images, bf16):
        features = players.networks["discriminator"].features(images, None)
        logits = players.networks["discriminator"].to_logit(features).squeeze(1)
        guesses = players.networks["reader"](features)
    return logits.float(), guesses.float()


def losses_of(guesses: torch.Tensor, latents: torch.Tensor, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Return -log Q(c | x) of the category, and of the numbers, under N(guess, 1) and but for a constant."""
    codes = latents[:, -(recipe.categories + recipe.continuous) :]
    category, numbers = codes.split([recipe.categories, recipe.continuous], 1)
    logits, guessed = guesses.split([recipe.categories, recipe.continuous], 1)
    return cross_entropy(logits, category.argmax(1)), 0.5 * (guessed - numbers).square().sum(1).mean()


def measure(result: Result) -> dict[str, torch.Tensor]:
    """Return a GAN's figures, and how well Q reads the codes."""
    return {
        "d_loss": result.d_loss,
        "g_loss": result.g_loss,
        "d_real": result.real_logits.sigmoid().mean(),
        "d_fake": result.fake_logits.sigmoid().mean(),
        "d_fake_after": result.fake_logits_after.sigmoid().mean(),
        "category_loss": result.category_loss,
        "number_loss": result.number_loss,
    }


def probe(subject: Subject, params: Params, random: torch.Generator) -> Findings:
    """Compare the category with the class that the judge sees, in fakes, and with the label, in held-out images."""
    generator, device, judge = subject.networks["generator"], subject.device, subject.judge
    pictures = {"categories": sweep_categories(generator, random, device)}
    if params.games.infogan.continuous:
        pictures["numbers"] = sweep_numbers(generator, random, device)
    if subject.heldout.labels is None or len(subject.class_names) < 2:
        return Findings(absent="the images have no classes that codes could agree with", pictures=pictures)
    plain = train_baseline(subject, params, {"weight": 0.0}).best["generator"]
    tables = [table_of(network, judge, random, device) for network in (generator, plain)]
    heldout, known = some(subject.heldout, PROBED, random), some(subject.train, PROBED, random)
    assert heldout.labels is not None
    centres = fit_bins(flat(known.images), params.games.infogan.categories, np.random.default_rng(params.seed))
    reading = used_to(subject.networks, known.images, device)
    kinds = read(reading, heldout.images, params, device), bin_of(flat(heldout.images), centres)
    shape = params.games.infogan.categories, len(subject.class_names)
    errors = [matched_error(counts_of(kind, heldout.labels, shape)) for kind in kinds]
    information, without = map(mutual_information, tables)
    claims = [
        Claim(
            "NMI of category and judged class", information, "the same game with weight 0", without, "higher", SOURCE
        ),
        Claim("Q's error on held-out images", errors[0], "k-means of pixels", errors[1], "lower", SOURCE),
    ]
    counts = pd.DataFrame(tables[0], columns=judge.class_names)
    counts.insert(0, "category", [str(category) for category in range(len(counts))])
    return Findings(claims=claims, pictures=pictures, tables={"categories_and_judged_classes": counts})


def table_of(generator: Generator, judge: Judge, random: torch.Generator, device: torch.device) -> NDArray[np.int64]:
    """Return how many fakes of each category the judge takes for each class, (categories, classes)."""
    latents, images = sampled(generator, SAMPLES, random, device)
    categories = split_latents(latents, generator.latents)[1].argmax(1).numpy()
    shape = parts_of(generator.latents).categories, len(judge.class_names)
    return counts_of(categories, judge_images(judge, images, device).classes, shape)


@torch.no_grad()
def used_to(networks: Mapping[str, Any], images: Images, device: torch.device) -> dict[str, Any]:
    """Return copies of D and Q whose batch norms know the statistics of (N, C, H, W) uint8 images alone.

    In training, each batch is normalised by its own: those that they have kept are of fakes and real images together.
    """
    copies = {name: copy.deepcopy(networks[name]) for name in ("discriminator", "reader")}
    norms = [part for network in copies.values() for part in network.modules() if isinstance(part, _BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.train().momentum = None  # the mean over all batches, each of as much weight
    whole = len(images) // BATCH_SIZE * BATCH_SIZE or len(images)  # a last one of few images would weigh as much
    for batch in batches(images[:whole], BATCH_SIZE, device):
        copies["reader"](copies["discriminator"].features(to_unit_range(batch), None))
    for norm in norms:
        norm.eval()
    return copies


@torch.inference_mode()
def read(networks: Mapping[str, Any], images: Images, params: Params, device: torch.device) -> NDArray[np.int64]:
    """Return the category that Q reads in each of (N, C, H, W) uint8 images, (N,)."""
    found = []
    for batch in batches(images, BATCH_SIZE, device):
        features = networks["discriminator"].features(to_unit_range(batch), None)
        found.append(networks["reader"](features)[:, : params.games.infogan.categories].argmax(1).cpu())
    return torch.cat(found).numpy()


def sweep_categories(generator: Generator, random: torch.Generator, device: torch.device) -> dict[str, Images]:
    """Return a row of images for each category, of the same noise in each."""
    noise, category, numbers = split_latents(
        draw_latents(SHOWN, generator.latent_dim, random, generator.latents), generator.latents
    )
    rows = {}
    for index, code in enumerate(LENGTH * torch.eye(category.shape[1])):
        latents = torch.cat([noise, code.expand(SHOWN, -1), 0 * numbers], 1)
        rows[f"category {index}"] = generate(generator, latents, device)
    return rows


def sweep_numbers(generator: Generator, random: torch.Generator, device: torch.device) -> dict[str, Images]:
    """Return rows of images along which one number goes from -1 to 1, all else the same; of some categories."""
    drawn = draw_latents(ROWS, generator.latent_dim, random, generator.latents)
    rows = {}
    for index in range(parts_of(generator.latents).continuous):
        place = index - parts_of(generator.latents).continuous
        for row, latent in enumerate(drawn):
            latents = latent.repeat(SHOWN, 1)
            latents[:, place] = torch.linspace(-1, 1, SHOWN)
            rows[f"number {index}, image {row}"] = generate(generator, latents, device)
    return rows
