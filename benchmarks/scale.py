"""Memory and time by the number of images: python -m benchmarks.scale [memory COUNT] [distances COUNT] [step].

memory: the most anonymous memory of each stage that works on prepared images, for COUNT drawn ones of 64x64x3 without
labels. distances: seconds of all that the reference makes of COUNT drawn features under evaluate.reference_images.
step: a training step whose images are picked from the memory map, against one with a copy in memory.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from ruamel.yaml import YAML

from benchmarks.clock import Work, compare
from ganlib.core.files import read_json, write_json
from ganlib.core.order import chosen_by_content
from ganlib.core.packed import SPLITS, image_writer, read_split
from ganlib.core.params import load_params
from ganlib.core.seeding import pin_arithmetic
from ganlib.evaluation.summary import heldout_figures
from ganlib.games import gan
from ganlib.metrics.diversity import Labelled
from ganlib.metrics.reference import build_reference
from ganlib.training.game import Draws, build_players
from ganlib.training.images import ImagesOnDisk

ROOT = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")
SIDE, CHANNELS, HELDOUT = 64, 3, 0.2
FEATURES = 128
BLOCK = 100
"""Images drawn at a time."""
CHANGES: dict[tuple[str, ...], object] = {
    ("data", "image_size"): SIDE,
    ("data", "channels"): CHANNELS,
    ("threads",): 1,
    ("steps",): 100,
    ("train", "evaluate_every"): 50,
    ("train", "evaluate_count"): 200,
    ("evaluate", "reference_images"): 4000,
    ("evaluate", "judge_epochs"): 1,
    ("complete", "images"): 8,
    ("complete", "steps"): 10,
}
"""Little work, and as many images to measure with at every count."""
STAGES = {
    "judge": "data/prepared --out data/judge",
    "reference": "data/prepared data/judge --out data/reference",
    "train": "data/prepared data/judge --out data/training --checkpoints checkpoints",
    "publish": "data/training --out data/model",
    "explore": "data/prepared data/judge data/model --out data/explore --pictures pictures",
    "complete": "data/prepared data/judge/train_rows.npy data/model --out data/completion --metrics complete.json "
    "--picture complete.png",
}


def memory(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, count)
        for stage, arguments in STAGES.items():
            print(f"{count} images, {stage}: {peak_of(stage, arguments, folder)} MiB", flush=True)
        write_params(folder / "params.yaml", {**CHANGES, ("train", "distributed"): 2})
        line = f"{count} images, train, each of two processes"
        print(f"{line}: {peak_of('train', STAGES['train'], folder)} MiB", flush=True)


def prepare(folder: Path, count: int) -> None:
    """Write what the stage prepare would of COUNT drawn images."""
    prepared = folder / "data/prepared"
    prepared.mkdir(parents=True)
    random, counts = (
        np.random.default_rng(0),
        {"train": round(count * (1 - HELDOUT)), "heldout": round(count * HELDOUT)},
    )
    for split in SPLITS:
        with image_writer(prepared, split, (SIDE, SIDE, CHANNELS)) as writer:
            for images in drawn(counts[split], random):
                for image in images:
                    writer.append(image.tobytes())
    meta = {"image_size": SIDE, "channels": CHANNELS, "class_names": [], "class_counts": [], "aspect": 1.0}
    meta |= {"sha256": dict.fromkeys(SPLITS, "drawn"), "resize": "none", "background": 255, "deep": {}}
    write_json(prepared / "meta.json", meta)
    (folder / "data/none").touch()
    write_params(folder / "params.yaml", CHANGES)


def drawn(count: int, random: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    """Yield blocks (n, H, W, C) of coarse noise."""
    for _ in range(count // BLOCK):
        yield random.integers(0, 256, (BLOCK, 4, 4, CHANNELS), np.uint8).repeat(SIDE // 4, 1).repeat(SIDE // 4, 2)


def write_params(path: Path, changes: dict[tuple[str, ...], object]) -> None:
    params = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
    for (*sections, key), value in changes.items():
        node = params
        for section in sections:
            node = node[section]
        node[key] = value
    with path.open("w") as file:
        YAML(pure=True).dump(params, file)


def peak_of(stage: str, arguments: str, folder: Path) -> int:
    """Run a stage; return the most anonymous memory, in MiB, that one of its processes has held."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", f"stages.{stage}", *arguments.split()]
    peak = 0
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max([peak, *(anonymous(pid) for pid in family(process.pid))])
            time.sleep(0.02)
    assert process.returncode == 0, f"{stage} ended with {process.returncode}"
    return peak // 1024


def family(pid: int) -> list[int]:
    """Return a process and all that it has started."""
    found, waiting = [pid], [pid]
    while waiting:
        try:
            children = Path(f"/proc/{waiting.pop()}/task").glob("*/children")
            started = [int(child) for path in children for child in path.read_text().split()]
        except OSError:  # it has ended
            continue
        found, waiting = found + started, waiting + started
    return found


def anonymous(pid: int) -> int:
    """Return KiB of memory that lie in no file."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def distances(count: int) -> None:
    random, settings = np.random.default_rng(0), load_params(ROOT / "params.yaml").evaluate
    features = random.normal(size=(count, FEATURES)).astype(np.float32)
    start = time.perf_counter()
    chosen = chosen_by_content(features.view(np.uint8)[:, None, None], settings.reference_images)
    train, heldout = (
        Labelled(features=rows.astype(np.float64), classes=np.zeros(len(rows), np.int64))
        for rows in (features[chosen], random.normal(size=(settings.reference_images, FEATURES)))
    )
    picked = time.perf_counter()
    options = {"neighbours": settings.neighbours, "bins": settings.bins, "random": random}
    reference = build_reference(train, heldout, [], **options)
    built = time.perf_counter()
    heldout_figures(reference, "lite0_", random)
    done = time.perf_counter()
    print(
        f"{count} features, {len(chosen)} chosen in {picked - start:.0f} s: reference {built - picked:.0f} s, ", end=""
    )
    print(f"held-out figures {done - built:.0f} s, {done - start:.0f} s in all")


def step() -> None:
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), 20_000)
        compared = compare(partial(stepping, name, False), partial(stepping, name, True))
        print(f"step, time with a copy in memory over time with the map: {compared}")


def stepping(folder: str, on_disk: bool) -> Work:
    """Prepare a default step at 64x64x3: its images are drawn each time."""
    os.chdir(folder)
    params, split = load_params(Path("params.yaml")), read_split(Path("data/prepared"), "train")
    configs = gan.configs(params, read_json(Path("data/prepared/meta.json")))
    networks = {name: build(**configs[name]) for name, build in gan.BUILDERS.items()}
    players = build_players(networks, gan, params.lr, params.train.betas, CPU)
    images = ImagesOnDisk(split.images, CPU) if on_disk else torch.from_numpy(split.images.copy(order="K"))
    draws, recipe = Draws(0), gan.recipe(params, CPU)

    def take() -> None:
        batches = gan.draw({"images": images}, draws, recipe, params)
        if isinstance(images, ImagesOnDisk):
            images.fetch(draws.coming(1))
        gan.step(players, batches, recipe)

    return take


def main() -> None:
    pin_arithmetic(torch.get_num_threads())
    match sys.argv[1:]:
        case ["memory", count]:
            memory(int(count))
        case ["distances", count]:
            distances(int(count))
        case ["step"]:
            step()
        case _:
            for count in (20_000, 200_000):
                memory(count)
            distances(1_000_000)
            step()


if __name__ == "__main__":
    main()
