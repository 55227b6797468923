"""A GAN in plain PyTorch, as the papers have it and without a line of ganlib: what training is held against."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.autograd import grad
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss, one_hot, pad, relu

Tensor = torch.Tensor


def cross_entropy_game(real: Tensor, fake: Tensor, targets: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(real, targets[0]) + binary_cross_entropy_with_logits(fake, targets[1])


D_LOSSES = {
    "nonsaturating": cross_entropy_game,
    "minimax": cross_entropy_game,
    "boundary": cross_entropy_game,
    "least_squares": lambda real, fake, targets: mse_loss(real, targets[0]) / 2 + mse_loss(fake, targets[1]) / 2,
    "hinge": lambda real, fake, targets: relu(1 - real).mean() + relu(1 + fake).mean(),
    "wasserstein": lambda real, fake, targets: fake.mean() - real.mean(),
    "relativistic": lambda real, fake, targets: -(real - fake).sigmoid().log().mean(),
}
G_LOSSES = {
    "nonsaturating": lambda fake: binary_cross_entropy_with_logits(fake, torch.ones_like(fake)),
    "minimax": lambda fake: -binary_cross_entropy_with_logits(fake, torch.zeros_like(fake)),
    "boundary": lambda fake: (fake.sigmoid().log() - (1 - fake.sigmoid()).log()).square().mean() / 2,
    "least_squares": lambda fake: mse_loss(fake, torch.ones_like(fake)) / 2,
    "hinge": lambda fake: -fake.mean(),
    "wasserstein": lambda fake: -fake.mean(),
    "relativistic": lambda above: -above.sigmoid().log().mean(),
}


class Generator(nn.Module):
    """DCGAN for 16 pixels: latents, and the class as a one-hot vector behind them, to 4, 8 and 16 pixels."""

    def __init__(self, latent_dim: int, width: int, channels: int, classes: int):
        super().__init__()
        self.classes = classes
        self.project = nn.Linear(latent_dim + classes, 2 * width * 16, bias=False)
        self.first_norm = nn.BatchNorm2d(2 * width)
        convolution = nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False)
        self.upsample = nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())
        self.to_image = nn.ConvTranspose2d(width, channels, 4, 2, 1)

    def forward(self, latents: Tensor, classes: Tensor | None) -> Tensor:
        if classes is not None:
            latents = torch.cat([latents, one_hot(classes, self.classes)], 1)
        maps = self.project(latents).view(len(latents), -1, 4, 4)
        return self.to_image(self.upsample(relu(self.first_norm(maps)))).tanh()


class Discriminator(nn.Module):
    """DCGAN for 16 pixels: logits, and class logits of an ACGAN."""

    def __init__(self, width: int, channels: int, classes: int, conditional: str, norm: bool, spectral: bool):
        super().__init__()
        self.conditional, self.classes = conditional, classes
        inputs = channels + classes * (conditional == "concat")
        self.downsample = nn.Sequential(
            nn.Conv2d(inputs, width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, 2, 1, bias=not norm),
            nn.BatchNorm2d(2 * width) if norm else nn.Identity(),
            nn.LeakyReLU(0.2),
        )
        self.to_logit = nn.Linear(2 * width * 16, 1)
        if conditional in ("projection", "auxiliary"):
            self.to_classes = nn.Linear(2 * width * 16, classes, bias=False)
        for layer in list(self.modules()) if spectral else []:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.utils.parametrizations.spectral_norm(layer)

    def forward(self, images: Tensor, classes: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if self.conditional == "concat" and classes is not None:
            planes = images.new_zeros(len(images), self.classes, *images.shape[2:])
            planes[torch.arange(len(images)), classes] = 1
            images = torch.cat([images, planes], 1)
        features = self.downsample(images).movedim(1, 3).flatten(1)
        logits = self.to_logit(features)[:, 0]
        if self.conditional == "projection" and classes is not None:
            logits = logits + (self.to_classes.weight[classes] * features).sum(1)
        return logits, self.to_classes(features) if self.conditional == "auxiliary" else None


def seen(images: Tensor, draws: Any, place: int, how: Any) -> Tensor:
    """DiffAugment's colour, translation (repeating the edge) and cutout, then instance noise."""
    count, _, height, width = images.shape
    if draws.colours is not None:  # the paper draws from 0 to 1
        light, colour, contrast = (draws.colours[place] + 1)[:, :, None, None, None] / 2
        images = images + how.colour * (light - 0.5)
        grey, mean = images.mean(1, keepdim=True), images.mean((1, 2, 3), keepdim=True)
        images = grey + (images - grey) * (1 + how.colour * (2 * colour - 1))
        images = mean + (images - mean) * (1 + how.colour * (contrast - 0.5))
    if draws.shifts is not None:
        down, right = draws.shifts[place]
        wide = pad(images, (width,) * 2 + (height,) * 2, "replicate")
        windows = [wide[n, :, height - down[n] :, width - right[n] :][:, :height, :width] for n in range(count)]
        images = torch.stack(windows)
    if draws.corners is not None:
        kept, side = torch.ones_like(images), round(how.cutout * height)
        for n, (top, left) in enumerate(draws.corners[place].T.tolist()):
            kept[n, :, max(top, 0) : top + side, max(left, 0) : left + side] = 0
        images = images * kept
    return images if draws.noise is None else images + draws.noise[place]


