"""InfoGAN (Chen et al. 2016, arXiv:1606.03657): codes beside the noise, which a reader Q finds again in the images.

Q sits on D's trunk and is trained with D on fakes, whose codes are known: so both say what tells codes apart. G is moved
to make images of which Q is sure. That bounds the mutual information of codes and images from below, equations 5 and 6.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ganlib.core.schema import Params
from ganlib.functional.latents import draw_latents
from ganlib.functional.losses import r1_penalty
from ganlib.games import gan
from ganlib.games.gan import FAKE, JUDGED, REAL, Batch, as_seen, autocast, draw_batch, draw_real, send, update
from ganlib.networks.families import Discriminator, build_discriminator, build_generator, network_configs
from ganlib.networks.mlp import dense_layers
from ganlib.training.game import Draws, Limits, Players

READER_UNITS = 128
"""Units of Q's hidden layer, as in the paper."""


def build_reader(**config: Any) -> nn.Module:
    """Build Q: D's features (N, features) to logits of the category and guesses at the numbers, (N, codes)."""
    return dense_layers(**config)


BUILDERS: Mapping[str, Callable[..., nn.Module]] = {
    "generator": build_generator,
    "discriminator": build_discriminator,
    "reader": build_reader,
}
TEAMS = {"d": ["discriminator", "reader"], "g": ["generator"]}
AVERAGED = ["generator"]
DIMS = gan.DIMS


@dataclass(frozen=True, kw_only=True)
class Recipe(gan.Recipe):
    categories: int
    """Length of the one-hot vector that the codes begin with."""
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
    codes = game.categories + game.continuous
    found["generator"] |= {
        "latent_dim": params.model.latent_dim + codes,
        "latents": f"{params.model.latents}+{game.categories}+{game.continuous}",
    }
    with torch.device("meta"):
        inputs = build_discriminator(**found["discriminator"]).to_logit.in_features
    return found | {
        "reader": {
            "inputs": inputs,
            "units": READER_UNITS,
            "outputs": codes,
            "layers": 1,
            "activation": params.model.d_activation,
            "norm": params.model.d_norm,
        }
    }


def recipe(params: Params, device: torch.device) -> Recipe:
    plain, game = gan.recipe(params, device), params.games.infogan
    shared = {field.name: getattr(plain, field.name) for field in fields(plain)}
    return Recipe(**shared, categories=game.categories, continuous=game.continuous, weight=game.weight)


def recipe_at(step: int, recipe: Recipe, params: Params) -> Recipe:
    return gan.recipe_at(step, recipe, params)


def kind(recipe: Recipe) -> Hashable:
    return gan.kind(recipe)


def limits(params: Params) -> Limits:
    return gan.limits(params)


def draw(data: Mapping[str, torch.Tensor], draws: Draws, recipe: Recipe, params: Params) -> list[Batch]:
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
    networks["discriminator"].requires_grad_(False)
    networks["reader"].requires_grad_(False)
    logits, guesses = look(players, as_seen(fake_images, batch, JUDGED, recipe), recipe.bf16)
    code_losses = losses_of(guesses, batch.latents, recipe)
    g_loss = recipe.loss.generator(logits)
    update(players.optimizers["g"], g_loss + recipe.weight * sum(code_losses))
    networks["discriminator"].requires_grad_(True)
    networks["reader"].requires_grad_(True)
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
        total = total + recipe.r1_weight * r1_penalty(real_logits, seen_real)
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
