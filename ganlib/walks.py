"""Walks through latent space: lines, planes and loops, and arithmetic with the means of classes."""

import torch
from torch import Tensor


def interpolate(start: Tensor, end: Tensor, shares: Tensor, distribution: str) -> Tensor:
    """Return latents on the ways from starts to ends, both (N, d), at shares (T,) of the way, (N, T, d).

    Normal latents go along great circles, uniform ones along straight lines: the middle of a line between two normal
    latents is shorter than nearly any latent that the generator has seen (White 2016, arXiv:1609.04468).
    """
    share = shares[:, None]
    a, b = start[:, None], end[:, None]  # (N, 1, d)
    if distribution == "uniform":
        return (1 - share) * a + share * b
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=2).clamp(-1, 1)
    angle = cosine.acos()[..., None].clamp(1e-3, torch.pi - 1e-3)  # (N, 1, 1), of nearly parallel ones not quite theirs
    return (((1 - share) * angle).sin() * a + (share * angle).sin() * b) / angle.sin()


def plane(corners: Tensor, side: int, distribution: str) -> Tensor:
    """Return (side, side, d) latents between four corners (4, d), given as top left, top right, bottom left, right."""
    shares = torch.linspace(0, 1, side)
    left, right = interpolate(corners[:2], corners[2:], shares, distribution)  # (side, d) each, downwards
    return interpolate(left, right, shares, distribution)


def loop(stops: Tensor, frames: int, distribution: str) -> Tensor:
    """Return (stops * frames, N, d) latents of N closed walks through their stops (stops, N, d)."""
    shares = torch.arange(frames) / frames
    legs = [
        interpolate(start, end, shares, distribution).transpose(0, 1)  # (frames of the leg, N, d)
        for start, end in zip(stops, stops.roll(-1, 0), strict=True)
    ]
    return torch.cat(legs)


def class_means(latents: Tensor, logits: Tensor, average: int) -> dict[int, Tensor]:
    """Return, for each class that the judge finds among latents (N, d), the mean of those it is surest of, (d,).

    `logits` (N, classes) are the judge's of their images. Radford et al. 2015 averaged three latents, chosen by eye.
    A class that is found fewer times than `average` is left out.
    """
    sure, classes = logits.softmax(1).max(1)
    means: dict[int, Tensor] = {}
    for index in range(logits.shape[1]):
        of_class = (classes == index).nonzero()[:, 0]
        if len(of_class) >= average:
            means[index] = latents[of_class[sure[of_class].argsort(descending=True, stable=True)[:average]]].mean(0)
    return means
