"""The step on a GPU, and the arithmetic that it is taken in."""

import os
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import multiprocessing

from ganlib.core.launch import joined
from ganlib.core.precision import bf16_slowdown, emulation_warning, has_bf16, precision_of, prepare_arithmetic
from ganlib.core.seeding import pin_arithmetic, seeded_weights
from ganlib.functional.latents import draw_latents
from ganlib.games import gan
from ganlib.games.gan import Batch, draw_batch
from ganlib.networks.dcgan import Discriminator, Generator
from ganlib.networks.sync_norm import synchronise
from ganlib.training.game import Draws, Players, build_networks, build_players, game_of
from ganlib.training.graph import GraphedStep
from ganlib.training.loop import own_part
from ganlib.training.schedule import set_lr
from tests.test_distributed import free_port, place
from tests.test_training import settings

CPU = torch.device("cpu")


def check_graph(precision: str, device: torch.device) -> None:
    """Take steps plainly and as a graph, this process's part of each, and hold one against the other bit for bit."""
    params = settings(precision=precision, translation=0.125, label_flip=0.1, r1=0.1)
    pin_arithmetic(1)
    prepare_arithmetic(precision, device)
    random, recipe = torch.Generator().manual_seed(0), gan.recipe(params, device)

    def build() -> Players:
        with seeded_weights(1, "weights"):
            networks = {
                "generator": synchronise(Generator(latent_dim=5, width=16, image_size=16, channels=3)),
                "discriminator": synchronise(Discriminator(width=16, image_size=16, channels=3)),
            }
        return build_players(networks, gan, 1e-3, (0.5, 0.999), device)

    def draw() -> Batch:
        images = torch.rand(8, 3, 16, 16, generator=random).to(device).contiguous(memory_format=torch.channels_last)
        return own_part(draw_batch(images, draw_latents(8, 5, random), (None, None), recipe, random), gan.DIMS)

    plain, graphed = build(), build()
    step = GraphedStep(gan, graphed, device)
    for number in range(9):
        batches, kind = [draw(), draw()], replace(recipe, r1_weight=0.1 * (number % 2))
        for players in (plain, graphed):
            set_lr(players, 1e-3 / (number + 1), 1.0)
        expected, result = gan.step(plain, batches, kind), step(batches, kind)
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(result, expected, strict=True))
    for name in ("generator", "discriminator"):
        ours, theirs = (players.networks[name].state_dict() for players in (graphed, plain))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_graphed_step_gives_the_bytes_of_the_plain_step(precision: str):
    check_graph(precision, torch.device("cuda"))


def graph_worker(number: int, port: int, precision: str) -> None:
    os.environ |= place(number, port)
    with joined(2, torch.device("cuda")) as device:
        check_graph(precision, device)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_graphed_steps_of_two_gpus_give_the_bytes_of_the_plain_ones(precision: str):
    multiprocessing.spawn(graph_worker, (free_port(), precision), nprocs=2)  # pyright: ignore[reportPrivateImportUsage]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    "changes",
    [
        {"game": "semi"},
        {"game": "semi", "feature_matching": True},
        {"name": "relativistic", "r2": 0.1, "real_label_low": 1, "real_label_high": 1},
    ],
    ids=str,
)
def test_a_graphed_step_of_every_game_gives_the_bytes_of_the_plain_step(changes: dict[str, Any]):
    device = torch.device("cuda")
    params = settings(precision="fp32", translation=0.125, r1=0.1, steps=9, conditional="none", **changes)
    pin_arithmetic(1)
    prepare_arithmetic("fp32", device)
    game, random = game_of(params), torch.Generator().manual_seed(0)
    meta = {"image_size": 16, "channels": 1, "aspect": 1.0, "class_names": ["a", "b"]}
    configs = game.configs(params, meta | {"counts_per_class": {"train": {"a": 20, "b": 20}}})
    plain, graphed = (
        build_players(build_networks(game, configs, 1), game, 1e-3, (0.5, 0.999), device) for _ in range(2)
    )
    images = torch.randint(0, 256, (40, 1, 16, 16), dtype=torch.uint8, generator=random).to(device)
    data = game.shown({"images": images, "labels": torch.arange(2).repeat(20)}, params)
    step, constant, draws = GraphedStep(game, graphed, device), game.recipe(params, device), Draws(1)
    for number in range(1, 10):
        recipe = game.recipe_at(number, constant, params)
        batches = game.draw(data, draws, recipe, params)
        expected, result = (game.measure(taken(batches, recipe)) for taken in (partial(game.step, plain), step))
        assert all(torch.equal(result[name], expected[name]) for name in expected)
    for name in configs:
        ours, theirs = (players.networks[name].state_dict() for players in (graphed, plain))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_auto_is_what_the_hardware_computes_in():
    assert precision_of("auto", CPU) == ("bf16" if has_bf16(CPU) else "fp32")
    assert [precision_of(name, CPU) for name in ("bf16", "fp32")] == ["bf16", "fp32"]


def test_a_warning_names_the_measured_slowdown_of_emulated_bf16(capsys: pytest.CaptureFixture[str]):
    warning = emulation_warning("sample.precision", 2.5)
    assert "takes 2.5 times as long" in warning and warning.endswith("set sample.precision to fp32")
    assert bf16_slowdown(CPU) > 0
    prepare_arithmetic("bf16", CPU)
    assert ("WARNING: train.precision = bf16" in capsys.readouterr().err) != has_bf16(CPU)


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_nothing_is_said_where_bf16_was_not_asked_for(precision: str, capsys: pytest.CaptureFixture[str]):
    prepare_arithmetic(precision, CPU)
    assert capsys.readouterr().err == ""