def train(generator: Any, discriminator: Any, average: Any, steps: Sequence[Sequence[Any]], how: Any) -> list[Any]:
    """Train in place, and return a row of figures a step; `how` has the settings, `steps` what chance gave to each.

    A step's draws are one for each update of D, then one for each update of G after its first.
    """
    d_adam = torch.optim.Adam(discriminator.parameters(), betas=how.betas)
    g_adam = torch.optim.Adam(generator.parameters(), betas=how.betas)
    rows = []
    for step, draws in enumerate(steps, 1):
        done, falls = step - 1, how.lr_decay_start * how.steps
        lr = how.lr if done <= falls else how.lr * (how.steps - done) / (how.steps - falls)
        g_adam.param_groups[0]["lr"], d_adam.param_groups[0]["lr"] = lr, lr * how.d_lr_ratio
        fakes, row = torch.empty(0), {}
        for one in draws[: how.d_steps]:
            fakes = generator(one.latents, one.fake_classes)
            real = seen(one.real_images, one, 0, how).requires_grad_()
            fake = seen(fakes.detach(), one, 1, how).requires_grad_()
            real_logits, real_guess = discriminator(real, one.real_classes)
            fake_logits, fake_guess = discriminator(fake, one.fake_classes)
            d_loss = loss = D_LOSSES[how.name](real_logits, fake_logits, one.targets)
            if how.conditional == "auxiliary":
                told = cross_entropy(real_guess, one.real_classes) + cross_entropy(fake_guess, one.fake_classes)
                loss = loss + how.auxiliary * told
            if how.r1 and step % how.r1_every == 0:
                slope = grad(real_logits.sum(), real, create_graph=True)[0].flatten(1).norm(dim=1)
                loss = loss + how.r1_every * how.r1 / 2 * slope.square().mean()
            if how.r2 and step % how.r1_every == 0:
                slope = grad(fake_logits.sum(), fake, create_graph=True)[0].flatten(1).norm(dim=1)
                loss = loss + how.r1_every * how.r2 / 2 * slope.square().mean()
            if how.gradient_penalty:
                between = (one.shares * real + (1 - one.shares) * fake).detach().requires_grad_()
                logits = discriminator(between, one.real_classes)[0]
                slope = grad(logits.sum(), between, create_graph=True)[0].flatten(1).norm(dim=1)
                loss = loss + how.gradient_penalty * (slope - 1).square().mean()
            row |= {"d_loss": d_loss, "d_real": real_logits.sigmoid(), "d_fake": fake_logits.sigmoid()}
            descend(d_adam, discriminator, loss)
            for weight in discriminator.parameters() if how.weight_clip else []:
                weight.data.clamp_(-how.weight_clip, how.weight_clip)
        for update, one in enumerate(draws[how.d_steps - 1 :]):
            fakes = generator(one.latents, one.fake_classes) if update else fakes
            logits, guess = discriminator(seen(fakes, one, 2, how), one.fake_classes)
            if how.name == "relativistic":
                logits_of_real = discriminator(seen(one.real_images, one, 0, how), one.real_classes)[0].detach()
                g_loss = loss = G_LOSSES[how.name](logits - logits_of_real)
            else:
                g_loss = loss = G_LOSSES[how.name](logits)
            if how.conditional == "auxiliary":
                loss = loss + how.auxiliary * cross_entropy(guess, one.fake_classes)
            row |= {"g_loss": g_loss, "d_fake_after": logits.sigmoid()}
            descend(g_adam, generator, loss)
        halflife = min(how.ema_halflife, step * how.batch_size / 20)
        kept = 2 ** (-how.batch_size / halflife) if halflife else 0
        current = generator.state_dict()
        for name, value in average.state_dict().items():
            learned = name in dict(generator.named_parameters())
            value.copy_(kept * value + (1 - kept) * current[name] if learned else current[name])
        rows.append({name: value.mean().item() for name, value in row.items()})
    return rows


def descend(adam: torch.optim.Optimizer, network: nn.Module, loss: Tensor) -> None:
    for weight, gradient in zip(network.parameters(), grad(loss, list(network.parameters())), strict=True):
        weight.grad = gradient
    adam.step()
