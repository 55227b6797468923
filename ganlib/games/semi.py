"""D tells classes and fakes apart, told the classes of a few images (Salimans 2016, arXiv:1606.03498, section 5).

Its class logits are all that D has: Z, their logsumexp, is its logit of an image being real, so that unlabelled images
and fakes teach the classifier what an image is. G deceives D (Odena 2016, arXiv:1606.01583), or matches its features.
The judge, and what chooses the best weights, know all labels: what is published are the last step's.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from ganlib.core.distributed import averaged
from ganlib.core.errors import UserError
from ganlib.core.images import to_unit_range
from ganlib.core.packed import Split
from ganlib.core.schema import Params
from ganlib.core.seeding import random_generator
from ganlib.features.judging import BATCH_SIZE, batches
from ganlib.functional.augmentation import flip
from ganlib.functional.losses import class_loss
from ganlib.games import gan
from ganlib.training.claims import Claim, Findings, Subject
from ganlib.training.game import Draws, Players, build_networks, build_players
from ganlib.training.images import held
from ganlib.training.linear_probe import wrong_ones
from ganlib.training.rehearsal import rehearse
from ganlib.training.steps import autocast, frozen_weights, send, update

BUILDERS, TEAMS, DIMS = gan.BUILDERS, gan.TEAMS, gan.DIMS
AVERAGED = ["generator", "discriminator"]
HIDES_LABELS = True
WATCHED = 2000
"""Held-out images, at most, that an evaluation classifies."""
SHOWN = 16
"""Labelled images of a class that the probe shows, at most."""


@dataclass(frozen=True, kw_only=True)
class Recipe(gan.Recipe):
    told: float
    """Weight of the labelled images' class loss."""
    matching: bool
    """Whether G matches D's features."""


class Labelled(NamedTuple):
    """What D is told in an update."""

    images: torch.Tensor
    """(N, C, H, W), as D sees them."""
    labels: torch.Tensor
    """(N,)"""


class Result(NamedTuple):
    played: gan.Result
    class_loss: torch.Tensor
    """Of the labelled images, detached."""


