"""What a game of two domains makes of images, and how it is laid out beside them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.core.domains_schema import DomainsParams
from ganlib.core.images import to_unit_range
from ganlib.core.packed import Split
from ganlib.core.seeding import random_generator
from ganlib.functional.latents import draw_latents
from ganlib.networks.coupled import OfA
from ganlib.networks.sampling import generate
from ganlib.training.game import TranslatingGame

WAYS = THERE, BACK = "generator", "back_generator"
"""Networks that translate: from A to B and, in games that learn it, from B to A."""
WHO = "ours", "baseline"
SHOWN = 10
"""Images of a row."""

Images = NDArray[np.uint8]
Networks = Mapping[tuple[str, str], Any]
"""By who has trained them and which way they lead, in evaluation mode."""


def translated(network: Any, images: Images, device: torch.device) -> Images:
    """Return what a network makes of (N, C, H, W) images."""
    return generate(network, to_unit_range(torch.from_numpy(images.copy())), device)


def translations(
    networks: Networks, a: Mapping[str, Split], b: Split, game: TranslatingGame, device: torch.device
) -> dict[str, Images]:
    """Return by name what is made of A, `ours` and `baseline` of held-out images and `_train` of training ones.

    Of games that learn the way back also `_cycle`, what comes back, and `ours_back`, held-out B as A.
    """
    made: dict[str, Images] = {}
    for who in WHO:
        for split in game.TRANSLATED:
            name = who if split == "heldout" else f"{who}_{split}"
            made[name] = translated(networks[who, THERE], a[split].images, device)
        if (who, BACK) in networks:
            made[f"{who}_cycle"] = translated(networks[who, BACK], made[who], device)
    if ("ours", BACK) in networks:
        made["ours_back"] = translated(networks["ours", BACK], b.images, device)
    return made


def drawn(networks: Networks, count: int, seed: int, device: torch.device) -> dict[str, Images]:
    """Return pairs of both trainings, of the same latents: images of B, `ours` and `baseline`, and `_a` of A."""
    made: dict[str, Images] = {}
    for who in WHO:
        generator = networks[who, THERE]
        random = random_generator(seed, "translate/latents")
        latents = draw_latents(count, generator.latent_dim, random, generator.latents)
        made |= {who: generate(generator, latents, device), f"{who}_a": generate(OfA(generator), latents, device)}
    return made


def rows_of(
    made: Mapping[str, Images], a: Images, b: Images, game: TranslatingGame, params: DomainsParams
) -> list[dict[str, Images]]:
    """Return groups of rows: what was given, what was made of it, and the truth if there is one."""
    baseline = game.BASELINE.name
    if "ours_a" in made:
        groups = [{f"{params.game}, A": made["ours_a"], "B": made["ours"]}]
        groups += [{f"{baseline}, A": made["baseline_a"], "B": made["baseline"]}, {"real A": a}, {"real B": b}]
    else:
        groups = [{"A": a, baseline: made["baseline"], params.game: made["ours"]}]
        if "ours_cycle" in made:
            groups[0]["and back"] = made["ours_cycle"]
        if params.partners:
            groups[0]["truth"] = b
        else:
            groups.append({"B": b})
        if "ours_back" in made:
            groups.append({"B": b, "to A": made["ours_back"]})
    side, channels = b.shape[2], max(a.shape[1], b.shape[1])
    return [{name: alike(row[:SHOWN], side, channels) for name, row in group.items()} for group in groups]


def alike(images: Images, side: int, channels: int) -> Images:
    """Return (N, C, h, w) images as (N, channels, side, side), each pixel enlarged, grey ones repeated."""
    larger = images.repeat(side // images.shape[2], 2).repeat(side // images.shape[3], 3)
    return np.repeat(larger, channels // images.shape[1], 1)
