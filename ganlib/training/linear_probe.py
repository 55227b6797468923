"""What D has learnt: linear classifiers on its features, on pixels, and on features of nets that were never trained."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import adaptive_avg_pool2d

from ganlib.core.images import to_unit_range
from ganlib.core.schema import Params
from ganlib.core.seeding import seeded_weights
from ganlib.features.judging import BATCH_SIZE, batches
from ganlib.metrics.linear import linear_guesses
from ganlib.networks.families import Discriminator, build_discriminator
from ganlib.training.claims import Claim, Findings, Subject

PROBED = 2000
"""Training images, at most, that a linear classifier is fitted to; and held-out ones, less than twice as many."""
UNTRAINED = 5
"""Nets of random weights that D is compared with."""
LARGEST = 64
"""Height and width of images whose pixels D's features are compared with."""
SHOWN = 16
"""Images of a row that shows what a probe has found."""


def linear_probe(subject: Subject, params: Params, random: torch.Generator) -> Findings:
    """Compare linear classifiers on D's features, on pixels, and on features of nets that were never trained.

    Radford 2015, arXiv:1511.06434, table 1, has the first comparison. The second says what training adds: convolutions
    of random weights are good features too (Saxe 2011).
    """
    train, heldout, conditional = subject.train, subject.heldout, params.model.conditional
    if len(subject.class_names) < 2 or train.labels is None or heldout.labels is None:
        return Findings(absent="the images have no two classes that a classifier could tell apart")
    if conditional != "none":
        return Findings(absent=f"D was told the classes (model.conditional: {conditional}), so that it proves nothing")
    some = torch.randperm(len(train.images), generator=random)[:PROBED].sort().values.numpy()
    images, labels, every = train.images[some], train.labels[some], max(1, len(heldout.images) // PROBED)
    unseen, expected = heldout.images[::every], heldout.labels[::every]

    def right(describe: Callable[[torch.Tensor], torch.Tensor]) -> NDArray[np.bool_]:
        ours, others = (described(describe, given, subject.device) for given in (images, unseen))
        return linear_guesses(ours, labels, others) == expected

    ways = {"D's features": right(featured_by(subject.networks["discriminator"])), "pixels": right(flattened)}
    ours, theirs = (float(way.mean()) for way in ways.values())
    chance = [float(right(featured_by(net)).mean()) for net in untrained(subject, params.seed)]
    name, others = "accuracy of a linear classifier on D's features", f"on those of {UNTRAINED} untrained nets, mean"
    claims = [
        Claim(name, ours, "on pixels", theirs, "higher", "Radford 2015, table 1"),
        Claim("what training adds to it", ours, others, sum(chance) / UNTRAINED, "higher", "a check: Saxe 2011"),
    ]
    return Findings(claims=claims, pictures={"what_a_linear_classifier_gets_wrong": wrong_ones(unseen, ways)})


def flattened(images: torch.Tensor) -> torch.Tensor:
    """Return pixels (N, d) of images (N, C, H, W); larger ones are shrunk to 64 pixels, else they would take 19 GB."""
    return adaptive_avg_pool2d(images, min(images.shape[2], LARGEST)).flatten(1)


def featured_by(discriminator: Discriminator) -> Callable[[torch.Tensor], torch.Tensor]:
    return partial(discriminator.features, labels=None)


def untrained(subject: Subject, seed: int) -> Iterator[Discriminator]:
    """Yield discriminators as they are before training, each with weights of its own."""
    for number in range(UNTRAINED):
        with seeded_weights(seed, f"probe/{number}"):
            yield build_discriminator(**subject.configs["discriminator"]).to(subject.device).eval()


@torch.no_grad()
def described(
    describe: Callable[[torch.Tensor], torch.Tensor], images: NDArray[np.uint8], device: torch.device
) -> NDArray[np.float64]:
    """Return what a function makes of images, (N, C, H, W) uint8 that it takes in [-1, 1], as (N, d)."""
    found = [describe(to_unit_range(batch)).double().cpu() for batch in batches(images, BATCH_SIZE, device)]
    return torch.cat(found).numpy()


def wrong_ones(images: NDArray[np.uint8], right: Mapping[str, NDArray[np.bool_]]) -> dict[str, NDArray[np.uint8]]:
    """Return some of the images that each of several guesses has wrong, rows of SHOWN; white where there are fewer."""
    rows: dict[str, NDArray[np.uint8]] = {}
    for name, guessed in right.items():
        wrong = images[~guessed][:SHOWN]
        rows[f"wrong from {name}"] = np.pad(wrong, ((0, SHOWN - len(wrong)), *[(0, 0)] * 3), constant_values=255)
    return rows
