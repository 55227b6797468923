"""One generator against one discriminator, by any loss of the table (Goodfellow 2014, arXiv:1406.2661)."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from ganlib.core.images import to_unit_range
from ganlib.core.packed import Split
from ganlib.core.params import check_classes
from ganlib.core.precision import precision_of
from ganlib.core.schema import LossParams, Params
from ganlib.functional.augmentation import cut_out, draw_colours, draw_corners, draw_shifts, flip, recolour, translate
from ganlib.functional.latents import draw_classes, draw_latents
from ganlib.functional.losses import (
    LOSSES,
    Loss,
    Targets,
    class_loss,
    gradient_penalty,
    undecided_probability,
    zero_centred_penalty,
)
from ganlib.networks.families import Discriminator, build_discriminator, build_generator, network_configs
from ganlib.training.claims import Findings, Subject
from ganlib.training.game import Draws, Limits, Players
from ganlib.training.linear_probe import linear_probe
from ganlib.training.steps import autocast, clip_weights, frozen_weights, send, update

BUILDERS: Mapping[str, Callable[..., nn.Module]] = {"generator": build_generator, "discriminator": build_discriminator}
TEAMS = {"d": ["discriminator"], "g": ["generator"]}
AVERAGED = ["generator"]
HIDES_LABELS = False


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a step is taken."""

    loss: Loss
    targets: Targets
    d_steps: int
    """Updates of D in a step, each on its own batch; what batches are left are G's."""
    r1_weight: float
    """Weight of the R1 penalty, at real images, in this step; 0 on steps that go without."""
    r2_weight: float
    """Likewise of R2, at fakes."""
    gradient_penalty: float
    """Weight of WGAN-GP's penalty."""
    weight_clip: float
    """Largest absolute weight of D; 0 for none."""
    auxiliary: float
    """Weight of the class loss of a discriminator that guesses labels; 0 for one that does not."""
    translation: float
    """Largest shift of what D sees, as a share of the image size."""
    cutout: float
    """Side of the square that D does not see, as a share of the image size."""
    colour: float
    """Strength of the changes of colour of what D sees."""
    noise: float
    """Standard deviation of the noise on what D sees in this step."""
    bf16: bool
    """Whether the networks compute in bfloat16; weights, losses and optimisers stay in float32."""


Taken = TypeVar("Taken", bound=Recipe)
"""The recipe of this game, or one with more to it."""


class Batch(NamedTuple):
    """What an update takes: all that chance decides is drawn before it, so that the step is a pure function."""

    real_images: torch.Tensor
    """(N, C, H, W) in [-1, 1]"""
    latents: torch.Tensor
    """(N, latent_dim)"""
    targets: torch.Tensor
    """(2, N): D's labels of real and of fake images."""
    real_classes: torch.Tensor | None
    """(N,), classes of the real images; None unless the model is conditional."""
    fake_classes: torch.Tensor | None
    """(N,), classes that fake images are asked for in."""
    shifts: torch.Tensor | None
    """(3, 2, N): pixels by which D sees real images, fakes, and fakes in G's update moved down and right."""
    colours: torch.Tensor | None
    """(3, 3, N): how their brightness, saturation and contrast change."""
    corners: torch.Tensor | None
    """(3, 2, N): corners of the squares that D does not see of them."""
    noise: torch.Tensor | None
    """(3, N, C, H, W): what is laid over them."""
    shares: torch.Tensor | None
    """(N, 1, 1, 1): where between real and fake images WGAN-GP's penalty is taken."""


DIMS = {"targets": 1, "shifts": 2, "colours": 2, "corners": 2, "noise": 1}
REAL, FAKE, JUDGED = range(3)
"""Places in `shifts`, `colours`, `corners` and `noise`."""


class Result(NamedTuple):
    """Detached scalars and logits of a step's last updates; reading them waits for the device."""

    g_loss: torch.Tensor
    fake_logits_after: torch.Tensor
    """Of G's last fakes, once D has been updated: the same ones, unless G has several updates."""
    d_loss: torch.Tensor
    real_logits: torch.Tensor
    fake_logits: torch.Tensor


