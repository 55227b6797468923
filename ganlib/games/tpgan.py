"""Images seen from the side become images seen from the front, after TP-GAN (Huang et al. 2017, arXiv:1704.04086).

Its losses, equations 4 to 9, over one network: Pix2Pix's, to which symmetry, likeness in a net's features and total
variation are added. The paper's second path, of four patches around landmarks, needs a detector of them, and its
features are of LightCNN, trained on faces: the judge stands for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn.functional import l1_loss, mse_loss

from ganlib.core.domains_schema import DomainsParams
from ganlib.games import pix2pix
from ganlib.games.pix2pix import Batch, Result, play, recipe_of, translated
from ganlib.training.claims import Ablation, Claim
from ganlib.training.game import Players

BUILDERS, TEAMS, AVERAGED = pix2pix.BUILDERS, pix2pix.TEAMS, pix2pix.AVERAGED
HIDES_LABELS, DIMS, TRANSLATED = pix2pix.HIDES_LABELS, pix2pix.DIMS, pix2pix.TRANSLATED
BASELINE = Ablation("Pix2Pix", {"symmetry": 0.0, "features": 0.0, "variation": 0.0})
configs, shown, recipe_at, kind = pix2pix.configs, pix2pix.shown, pix2pix.recipe_at, pix2pix.kind
limits, figures, draw = pix2pix.limits, pix2pix.figures, pix2pix.draw
measure, examine = pix2pix.measure, pix2pix.examine


@dataclass(frozen=True, kw_only=True)
class Recipe(pix2pix.Recipe):
    symmetry: float
    """Weight of the distance to the mirror image."""
    features: float
    """Weight of the distance between the judge's maps."""
    variation: float
    """Weight of the distance between neighbouring pixels."""


def recipe(params: DomainsParams, device: torch.device) -> Recipe:
    section = params.games.tpgan
    shared = recipe_of(params, device, section.l1, section.adversary)
    return Recipe(**vars(shared), symmetry=section.symmetry, features=section.features, variation=section.variation)


def step(players: Players, batches: Sequence[Batch], recipe: Recipe) -> Result:
    """Update D on the pairs as Pix2Pix does, then G by all that it should be like."""
    (batch,) = batches
    fake = translated(players, batch, recipe)
    content = recipe.content * l1_loss(fake, batch.b)
    if recipe.symmetry:
        content = content + recipe.symmetry * l1_loss(fake, fake.flip(3))
    if recipe.features:
        judge = players.networks["judge"]
        content = content + recipe.features * mse_loss(judge.maps(fake), judge.maps(batch.b))
    if recipe.variation:
        content = content + recipe.variation * total_variation(fake)
    return play(
        players, batch.b, fake, content, replace(recipe, content=1.0), lambda images: torch.cat([batch.a, images], 1)
    )


def total_variation(images: torch.Tensor) -> torch.Tensor:
    """Return the mean distance of pixels of images (N, C, H, W) to those below and to the right."""
    return l1_loss(images[:, :, 1:], images[:, :, :-1]) + l1_loss(images[:, :, :, 1:], images[:, :, :, :-1])


def promises(figures: Mapping[str, Mapping[str, float]]) -> list[Claim]:
    """Compare with Pix2Pix, and with the turned images as they are: Huang 2017, table 3."""
    ours, source = figures["ours"], "Huang 2017, table 3"
    others = {"the turned image": figures["identity"], BASELINE.name: figures["baseline"]}
    claims: list[Claim] = []
    for other, row in others.items():
        name = "distance of features to the truth, against "
        claims.append(Claim(name + other, ours["features"], other, row["features"], "lower", source))
        claims.append(Claim(f"PSNR, dB, against {other}", ours["psnr"], other, row["psnr"], "higher", source))
    return claims
