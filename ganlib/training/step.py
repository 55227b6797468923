"""One update of the discriminator and one of the generator."""

from dataclasses import dataclass, fields

import torch
from torch import nn

from ganlib.augment import translate
from ganlib.losses import Loss, r1_penalty


@dataclass(frozen=True, kw_only=True)
class Gan:
    """Everything that training changes."""

    generator: nn.Module
    discriminator: nn.Module
    generator_ema: nn.Module
    g_optimizer: torch.optim.Optimizer
    d_optimizer: torch.optim.Optimizer


GAN_PARTS = [field.name for field in fields(Gan)]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What stays the same from step to step."""

    loss: Loss
    real_label: float
    r1_weight: float
    """Weight of the R1 penalty in this step; 0 on steps that go without."""
    translation: float
    """Largest shift of what D sees, as a share of the image size."""
    bf16: bool
    """Whether the networks compute in bfloat16; weights, losses and optimisers stay in float32."""


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """Detached scalars and logits of one step; reading them waits for the device."""

    d_loss: torch.Tensor
    g_loss: torch.Tensor
    real_logits: torch.Tensor
    fake_logits: torch.Tensor


def train_step(
    gan: Gan, real_images: torch.Tensor, latents: torch.Tensor, recipe: Recipe, random: torch.Generator
) -> StepResult:
    """Update D on a batch of real and as many fake images, then G on the same fakes; images (N, C, H, W) in [-1, 1]."""

    def augmented(images: torch.Tensor) -> torch.Tensor:
        return translate(images, recipe.translation, random) if recipe.translation else images

    def autocast(enabled: bool = True) -> torch.autocast:
        return torch.autocast(latents.device.type, torch.bfloat16, enabled=recipe.bf16 and enabled)

    with autocast():
        fake_images = gan.generator(latents)

    # D step: G is only the maker of the fakes, so no gradient flows into it.
    seen_images = augmented(real_images).requires_grad_(recipe.r1_weight > 0)
    with autocast(enabled=recipe.r1_weight == 0):  # the penalty's second derivative needs float32
        real_logits = gan.discriminator(seen_images).float()
    with autocast():
        fake_logits = gan.discriminator(augmented(fake_images.detach())).float()
    d_loss = recipe.loss.discriminator(real_logits, fake_logits, recipe.real_label)
    penalty = recipe.r1_weight * r1_penalty(real_logits, seen_images) if recipe.r1_weight else 0
    update(gan.d_optimizer, d_loss + penalty)

    # G step: D is only the judge, so its own gradients, which the next step would discard, are not computed.
    gan.discriminator.requires_grad_(False)
    with autocast():
        g_loss = recipe.loss.generator(gan.discriminator(augmented(fake_images)).float())
    update(gan.g_optimizer, g_loss)
    gan.discriminator.requires_grad_(True)

    return StepResult(
        d_loss=d_loss.detach(),
        g_loss=g_loss.detach(),
        real_logits=real_logits.detach(),
        fake_logits=fake_logits.detach(),
    )


def update(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """Take one optimiser step down the gradient of a scalar loss."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
