"""Compare what bf16, fp32 and PyTorch's DCGAN example come to: python -m benchmarks.quality [--steps 2000 --seeds 3].

Trains each on the images of data/prepared, for as many steps of the same recipe (Radford 2015: Adam of 2e-4, no R1, no
augmentation, last weights), and judges it as the pipeline does, by data/judge against data/reference. Figures carry
the interval of random halves; sides are alike when theirs overlap over the seeds.
"""

import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import typer

from benchmarks import example
from benchmarks.step import CPU, Case, Side, example_side, our_side
from ganlib.core.files import read_json
from ganlib.core.images import to_unit_range
from ganlib.core.packed import read_split
from ganlib.core.seeding import pin_arithmetic
from ganlib.evaluation.stored import load_reference
from ganlib.evaluation.summary import Figures, evaluate
from ganlib.features.judge import load_judge
from ganlib.features.judging import judge_images
from ganlib.functional.latents import draw_latents
from ganlib.networks.sampling import generate
from ganlib.training.game import BatchOrder

GENERATED = 5_000
SIDES: dict[str, tuple[bool, Callable[[Case, int], Side]]] = {
    "example": (False, lambda case, seed: example_side(case, CPU)),
    "ours, fp32": (False, lambda case, seed: our_side(case, CPU, seed)),
    "ours, bf16": (True, lambda case, seed: our_side(case, CPU, seed)),
}
"""Whether in bf16, and what builds it."""


def train(side: Side, images: torch.Tensor, case: Case, steps: int, seed: int) -> None:
    order = BatchOrder(len(images), case.batch_size, torch.Generator().manual_seed(seed))
    for _ in range(steps):
        side.step(to_unit_range(images[order.next_batch()]))


def judged(generator: torch.nn.Module, data: Path, seed: int) -> Figures:
    latents = draw_latents(GENERATED, example.LATENT_DIM, torch.Generator().manual_seed(seed))
    described = judge_images(load_judge(data / "judge"), generate(generator.eval(), latents, CPU), CPU)
    reference, heldout = load_reference(data / "reference"), read_json(data / "reference" / "heldout.json")
    random = np.random.default_rng(seed)
    return evaluate(described, reference, heldout, prefix="domain_", draws=5, subsets=20, random=random).metrics


def main(data: Path = Path("data"), steps: int = 2000, batch_size: int = 64, seeds: int = 3, threads: int = 2) -> None:
    pin_arithmetic(threads)
    images = torch.from_numpy(np.array(read_split(data / "prepared", "train").images))
    size, channels = images.shape[2], images.shape[1]
    paper = {"kernel_size": 5, "activation": "elu"} if size == 28 else {}
    print(f"torch {torch.__version__}, {len(images)} images of {size}x{size}x{channels}, {steps} steps of {batch_size}")
    print("| side | seed | domain FID (interval) | valid | diversity (interval) | classes |")
    print("|---|---|---|---|---|---|")
    for name, (bf16, build) in SIDES.items():
        found: list[Figures] = []
        for seed in range(1, seeds + 1):
            torch.manual_seed(seed)
            case = Case(size, channels, batch_size, bf16, "", "", **paper)
            side = build(case, seed)
            train(side, images, case, steps, seed)
            found.append(judged(side.generator, data, seed))
            show(name, str(seed), found[-1].__getitem__)
        show(name, "mean", lambda key, found=found: statistics.mean(one[key] for one in found))


def show(name: str, seed: str, of: Callable[[str], float]) -> None:
    """Print a row of figures, which are looked up by key."""
    fid, diversity = (
        f"{of(key):.3g} ({of(f'{key}_low'):.3g} to {of(f'{key}_high'):.3g})"
        for key in ("domain_fid", "diversity_score")
    )
    print(f"| {name} | {seed} | {fid} | {of('valid'):.3f} | {diversity} | {of('classes_covered'):.3g} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
