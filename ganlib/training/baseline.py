"""Baselines that a probe trains: the same game with other params, from the same weights and with the same chance."""

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.core.console import progress
from ganlib.core.schema import Params
from ganlib.core.seeding import random_generator, seeded_weights
from ganlib.features.judge import Judge
from ganlib.features.judging import judge_images
from ganlib.functional.averages import decay_for, update_ema
from ganlib.functional.latents import draw_latents
from ganlib.metrics.frechet import Gaussian, fit_gaussian, gaussian_distance
from ganlib.networks.families import Generator
from ganlib.networks.sampling import generate
from ganlib.training.claims import Subject
from ganlib.training.game import Draws, build_players, game_of
from ganlib.training.graph import GraphedStep
from ganlib.training.schedule import lr_factor, set_lr

JUDGED_IMAGES = 5000
"""Images on each side of a distance, at most."""

Images = NDArray[np.uint8]


def train_baseline(subject: Subject, params: Params, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Train the game's networks with changes of its own section; return the moving averages of the best evaluation.

    Evaluations are as frequent as the training's, and the best is chosen as there: by the distance in the judge's
    features of images generated to held-out ones.
    """
    section = getattr(params.games, params.game).model_copy(update=dict(changes))
    params = params.model_copy(update={"games": params.games.model_copy(update={params.game: section})})
    game, device = game_of(params), subject.device
    with seeded_weights(params.seed, "train/weights"):
        networks = {name: build(**subject.configs[name]) for name, build in game.BUILDERS.items()}
    players = build_players(networks, game, params.lr, params.train.betas, device)
    images = torch.from_numpy(subject.train.images.copy(order="K")).to(device)
    data, draws, constant = game.shown({"images": images}, params), Draws(params.seed), game.recipe(params, device)
    take_step = GraphedStep(game, players, device) if device.type == "cuda" else None
    heldout, lowest, best = real_gaussian(subject), math.inf, dict[str, Any]()
    for step in progress(range(1, params.steps + 1), desc="baseline", unit="step"):
        lr = params.lr * lr_factor(step, params.steps, params.train.lr_decay_start)
        set_lr(players, lr, params.train.d_lr_ratio)
        recipe = game.recipe_at(step, constant, params)
        batches = game.draw(data, draws, recipe, params)
        take_step(batches, recipe) if take_step else game.step(players, batches, recipe)
        decay = decay_for(params.train.ema_halflife, params.batch_size, step * params.batch_size)
        for name, average in players.averages.items():
            update_ema(average, players.networks[name], decay)
        if step % params.train.evaluate_every == 0 or step == params.steps:
            random = random_generator(params.seed, "probe/baseline")
            made = sampled(players.averages["generator"], params.train.evaluate_count, random, device)[1]
            distance = judged_distance(made, heldout, subject.judge, device)
            if distance < lowest:
                lowest, best = distance, copy.deepcopy(dict(players.averages))
    return best


def real_gaussian(subject: Subject) -> Gaussian:
    """Return the Gaussian of held-out images in the judge's features."""
    return fit_gaussian(judge_images(subject.judge, subject.heldout.images[:JUDGED_IMAGES], subject.device).features)


def judged_distance(images: Images, real: Gaussian, judge: Judge, device: torch.device) -> float:
    """Return the Fréchet distance of (N, C, H, W) uint8 images to real ones in the judge's features."""
    return gaussian_distance(fit_gaussian(judge_images(judge, images, device).features), real)


def sampled(
    generator: Generator, count: int, random: torch.Generator, device: torch.device
) -> tuple[torch.Tensor, Images]:
    """Return latents drawn, (count, latent_dim), and their images."""
    latents = draw_latents(count, generator.latent_dim, random, generator.latents)
    return latents, generate(generator, latents, device)
