"""Adversarial autoencoder (Makhzani et al. 2015, arXiv:1511.05644): an encoder E whose codes are spread as G's latents.

G rebuilds images from their codes, by least squares, and D tells codes from latents drawn. E makes codes that D takes
for latents, section 2 of the paper, so that latents drawn make images. D never sees an image.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import nn

from ganlib.core.schema import Params
from ganlib.functional.latents import draw_latents
from ganlib.functional.losses import zero_centred_penalty
from ganlib.games import gan
from ganlib.games.gan import draw_real, draw_targets
from ganlib.metrics.manifold import nearest_neighbours
from ganlib.networks.blocks import apply_spectral_norm
from ganlib.networks.families import Encoder, build_generator, network_configs
from ganlib.networks.mlp import HIDDEN, dense_layers
from ganlib.networks.sampling import Images, generate
from ganlib.training.baseline import judged_distance, real_gaussian, train_baseline
from ganlib.training.claims import Claim, Findings, Subject
from ganlib.training.codes import encode, rebuild, some
from ganlib.training.game import Draws, Players
from ganlib.training.steps import autocast, frozen_weights, send, update


def build_critic(*, spectral_norm: bool = False, **config: Any) -> nn.Module:
    """Build D: latents (N, latent_dim) to logits (N, 1)."""
    critic = dense_layers(**config)
    if spectral_norm:
        apply_spectral_norm(critic)
    return critic


BUILDERS: Mapping[str, Callable[..., nn.Module]] = {
    "generator": build_generator,
    "encoder": Encoder,
    "critic": build_critic,
}
TEAMS = {"d": ["critic"], "g": ["generator", "encoder"]}
AVERAGED = ["generator", "encoder"]
DIMS = {"targets": 1}
HIDES_LABELS = False
VARIANCE = 4
"""Of the pixels about G's, in [-1, 1]: 1 for pixels from 0 to 1 as sums of squares are usually taken."""
PROBED, SHOWN = 5000, 12
"""Images that are measured, at most, and shown."""
SOURCE = "Makhzani 2015, arXiv:1511.05644"


@dataclass(frozen=True, kw_only=True)
class Recipe(gan.Recipe):
    adversary: float
    """Weight of D's say in E's loss; 0 leaves a plain autoencoder."""


class Batch(NamedTuple):
    real_images: torch.Tensor
    """(N, C, H, W) in [-1, 1]"""
    latents: torch.Tensor
    """(N, latent_dim)"""
    targets: torch.Tensor
    """(2, N): D's labels of latents and of codes."""


class Result(NamedTuple):
    """Detached scalars and logits of a step; reading them waits for the device."""

    d_loss: torch.Tensor
    g_loss: torch.Tensor
    """How far D tells E's codes from latents."""
    reconstruction: torch.Tensor
    """Mean squared error of a pixel, in [0, 4]."""
    real_logits: torch.Tensor
    fake_logits: torch.Tensor
    fake_logits_after: torch.Tensor


