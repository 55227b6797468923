"""What is in latent space: ways between latents and, by the judge, directions between classes and nearest images."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ganlib.core.packed import AnyImages
from ganlib.core.schema import ExploreParams
from ganlib.features.eyes import Extractor
from ganlib.features.judge import Judge
from ganlib.features.judging import judge_images
from ganlib.functional.latents import parts_of, seen_classes, shortened
from ganlib.looking.pictures import grid, labelled_rows
from ganlib.looking.walks import class_means, combine, interpolate, loop, plane
from ganlib.metrics.diversity import Labelled
from ganlib.metrics.manifold import nearest_neighbours
from ganlib.networks.families import Generator
from ganlib.networks.sampling import generate

SHRUNK = (0.25, 0.5, 0.75, 1.0)
"""Truncation: what latents are multiplied by. It is meant to leave the sphere; uniform ones stay in their cube."""

Images = NDArray[np.uint8]


class Arithmetic(NamedTuple):
    images: Images
    """(equations, 4, C, H, W): A, B, C and A - B + C."""
    terms: list[list[str]]
    """Names of the classes A, B and C, and of the class that the judge takes the result for."""


class NearestImages(NamedTuple):
    images: Images
    """(N, 1 + count, C, H, W): each generated image and its nearest training images, the nearest first."""
    classes: list[str]
    """(N,), what the judge takes the generated images for."""


def paint(generator: Generator, latents: Tensor, which: Tensor, device: torch.device) -> Images:
    """Return uint8 images (..., C, H, W) of latents (..., d).

    A conditional generator is asked for class `which` of those with training images, counted round, of a shape that
    broadcasts to the latents'.
    """
    labels = None
    if generator.class_names:
        seen = seen_classes(generator.class_counts)
        labels = seen[which.expand(latents.shape[:-1]).flatten() % len(seen)]
    images = generate(generator, latents.reshape(-1, latents.shape[-1]), device, labels)
    return images.reshape(*latents.shape[:-1], *images.shape[1:])


def paint_walks(
    generator: Generator, draw: Callable[[int, str], Tensor], settings: ExploreParams, device: torch.device
) -> dict[str, Images]:
    """Return images of walks: interpolation, plane, walk (frames, walks, C, H, W) and truncation, else (rows, columns).

    `draw` returns so many latents (N, d) for a walk of such a name.
    """
    rows, columns, kind = settings.rows, settings.columns, generator.latents
    starts, ends = draw(2 * rows, "interpolation").split(rows)
    stops = draw(settings.stops * columns, "walk").unflatten(0, (-1, columns))
    between = interpolate(starts, ends, torch.linspace(0, 1, columns), kind)  # (rows, columns, d)
    across = plane(draw(4, "plane"), columns, kind)  # (columns, columns, d)
    around = loop(stops, settings.frames, kind)  # (stops * frames, columns, d)
    factors = torch.tensor(SHRUNK)[:, None, None]
    shrunk = shortened(draw(columns, "truncation"), factors, kind)  # (factors, columns, d)
    return {
        "interpolation": paint(generator, between, torch.arange(rows)[:, None], device),
        "plane": paint(generator, across, torch.tensor(0), device),
        "walk": paint(generator, around, torch.arange(columns), device),
        "truncation": paint(generator, shrunk, torch.arange(columns), device),
    }


def judge_logits(judge: Judge, images: Images, device: torch.device) -> Tensor:
    """Return the judge's class logits (N, classes) of (N, C, H, W) uint8 images."""
    features = torch.from_numpy(judge_images(judge, images, device).features)
    with torch.no_grad():
        return judge.to_logits(features.float().to(device)).cpu()


def class_arithmetic(
    generator: Generator,
    judge: Judge,
    latents: Tensor,
    settings: ExploreParams,
    random: torch.Generator,
    device: torch.device,
) -> Arithmetic | str:
    """Return images of mean(A) - mean(B) + mean(C), means of latents (N, d) that the judge finds of a class.

    As in Radford et al. 2015, arXiv:1511.06434, figure 7, but means and sums are as long as latents are (`combine`);
    three classes are drawn for each equation. Without three classes to be found, or with a generator that is told the
    class beside the latent or by a code, return why there is none.
    """
    if generator.class_names:
        return "the model is conditional: the class is not in its latents"
    if parts_of(generator.latents).categories:
        return "the latents say the category with a code, which can't be added up: metrics/probe sweeps the codes"
    average = settings.average
    logits = judge_logits(judge, generate(generator, latents, device), device)
    means = class_means(latents, logits, average, generator.latents)
    if len(means) < 3:
        return f"the judge finds {len(means)} classes {average} times or more among {len(latents)} images: 3 are needed"
    found = sorted(means)
    orders = [torch.randperm(len(found), generator=random).tolist() for _ in range(settings.rows)]
    drawn = [[found[at] for at in order[:3]] for order in orders]
    terms = torch.stack([torch.stack([means[index] for index in equation]) for equation in drawn])  # (equations, 3, d)
    results = combine(terms, torch.tensor([1.0, -1, 1]), generator.latents)
    images = paint(generator, torch.cat([terms, results[:, None]], 1), torch.tensor(0), device)
    judged = judge_logits(judge, images[:, 3], device).argmax(1).tolist()
    names = judge.class_names
    return Arithmetic(
        images, [[names[index] for index in (*row, result)] for row, result in zip(drawn, judged, strict=True)]
    )


def nearest_training_images(
    extractor: Extractor,
    generated: Images,
    train: AnyImages,
    real: Labelled,
    count: int,
    device: torch.device,
) -> NearestImages:
    """Set beside generated images (N, C, H, W) those training images (M, C, H, W) nearest in an extractor's features.

    `real` is what the extractor says of the training images.
    """
    assert extractor.judge, "the judge names the classes"
    described = extractor.describe(generated, device)
    nearest, _ = nearest_neighbours(described.features, real.features, count)
    images = np.concatenate([generated[:, None], train[nearest]], 1)
    return NearestImages(images, [extractor.judge.class_names[index] for index in described.classes])


def draw_pictures(
    walks: Mapping[str, Images], neighbours: NearestImages, arithmetic: Arithmetic | str
) -> dict[str, Image.Image]:
    """Lay out for people what was found; the walk itself is an animation."""
    pictures = {name: grid(np.concatenate(walks[name]), walks[name].shape[1]) for name in ("interpolation", "plane")}
    shrunk = zip(SHRUNK, walks["truncation"], strict=True)
    pictures["truncation"] = labelled_rows([{f"z x {factor:g}": row} for factor, row in shrunk])
    judged = zip(neighbours.classes, neighbours.images, strict=True)
    pictures["neighbours"] = labelled_rows([{name: row} for name, row in judged], ["made", "nearest training images"])
    if isinstance(arithmetic, Arithmetic):
        equations = zip(arithmetic.terms, arithmetic.images, strict=True)
        pictures["arithmetic"] = labelled_rows(
            [{"{} - {} + {} = {}".format(*names): row} for names, row in equations], ["A", "- B", "+ C", "="]
        )
    return pictures