def configs(params: Params, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    names, asked = meta["class_names"], params.games.semi.labels
    if len(names) < 2:
        raise UserError(
            "game = semi: the prepared images have no two classes to tell apart; give images in a subfolder per class, "
            "or set game to gan"
        )
    fewest = min(names, key=lambda name: meta["counts_per_class"]["train"][name])
    if (count := meta["counts_per_class"]["train"][fewest]) < asked:
        raise UserError(f"games.semi.labels = {asked}: class {fewest} has {count} training images; lower it")
    configs = gan.configs(params, meta)
    return configs | {"discriminator": configs["discriminator"] | {"conditional": "classes", "classes": len(names)}}


def shown(data: dict[str, Any], params: Params) -> dict[str, Any]:
    """Return all images, and which are labelled, with their labels; no others'."""
    random = random_generator(params.seed, "train/labelled/which")
    labelled = chosen(data["labels"], params.games.semi.labels, random)
    return {"images": data["images"], "labelled": labelled, "labels": data["labels"][labelled]}


def chosen(labels: torch.Tensor, count: int, random: torch.Generator) -> torch.Tensor:
    """Return indices of the first `count` images of each class in a random order of all, class by class."""
    order = torch.randperm(len(labels), generator=random)
    return torch.cat([order[labels[order] == label][:count] for label in range(int(labels.max()) + 1)])


def recipe(params: Params, device: torch.device) -> Recipe:
    plain = vars(gan.recipe(params, device))
    return Recipe(**plain, told=params.loss.auxiliary, matching=params.games.semi.feature_matching)


recipe_at, kind, limits = gan.recipe_at, gan.kind, gan.limits


def draw(data: Mapping[str, Any], draws: Draws, recipe: Recipe, params: Params) -> list[Any]:
    """Return the batches of `gan`, then labelled images for each update of D."""
    told = [draw_labelled(data, draws, recipe, params) for _ in range(params.train.d_steps)]
    return [*gan.draw(data, draws, recipe, params), *told]


def draw_labelled(data: Mapping[str, Any], draws: Draws, recipe: Recipe, params: Params) -> Labelled:
    """Return as many labelled images as a batch has, with replacement, augmented as those that D is not told of."""
    picked = torch.randint(len(data["labels"]), (params.batch_size,), generator=draws.stream("labelled/picked"))
    random = draws.stream("labelled/augment")
    images = to_unit_range(data["images"][data["labelled"][picked]])
    images = flip(images, random) if params.data.flip else images
    images = images.contiguous(memory_format=torch.channels_last)
    batch = gan.draw_batch(images, torch.empty(0), (None, None), recipe, random)
    return Labelled(gan.as_seen(images, batch, gan.REAL, recipe), send(data["labels"][picked], images.device))


def step(players: Players, batches: Sequence[Any], recipe: Recipe) -> Result:
    """Update D on each batch and as many labelled images, then G as in `gan`."""

    def make(batch: gan.Batch) -> torch.Tensor:
        with autocast(batch.latents, recipe.bf16):
            return players.networks["generator"](batch.latents, None)

    plain, told = batches[: -recipe.d_steps], batches[-recipe.d_steps :]
    for batch, labelled in zip(plain[: recipe.d_steps - 1], told, strict=False):
        discriminator_step(players, batch, labelled, make(batch).detach(), recipe)
    batch, generator_step = plain[recipe.d_steps - 1], matching_step if recipe.matching else gan.generator_step
    fake_images = make(batch)
    loss, d_step = discriminator_step(players, batch, told[-1], fake_images.detach(), recipe)
    g_step = generator_step(players, batch, fake_images, recipe)
    for batch in plain[recipe.d_steps :]:
        g_step = generator_step(players, batch, make(batch), recipe)
    return Result(gan.Result(*(tensor.detach() for tensor in (*g_step, *d_step))), loss.detach())


def discriminator_step(
    players: Players, batch: gan.Batch, labelled: Labelled, fake_images: torch.Tensor, recipe: Recipe
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Update D; return the labelled images' class loss, and what `gan` returns of the others."""
    loss = told_loss(players.networks["discriminator"], labelled, recipe.bf16)
    return loss, gan.discriminator_step(players, batch, fake_images, recipe, also=recipe.told * loss)


def told_loss(discriminator: nn.Module, labelled: Labelled, bf16: bool) -> torch.Tensor:
    """Return the class loss of labelled images."""
    classify: Any = discriminator.classify
    with autocast(labelled.images, bf16):
        _, class_logits = classify(labelled.images)
    return class_loss(class_logits.float(), labelled.labels)


def matching_step(
    players: Players, batch: gan.Batch, fake_images: torch.Tensor, recipe: Recipe
) -> tuple[torch.Tensor, torch.Tensor]:
    """Update G so that D's features of its fakes have the mean of real images' (Salimans 2016, section 3.1).

    Return its loss, and the fakes' logits.
    """
    discriminator = players.networks["discriminator"]
    with frozen_weights(discriminator), autocast(fake_images, recipe.bf16):
        seen_real = gan.as_seen(batch.real_images, batch, gan.REAL, recipe)
        real = discriminator.features(seen_real, None).float().mean(0)
        seen_fake = gan.as_seen(fake_images, batch, gan.JUDGED, recipe)
        fake = discriminator.features(seen_fake, None)
        logits = discriminator.to_classes(fake.detach()).float().logsumexp(1)
    own = fake.float().mean(0) - real
    gap = averaged(own.detach())  # of all processes: its square is no mean of their squares
    g_loss = ((2 * own - gap) * gap).mean()  # of the value gap^2 and, averaged over processes, of its gradient
    update(players.optimizers["g"], g_loss)
    return g_loss, logits


def measure(result: Result) -> dict[str, torch.Tensor]:
    """Return what `gan` measures, and the class loss of the labelled images."""
    return gan.measure(result.played) | {"class_loss": result.class_loss}


def figures(players: Players, heldout: Split, device: torch.device) -> dict[str, float]:
    """Return the accuracy of D's moving average on held-out images."""
    assert heldout.labels is not None, "configs has seen labels"
    every = max(1, len(heldout.images) // WATCHED)
    guessed = classes_of(players.averages["discriminator"], heldout.images[::every], device)
    return {"accuracy": float((guessed == heldout.labels[::every]).mean())}


@torch.no_grad()
def classes_of(classifier: nn.Module, images: NDArray[np.uint8], device: torch.device) -> NDArray[np.int64]:
    """Return the classes (N,) that a classifier in evaluation mode takes (N, C, H, W) uint8 images for."""
    classify: Any = classifier.classify
    guessed = [classify(to_unit_range(batch))[1].argmax(1).cpu() for batch in batches(images, BATCH_SIZE, device)]
    return torch.cat(guessed).numpy()


def probe(subject: Subject, params: Params, random: torch.Generator) -> Findings:
    """Compare D's accuracy with that of the same net, told the same labels alone for as many steps."""
    train, heldout = subject.train, subject.heldout
    assert train.labels is not None and heldout.labels is not None, "configs has seen labels"
    data = shown({"images": held(train.images, subject.device), "labels": torch.tensor(train.labels)}, params)
    game = subject.evaluations.assign(series="with the game", value=subject.evaluations["accuracy"])
    alone, curve = labels_alone(subject, data, params)
    names = {"the game": subject.networks["discriminator"], "the labels alone": alone}
    right = {
        name: classes_of(network, heldout.images, subject.device) == heldout.labels for name, network in names.items()
    }
    count = len(data["labels"])
    ours, theirs = (float(share.mean()) for share in right.values())
    claim = Claim(
        f"held-out accuracy with {count} labels",
        ours,
        "the same net on these labels alone, for as many steps",
        theirs,
        "higher",
        "Salimans 2016, table 1",
    )
    return Findings(
        claims=[claim],
        pictures={
            "the_labelled_images": labelled_rows_of(data, subject.class_names),
            "held-out_images_that_a_classifier_gets_wrong": wrong_ones(heldout.images, right),
        },
        tables={"accuracy": pd.concat([game.filter(["step", "series", "value"]), curve])},
    )


def labels_alone(subject: Subject, data: Mapping[str, Any], params: Params) -> tuple[nn.Module, pd.DataFrame]:
    """Train the classifier on the labelled images alone: those of the game's updates, its optimiser, its average.

    Return the average, and its accuracy where the game's was evaluated.
    """
    weights = build_networks(gan, subject.configs, params.seed)
    players = build_players(weights, gan, params.lr, params.train.betas, subject.device)
    classifier = players.networks["discriminator"]
    players = replace(players, averages={"discriminator": copy.deepcopy(classifier).requires_grad_(False).eval()})
    draws, constant, curve = Draws(params.seed), recipe(params, subject.device), list[dict[str, Any]]()
    at = set(subject.evaluations["step"])

    def take_step(step: int) -> None:
        if step - 1 in at:
            curve.append({"step": step - 1, **figures(players, subject.heldout, subject.device)})
        for _ in range(constant.d_steps):
            labelled = draw_labelled(data, draws, recipe_at(step, constant, params), params)
            update(players.optimizers["d"], constant.told * told_loss(classifier, labelled, constant.bf16))

    rehearse(players, params, take_step)
    curve.append({"step": params.steps, **figures(players, subject.heldout, subject.device)})
    table = pd.DataFrame(curve).rename(columns={"accuracy": "value"}).assign(series="labels alone")
    return players.averages["discriminator"], table


def labelled_rows_of(data: Mapping[str, Any], class_names: Sequence[str]) -> dict[str, NDArray[np.uint8]]:
    """Return the labelled images, a row for each class, up to SHOWN of it."""
    count = len(data["labels"]) // len(class_names)
    images = data["images"][data["labelled"]].cpu().numpy()
    return {name: images[number * count : (number + 1) * count][:SHOWN] for number, name in enumerate(class_names)}
