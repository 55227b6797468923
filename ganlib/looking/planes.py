"""Planes of latents to drag over: one for each class that the generator is told, or the judge finds."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganlib.functional.latents import LENGTH, parts_of, seen_classes, split_latents
from ganlib.looking.exploration import paint
from ganlib.looking.walks import plane
from ganlib.networks.families import Generator

MOST = 12
"""Planes on a page: of more classes the most frequent ones."""
ANY = "any class"
"""Name of the plane between latents that were drawn, whatever they show."""

Images = NDArray[np.uint8]


def painted_planes(
    generator: Generator,
    corners: Tensor,
    side: int,
    found: Mapping[str, Tensor],
    device: torch.device,
) -> list[tuple[str, Images]]:
    """Return, for each class, its name and images (side, side, C, H, W) of a plane between four latents (4, d).

    A generator that is told a class, or a category by a code, is asked for each with the same latents; of another one
    the classes are those that were `found`, each with four latents of its own (`class_corners`), beside `ANY`.
    """
    if generator.class_names:
        across = plane(corners, side, generator.latents)
        return [
            (generator.class_names[label], paint(generator, across, torch.tensor(place), device))
            for place, label in most_frequent(generator.class_counts)
        ]
    if categories := min(MOST, parts_of(generator.latents).categories):
        planes = [(f"code {code}", with_category(corners, code, generator.latents)) for code in range(categories)]
    else:
        planes = [(ANY, corners), *list(found.items())[: MOST - 1]]
    return [
        (name, paint(generator, plane(four, side, generator.latents), torch.tensor(0), device)) for name, four in planes
    ]


def most_frequent(class_counts: Sequence[int]) -> list[tuple[int, int]]:
    """Return place among those with training images, and label, of the most frequent classes in their order."""
    seen = seen_classes(class_counts).tolist()
    ranked = sorted(range(len(seen)), key=lambda place: -class_counts[seen[place]])
    return [(place, seen[place]) for place in sorted(ranked[:MOST])]


def with_category(latents: Tensor, category: int, distribution: str) -> Tensor:
    """Return latents (N, d) with another category in their code."""
    noise, code, numbers = split_latents(latents, distribution)
    code = torch.zeros_like(code)
    code[:, category] = LENGTH
    return torch.cat([noise, code, numbers], 1)


def class_corners(latents: Tensor, logits: Tensor, class_names: list[str]) -> dict[str, Tensor]:
    """Return four of the latents (N, d) for each class, those of which the judge is surest by its logits (N, classes).

    A class that is found fewer times is left out.
    """
    sure, classes = logits.softmax(1).max(1)
    corners: dict[str, Tensor] = {}
    for index, name in enumerate(class_names):
        of_class = (classes == index).nonzero()[:, 0]
        if len(of_class) >= 4:
            corners[name] = latents[of_class[sure[of_class].argsort(descending=True, stable=True)[:4]]]
    return corners
