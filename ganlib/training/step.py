"""One update of the discriminator and one of the generator."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import nn

from ganlib.augment import translate
from ganlib.losses import Loss, gradient_penalty, r1_penalty


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
    """How a step is taken."""

    loss: Loss
    real_labels: tuple[float, float]
    """Range that D's labels of real images are drawn from."""
    label_flip: float
    """Share of images whose label D is given wrong."""
    r1_weight: float
    """Weight of the R1 penalty in this step; 0 on steps that go without."""
    gradient_penalty: float
    """Weight of WGAN-GP's penalty."""
    weight_clip: float
    """Largest absolute weight of D; 0 for none."""
    d_steps: int
    """Updates of D before the one of G."""
    translation: float
    """Largest shift of what D sees, as a share of the image size."""
    noise: float
    """Standard deviation of the noise on what D sees in this step."""
    bf16: bool
    """Whether the networks compute in bfloat16; weights, losses and optimisers stay in float32."""


class Batch(NamedTuple):
    real_images: torch.Tensor
    """(N, C, H, W) in [-1, 1]"""
    latents: torch.Tensor
    """(N, latent_dim)"""


class StepResult(NamedTuple):
    """Detached scalars and logits of one step; reading them waits for the device."""

    g_loss: torch.Tensor
    fake_logits_after: torch.Tensor
    """Of the same fakes, once D has been updated."""
    d_loss: torch.Tensor
    real_logits: torch.Tensor
    fake_logits: torch.Tensor


def train_step(gan: Gan, draw: Callable[[], Batch], recipe: Recipe, random: torch.Generator) -> StepResult:
    """Update D `recipe.d_steps` times, each on a new batch of real and fake images, then G on the last fakes."""

    def make(latents: torch.Tensor) -> torch.Tensor:
        with autocast(latents, recipe.bf16):
            return gan.generator(latents)

    for _ in range(recipe.d_steps - 1):
        batch = draw()
        discriminator_step(gan, batch.real_images, make(batch.latents).detach(), recipe, random)
    batch = draw()
    fake_images = make(batch.latents)
    d_step = discriminator_step(gan, batch.real_images, fake_images.detach(), recipe, random)
    g_step = generator_step(gan, fake_images, recipe, random)
    return StepResult(*(tensor.detach() for tensor in (*g_step, *d_step)))


def discriminator_step(
    gan: Gan, real_images: torch.Tensor, fake_images: torch.Tensor, recipe: Recipe, random: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Update D; return its loss without penalties, and both logits."""
    penalised = recipe.r1_weight > 0
    seen_real = seen(real_images, recipe, random).requires_grad_(penalised)
    with autocast(real_images, recipe.bf16 and not penalised):  # the penalty's second derivative needs float32
        real_logits = gan.discriminator(seen_real).float()
    seen_fake = seen(fake_images, recipe, random)
    with autocast(real_images, recipe.bf16):
        fake_logits = gan.discriminator(seen_fake).float()
    d_loss = recipe.loss.discriminator(real_logits, fake_logits, *draw_labels(real_logits, recipe, random))
    total = d_loss
    if recipe.r1_weight:
        total = total + recipe.r1_weight * r1_penalty(real_logits, seen_real)
    if recipe.gradient_penalty:
        penalty = gradient_penalty(gan.discriminator, seen_real, seen_fake, random)
        total = total + recipe.gradient_penalty * penalty
    update(gan.d_optimizer, total)
    if recipe.weight_clip:
        clip_weights(gan.discriminator, recipe.weight_clip)
    return d_loss, real_logits, fake_logits


def generator_step(
    gan: Gan, fake_images: torch.Tensor, recipe: Recipe, random: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Update G on fakes that it has made; return its loss and their logits."""
    # D is only the judge here, so its own gradients, which the next step would discard, are not computed.
    gan.discriminator.requires_grad_(False)
    with autocast(fake_images, recipe.bf16):
        logits = gan.discriminator(seen(fake_images, recipe, random)).float()
    g_loss = recipe.loss.generator(logits)
    update(gan.g_optimizer, g_loss)
    gan.discriminator.requires_grad_(True)
    return g_loss, logits


def seen(images: torch.Tensor, recipe: Recipe, random: torch.Generator) -> torch.Tensor:
    """Return images as D sees them: moved and noisy, real and fake alike."""
    if recipe.translation:
        images = translate(images, recipe.translation, random)
    if recipe.noise:
        images = images + recipe.noise * torch.randn(images.shape, generator=random).to(images)
    return images


def draw_labels(logits: torch.Tensor, recipe: Recipe, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return D's labels of real and of fake images, (N,) each: smoothed on the real side, a share of both flipped."""
    low, high = recipe.real_labels
    real, fake = torch.full(logits.shape, low), torch.zeros(logits.shape)
    if high > low:
        real += (high - low) * torch.rand(logits.shape, generator=random)
    if recipe.label_flip:
        flipped = torch.rand(2, len(logits), generator=random) < recipe.label_flip
        real, fake = real.where(~flipped[0], 0.0), fake.where(~flipped[1], 1.0)
    return real.to(logits), fake.to(logits)


@torch.no_grad()
def clip_weights(discriminator: nn.Module, largest: float) -> None:
    """Clamp every weight to [-largest, largest], WGAN's crude Lipschitz bound (Arjovsky et al. 2017)."""
    torch._foreach_clamp_min_(list(discriminator.parameters()), -largest)
    torch._foreach_clamp_max_(list(discriminator.parameters()), largest)


def autocast(like: torch.Tensor, enabled: bool) -> torch.autocast:
    """Return a context in which networks compute in bfloat16 on the device of a tensor."""
    return torch.autocast(like.device.type, torch.bfloat16, enabled=enabled)


def update(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """Take one optimiser step down the gradient of a scalar loss."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
