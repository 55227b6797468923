"""Generate and judge images against a naive loop, and train an epoch from JPEG files: python -m benchmarks.images."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks import example
from benchmarks.clock import compare
from benchmarks.step import CASES, CPU, WIDTH, example_step, our_step
from ganlib.images import to_unit_range
from ganlib.latent import draw_latents
from ganlib.metrics.judging import judge_images
from ganlib.networks.dcgan import Generator
from ganlib.networks.judge import Judge
from ganlib.sampling import generate
from ganlib.seeding import pin_arithmetic

GENERATED = 3_000
"""Images a pass; the time of both sides is proportional to it."""
FILES = 640
FILE_SIZE = (178, 218)
"""Width and height of CelebA's files."""


def generating() -> None:
    """Compare with batches of 64 without gradients, float images in NCHW handed from one network to the other."""
    generator = Generator(latent_dim=example.LATENT_DIM, width=WIDTH, image_size=32, channels=3).eval()
    theirs = example.generator([WIDTH, 2 * WIDTH, 4 * WIDTH], 4, 3, 4).eval()
    judge, plain_judge = (Judge(image_size=32, channels=3, class_names=list("0123456789")).eval() for _ in range(2))
    random = torch.Generator().manual_seed(0)
    latents = draw_latents(GENERATED, example.LATENT_DIM, random)

    @torch.no_grad()
    def naive() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        features, classes = [], []
        for batch in latents[:, :, None, None].split(64):
            images = theirs(batch)
            found = plain_judge.features(images)
            features.append(found)
            classes.append(plain_judge.to_logits(found).argmax(1))
        return torch.cat(features).double().numpy(), torch.cat(classes).numpy()

    def ours() -> None:
        judge_images(judge, generate(generator, latents, CPU), CPU)

    compared = compare(naive, ours)
    print(f"| generate and judge {GENERATED:,} 32x32x3 images | 2.0 | 4.0 | {compared} ", end="")
    print(f"| {GENERATED / compared.theirs:.0f} | {GENERATED / compared.ours:.0f} |", flush=True)


def epoch() -> None:
    """Compare an epoch over JPEG files: the example decodes them anew, we gather what prepare has packed."""
    case = CASES[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "class"
        folder.mkdir()
        draw_files(folder)
        theirs, ours = example_step(case, CPU), our_step(case, CPU)
        images = torch.stack([packed(path, case.image_size) for path in sorted(folder.iterdir())])

        def from_files() -> None:
            for batch in example.batches_of_files(folder.parent, case.image_size, case.batch_size):
                theirs(batch)

        def from_memory() -> None:
            for picked in torch.randperm(FILES)[: FILES // case.batch_size * case.batch_size].split(case.batch_size):
                ours(to_unit_range(images[picked]))

        compared = compare(from_files, from_memory)
    size = "x".join(map(str, FILE_SIZE))
    print(f"| epoch of {FILES:,} JPEG files of {size}, {case} | 2.2 | 2.7 | {compared} ", end="")
    print(f"| {FILES / compared.theirs:.0f} | {FILES / compared.ours:.0f} |", flush=True)


def draw_files(folder: Path) -> None:
    """Draw smooth noise, which compresses about as photographs do."""
    random = np.random.default_rng(0)
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
    generating()
    epoch()


if __name__ == "__main__":
    main()
