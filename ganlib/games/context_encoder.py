"""An encoder and decoder fill the hole of an image, and a PatchGAN judges it (Pathak 2016, arXiv:1604.07379)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ganlib.core.domains_schema import DomainsParams
from ganlib.games import pix2pix
from ganlib.games.pix2pix import Batch, Recipe, Result, patches_config, play, recipe_of, translated
from ganlib.networks.patches import PatchDiscriminator
from ganlib.networks.translators import Inpainter, box_of
from ganlib.training.claims import Ablation, Claim
from ganlib.training.game import Players

BUILDERS: Mapping[str, Callable[..., nn.Module]] = {"generator": Inpainter, "discriminator": PatchDiscriminator}
TEAMS, AVERAGED, HIDES_LABELS, DIMS = pix2pix.TEAMS, pix2pix.AVERAGED, pix2pix.HIDES_LABELS, pix2pix.DIMS
TRANSLATED = pix2pix.TRANSLATED
BASELINE = Ablation("L2 alone", {"adversary": 0.0})
shown, recipe_at, kind, limits = pix2pix.shown, pix2pix.recipe_at, pix2pix.kind, pix2pix.limits
figures, draw, measure, examine = pix2pix.figures, pix2pix.draw, pix2pix.measure, pix2pix.examine


def configs(params: DomainsParams, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    generator = inpainter_config(params, meta)
    shortest = min(box.stop - box.start for box in box_of(generator["hidden"]))
    return {"generator": generator, "discriminator": patches_config(params, shortest, meta["b"]["channels"])}


def inpainter_config(params: DomainsParams, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what rebuilds a network that fills the hole."""
    b, model = meta["b"], params.model
    return {
        "image_size": b["image_size"],
        "channels": b["channels"],
        "width": model.width,
        "depth": model.depth,
        "norm": model.norm,
        "hidden": ["".join("01"[int(hides)] for hides in row) for row in meta["hidden"]],
    }


def recipe(params: DomainsParams, device: torch.device) -> Recipe:
    section = params.games.context_encoder
    return recipe_of(params, device, section.l2, section.adversary)


def step(players: Players, batches: Sequence[Batch], recipe: Recipe) -> Result:
    """Update D on what was in the hole and what fills it, then G by the squared distance in the hole.

    As in the paper's own code for a hole in the centre, D sees the hole alone: the smallest rectangle around it.
    """
    (batch,) = batches
    generator, fake = players.networks["generator"], translated(players, batch, recipe)
    share = generator.hidden.float().mean()
    content = (fake - batch.b).square().mean() / share  # outside of the hole it is 0
    return play(players, batch.b, fake, content, recipe, lambda x: x[:, :, generator.rows, generator.columns])


def promises(figures: Mapping[str, Mapping[str, float]]) -> list[Claim]:
    """Compare with the mean image, and with L2 alone: Pathak 2016, sections 3.2 and 5."""
    ours, alone, mean, source = figures["ours"], figures["baseline"], figures["mean"], "Pathak 2016, section 5"
    sets = ours["fid_to_heldout"], alone["fid_to_heldout"]
    return [
        Claim("PSNR in the hole, dB", ours["hidden_psnr"], "mean image", mean["hidden_psnr"], "higher", source),
        Claim("distance of sets (FID) to held-out B", sets[0], "L2 alone", sets[1], "lower", source),
    ]