def configs(params: Params, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found, latent_dim = network_configs(params.model, meta), params.model.latent_dim
    encoder = found.pop("discriminator") | {"latent_dim": latent_dim, "spectral_norm": False}  # D's, which it is not
    critic = {"inputs": latent_dim, "units": params.model.width * HIDDEN, "outputs": 1, "layers": 2, "norm": "none"}
    critic |= {"activation": params.model.d_activation, "spectral_norm": params.model.spectral_norm}
    return found | {"encoder": encoder, "critic": critic}


def shown(data: dict[str, Any], params: Params) -> dict[str, Any]:
    """Return the images alone: the game has no use for labels."""
    return {"images": data["images"]}


def recipe(params: Params, device: torch.device) -> Recipe:
    plain = gan.recipe(params, device)
    return Recipe(**vars(plain), adversary=params.games.aae.adversary)


recipe_at, kind, limits, figures = gan.recipe_at, gan.kind, gan.limits, gan.figures


def draw(data: Mapping[str, Any], draws: Draws, recipe: Recipe, params: Params) -> list[Batch]:
    count, model, device = params.batch_size, params.model, data["images"].device
    picked = draws.order(len(data["images"]), count).next_batch()
    latents = draw_latents(count, model.latent_dim, draws.stream("latents"), model.latents)
    targets = draw_targets(count, recipe, draws.stream("augment"))
    return [Batch(draw_real(picked, data, draws, params), send(latents, device), send(targets, device))]


def step(players: Players, batches: Sequence[Batch], recipe: Recipe) -> Result:
    """Update D on latents and codes, then E and G: E by both losses, G by the reconstruction."""
    (batch,) = batches
    generator, encoder, critic = (players.networks[name] for name in BUILDERS)
    with autocast(batch.latents, recipe.bf16):
        codes = encoder(batch.real_images)
        rebuilt = generator(codes)
    codes, penalised = codes.float(), recipe.r1_weight > 0
    latents = batch.latents[:, :, None, None].requires_grad_(penalised)
    real_logits, fake_logits = critic(latents.flatten(1))[:, 0], critic(codes.detach())[:, 0]
    d_loss = recipe.loss.discriminator(real_logits, fake_logits, *batch.targets)
    penalty = recipe.r1_weight * zero_centred_penalty(real_logits, latents) if penalised else 0
    update(players.optimizers["d"], d_loss + penalty)
    with frozen_weights(critic):
        logits = critic(codes)[:, 0]
    g_loss = recipe.loss.generator(logits)
    reconstruction = (rebuilt.float() - batch.real_images).square().mean()
    likelihood = reconstruction * batch.real_images[0].numel() / (2 * VARIANCE)
    update(players.optimizers["g"], likelihood + recipe.adversary * g_loss)
    return Result(*(x.detach() for x in (d_loss, g_loss, reconstruction, real_logits, fake_logits, logits)))


def measure(result: Result) -> dict[str, torch.Tensor]:
    """Return a GAN's figures, of latents and codes in place of real and fake images, and the error of pixels."""
    return {
        "d_loss": result.d_loss,
        "g_loss": result.g_loss,
        "d_real": result.real_logits.sigmoid().mean(),
        "d_fake": result.fake_logits.sigmoid().mean(),
        "d_fake_after": result.fake_logits_after.sigmoid().mean(),
        "reconstruction": result.reconstruction,
    }


def probe(subject: Subject, params: Params, random: torch.Generator) -> Findings:
    """Compare with the same autoencoder without adversary: images of latents drawn, and images rebuilt.

    It is given the weights of its best evaluation for the one, and its last ones, which rebuild best, for the other.
    """
    if not params.games.aae.adversary:
        return Findings(absent="games.aae.adversary is 0: an autoencoder alone promises nothing of latents drawn")
    plain, own = train_baseline(subject, params, {"adversary": 0.0}), subject.networks
    heldout, known = some(subject.heldout, PROBED, random), some(subject.train, PROBED, random)
    real, device, judge = real_gaussian(subject), subject.device, subject.judge
    latents = draw_latents(PROBED, params.model.latent_dim, random, params.model.latents)
    figures, pictures, drawn = {}, {"held-out": heldout.images[:SHOWN]}, dict[str, Images]()
    for name, drawing, rebuilding in (("aae", own, own), ("without adversary", plain.best, plain.last)):
        images = generate(drawing["generator"], latents, device)
        rebuilt = rebuild(rebuilding["generator"], rebuilding["encoder"], heldout, judge, device)
        figures[name] = {
            "distance of latents drawn": judged_distance(images, real, judge, device),
            "PSNR, dB": rebuilt.psnr,
            "class kept": rebuilt.kept,
            "mean of a number of a code, without its sign": abs(rebuilt.codes.mean(0)).mean(),
            "its standard deviation": rebuilt.codes.std(0).mean(),
        }
        drawn[name], pictures[f"rebuilt, {name}"] = images[:SHOWN], rebuilt.images[:SHOWN]
        if name == "aae":
            nearest = nearest_neighbours(rebuilt.codes[:SHOWN], encode(own["encoder"], known.images, device), 1)[0]
            pictures["nearest code"] = known.images[nearest[:, 0]]
    table = pd.DataFrame(figures).T.rename_axis("model").reset_index()
    return Findings(
        claims=claims(figures), pictures={"rebuilt": pictures, "latents_drawn": drawn}, tables={"codes": table}
    )


def claims(figures: Mapping[str, Mapping[str, float]]) -> list[Claim]:
    """Return what the adversary must earn, and what it may cost."""
    (distance, psnr, *_), (plain_distance, plain_psnr, *_) = (list(row.values()) for row in figures.values())
    plain = "the same autoencoder without adversary"
    return [
        Claim("Frechet distance of latents drawn", distance, f"half of {plain}", plain_distance / 2, "lower", SOURCE),
        Claim("PSNR of images rebuilt, dB", psnr, f"{plain}, less 2 dB", plain_psnr - 2, "higher", SOURCE),
    ]
