"""CycleGAN's game with Wasserstein critics of clipped weights and no pool (DualGAN, Yi et al. 2017, arXiv:1704.02510).

The paper's noise is dropout in both translators, which is left out, so that a translation is one image.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import torch

from ganlib.core.domains_schema import DomainsParams
from ganlib.games import cyclegan
from ganlib.games.cyclegan import Recipe, configs_with
from ganlib.games.pix2pix import judging
from ganlib.training.claims import Ablation

BUILDERS, TEAMS, AVERAGED = cyclegan.BUILDERS, cyclegan.TEAMS, cyclegan.AVERAGED
HIDES_LABELS, DIMS = cyclegan.HIDES_LABELS, cyclegan.DIMS
TRANSLATED = cyclegan.TRANSLATED
BASELINE = Ablation("GAN alone", {"cycle": 0.0})
shown, limits, draw, step = cyclegan.shown, cyclegan.limits, cyclegan.draw, cyclegan.step
measure, figures = cyclegan.measure, cyclegan.figures
examine, promises = cyclegan.examine, cyclegan.promises


def configs(params: DomainsParams, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return configs_with(params, meta, 0)


def recipe(params: DomainsParams, device: torch.device) -> Recipe:
    section = params.games.dualgan
    return Recipe(**judging(params, device), cycle=section.cycle, identity=0, clip=section.clip, pool=0)


def recipe_at(step: int, recipe: Recipe, params: DomainsParams) -> Recipe:
    return recipe


def kind(recipe: Recipe) -> Hashable:
    return recipe
