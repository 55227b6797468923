"""Generate and judge images against a naive loop, and train an epoch from JPEG files: python -m benchmarks.images."""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms.functional import to_tensor
from torchvision.utils import save_image

from benchmarks import example
from benchmarks.clock import Comparison, Work, compare
from benchmarks.step import CASES, CPU, WIDTH, example_side, our_side
from ganlib.core.images import to_unit_range
from ganlib.core.seeding import pin_arithmetic
from ganlib.features.judge import Judge
from ganlib.features.judging import judge_images
from ganlib.functional.latents import draw_latents
from ganlib.networks.dcgan import Generator
from ganlib.networks.sampling import generate

CASE = CASES[0]
GENERATED = 3_000
"""Images at a time; the time of both sides is proportional to it."""
FILES = 640
FILE_SIZE = (178, 218)
"""Width and height of CelebA's files."""


def naive_generating() -> Work:
    """Prepare batches of 64 without gradients, float images in NCHW handed from one network to the other."""
    generator = example.generator([WIDTH, 2 * WIDTH, 4 * WIDTH], 4, 3, 4).eval()
    judge = new_judge()

    @torch.no_grad()
    def generate_and_judge() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        features, classes = [], []
        for batch in torch.randn(GENERATED, example.LATENT_DIM, 1, 1).split(64):
            images = generator(batch)
            found = judge.features(images)
            features.append(found)
            classes.append(judge.to_logits(found).argmax(1))
        return torch.cat(features).double().numpy(), torch.cat(classes).numpy()

    return generate_and_judge


def naive_files() -> Work:
    """Prepare what users of pytorch-fid do: every image is written as a PNG and read back."""
    generator = example.generator([WIDTH, 2 * WIDTH, 4 * WIDTH], 4, 3, 4).eval()
    judge = new_judge()

    def generate_and_judge() -> None:
        with tempfile.TemporaryDirectory() as name, torch.no_grad():
            for start in range(0, GENERATED, 64):
                for index, image in enumerate(generator(torch.randn(64, example.LATENT_DIM, 1, 1)), start):
                    save_image(image, Path(name) / f"{index:05}.png", normalize=True, value_range=(-1, 1))
            paths = sorted(Path(name).iterdir())[:GENERATED]
            for start in range(0, GENERATED, 64):
                images = torch.stack([to_tensor(Image.open(path)) for path in paths[start : start + 64]])
                judge(images * 2 - 1)

    return generate_and_judge


def our_generating(bf16: bool) -> Work:
    """Prepare ours: pixels in memory, as the sample stage makes them and the evaluate stage judges them."""
    generator = Generator(latent_dim=example.LATENT_DIM, width=WIDTH, image_size=32, channels=3).eval()
    judge, random = new_judge(), torch.Generator().manual_seed(0)

    def generate_and_judge() -> None:
        latents = draw_latents(GENERATED, example.LATENT_DIM, random)
        judge_images(judge, generate(generator, latents, CPU, bf16=bf16), CPU)

    return generate_and_judge


def new_judge() -> Judge:
    return Judge(image_size=32, channels=3, class_names=list("0123456789")).eval()


def epoch_from_files(folder: Path) -> Work:
    """Prepare the example's epoch, which decodes every file anew."""
    step = example_side(CASE, CPU).step

    def epoch() -> None:
        for batch in example.batches_of_files(folder, CASE.image_size, CASE.batch_size):
            step(batch)

    return epoch


def epoch_from_memory(folder: Path) -> Work:
    """Prepare our epoch, of what prepare has packed."""
    step = our_side(CASE, CPU).step
    images = torch.stack([packed(path, CASE.image_size) for path in sorted(folder.rglob("*.jpg"))])

    def epoch() -> None:
        for picked in torch.randperm(FILES).split(CASE.batch_size):
            step(to_unit_range(images[picked]))

    return epoch


def show(what: str, must: float, aim: float, compared: Comparison, count: int) -> None:
    theirs, ours = compared.per_second(count)
    print(f"| {what} | {must} | {aim} | {compared} | {theirs:.0f} | {ours:.0f} |", flush=True)


def draw_files(folder: Path) -> None:
    """Draw smooth noise, which compresses about as photographs do."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for index in range(FILES):
        coarse = Image.fromarray(random.integers(0, 256, (14, 12, 3), dtype=np.uint8))
        coarse.resize(FILE_SIZE, Image.Resampling.BICUBIC).save(folder / f"{index:05}.jpg", quality=90)


def packed(path: Path, image_size: int) -> torch.Tensor:
    """Return what prepare leaves of a file: (3, H, W) uint8."""
    image = Image.open(path).convert("RGB").resize((image_size, image_size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def main() -> None:
    pin_arithmetic(torch.get_num_threads())
    print("| what | must | aim | ratio (spread) | theirs, images/s | ours |")
    print("|---|---|---|---|---|---|")
    loops = [("in memory", naive_generating, False), ("in memory", naive_generating, True)]
    for where, naive, bf16 in [*loops, ("by PNG files", naive_files, False)]:
        compared = compare(naive, partial(our_generating, bf16))
        what = f"generate and judge {GENERATED:,} 32x32x3 images, {'bf16' if bf16 else 'fp32'}, against a loop {where}"
        show(what, 2.0, 4.0, compared, GENERATED)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_files(folder / "class")
        compared = compare(partial(epoch_from_files, folder), partial(epoch_from_memory, folder))
    size = "x".join(map(str, FILE_SIZE))
    show(f"epoch of {FILES:,} JPEG files of {size}, {CASE}", 2.2, 2.7, compared, FILES)


if __name__ == "__main__":
    main()
