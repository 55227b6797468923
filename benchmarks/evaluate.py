"""Time the evaluation: python -m benchmarks.evaluate [frechet] [command] [scale]; all three if none is named.

frechet: the Fréchet distance at d = 2048, N = 1000, against scipy.linalg.sqrtm, both in this process.
command: the whole `folders` command against pytorch-fid's, side by side on the same PNGs and (random) weights.
scale: 10,000 generated against 50,000 real 32x32 images with a judge; seconds and peak memory.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.linalg import sqrtm

from benchmarks.clock import seconds
from ganlib.core.seeding import pin_arithmetic
from ganlib.evaluation.extractors import Extractor, describe_images
from ganlib.evaluation.summary import evaluate, heldout_figures
from ganlib.features.judge import Judge
from ganlib.metrics.frechet import frechet_distance
from ganlib.metrics.reference import build_reference
from tests.inception_weights import PYTORCH_FID, write_random_weights

THREADS = 2
CPU = torch.device("cpu")
IMAGES = 200
"""Images on each side of the comparison with pytorch-fid, which takes a second for ten."""
PASSES = 3


def frechet() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(1000, 2048)), random.normal(size=(1000, 2048)) * 1.1

    def by_root() -> float:
        c, d = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
        root = np.trace(sqrtm(c @ d)).real
        return float(np.square(x.mean(0) - y.mean(0)).sum() + np.trace(c) + np.trace(d) - 2 * root)

    frechet_distance(x, y)  # warm-up
    ours, theirs = min(seconds(lambda: frechet_distance(x, y)) for _ in range(PASSES)), seconds(by_root)
    print(f"frechet: ours {ours:.2f} s, sqrtm {theirs:.2f} s, ratio {theirs / ours:.0f}", flush=True)


def command() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "weights.pth"
        write_random_weights(weights)
        for seed, side in enumerate(("real", "fake")):
            write_pngs(folder / side, textured(IMAGES, 3, seed))
        sides = [str(folder / side) for side in ("real", "fake")]
        ours = [sys.executable, "-m", "stages.evaluate", "folders", *sides, "--inception-weights", str(weights)]
        theirs = [sys.executable, "-c", PYTORCH_FID, str(weights), *sides, "--device", "cpu"]
        for _ in range(PASSES):
            spent = [seconds(lambda line=line: quietly(line)) for line in (ours, theirs)]
            print(f"command, {IMAGES} + {IMAGES} images: ours {spent[0]:.1f} s, pytorch-fid {spent[1]:.1f} s, ", end="")
            print(f"ratio {spent[1] / spent[0]:.2f}", flush=True)


def scale() -> None:
    random = np.random.default_rng(0)
    torch.manual_seed(0)
    judge = Judge(image_size=32, channels=3, class_names=[str(label) for label in range(10)]).eval()
    extractor = Extractor(judge, None, "domain_", {})
    real, held, fake = (textured(count, 3, seed) for seed, count in enumerate((50_000, 10_000, 10_000)))
    start = time.perf_counter()
    train, heldout = (describe_images(images, extractor, CPU) for images in (real, held))
    # An untrained judge sees too few classes, so that bins do the work of classes.
    reference = build_reference(train, heldout, [], neighbours=5, bins=10, random=random)
    floors = heldout_figures(reference, "domain_", random)
    prepared = time.perf_counter()
    generated = describe_images(fake, extractor, CPU)
    evaluate(generated, reference, floors, prefix="domain_", draws=5, subsets=20, random=random)
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"scale: reference {prepared - start:.0f} s, evaluate {done - prepared:.0f} s, peak memory {peak:.1f} GiB")


def textured(count: int, channels: int, seed: int) -> NDArray[np.uint8]:
    """Draw (N, channels, 32, 32) images of coarse noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, channels, 4, 4), dtype=np.uint8)
    return coarse.repeat(8, 2).repeat(8, 3)


def write_pngs(folder: Path, images: NDArray[np.uint8]) -> None:
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{index:05}.png")


def quietly(line: list[str]) -> None:
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    pin_arithmetic(THREADS)
    parts = {"frechet": frechet, "command": command, "scale": scale}
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
