"""Compare one training step with the recipe of PyTorch's DCGAN example: python -m benchmarks.step.

Both run in this process in turn, so that a change of the machine's speed meets both; the figure is the median ratio.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from ganlib.latent import draw_latents
from ganlib.losses import LOSSES
from ganlib.networks.dcgan import Discriminator, Generator
from ganlib.seeding import pin_arithmetic
from ganlib.training.recipe import precision_of
from ganlib.training.state import build_gan
from ganlib.training.step import Recipe, draw_batch, train_step

CPU = torch.device("cpu")
PASSES = 5
STEPS = 20
CASES = [(32, 1, 32), (32, 1, 128), (64, 3, 64)]
"""(image size, channels, batch size)"""


def our_step(image_size: int, channels: int, images: torch.Tensor) -> Callable[[], object]:
    """Prepare a step as `train` takes it, without R1, which the example has not."""
    generator = Generator(latent_dim=100, width=64, image_size=image_size, channels=channels)
    discriminator = Discriminator(width=64, image_size=image_size, channels=channels)
    gan = build_gan(generator, discriminator, 2e-4, CPU)
    recipe = Recipe(
        loss=LOSSES["nonsaturating"],
        real_labels=(1.0, 1.0),
        label_flip=0,
        r1_weight=0,
        gradient_penalty=0,
        weight_clip=0,
        auxiliary=0,
        translation=0,
        cutout=0,
        colour=0,
        noise=0,
        bf16=precision_of("auto", CPU) == "bf16",
    )
    random = torch.Generator().manual_seed(0)
    images = images.contiguous(memory_format=torch.channels_last)

    def step() -> None:
        batch = draw_batch(images, draw_latents(len(images), 100, random), (None, None), recipe, random)
        train_step(gan, [batch], recipe)

    return step


def example_step(image_size: int, channels: int, images: torch.Tensor) -> Callable[[], object]:
    """Prepare the example's step: fp32, NCHW, sigmoid and BCELoss, D's gradients computed in G's step too."""
    generator = Generator(latent_dim=100, width=64, image_size=image_size, channels=channels)
    discriminator = Discriminator(width=64, image_size=image_size, channels=channels)
    optimizers = [torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (discriminator, generator)]
    criterion = nn.BCELoss()
    ones, zeros = torch.ones(len(images)), torch.zeros(len(images))

    def step() -> None:
        discriminator.zero_grad()
        criterion(torch.sigmoid(discriminator(images)), ones).backward()
        fake_images = generator(torch.randn(len(images), 100))
        criterion(torch.sigmoid(discriminator(fake_images.detach())), zeros).backward()
        optimizers[0].step()
        generator.zero_grad()
        criterion(torch.sigmoid(discriminator(fake_images)), ones).backward()
        optimizers[1].step()

    return step


def images_per_second(step: Callable[[], object], batch_size: int) -> float:
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    return STEPS * batch_size / (time.perf_counter() - start)


def main() -> None:
    pin_arithmetic(torch.get_num_threads())
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, width 64, {PASSES} passes of {STEPS} steps")
    print("case               example images/s   ours images/s   ratio: min  median     max")
    for image_size, channels, batch_size in CASES:
        images = torch.rand(batch_size, channels, image_size, image_size) * 2 - 1
        steps = [make(image_size, channels, images) for make in (example_step, our_step)]
        for step in steps:
            images_per_second(step, batch_size)  # warm-up
        passes = [[images_per_second(step, batch_size) for step in steps] for _ in range(PASSES)]
        ratios = sorted(ours / theirs for theirs, ours in passes)
        theirs, ours = (statistics.median(column) for column in zip(*passes, strict=True))
        case = f"{image_size}x{image_size}x{channels} batch {batch_size}"
        spread = f"{ratios[0]:>12.2f} {ratios[PASSES // 2]:>7.2f} {ratios[-1]:>7.2f}"
        print(f"{case:<18} {theirs:>16.0f} {ours:>15.0f} {spread}")


if __name__ == "__main__":
    main()
