"""What a game of two domains makes of images, and how it is laid out beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ganlib.core.captions import Numbers
from ganlib.core.domains_schema import DomainsParams
from ganlib.core.images import to_unit_range
from ganlib.core.packed import Split
from ganlib.core.seeding import random_generator
from ganlib.functional.latents import draw_latents
from ganlib.looking.pictures import labelled_rows
from ganlib.networks.captioned import Draft
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
        latents = latents_for(generator, count, seed)
        made |= {who: generate(generator, latents, device), f"{who}_a": generate(OfA(generator), latents, device)}
    return made


def latents_for(generator: Any, count: int, seed: int) -> torch.Tensor:
    """Return the latents (count, latent_dim) that held-out images are drawn from."""
    return draw_latents(count, generator.latent_dim, random_generator(seed, "translate/latents"), generator.latents)


def told(networks: Networks, captions: Numbers, seed: int, device: torch.device) -> dict[str, Images]:
    """Return images of captions (N, L) of both trainings, `ours` and `baseline`, and `_first` of stage I, enlarged."""
    made: dict[str, Images] = {}
    words = torch.from_numpy(captions.astype(np.int64))
    for who in WHO:
        generator = networks[who, THERE]
        latents = latents_for(generator, len(captions), seed)
        made[who] = generate(generator, latents, device, words)
        made[f"{who}_first"] = generate(Draft(generator), latents, device, words)
    return made


def told_rows(made: Mapping[str, Images], captions: Sequence[str], b: Images) -> Image.Image:
    """Lay out a row for each of the first captions, none twice: both stages, the baseline's stage II, a real image."""
    columns = made["ours_first"], made["ours"], made["baseline"], b
    first = list({caption: captions.index(caption) for caption in captions}.items())[:SHOWN]
    rows = {caption: np.stack([column[number] for column in columns]) for caption, number in first}
    return labelled_rows([rows], headings=("stage I", "stage II", "baseline", "real"))


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
