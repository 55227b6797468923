"""What DVC runs again: a stage whose bytes a parameter or a file can change, and no other."""

from pathlib import Path

import numpy as np
import pytest
from dvc.repo import Repo
from PIL import Image

from ganlib.core.files import read_json
from ganlib.core.params import load_params
from ganlib.report.parts import flat
from tests.conftest import edit_params, figures_of, run
from tests.pictures import encoded, picture, tree

pytestmark = [pytest.mark.slow, pytest.mark.long]

COMPUTING = {"judge", "reference", "train", "sample", "evaluate", "probe", "explore", "complete"}
TRAINING = {"train", "probe"}
"""Stages that train: a probe trains a game's baseline as the game was trained."""
SECTIONS = {
    "data": {"prepare"},
    "model": {"train"},
    "loss": TRAINING,
    "games": set(),
    "train": {"train"},
    "publish": {"publish"},
    "sample": {"sample"},
    "explore": {"explore"},
    "complete": {"complete"},
}
"""Stages whose bytes the parameters of a section change, but for KEYS."""
KEYS = {
    "seed": COMPUTING,
    "threads": COMPUTING,
    "device": COMPUTING,
    "lr": TRAINING,
    "batch_size": TRAINING,
    "steps": TRAINING,
    "data.flip": TRAINING,
    "model.conditional": TRAINING,
    **{
        f"train.{key}": TRAINING
        for key in ("precision", "lr_decay_start", "betas", "d_steps", "d_lr_ratio", "instance_noise", "translation")
    },
    **{f"train.{key}": TRAINING for key in ("cutout", "colour", "ema_halflife")},
    "data.resize": {"prepare", "complete"},
    "data.background": {"prepare", "complete"},
    "train.checkpoint_every": set[str](),
    "model.mlp.hidden_layers": set[str](),
    "model.resnet.widths": set[str](),
    "model.resnet.max_width": set[str](),
    "game": {*TRAINING, "explore", "complete"},
    "loss.name": {*TRAINING, "complete"},
    "train.distributed": {"train", "sample", "reference", "evaluate"},
    "evaluate.extractor": {"judge", "reference", "evaluate"},
    "evaluate.inception_weights": {"reference", "evaluate"},
    "evaluate.dinov2_weights": {"reference", "evaluate"},
    "evaluate.judge_epochs": {"judge"},
    "evaluate.reference_images": {"judge"},
    "evaluate.neighbours": {"reference"},
    "evaluate.bins": {"reference"},
    "evaluate.min_judge_accuracy": {"judge", "evaluate"},
    "evaluate.draws": {"evaluate"},
    "evaluate.subsets": {"evaluate"},
}


@pytest.fixture
def here(reproduced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a clone in which every stage has run, from the cache of the first."""
    folder = tmp_path / "clone"
    run(["git", "clone", "-q", str(reproduced), str(folder)], tmp_path)
    run(["dvc", "cache", "dir", "--local", str(reproduced / ".dvc/cache")], folder)
    run(["dvc", "checkout"], folder)
    monkeypatch.chdir(folder)
    return folder


def stale() -> set[str]:
    """Return the root pipeline's stages that DVC calls changed, but for the report, which shows every parameter."""
    with Repo() as repo:
        return set(repo.status(targets=["dvc.yaml"])) - {"report"}


def change(**changes: str) -> None:
    """Change params.yaml; keys have `__` for dots."""
    path, dotted = Path("params.yaml"), {key.replace("__", "."): value for key, value in changes.items()}
    path.write_text(edit_params(path.read_text(encoding="utf-8"), dotted), encoding="utf-8")


def ran(*targets: str) -> set[str]:
    """Let DVC reproduce, and return the stages that it had to run."""
    said = run(["dvc", "repro", *targets], Path()).stdout
    return {line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage ")}


def draw_mask(path: Path, rows: int) -> None:
    pixels = np.zeros((32, 32), np.uint8)
    pixels[:rows] = 255
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_a_parameter_makes_stale_exactly_those_stages_whose_bytes_it_can_change(here: Path):
    text, found, expected = Path("params.yaml").read_text(encoding="utf-8"), {}, {}
    for key in flat(load_params().model_dump()):
        change(**{key: "another"})
        found[key], expected[key] = stale(), KEYS.get(key, SECTIONS.get(key.split(".")[0]))
        Path("params.yaml").write_text(text, encoding="utf-8")
    assert found == expected
    assert stale() == set()


def test_downloads_make_nothing_stale(here: Path):
    tree({"MNIST/raw/t10k.gz": b"any", "notes.txt": b"any"}, Path("data/raw"))
    assert stale() == set()


@pytest.mark.proof
def test_a_changed_file_behind_a_path_makes_stale_the_stages_that_read_it(here: Path):
    tree({f"{seed}.png": encoded(picture(seed, (32, 32), "L")) for seed in range(6)}, Path("own"))
    draw_mask(Path("holes/top.png"), rows=8)
    Path("weights.pth").write_bytes(b"any")
    change(
        complete__path="own",
        complete__own_masks="holes",
        complete__masks="[left]",
        evaluate__inception_weights="weights.pth",
        data__path="own",
    )
    run(["dvc", "repro"], here)
    assert stale() == set()
    assert read_json(Path("metrics/complete.json"))["source"] == "own images"
    assert {path.stem for path in Path("data/completion").iterdir()} == {"left", "top"}
    Path("weights.pth").write_bytes(b"others")
    assert stale() == {"reference", "evaluate"}
    draw_mask(Path("holes/top.png"), rows=16)
    assert stale() == {"reference", "evaluate", "complete"}
    assert ran("complete") == {"complete"} and stale() == {"reference", "evaluate"}
    tree({"0.png": encoded(picture(9, (32, 32), "L"))}, Path("own"))
    assert {"prepare", "complete"} <= stale()


@pytest.mark.proof
def test_another_end_is_published_without_training(here: Path):
    before = np.load("data/samples/images.npy")
    change(publish__checkpoint="final", publish__ema="false")
    assert ran() == {"publish", "sample", "evaluate", "probe", "explore", "complete", "report"}
    assert not np.array_equal(np.load("data/samples/images.npy"), before)
    metrics = figures_of(Path())
    assert (metrics["published"], metrics["published_ema"], metrics["published_step"]) == ("final", False, 6)


def test_other_checkpoints_cost_a_page_and_no_training(here: Path):
    change(train__checkpoint_every="5")
    assert ran() == {"report"}
