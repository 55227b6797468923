"""Games from params.yaml to their claims and pictures, stage by stage, in one process and on the small params."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ganlib.core.errors import UserError
from ganlib.core.files import read_json, read_table
from ganlib.core.params import load_params
from ganlib.games import aae, bigan, gan, infogan, vision_aided
from ganlib.networks.families import load_generator
from tests.conftest import edit_params
from tests.plain_games import META, params_of
from tests.test_stages import invoke

MODEL = "data/model"
SHOWN = {
    "infogan": {"categories.png", "numbers.png", "categories_and_judged_classes.csv"},
    "aae": {"rebuilt.png", "latents_drawn.png", "codes.csv"},
    "bigan": {"rebuilt.png"},
    "vision_aided": {"nothing.png"},
}


def change(path: Path, changes: dict[str, str]) -> None:
    path.write_text(edit_params(path.read_text(), changes))


def play(game: str, params_file: Path) -> dict[str, Any]:
    """Run all stages of a game that need no report; return its claims."""
    change(params_file, {"game": game, "data.image_size": "8", "model.latent_dim": "4", "explore.rows": "2"})
    (params_file.parent / "metrics").mkdir()
    invoke("prepare", "--out", "data/prepared", "--metrics", "metrics/prepare.json", "--downloads", "data/raw")
    invoke("judge", "data/prepared", "--out", "data/judge")
    invoke("train", "data/prepared", "data/judge", "--out", "data/training", "--checkpoints", "checkpoints")
    invoke("publish", "data/training", "--out", MODEL)
    invoke("sample", MODEL, "--out", "data/samples", "--grid", "metrics/grid.png")
    invoke("explore", "data/prepared", "data/judge", MODEL, "--out", "data/explore", "--pictures", "metrics/explore")
    completed = "--metrics", "metrics/complete.json", "--picture", "metrics/complete.png"
    invoke("complete", "data/prepared", "data/judge/train_rows.npy", MODEL, "--out", "data/completion", *completed)
    probed = "--metrics", "metrics/probe.json", "--pictures", "metrics/probe"
    invoke("probe", "data/prepared", "data/judge", "data/training", MODEL, *probed)
    assert {path.name for path in Path("metrics/probe").iterdir()} == SHOWN[game]
    return read_json(Path("metrics/probe.json"))


def test_infogan_is_served_by_every_stage(params_file: Path):
    claims = play("infogan", params_file)
    assert set(claims) == {"NMI of category and judged class", "Q's error on held-out images"}
    generator = load_generator(MODEL)
    assert generator.latent_dim == 4 + 10 + 2 and generator.latents == "normal+10+2"
    latents = np.load("data/samples/latents.npy")
    assert ((latents[:, 4:14] > 0).sum(1) == 1).all() and (np.abs(latents[:, 14:]) <= 1).all()
    assert "code" in read_json(Path("data/explore/explore.json"))["arithmetic_absent"]
    assert read_json(Path("metrics/complete.json"))["images"] == 6
    invoke("generate", MODEL, "--count", "3", "--out", "pictures")
    assert len(list(Path("pictures").glob("*.png"))) == 3
    counts = read_table(Path("metrics/probe/categories_and_judged_classes.csv"), "category")
    assert counts.drop(columns="category").to_numpy().sum() == 10_000
    with Image.open("metrics/probe/categories.png") as picture:
        assert picture.height > 10 * 64


def test_vision_aided_is_served_by_every_stage(params_file: Path):
    assert "game=gan" in play("vision_aided", params_file)["absent"]
    assert read_json(Path("metrics/complete.json"))["images"] == 6
    assert {path.stem for path in Path(MODEL).glob("*.safetensors")} == {"generator", "discriminator", "eye"}
    assert "eye_loss" in read_table(Path("data/training/history.csv"), "step")


@pytest.mark.proof
@pytest.mark.parametrize(("game", "claims"), [("aae", 2), ("bigan", 3)])
def test_a_game_without_a_discriminator_of_images_is_not_completed_and_says_why(
    game: str, claims: int, params_file: Path
):
    assert len(play(game, params_file)) == claims
    assert f"game {game}" in read_json(Path("metrics/complete.json"))["absent"]
    assert {path.stem for path in Path(MODEL).glob("*.safetensors")} > {"generator", "encoder"}


@pytest.mark.parametrize(
    ("game", "changes", "refused"),
    [
        ("infogan", {"model.conditional": "concat"}, "model.conditional = concat"),
        ("infogan", {"games.infogan.categories": "101"}, "games.infogan.categories = 101"),
        ("infogan", {"games.infogan.categories": "1"}, "games.infogan.categories = 1"),
        ("infogan", {"train.d_steps": "2"}, "train.d_steps = 2: game infogan does not read it: set it to 1"),
        ("bigan", {"loss.weight_clip": "0.1"}, "loss.weight_clip = 0.1: game bigan does not read it: set it to 0"),
        ("aae", {"train.cutout": "0.5"}, "train.cutout = 0.5: game aae does not read it: set it to 0"),
        ("aae", {"loss.r2": "1"}, "loss.r2 = 1.0: game aae does not read it: set it to 0"),
        (
            "semi",
            {"loss.name": "relativistic", "loss.real_label_low": "1", "loss.real_label_high": "1"},
            "loss.name = relativistic: game semi compares no images: set it to another",
        ),
        ("aae", {"games.aae.adversary": "-1"}, "games.aae.adversary = -1"),
    ],
)
def test_what_a_game_cannot_use_is_refused_in_one_line(
    game: str, changes: dict[str, str], refused: str, params_file: Path
):
    change(params_file, {"game": game} | changes)
    with pytest.raises(UserError) as error:
        load_params()
    assert refused in str(error.value) and str(error.value).count("\n") == 0


@pytest.mark.parametrize(
    "game", [gan, infogan, aae, bigan, vision_aided], ids=lambda game: game.__name__.split(".")[-1]
)
def test_spectral_norm_is_in_every_layer_of_d_and_of_nobody_else(game: Any):
    params = params_of(spectral_norm=True, d_norm="none")
    networks = {name: build(**game.configs(params, META)[name]) for name, build in game.BUILDERS.items()}
    own = {"reader", "eye"}  # Q has none, the eye always has
    for team, names in game.TEAMS.items():
        for name in set(names) - own:
            layers = [layer for layer in networks[name].modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
            assert layers and {is_parametrized(layer) for layer in layers} == {team == "d"}, name
