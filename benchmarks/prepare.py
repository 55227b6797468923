"""Compare prepare's way from file to pixels with a bare Pillow loop, and weigh it: python -m benchmarks.prepare.

Both loops run in this process in turn, so that a change of the machine's speed meets both; the figure is the median
ratio of processor time. The images are drawn here: of 32 pixels as in CIFAR-10, and photographs of two sizes.
"""

import io
import os
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from ganlib.datasets.decode import Preparation, prepare_chunk
from ganlib.datasets.examples import Example
from ganlib.datasets.parallel import CHUNK_IMAGES

PASSES = 7
CASES = [((32, 32), 32, 2000), ((64, 64), 64, 1000), ((170, 128), 64, 500), ((640, 480), 64, 60)]
"""(size of the files, image size, images)"""
COUNTS = [5_000, 50_000]
MEASURE = """
import resource, sys, time
from pathlib import Path
from ganlib.datasets.decode import Preparation
from ganlib.datasets.pack import pack
from ganlib.datasets.trees import tree_source
archive, out = map(Path, sys.argv[1:])
out.mkdir()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
pack(tree_source(archive), Preparation(32, 3, "crop", 255), out, heldout=0.2)
kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
print(time.perf_counter() - start, before, *(resource.getrusage(kind).ru_maxrss for kind in kinds))
"""


def photograph(random: np.random.Generator, size: tuple[int, int]) -> bytes:
    """Return a JPEG of smooth shapes with some grain, about as large as that of a photograph."""
    coarse = Image.fromarray(random.integers(0, 256, (9, 9, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    grain = random.normal(0, 6, (size[1], size[0], 3))
    buffer = io.BytesIO()
    Image.fromarray((np.asarray(coarse) + grain).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def bare_loop(files: list[bytes], image_size: int) -> None:
    for content in files:
        image = Image.open(io.BytesIO(content)).convert("RGB")
        image.resize((image_size, image_size), Image.Resampling.BICUBIC)


def our_loop(files: list[bytes], image_size: int) -> None:
    preparation = Preparation(image_size, 3, "squash", 255)
    for start in range(0, len(files), CHUNK_IMAGES):
        prepare_chunk([Example("", None, content) for content in files[start : start + CHUNK_IMAGES]], preparation)


def images_per_second(loop: Callable[[list[bytes], int], None], files: list[bytes], image_size: int) -> float:
    start = time.process_time()
    loop(files, image_size)
    return len(files) / (time.process_time() - start)


def compare_speed() -> None:
    random = np.random.default_rng(0)
    print("case                 bare images/s   ours images/s   ratio: min  median     max   (one core)")
    for size, image_size, count in CASES:
        files = [photograph(random, size) for _ in range(count)]
        passes = [[images_per_second(loop, files, image_size) for loop in (bare_loop, our_loop)] for _ in range(PASSES)]
        ratios = sorted(ours / bare for bare, ours in passes)
        bare, ours = (statistics.median(column) for column in zip(*passes, strict=True))
        spread = f"{ratios[0]:>12.2f} {ratios[PASSES // 2]:>7.2f} {ratios[-1]:>7.2f}"
        print(f"{size[0]}x{size[1]} -> {image_size:<10} {bare:>15.0f} {ours:>15.0f} {spread}")


def weigh_memory() -> None:
    random = np.random.default_rng(0)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    print("images    images/s on all cores   MiB before   MiB at most   MiB of the largest worker")
    with TemporaryDirectory() as folder:
        for count in COUNTS:
            archive = Path(folder) / f"{count}.zip"
            with zipfile.ZipFile(archive, "w") as zipped:
                for index in range(count):
                    zipped.writestr(f"{index % 10}/{index:05}.jpg", photograph(random, (32, 32)))
            command = [sys.executable, "-c", MEASURE, str(archive), str(archive.with_suffix(""))]
            output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
            seconds, before, most, worker = map(float, output.split())
            sizes = f"{before / 1024:>12.0f} {most / 1024:>13.0f} {worker / 1024:>26.0f}"
            print(f"{count:>6} {count / seconds:>24.0f} {sizes}")


if __name__ == "__main__":
    compare_speed()
    weigh_memory()
