"""What the judge finds in latent space: directions between classes, and the nearest training images."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganlib.metrics.features import judge_images
from ganlib.metrics.manifold import nearest_neighbours
from ganlib.networks.families import Generator
from ganlib.networks.judge import Judge
from ganlib.sampling import generate
from ganlib.walks import class_means

Images = NDArray[np.uint8]


class Arithmetic(NamedTuple):
    images: Images
    """(equations, 4, C, H, W): A, B, C and A - B + C."""
    terms: list[list[str]]
    """Names of the classes A, B and C, and of the class that the judge takes the result for."""


class Neighbours(NamedTuple):
    images: Images
    """(N, 1 + count, C, H, W): each generated image and its nearest training images, the nearest first."""
    classes: list[str]
    """(N,), what the judge takes the generated images for."""


def paint(generator: Generator, latents: Tensor, which: Tensor, device: torch.device) -> Images:
    """Return uint8 images (..., C, H, W) of latents (..., d).

    A conditional generator is asked for class `which`, counted round, of a shape that broadcasts to the latents'.
    """
    labels = None
    if generator.class_names:
        labels = which.expand(latents.shape[:-1]).flatten() % len(generator.class_names)
    images = generate(generator, latents.reshape(-1, latents.shape[-1]), device, labels)
    return images.reshape(*latents.shape[:-1], *images.shape[1:])


def judge_logits(judge: Judge, images: Images, device: torch.device) -> Tensor:
    """Return the judge's class logits (N, classes) of (N, C, H, W) uint8 images."""
    features = torch.from_numpy(judge_images(judge, images, device).features)
    with torch.no_grad():
        return judge.to_logits(features.float().to(device)).cpu()


def class_arithmetic(
    generator: Generator,
    judge: Judge,
    latents: Tensor,
    *,
    average: int,
    equations: int,
    random: torch.Generator,
    device: torch.device,
) -> Arithmetic | str:
    """Return images of mean(A) - mean(B) + mean(C), means of latents (N, d) that the judge finds of a class.

    As in Radford et al. 2015, arXiv:1511.06434, figure 7; three classes are drawn for each equation. Without three
    classes to be found, or with a generator that is told the class beside the latent, return why there is none.
    """
    if generator.class_names:
        return "the model is conditional: the class is not in its latents"
    means = class_means(latents, judge_logits(judge, generate(generator, latents, device), device), average)
    if len(means) < 3:
        return f"the judge finds {len(means)} classes {average} times or more among {len(latents)} images: 3 are needed"
    found = sorted(means)
    drawn = [[found[at] for at in torch.randperm(len(found), generator=random)[:3].tolist()] for _ in range(equations)]
    terms = torch.stack([torch.stack([means[index] for index in equation]) for equation in drawn])  # (equations, 3, d)
    results = terms[:, 0] - terms[:, 1] + terms[:, 2]
    if generator.latents == "uniform":
        results = results.clamp(-1, 1)
    images = paint(generator, torch.cat([terms, results[:, None]], 1), torch.tensor(0), device)
    judged = judge_logits(judge, images[:, 3], device).argmax(1).tolist()
    names = judge.class_names
    return Arithmetic(
        images, [[names[index] for index in (*row, result)] for row, result in zip(drawn, judged, strict=True)]
    )


def nearest_training_images(
    judge: Judge, generated: Images, train: Images, count: int, device: torch.device
) -> Neighbours:
    """Set beside generated images (N, C, H, W) those training images (M, C, H, W) nearest in the judge's features."""
    described = judge_images(judge, generated, device)
    nearest, _ = nearest_neighbours(described.features, judge_images(judge, train, device).features, count)
    images = np.concatenate([generated[:, None], train[nearest]], 1)
    return Neighbours(images, [judge.class_names[index] for index in described.classes])