def configs(params: Params, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    check_classes(params, meta["class_names"])
    return network_configs(params.model, meta)


def shown(data: dict[str, Any], params: Params) -> dict[str, Any]:
    """Return all: labels are read by conditional models alone."""
    return data


def recipe(params: Params, device: torch.device) -> Recipe:
    return Recipe(
        loss=LOSSES[params.loss.name],
        targets=targets_of(params.loss),
        d_steps=params.train.d_steps,
        r1_weight=0,
        r2_weight=0,
        gradient_penalty=params.loss.gradient_penalty,
        weight_clip=params.loss.weight_clip,
        auxiliary=params.loss.auxiliary * (params.model.conditional == "auxiliary"),
        translation=params.train.translation,
        cutout=params.train.cutout,
        colour=params.train.colour,
        noise=params.train.instance_noise,
        bf16=precision_of(params.train.precision, device) == "bf16",
    )


def targets_of(loss: LossParams) -> Targets:
    """Return what D's targets are drawn from."""
    return Targets(loss.real_label_low, loss.real_label_high, loss.label_flip)


def recipe_at(step: int, recipe: Taken, params: Params) -> Taken:
    """Return the recipe of one step: R1 and R2 when they are due, noise as far as it has faded."""
    every = params.loss.r1_every
    due = every if step % every == 0 else 0
    noise = params.train.instance_noise * (1 - step / params.steps)
    return replace(recipe, r1_weight=params.loss.r1 * due, r2_weight=params.loss.r2 * due, noise=noise)


def kind(recipe: Recipe) -> Hashable:
    """Return the recipe without the noise's strength, which is drawn with the batch."""
    return replace(recipe, noise=float(recipe.noise > 0))


def limits(params: Params) -> Limits:
    targets = targets_of(params.loss)
    smallest = LOSSES[params.loss.name].smallest_d_loss(targets)
    return Limits(smallest, undecided_probability(params.loss.name, targets))


def figures(players: Players, heldout: Split, device: torch.device) -> dict[str, float]:
    """Return none."""
    return {}


def probe(subject: Subject, params: Params, random: torch.Generator) -> Findings:
    """Compare linear classifiers on D's features, on pixels, and on features of nets that were never trained."""
    return linear_probe(subject, params, random)


def draw(data: Mapping[str, Any], draws: Draws, recipe: Recipe, params: Params) -> list[Batch]:
    """Return a batch for each update: G's further ones take new fakes beside the last real images."""
    order = draws.order(len(data["images"]), params.batch_size)
    picked = [order.next_batch() for _ in range(params.train.d_steps)]
    return [
        draw_one(rows, data, draws, recipe, params) for rows in (*picked, *picked[-1:] * (params.train.g_steps - 1))
    ]


def draw_one(picked: torch.Tensor, data: Mapping[str, Any], draws: Draws, recipe: Recipe, params: Params) -> Batch:
    """Return the batch of the real images picked, (N,)."""
    model, real_images = params.model, draw_real(picked, data, draws, params)
    latents = draw_latents(params.batch_size, model.latent_dim, draws.stream("latents"), model.latents)
    both = None, None
    if model.conditional != "none":
        counts = data["labels"].bincount().tolist()
        asked, real_classes = draw_classes(params.batch_size, counts, draws.stream("labels")), data["labels"][picked]
        # WGAN-GP looks between a real and a fake image of one class.
        both = real_classes, real_classes if recipe.gradient_penalty else asked
    return draw_batch(real_images, latents, both, recipe, draws.stream("augment"))


def draw_real(picked: torch.Tensor, data: Mapping[str, Any], draws: Draws, params: Params) -> torch.Tensor:
    """Return the real images picked, (N,), as (N, C, H, W) in [-1, 1], half of them mirrored if `data.flip`."""
    real_images = to_unit_range(data["images"][picked])
    real_images = flip(real_images, draws.stream("flip")) if params.data.flip else real_images
    return real_images.contiguous(memory_format=torch.channels_last)


def step(players: Players, batches: Sequence[Batch], recipe: Recipe) -> Result:
    """Update D on `d_steps` batches of real images and as many fakes, then G on the last of these and on the rest."""

    def make(batch: Batch) -> torch.Tensor:
        with autocast(batch.latents, recipe.bf16):
            return players.networks["generator"](batch.latents, batch.fake_classes)

    *earlier, batch = batches[: recipe.d_steps]
    for one in earlier:
        discriminator_step(players, one, make(one).detach(), recipe)
    fake_images = make(batch)
    d_step = discriminator_step(players, batch, fake_images.detach(), recipe)
    g_step = generator_step(players, batch, fake_images, recipe)
    for one in batches[recipe.d_steps :]:
        g_step = generator_step(players, one, make(one), recipe)
    return Result(*(tensor.detach() for tensor in (*g_step, *d_step)))


def measure(result: Result) -> dict[str, torch.Tensor]:
    """Return losses, and D(x) and D(G(z)) before and after D's update."""
    return {
        "d_loss": result.d_loss,
        "g_loss": result.g_loss,
        "d_real": result.real_logits.sigmoid().mean(),
        "d_fake": result.fake_logits.sigmoid().mean(),
        "d_fake_after": result.fake_logits_after.sigmoid().mean(),
    }


def discriminator_step(
    players: Players, batch: Batch, fake_images: torch.Tensor, recipe: Recipe, also: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Update D; return its loss without class loss and penalties, and both logits.

    `also` is a scalar of D's that the update lowers too, for games that ask more of D.
    """
    discriminator = players.networks["discriminator"]
    seen_real = as_seen(batch.real_images, batch, REAL, recipe).requires_grad_(recipe.r1_weight > 0)
    # bf16 is too coarse for a penalty's second derivative.
    with autocast(seen_real, recipe.bf16 and not recipe.r1_weight):
        real_logits, real_class_loss = discriminate(discriminator, seen_real, batch.real_classes, recipe)
    if recipe.r2_weight:
        fake_images = fake_images.float()
    seen_fake = as_seen(fake_images, batch, FAKE, recipe).requires_grad_(recipe.r2_weight > 0)
    with autocast(seen_fake, recipe.bf16 and not recipe.r2_weight):
        fake_logits, fake_class_loss = discriminate(discriminator, seen_fake, batch.fake_classes, recipe)
    d_loss = recipe.loss.discriminator(real_logits, fake_logits, *batch.targets)
    total = d_loss if also is None else d_loss + also
    if recipe.auxiliary:
        total = total + recipe.auxiliary * (real_class_loss + fake_class_loss)
    if recipe.r1_weight:
        total = total + recipe.r1_weight * zero_centred_penalty(real_logits, seen_real)
    if recipe.r2_weight:
        total = total + recipe.r2_weight * zero_centred_penalty(fake_logits, seen_fake)
    if batch.shares is not None:
        critic = partial(discriminator, labels=batch.real_classes)
        total = total + recipe.gradient_penalty * gradient_penalty(critic, seen_real, seen_fake, batch.shares)
    update(players.optimizers["d"], total)
    if recipe.weight_clip:
        clip_weights(discriminator, recipe.weight_clip)
    return d_loss, real_logits, fake_logits


def generator_step(
    players: Players, batch: Batch, fake_images: torch.Tensor, recipe: Recipe, also: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Update G on fakes that it has made; return its loss without the class loss, and their logits.

    `also` is a scalar that the update lowers too, for games in which G answers to more than D.
    """
    discriminator = players.networks["discriminator"]
    with frozen_weights(discriminator), autocast(fake_images, recipe.bf16):
        seen_fake = as_seen(fake_images, batch, JUDGED, recipe)
        logits, fake_class_loss = discriminate(discriminator, seen_fake, batch.fake_classes, recipe)
        compared = logits - real_beside(discriminator, batch, recipe) if recipe.loss.relative else logits
    g_loss = recipe.loss.generator(compared)
    total = g_loss if also is None else g_loss + also
    if recipe.auxiliary:
        total = total + recipe.auxiliary * fake_class_loss
    update(players.optimizers["g"], total)
    return g_loss, logits


def real_beside(discriminator: Discriminator, batch: Batch, recipe: Recipe) -> torch.Tensor:
    """Return D's logits (N,) of the real images that a relative loss holds G's fakes against, as D saw them."""
    with torch.no_grad():
        seen_real = as_seen(batch.real_images, batch, REAL, recipe)
        return discriminate(discriminator, seen_real, batch.real_classes, recipe)[0]


def discriminate(
    discriminator: Discriminator, images: torch.Tensor, labels: torch.Tensor | None, recipe: Recipe
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return D's logits (N,) of images and the loss of its guess at their labels, 0 unless it guesses; in float32."""
    if recipe.auxiliary and labels is not None:
        logits, class_logits = discriminator.classify(images)
        return logits.float(), class_loss(class_logits.float(), labels)
    logits = discriminator(images, labels).float()
    return logits, logits.new_zeros(())


def as_seen(images: torch.Tensor, batch: Batch, place: int, recipe: Recipe) -> torch.Tensor:
    """Return images as D sees them: recoloured, moved, cut and noisy, real and fake alike."""
    if batch.colours is not None:
        images = recolour(images, recipe.colour, batch.colours[place])
    if batch.shifts is not None:
        images = translate(images, batch.shifts[place])
    if batch.corners is not None:
        images = cut_out(images, recipe.cutout, batch.corners[place])
    if batch.noise is not None:
        images = images + batch.noise[place].to(images)
    return images


def draw_batch(
    real_images: torch.Tensor,
    latents: torch.Tensor,
    labels: tuple[torch.Tensor | None, torch.Tensor | None],
    recipe: Recipe,
    random: torch.Generator,
) -> Batch:
    """Add to real images, latents and (real, fake) labels all else that chance decides; on the images' device."""
    shape = real_images.shape

    def thrice(draw: Callable[[], torch.Tensor], wanted: float) -> torch.Tensor | None:
        return send(torch.stack([draw() for _ in range(3)]), real_images.device) if wanted else None

    shares = torch.rand(shape[0], 1, 1, 1, generator=random) if recipe.gradient_penalty else None
    return Batch(
        real_images=real_images,
        latents=send(latents, real_images.device),
        targets=send(draw_targets(shape[0], recipe, random), real_images.device),
        real_classes=None if labels[0] is None else send(labels[0], real_images.device),
        fake_classes=None if labels[1] is None else send(labels[1], real_images.device),
        shifts=thrice(lambda: draw_shifts(shape, recipe.translation, random), recipe.translation),
        colours=thrice(lambda: draw_colours(shape[0], random), recipe.colour),
        corners=thrice(lambda: draw_corners(shape, recipe.cutout, random), recipe.cutout),
        noise=thrice(lambda: recipe.noise * torch.randn(shape, generator=random), recipe.noise),
        shares=None if shares is None else send(shares, real_images.device),
    )


def draw_targets(count: int, recipe: Recipe, random: torch.Generator) -> torch.Tensor:
    """Return D's labels of real and of fake images, (2, count): smoothed on the real side, a share of both flipped."""
    low, high, flip = recipe.targets
    real, fake = torch.full((count,), low), torch.zeros(count)
    if high > low:
        real += (high - low) * torch.rand(count, generator=random)
    if flip:
        flipped = torch.rand(2, count, generator=random) < flip
        real, fake = real.where(~flipped[0], 0.0), fake.where(~flipped[1], 1.0)
    return torch.stack([real, fake])
