"""Bidirectional GAN (Donahue et al. 2016, arXiv:1605.09782; Dumoulin et al. 2016, arXiv:1606.00704).

D tells pairs (x, E(x)) of real images from pairs (G(z), z), equation 3 of the paper. Where it can't, E is G's inverse.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from ganlib.core.schema import Params
from ganlib.functional.losses import Loss, Targets, zero_centred_penalty
from ganlib.games import gan
from ganlib.games.gan import FAKE, JUDGED, REAL, Batch, Recipe, as_seen
from ganlib.metrics.manifold import nearest_neighbours
from ganlib.networks.families import Encoder, PairDiscriminator, build_generator, network_configs
from ganlib.networks.mlp import HIDDEN
from ganlib.training.baseline import sampled
from ganlib.training.claims import Claim, Findings, Subject
from ganlib.training.codes import class_kept, encode, flat, neighbours_accuracy, rebuild, some
from ganlib.training.game import Players
from ganlib.training.steps import autocast, frozen_weights, update

BUILDERS: Mapping[str, Callable[..., nn.Module]] = {
    "generator": build_generator,
    "encoder": Encoder,
    "pair_discriminator": PairDiscriminator,
}
TEAMS = {"d": ["pair_discriminator"], "g": ["generator", "encoder"]}
AVERAGED = ["generator", "encoder"]
DIMS = gan.DIMS
HIDES_LABELS = False
KNOWN, PROBED, SHOWN = 10_000, 2000, 12
"""Training images and samples that are neighbours, held-out images that are measured, at most, and shown."""
SOURCE = "Donahue 2016, arXiv:1605.09782"


class Result(NamedTuple):
    """Detached scalars and logits of a step; reading them waits for the device."""

    d_loss: torch.Tensor
    g_loss: torch.Tensor
    """Sum of G's and E's."""
    real_logits: torch.Tensor
    fake_logits: torch.Tensor
    fake_logits_after: torch.Tensor


def configs(params: Params, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = network_configs(params.model, meta)
    trunk = found.pop("discriminator") | {"latent_dim": params.model.latent_dim}
    units = params.model.width * HIDDEN
    return found | {
        "encoder": trunk | {"hidden": units, "spectral_norm": False},
        "pair_discriminator": trunk | {"units": units},
    }


def shown(data: dict[str, Any], params: Params) -> dict[str, Any]:
    """Return the images alone: the game has no use for labels."""
    return {"images": data["images"]}


recipe, recipe_at, kind, limits = gan.recipe, gan.recipe_at, gan.kind, gan.limits
figures, draw = gan.figures, gan.draw


def step(players: Players, batches: Sequence[Batch], recipe: Recipe) -> Result:
    """Update D on both kinds of pairs, then G and E together on the same ones."""
    (batch,) = batches
    generator, encoder, discriminator = (players.networks[name] for name in BUILDERS)
    with autocast(batch.latents, recipe.bf16):
        fake_images, codes = generator(batch.latents), encoder(batch.real_images)
    codes = codes.float()
    seen_fake = as_seen(fake_images.detach(), batch, FAKE, recipe)
    seen_real, penalised = as_seen(batch.real_images, batch, REAL, recipe), recipe.r1_weight > 0
    seen_real.requires_grad_(penalised)
    with autocast(codes, recipe.bf16 and not penalised):
        real_logits = discriminator(seen_real, codes.detach()).float()
    with autocast(codes, recipe.bf16):
        fake_logits = discriminator(seen_fake, batch.latents).float()
    d_loss = recipe.loss.discriminator(real_logits, fake_logits, *batch.targets)
    penalty = recipe.r1_weight * zero_centred_penalty(real_logits, seen_real) if penalised else 0
    update(players.optimizers["d"], d_loss + penalty)
    seen_fake = as_seen(fake_images, batch, JUDGED, recipe)
    with frozen_weights(discriminator), autocast(codes, recipe.bf16):
        logits = discriminator(seen_fake, batch.latents).float()
        swapped = discriminator(seen_real.detach(), codes).float()
    g_loss = recipe.loss.generator(logits) + recipe.loss.generator(mirrored(swapped, recipe.loss))
    update(players.optimizers["g"], g_loss)
    return Result(*(x.detach() for x in (d_loss, g_loss, real_logits, fake_logits, logits)))


def mirrored(logits: torch.Tensor, loss: Loss) -> torch.Tensor:
    """Return logits as far on the other side of where D is undecided: as real as they were fake."""
    return 2 * (loss.undecided(Targets(1, 1, 0)) or 0) - logits


def measure(result: Result) -> dict[str, torch.Tensor]:
    """Return a GAN's figures, of pairs."""
    return {
        "d_loss": result.d_loss,
        "g_loss": result.g_loss,
        "d_real": result.real_logits.sigmoid().mean(),
        "d_fake": result.fake_logits.sigmoid().mean(),
        "d_fake_after": result.fake_logits_after.sigmoid().mean(),
    }


def probe(subject: Subject, params: Params, random: torch.Generator) -> Findings:
    """Measure what E keeps of an image: its neighbours' class, as in the paper's table 1, and its own, in G(E(x))."""
    heldout, known = some(subject.heldout, PROBED, random), some(subject.train, KNOWN, random)
    generator, encoder, judge, device = (
        *(subject.networks[n] for n in ("generator", "encoder")),
        subject.judge,
        subject.device,
    )
    rebuilt, codes = rebuild(generator, encoder, heldout, judge, device), encode(encoder, known.images, device)
    pixels, known_pixels = flat(heldout.images), flat(known.images)
    _, samples = sampled(generator, KNOWN, random, device)
    nearest = samples[nearest_neighbours(pixels, flat(samples), 1)[0][:, 0]]
    by_code = known.images[nearest_neighbours(rebuilt.codes[:SHOWN], codes, 1)[0][:, 0]]
    rows = {"held-out": heldout.images, "G(E(x))": rebuilt.images, "nearest code": by_code, "nearest sample": nearest}
    pictures = {"rebuilt": {name: images[:SHOWN] for name, images in rows.items()}}
    kept = class_kept(nearest, heldout, judge, device)
    claims = [Claim("Class kept by G(E(x))", rebuilt.kept, "by the nearest of 10,000 samples", kept, "higher", SOURCE)]
    if heldout.labels is not None and known.labels is not None:
        projection = torch.randn(pixels.shape[1], codes.shape[1], generator=random).double().numpy()
        looks = {
            "a random projection to as many numbers": (pixels @ projection, known_pixels @ projection),
            "pixels": (pixels, known_pixels),
        }
        own = neighbours_accuracy(rebuilt.codes, heldout.labels, codes, known.labels)
        for name, sides in looks.items():
            other = neighbours_accuracy(sides[0], heldout.labels, sides[1], known.labels)
            claims.append(Claim(f"1-NN accuracy of codes, and of {name}", own, name, other, "higher", SOURCE))
    return Findings(claims=claims, pictures=pictures)
