"""Compare our training step with PyTorch's DCGAN example's: python -m benchmarks.step.

Both run in this process in turn; the figure is the median of the passes' ratios, of images per second.
"""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import conv2d
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import example
from benchmarks.clock import compare, peak_mebibytes, seconds
from ganlib.latent import draw_latents
from ganlib.losses import LOSSES
from ganlib.networks.blocks import first_size, layer_widths
from ganlib.networks.dcgan import Discriminator, Generator
from ganlib.seeding import pin_arithmetic
from ganlib.training.graph import GraphedStep
from ganlib.training.precision import prepare_arithmetic
from ganlib.training.state import build_gan
from ganlib.training.step import Recipe, draw_batch, train_step

CPU = torch.device("cpu")
WIDTH = 64
SECONDS = 2.0
"""What the example's share of a pass takes, about."""


class Case(NamedTuple):
    image_size: int
    channels: int
    batch_size: int
    bf16: bool
    must: str
    aim: str
    kernel_size: int = 4
    activation: str = "leaky_relu"
    """D's"""

    def __str__(self) -> str:
        size = f"{self.image_size}x{self.image_size}x{self.channels}"
        return f"{size}, batch {self.batch_size}, {'bf16' if self.bf16 else 'fp32'}"


CASES = [
    Case(64, 3, 64, True, "2.0", "2.5"),
    Case(64, 3, 64, False, "1.3", "1.5"),
    Case(32, 1, 128, True, "2.0", "2.5"),
    Case(28, 1, 128, True, "1.9", "2.3", kernel_size=5, activation="elu"),
]
GPU_CASES = [
    Case(64, 3, 64, True, "4", "8"),
    Case(64, 3, 128, True, "4", "8"),
    Case(64, 3, 1024, True, "15% of the peak", "30% of the peak"),
]
MEMORY_CASE = CASES[0]

Step = Callable[[torch.Tensor], object]


def our_step(case: Case, device: torch.device) -> Step:
    """Return a step as `train` takes it, without R1 and augmentation, which the example has not."""
    sizes: dict[str, Any] = {"width": WIDTH, "image_size": case.image_size, "channels": case.channels}
    sizes["kernel_size"] = case.kernel_size
    generator = Generator(latent_dim=example.LATENT_DIM, **sizes)
    gan = build_gan(generator, Discriminator(activation=case.activation, **sizes), 2e-4, device)
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
        bf16=case.bf16,
    )
    random = torch.Generator().manual_seed(0)
    prepare_arithmetic("auto", device)
    take_step = GraphedStep(gan, device) if device.type == "cuda" else partial(train_step, gan)

    def step(images: torch.Tensor) -> None:
        images = images.contiguous(memory_format=torch.channels_last)
        latents = draw_latents(len(images), example.LATENT_DIM, random)
        take_step([draw_batch(images, latents, (None, None), recipe, random)], recipe)

    return step


def example_step(case: Case, device: torch.device) -> Step:
    first, widths = first_size(case.image_size), layer_widths(WIDTH, case.image_size)
    activation = nn.ELU if case.activation == "elu" else partial(nn.LeakyReLU, 0.2, inplace=True)
    net_g = example.generator(widths, first, case.channels, case.kernel_size)
    net_d = example.discriminator(widths, first, case.channels, case.kernel_size, activation)
    return example.step_of(net_g, net_d, device)


def flops(step: Step, images: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        step(images)
    return counter.get_total_flops()


def peaks(dtype: torch.dtype, device: torch.device) -> tuple[float, float]:
    """Return FLOP/s that a large convolution and a large matrix product reach on this machine."""
    size = 2048 if device.type == "cpu" else 8192
    a, b = torch.randn(2, size, size, device=device).to(dtype)
    maps = torch.randn(64, 128, 32, 32, device=device).to(dtype, memory_format=torch.channels_last)
    weight = torch.randn(128, 128, 3, 3, device=device).to(dtype, memory_format=torch.channels_last)
    works = {
        lambda: conv2d(maps, weight, padding=1): 2 * maps.numel() * weight[0].numel(),
        lambda: a @ b: 2 * size**3,
    }
    return tuple(work / min(seconds(lambda do=do: finish(do)) for _ in range(20)) for do, work in works.items())  # pyright: ignore[reportReturnType]


def finish(work: Callable[[], object]) -> None:
    """Do a piece of work and wait for the device."""
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def run(case: Case, device: torch.device, peak: float) -> None:
    """Print a row: ratio with its spread, both sides' images per second and FLOPs, and our share of the peak."""
    images = torch.rand(case.batch_size, case.channels, case.image_size, case.image_size).to(device) * 2 - 1
    theirs, ours = (make(case, device) for make in (example_step, our_step))
    works = flops(theirs, images), flops(ours, images)
    steps = max(2, round(SECONDS / seconds(lambda: finish(lambda: theirs(images)))))

    def repeat(step: Step) -> Callable[[], None]:
        return lambda: finish(lambda: [step(images) for _ in range(steps)])

    compared = compare(repeat(theirs), repeat(ours))
    speeds = [steps * case.batch_size / spent for spent in (compared.theirs, compared.ours)]
    share = works[1] * steps / compared.ours / peak
    print(f"| {case} | {case.must} | {case.aim} | {compared} | {speeds[0]:.0f} | {speeds[1]:.0f} ", end="")
    print(f"| {works[0] / 1e9:.0f} | {works[1] / 1e9:.0f} | {share:.0%} |", flush=True)


def memory(side: str) -> None:
    """Print the peak of five steps in this process; called in a process of its own."""
    case = MEMORY_CASE
    step = {"ours": our_step, "example": example_step}[side](case, CPU)
    images = torch.rand(case.batch_size, case.channels, case.image_size, case.image_size) * 2 - 1
    for _ in range(5):
        step(images)
    print(peak_mebibytes())


def memory_of(side: str) -> int:
    line = [sys.executable, "-m", "benchmarks.step", "memory", side]
    return int(subprocess.run(line, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    pin_arithmetic(torch.get_num_threads())
    if sys.argv[1:2] == ["memory"]:
        return memory(sys.argv[2])
    devices = [CPU, torch.device("cuda")] if torch.cuda.is_available() else [CPU]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, width {WIDTH}")
    measured: dict[tuple[str, bool], float] = {}
    for device in devices:
        for dtype in (torch.float32, torch.bfloat16):
            convolution, product = peaks(dtype, device)
            measured[device.type, dtype == torch.bfloat16] = max(convolution, product)
            print(f"{device} {dtype}: convolution {convolution / 1e9:.0f}, product {product / 1e9:.0f} GFLOP/s")
    print("| step | must | aim | ratio (spread) | example images/s | ours | example GFLOP | ours | of the peak |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case in CASES:
        run(case, CPU, measured["cpu", case.bf16])
    for case in GPU_CASES:
        if len(devices) > 1:
            run(case, devices[1], measured["cuda", case.bf16])
        else:
            print(f"| GPU, {case} | {case.must} | {case.aim} | not run: no GPU | | | | | |")
    theirs, ours = memory_of("example"), memory_of("ours")
    print(f"peak memory, {MEMORY_CASE}: example {theirs} MiB, ours {ours} MiB")


if __name__ == "__main__":
    main()
