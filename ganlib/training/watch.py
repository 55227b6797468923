"""Watching a training: how good and how diverse the generator is by now, and the same few images again and again."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ganlib.core.schema import Params
from ganlib.core.seeding import random_generator
from ganlib.features.judge import ROTATIONS, Judge
from ganlib.features.judging import judge_images
from ganlib.functional.latents import draw_classes, draw_latents
from ganlib.metrics.classes import class_table, diversity_figures
from ganlib.metrics.diversity import Labelled
from ganlib.metrics.frechet import Gaussian, fit_gaussian, gaussian_distance
from ganlib.metrics.reference import Reference, among_train, build_reference, into_bins
from ganlib.networks.sampling import generate
from ganlib.training.inputs import Inputs

REAL_IMAGES = 5000
"""Most training images, and most held-out ones, that a training is watched with."""
PROGRESS_IMAGES = 32
"""Images of fixed latents that are kept of each evaluation."""
NEIGHBOURS = 5
BINS = 10

Images = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What the evaluations of one training have in common, so that only the generator differs."""

    judge: Judge
    reference: Reference
    heldout: Gaussian
    """Fitted to the held-out images: distances to what training never sees choose the best weights."""
    latents: torch.Tensor
    """(count, latent_dim)"""
    labels: torch.Tensor | None
    """(count,), for a conditional generator."""
    seed: int
    device: torch.device
    protocol: dict[str, Any]
    """What the figures depend on, by key of metrics."""

    def figures_of(self, generator: nn.Module) -> tuple[dict[str, float], Images]:
        """Return the figures of a generator in evaluation mode, and its first images, (n, C, H, W)."""
        images = generate(generator, self.latents, self.device, self.labels)
        fake = into_bins(judge_images(self.judge, images, self.device), self.reference.centres)
        random = np.random.default_rng(random_generator(self.seed, "watch/draws").initial_seed())
        valid = among_train(fake, self.reference).valid
        diversity = diversity_figures(class_table(fake.take(valid), self.reference, 1, random), valid)
        return {
            "domain_fid_to_heldout": gaussian_distance(fit_gaussian(fake.features), self.heldout),
            "valid": float(valid.mean()),
            "diversity_score": diversity["diversity_score"],
            "classes_covered": diversity["classes_covered"],
        }, images[:PROGRESS_IMAGES]


def build_watch(inputs: Inputs, params: Params, device: torch.device) -> Watch:
    """Take the features of up to 5,000 real images of each split, and draw latents, with labels if there are any."""
    judge = inputs.judge
    random = np.random.default_rng(random_generator(params.seed, "watch/real").initial_seed())

    def describe(images: Images) -> Labelled:
        chosen = np.sort(random.permutation(len(images))[:REAL_IMAGES])
        return judge_images(judge, images[chosen], device)

    described = describe(inputs.data["images"].numpy()), describe(inputs.heldout)
    class_names = [] if judge.class_names == ROTATIONS else judge.class_names
    reference = build_reference(*described, class_names, neighbours=NEIGHBOURS, bins=BINS, random=random)
    latent_random = random_generator(params.seed, "watch/latents")
    count, model = params.train.evaluate_count, inputs.configs["generator"]
    return Watch(
        judge=judge,
        reference=reference,
        heldout=fit_gaussian(described[1].features),
        latents=draw_latents(count, model["latent_dim"], latent_random, model["latents"]),
        labels=draw_classes(count, inputs.class_counts, latent_random) if inputs.class_counts else None,
        seed=params.seed,
        device=device,
        protocol={"protocol_train_generated": count, "protocol_train_heldout": len(described[1].features)},
    )
