"""Compare our training step with PyTorch's DCGAN example's: python -m benchmarks.step."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import conv2d
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import example
from benchmarks.clock import Work, compare, seconds
from ganlib.core.memory import keep_freed_memory
from ganlib.core.precision import prepare_arithmetic
from ganlib.core.seeding import pin_arithmetic
from ganlib.functional.latents import draw_latents
from ganlib.functional.losses import LOSSES, Targets
from ganlib.games import gan
from ganlib.games.gan import Recipe, draw_batch
from ganlib.networks.blocks import first_size, layer_widths
from ganlib.networks.dcgan import Discriminator, Generator
from ganlib.training.game import build_players
from ganlib.training.graph import GraphedStep

CPU = torch.device("cpu")
WIDTH = 64


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


class Side(NamedTuple):
    generator: nn.Module
    """Of latents (N, LATENT_DIM)"""
    step: Callable[[torch.Tensor], object]
    """Trains on images (N, C, H, W) in [-1, 1]."""


def our_side(case: Case, device: torch.device, seed: int = 0) -> Side:
    """Return a step as `train` takes it, without R1 and augmentation, which the example has not."""
    sizes: dict[str, Any] = {"width": WIDTH, "image_size": case.image_size, "channels": case.channels}
    sizes["kernel_size"] = case.kernel_size
    generator = Generator(latent_dim=example.LATENT_DIM, **sizes)
    networks = {"generator": generator, "discriminator": Discriminator(activation=case.activation, **sizes)}
    players = build_players(networks, gan, 2e-4, (0.5, 0.999), device)
    recipe = Recipe(
        loss=LOSSES["nonsaturating"],
        targets=Targets(1, 1, 0),
        d_steps=1,
        r1_weight=0,
        r2_weight=0,
        gradient_penalty=0,
        weight_clip=0,
        auxiliary=0,
        translation=0,
        cutout=0,
        colour=0,
        noise=0,
        bf16=case.bf16,
    )
    random = torch.Generator().manual_seed(seed)
    prepare_arithmetic("auto", device)
    keep_freed_memory()
    take_step = GraphedStep(gan, players, device) if device.type == "cuda" else partial(gan.step, players)

    def step(images: torch.Tensor) -> None:
        images = images.contiguous(memory_format=torch.channels_last)
        latents = draw_latents(len(images), example.LATENT_DIM, random)
        take_step([draw_batch(images, latents, (None, None), recipe, random)], recipe)

    return Side(generator, step)


def example_side(case: Case, device: torch.device) -> Side:
    first, widths = first_size(case.image_size), layer_widths(WIDTH, case.image_size)
    activation = nn.ELU if case.activation == "elu" else partial(nn.LeakyReLU, 0.2, inplace=True)
    net_g = example.generator(widths, first, case.channels, case.kernel_size)
    net_d = example.discriminator(widths, first, case.channels, case.kernel_size, activation)
    of_latents = nn.Sequential(nn.Unflatten(1, (example.LATENT_DIM, 1, 1)), net_g)
    return Side(of_latents, example.step_of(net_g, net_d, device))


def stepping(side: Callable[[Case, torch.device], Side], case: Case, device: torch.device) -> Work:
    """Prepare one step of a side, on the same images again and again."""
    images = torch.rand(case.batch_size, case.channels, case.image_size, case.image_size).to(device) * 2 - 1
    return partial(side(case, device).step, images)


def flops(step: Work) -> int:
    with FlopCounterMode(display=False) as counter:
        step()
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
    return tuple(work / min(seconds(do) for _ in range(20)) for do, work in works.items())  # pyright: ignore[reportReturnType]


def run(case: Case, device: torch.device, peak: float) -> None:
    """Print a row: ratio with its spread, both sides' images per second, FLOPs and memory, our share of the peak."""
    makes = [partial(stepping, side, case, device) for side in (example_side, our_side)]
    theirs, ours = (flops(make()) for make in makes)
    compared = compare(*makes)
    speeds = compared.per_second(case.batch_size)
    share = ours * speeds[1] / case.batch_size / peak
    print(f"| {case} | {case.must} | {case.aim} | {compared} | {speeds[0]:.0f} | {speeds[1]:.0f} ", end="")
    print(f"| {theirs / 1e9:.0f} | {ours / 1e9:.0f} | {share:.0%} ", end="")
    print(f"| {compared.mebibytes[0]} | {compared.mebibytes[1]} |", flush=True)


def main() -> None:
    pin_arithmetic(torch.get_num_threads())
    devices = [CPU, torch.device("cuda")] if torch.cuda.is_available() else [CPU]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, width {WIDTH}")
    measured: dict[tuple[str, bool], float] = {}
    for device in devices:
        for dtype in (torch.float32, torch.bfloat16):
            convolution, product = peaks(dtype, device)
            measured[device.type, dtype == torch.bfloat16] = max(convolution, product)
            print(f"{device} {dtype}: convolution {convolution / 1e9:.0f}, product {product / 1e9:.0f} GFLOP/s")
    print("| step | must | aim | ratio (spread) | images/s: example | ours | GFLOP | ours | of the peak | MiB | ours |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for case in CASES:
        run(case, CPU, measured["cpu", case.bf16])
    for case in GPU_CASES:
        if len(devices) > 1:
            run(case, devices[1], measured["cuda", case.bf16])
        else:
            print(f"| GPU, {case} | {case.must} | {case.aim} | not run: no GPU | | | | | | | |")


if __name__ == "__main__":
    main()
