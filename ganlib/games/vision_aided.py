"""D, and beside it an eye that has seen a million photographs (Kumari et al. 2022, arXiv:2112.09130).

The eye's layers know fur and edges from the first step; D, which knows nothing, sees what they leave out: colours,
places, and that no two images are alike. G deceives both. The eye's loss is the cross-entropy, whatever D's is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from ganlib.core.schema import Params
from ganlib.functional.losses import LOSSES
from ganlib.games import gan
from ganlib.games.gan import JUDGED, REAL, Batch, as_seen
from ganlib.networks.eye import Eye
from ganlib.training.claims import Findings, Subject
from ganlib.training.game import Players
from ganlib.training.steps import autocast, frozen_weights

BUILDERS: Mapping[str, Callable[..., nn.Module]] = {**gan.BUILDERS, "eye": Eye}
TEAMS = {"d": ["discriminator", "eye"], "g": ["generator"]}
AVERAGED, DIMS, HIDES_LABELS = gan.AVERAGED, gan.DIMS, False


@dataclass(frozen=True, kw_only=True)
class Recipe(gan.Recipe):
    weight: float
    """Of the eye's say in G's loss."""


class Result(NamedTuple):
    """Detached scalars and logits of a step; reading them waits for the device."""

    played: gan.Result
    eye_loss: torch.Tensor
    """The eye's own."""


def configs(params: Params, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return gan.configs(params, meta) | {"eye": {"image_size": meta["image_size"]}}


def recipe(params: Params, device: torch.device) -> Recipe:
    return Recipe(**vars(gan.recipe(params, device)), weight=params.games.vision_aided.weight)


shown, draw = gan.shown, gan.draw
recipe_at, kind, limits, figures = gan.recipe_at, gan.kind, gan.limits, gan.figures


def step(players: Players, batches: Sequence[Batch], recipe: Recipe) -> Result:
    """Update D and the eye, then G on the same fakes, which the eye has looked at once."""
    (batch,) = batches
    eye, loss = players.networks["eye"], LOSSES["nonsaturating"]
    with autocast(batch.latents, recipe.bf16):
        fake_images = players.networks["generator"](batch.latents)
        with torch.no_grad():
            real_maps = eye.look(as_seen(batch.real_images, batch, REAL, recipe))
        fake_maps = eye.look(as_seen(fake_images, batch, JUDGED, recipe))
        real_logits = eye.judge(real_maps).float()
        fake_logits = eye.judge([found.detach() for found in fake_maps]).float()
    ones = torch.ones_like(real_logits)
    eye_loss = loss.discriminator(real_logits, fake_logits, ones, torch.zeros_like(ones))
    d_step = gan.discriminator_step(players, batch, fake_images.detach(), recipe, also=eye_loss)
    with frozen_weights(eye), autocast(batch.latents, recipe.bf16):
        deceived = loss.generator(eye.judge(fake_maps).float())
    g_step = gan.generator_step(players, batch, fake_images, recipe, also=recipe.weight * deceived)
    return Result(gan.Result(*(tensor.detach() for tensor in (*g_step, *d_step))), eye_loss.detach())


def measure(result: Result) -> dict[str, torch.Tensor]:
    """Return what `gan` measures of D, and the eye's loss."""
    return gan.measure(result.played) | {"eye_loss": result.eye_loss}


def probe(subject: Subject, params: Params, random: torch.Generator) -> Findings:
    """Return no claim: its baseline is another training."""
    return Findings(
        absent="what the eye adds takes a training without it: dvc exp run -S game=gan, and dvc metrics diff"
    )
