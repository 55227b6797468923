"""Baselines that a probe trains: the same game with other params, from the same weights and with the same chance."""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.core.packed import evenly
from ganlib.core.params import changed
from ganlib.core.schema import Params
from ganlib.core.seeding import random_generator
from ganlib.features.judge import Judge
from ganlib.features.judging import judge_images
from ganlib.functional.latents import draw_latents
from ganlib.metrics.frechet import Gaussian, fit_gaussian, gaussian_distance
from ganlib.networks.families import Generator
from ganlib.networks.sampling import generate
from ganlib.training.claims import Subject
from ganlib.training.game import Draws, build_networks, build_players, game_of
from ganlib.training.images import held
from ganlib.training.loop import stepper
from ganlib.training.rehearsal import rehearse

JUDGED_IMAGES = 5000
"""Images on each side of a distance, at most."""

Images = NDArray[np.uint8]


class Baseline(NamedTuple):
    """Moving averages by name, in evaluation mode."""

    best: dict[str, Any]
    last: dict[str, Any]


def train_baseline(subject: Subject, params: Params, changes: Mapping[str, Any]) -> Baseline:
    """Train the game's networks with changes of its own section; return those of the best evaluation and of the end.

    Evaluations are as frequent as the training's, and the best is chosen as there: by the distance of images generated
    to held-out ones, in the features that watched it.
    """
    params = changed(params, changes)
    game, device = game_of(params), subject.device
    networks = build_networks(game, subject.configs, params.seed)
    players = build_players(networks, game, params.lr, params.train.betas, device)
    images = held(subject.train.images, device)
    data, draws, constant = game.shown({"images": images}, params), Draws(params.seed), game.recipe(params, device)
    step_of, best = stepper(game, players, device), list[tuple[float, dict[str, Any]]]()

    def watched_by(images: Images) -> Gaussian:
        return fit_gaussian(subject.extractor.describe(images, device).features)

    real = watched_by(some_heldout(subject))

    def evaluate() -> None:
        random = random_generator(params.seed, "probe/baseline")
        _, made = sampled(players.averages["generator"], params.train.evaluate_count, random, device)
        distance = gaussian_distance(watched_by(made), real)
        if not best or distance < best[0][0]:
            best[:] = [(distance, copy.deepcopy(dict(players.averages)))]

    def take_step(step: int) -> None:
        recipe = game.recipe_at(step, constant, params)
        if (step - 1) % params.train.evaluate_every == 0 < step - 1:  # with the moving average of the step before
            evaluate()
        step_of(game.draw(data, draws, recipe, params), recipe)

    rehearse(players, params, take_step)
    evaluate()
    return Baseline(best[0][1], dict(players.averages))


def real_gaussian(subject: Subject) -> Gaussian:
    """Return the Gaussian of held-out images in the judge's features."""
    return fit_gaussian(judge_images(subject.judge, some_heldout(subject), subject.device).features)


def some_heldout(subject: Subject) -> Images:
    """Return at most as many held-out images as a distance takes."""
    images = subject.heldout.images
    return images[evenly(len(images), JUDGED_IMAGES)]


def judged_distance(images: Images, real: Gaussian, judge: Judge, device: torch.device) -> float:
    """Return the Fréchet distance of (N, C, H, W) uint8 images to real ones in the judge's features."""
    return gaussian_distance(fit_gaussian(judge_images(judge, images, device).features), real)


def sampled(
    generator: Generator, count: int, random: torch.Generator, device: torch.device
) -> tuple[torch.Tensor, Images]:
    """Return latents drawn, (count, latent_dim), and their images."""
    latents = draw_latents(count, generator.latent_dim, random, generator.latents)
    return latents, generate(generator, latents, device)
