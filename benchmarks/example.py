"""The baseline: what PyTorch's DCGAN example does, written plainly; its networks, its step and its loop.

https://github.com/pytorch/examples/blob/main/dcgan/main.py, for more sizes and kernels than its own 64 pixels and 4.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

LATENT_DIM = 100


def generator(widths: list[int], first_size: int, channels: int, kernel_size: int) -> nn.Module:
    padding, odd = (kernel_size - 1) // 2, kernel_size % 2
    layers = [nn.ConvTranspose2d(LATENT_DIM, widths[-1], first_size, 1, 0, bias=False)]
    layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(True)]
    for wide, narrow in pairwise(widths[::-1]):
        layers += [nn.ConvTranspose2d(wide, narrow, kernel_size, 2, padding, odd, bias=False)]
        layers += [nn.BatchNorm2d(narrow), nn.ReLU(True)]
    layers += [nn.ConvTranspose2d(widths[0], channels, kernel_size, 2, padding, odd, bias=False), nn.Tanh()]
    return nn.Sequential(*layers).apply(initialise)


def discriminator(
    widths: list[int], first_size: int, channels: int, kernel_size: int, activation: Callable[[], nn.Module]
) -> nn.Module:
    padding = (kernel_size - 1) // 2
    layers = [nn.Conv2d(channels, widths[0], kernel_size, 2, padding, bias=False), activation()]
    for narrow, wide in pairwise(widths):
        layers += [nn.Conv2d(narrow, wide, kernel_size, 2, padding, bias=False), nn.BatchNorm2d(wide), activation()]
    layers += [nn.Conv2d(widths[-1], 1, first_size, 1, 0, bias=False), nn.Sigmoid(), nn.Flatten(0)]
    return nn.Sequential(*layers).apply(initialise)


def initialise(layer: nn.Module) -> None:
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
        nn.init.zeros_(layer.bias)


def step_of(net_g: nn.Module, net_d: nn.Module, device: torch.device) -> Callable[[torch.Tensor], object]:
    """Return the example's step on (N, C, H, W) images: fp32, NCHW, BCELoss, all of D's gradients in G's step too."""
    torch.backends.cudnn.benchmark = True
    net_g.to(device)
    net_d.to(device)
    criterion = nn.BCELoss()
    optimizer_d = torch.optim.Adam(net_d.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizer_g = torch.optim.Adam(net_g.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def step(images: torch.Tensor) -> tuple[float, ...]:
        net_d.zero_grad()
        images = images.to(device)
        label = torch.full((len(images),), 1.0, device=device)
        output = net_d(images)
        loss_real = criterion(output, label)
        loss_real.backward()
        d_x = output.mean().item()
        fake = net_g(torch.randn(len(images), LATENT_DIM, 1, 1, device=device))
        label.fill_(0.0)
        output = net_d(fake.detach())
        loss_fake = criterion(output, label)
        loss_fake.backward()
        d_g_z1 = output.mean().item()
        optimizer_d.step()
        net_g.zero_grad()
        label.fill_(1.0)
        output = net_d(fake)
        loss_g = criterion(output, label)
        loss_g.backward()
        d_g_z2 = output.mean().item()
        optimizer_g.step()
        return (loss_real + loss_fake).item(), loss_g.item(), d_x, d_g_z1, d_g_z2

    return step


def batches_of_files(folder: Path, image_size: int, batch_size: int) -> Iterator[torch.Tensor]:
    """Yield an epoch as the example does: two workers that decode every file anew."""
    prepare = transforms.Compose(
        [
            transforms.Resize(image_size),
            transforms.CenterCrop(image_size),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ]
    )
    loader = DataLoader(ImageFolder(folder, prepare), batch_size, shuffle=True, num_workers=2, drop_last=True)
    for images, _ in loader:
        yield images
