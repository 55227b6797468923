"""Walks through latent space: lines, planes and loops, and arithmetic with the means of classes.

All are walked and summed among normal latents, on the sphere near which nearly all of these lie; a uniform latent is
taken for its normal one (`to_normal`) and what is found is brought back.
"""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from ganlib.functional.latents import from_normal, to_normal


def interpolate(start: Tensor, end: Tensor, shares: Tensor, distribution: str) -> Tensor:
    """Return latents on the ways from starts to ends, both (N, d), at shares (T,) of the way, (N, T, d).

    Ways are great circles: the middle of a straight line between two latents, normal or uniform, is shorter than nearly
    any latent that the generator has seen (White 2016, arXiv:1609.04468).
    """
    share = shares[:, None]
    a, b = (to_normal(latents, distribution)[:, None] for latents in (start, end))  # (N, 1, d)
    cosine = cosine_similarity(a, b, dim=2).clamp(-1, 1)
    angle = cosine.acos()[..., None].clamp(1e-3, torch.pi - 1e-3)  # (N, 1, 1), of nearly parallel ones not quite theirs
    way = (((1 - share) * angle).sin() * a + (share * angle).sin() * b) / angle.sin()
    return from_normal(way, distribution)


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


def combine(latents: Tensor, weights: Tensor, distribution: str) -> Tensor:
    """Return sums (..., d) of latents (..., n, d), weighted by (n,), at the mean length of what is summed.

    Left as it is, a mean of ten normal latents is shorter than any that the generator has seen, and A - B + C longer.
    """
    terms = to_normal(latents, distribution)
    sums = (weights[:, None] * terms).sum(-2)
    length = terms.norm(dim=-1).mean(-1, keepdim=True)
    return from_normal(sums * (length / sums.norm(dim=-1, keepdim=True).clamp_min(1e-6)), distribution)


def class_means(latents: Tensor, logits: Tensor, average: int, distribution: str) -> dict[int, Tensor]:
    """Return, for each class that the judge finds among latents (N, d), the mean of those it is surest of, (d,).

    `logits` (N, classes) are the judge's of their images. Radford et al. 2015 averaged three latents, chosen by eye,
    and left the mean as short as it fell; here it is as long as they are. A class that is found fewer times than
    `average` is left out.
    """
    sure, classes = logits.softmax(1).max(1)
    means: dict[int, Tensor] = {}
    for index in range(logits.shape[1]):
        of_class = (classes == index).nonzero()[:, 0]
        if len(of_class) >= average:
            surest = of_class[sure[of_class].argsort(descending=True, stable=True)[:average]]
            means[index] = combine(latents[surest], torch.ones(average), distribution)
    return means
