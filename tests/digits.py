"""Real digits, halved, a judge trained on the first half, and generators with known faults."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits

from ganlib.core.order import content_order
from ganlib.core.seeding import seeded_weights
from ganlib.evaluation.extractors import describe_images
from ganlib.evaluation.summary import Figures, evaluate, heldout_figures
from ganlib.features.eyes import Extractor
from ganlib.features.judge import ROTATIONS, Judge
from ganlib.features.training import train_judge
from ganlib.metrics.diversity import Labelled
from ganlib.metrics.reference import Reference, build_reference

CPU = torch.device("cpu")
SIZE = 32
EPOCHS = 12
NAMES = [str(digit) for digit in range(10)]

Images = NDArray[np.uint8]


class Half(NamedTuple):
    images: Images
    labels: NDArray[np.int64]


@cache
def halves() -> tuple[Half, Half]:
    """Return training and held-out digits, drawn by content."""
    pixels, labels = load_digits(return_X_y=True)
    small = (Image.fromarray(image) for image in np.rint(pixels.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8))
    images = np.stack([np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC))[None] for image in small])
    order = content_order(images)
    train, heldout = (Half(images[rows], labels[rows]) for rows in (order[0::2], order[1::2]))
    return train, heldout


@cache
def judge_of_digits(labelled: bool = True) -> Judge:
    """Train a judge of the digits' classes, or of their rotations; seconds."""
    torch.set_num_threads(1)
    images, labels = halves()[0]
    with seeded_weights(0, "judge"):
        judge = Judge(image_size=SIZE, channels=1, class_names=NAMES if labelled else ROTATIONS)
    epochs = EPOCHS if labelled else EPOCHS // 3
    train_judge(judge, images, labels if labelled else None, epochs=epochs, seed=0, device=CPU, report=lambda _: None)
    return judge


def describe(images: Images, labelled: bool = True) -> Labelled:
    return describe_images(images, Extractor(judge_of_digits(labelled), None, "domain_", {}), CPU)


def without(*missing: int) -> Callable[[], Images]:
    return lambda: halves()[0].images[~np.isin(halves()[0].labels, missing)]


def repeated(*rows: int) -> Images:
    """Repeat some training images in turn until there are 900."""
    return halves()[0].images[np.resize(rows, 900)]


def first_of_each_class() -> list[int]:
    return [int(np.argmax(halves()[0].labels == label)) for label in range(10)]


GENERATORS: dict[str, Callable[[], Images]] = {
    "identical": lambda: halves()[0].images,
    "held-out": lambda: halves()[1].images,
    "1 class missing": without(0),
    "3 classes missing": without(0, 1, 2),
    "5 classes missing": without(0, 1, 2, 3, 4),
    "9 classes missing": without(*range(9)),
    "400 images repeated": lambda: repeated(*range(400)),
    "100 images repeated": lambda: repeated(*range(100)),
    "one image per class": lambda: repeated(*first_of_each_class()),
    "one image": lambda: repeated(0),
    "blurred": lambda: gaussian_filter(halves()[1].images, (0, 0, 1.5, 1.5)),
    "shifted by 3 px": lambda: np.roll(halves()[1].images, 3, axis=2),
    "uniform noise": lambda: np.random.default_rng(0).integers(0, 256, (900, 1, SIZE, SIZE), dtype=np.uint8),
}


@cache
def reference_of_digits(labelled: bool = True) -> tuple[Reference, Figures]:
    train, heldout = (describe(half.images, labelled) for half in halves())
    random = np.random.default_rng(0)
    reference = build_reference(train, heldout, NAMES if labelled else [], neighbours=5, bins=10, random=random)
    return reference, heldout_figures(reference, "domain_", random)


@cache
def figures_of(generator: str, labelled: bool = True) -> Figures:
    """Evaluate one of the generators."""
    return figures_of_images(GENERATORS[generator](), labelled)


@cache
def figures_of_split(heldout: int, missing: int, seed: int) -> Figures:
    """Hold the held-out half's first images out, at random, and let the others, without some classes, be generated."""
    random = np.random.default_rng(seed)
    train, rest = (describe(half.images) for half in halves())
    order, labels = random.permutation(len(rest.features)), halves()[1].labels[content_order(halves()[1].images)]
    generated = order[heldout:][labels[order[heldout:]] >= missing]
    real = rest.take(np.sort(order[:heldout]))
    reference = build_reference(train, real, NAMES, neighbours=5, bins=10, random=random)
    floors = heldout_figures(reference, "domain_", random)
    fake = rest.take(np.sort(generated))
    return evaluate(fake, reference, floors, prefix="domain_", draws=1, subsets=2, random=random).metrics


def figures_of_images(images: Images, labelled: bool = True) -> Figures:
    random = np.random.default_rng(0)
    fake, real = describe(images, labelled), reference_of_digits(labelled)
    return evaluate(fake, *real, prefix="domain_", draws=5, subsets=10, random=random).metrics
