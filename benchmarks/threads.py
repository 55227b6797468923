"""Time the default training step by threads, quiet and beside a busy core: python -m benchmarks.threads.

Each row is a process of its own, as OpenMP reads its environment once: how its threads wait for each other. A ratio is
the time of a step over that of two threads with OpenMP's own way of waiting, in the quiet.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ganlib.core.memory import keep_freed_memory
from ganlib.core.params import load_params
from ganlib.core.precision import prepare_arithmetic
from ganlib.core.seeding import pin_arithmetic
from ganlib.games import gan
from ganlib.training.game import Draws, build_players

WAITING = {
    "OpenMP's own": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "GOMP_SPINCOUNT=0": {"GOMP_SPINCOUNT": "0"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "GOMP_SPINCOUNT=1000000": {"GOMP_SPINCOUNT": "1000000"},
}
IMAGES, WARM, SECONDS = 1444, 20, 6


def steps_per_second(threads: int) -> float:
    """Take default steps on drawn digits' worth of images for some seconds."""
    pin_arithmetic(threads)
    params, device = load_params(), torch.device("cpu")
    prepare_arithmetic(params.train.precision, device)
    keep_freed_memory()
    data = params.data
    meta = {"image_size": data.image_size, "channels": data.channels, "class_names": [], "aspect": 1.0}
    networks = {name: gan.BUILDERS[name](**config) for name, config in gan.configs(params, meta).items()}
    players = build_players(networks, gan, params.lr, params.train.betas, device)
    images = torch.randint(0, 256, (IMAGES, data.channels, data.image_size, data.image_size), dtype=torch.uint8)
    draws, recipe, taken, start = Draws(0), gan.recipe(params, device), 0, 0.0
    while taken <= WARM or time.perf_counter() - start < SECONDS:
        start = time.perf_counter() if taken == WARM else start
        now = gan.recipe_at(taken, recipe, params)
        gan.step(players, gan.draw({"images": images}, draws, now, params), now)
        taken += 1
    return (taken - WARM) / (time.perf_counter() - start)


@contextmanager
def busy_core(wanted: bool) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if wanted else None
    try:
        yield
    finally:
        if process:
            process.kill()
            process.wait()


def measured(threads: int, waiting: dict[str, str], busy: bool) -> float:
    line = [sys.executable, "-m", "benchmarks.threads", str(threads)]
    with busy_core(busy):
        done = subprocess.run(line, env=os.environ | waiting, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    if sys.argv[1:]:
        print(steps_per_second(int(sys.argv[1])))
        return
    print("| threads | waiting | steps/s | ratio of time | beside a busy core | ratio of time |\n" + "|---" * 6 + "|")
    first = None
    for threads in (2, 1):
        for name, waiting in WAITING.items() if threads > 1 else [("", {})]:
            quiet, busy = (measured(threads, waiting, beside) for beside in (False, True))
            first = first or quiet
            print(
                f"| {threads} | {name} | {quiet:.1f} | {first / quiet:.2f} | {busy:.1f} | {first / busy:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
