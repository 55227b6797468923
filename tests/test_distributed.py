"""One training over two processes on this machine, against one process with the same batches."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import multiprocessing

from ganlib.core.errors import UserError
from ganlib.core.launch import joined
from ganlib.core.seeding import seeded_weights
from ganlib.functional.latents import draw_latents
from ganlib.games import gan
from ganlib.networks.families import build_discriminator, build_generator, discriminator_config, generator_config
from ganlib.networks.sync_norm import synchronise
from ganlib.training.game import Draws, Players, build_networks, build_players, game_of
from ganlib.training.loop import own_part
from tests.conftest import ROOT, edit_params
from tests.test_resume import TRAIN, change, finish, hashes, prepared, start, template, wait_for_checkpoint  # noqa: F401
from tests.test_training import CPU, settings

pytestmark = pytest.mark.slow

VARIANTS = [
    {"name": "nonsaturating", "r1": 0.5, "translation": 0.125, "label_flip": 0.2},
    {
        "name": "wasserstein",
        "gradient_penalty": 10,
        "d_norm": "none",
        "real_label_low": 1,
        "real_label_high": 1,
        "r1": 0,
    },
    {"architecture": "mlp", "cutout": 0.5, "colour": 0.5, "instance_noise": 0.1, "r1": 0.5},
    {"architecture": "resnet", "d_norm": "none", "spectral_norm": True, "r1": 0},
]
GAMES = [{"game": "semi", "feature_matching": True}]
MORE_GAMES = [{"game": game} for game in ("semi", "aae", "bigan", "infogan", "vision_aided")]


def gradients_of_a_step(changes: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Take one step of a global batch of 8 with as many processes as there are; return gradients and buffers."""
    torch.set_num_threads(1)
    params = settings(1, precision="fp32", width=8, **changes)
    with seeded_weights(1, "weights"):
        generator = build_generator(**generator_config(params.model, 16, 1))
        discriminator = build_discriminator(**discriminator_config(params.model, 16, 1))
    for network in (generator, discriminator):
        synchronise(network)
    networks, random = {"generator": generator, "discriminator": discriminator}, torch.Generator().manual_seed(0)
    players = build_players(networks, gan, 1e-3, (0.5, 0.999), CPU)
    images = torch.rand(8, 1, 16, 16, generator=random) * 2 - 1
    recipe = gan.recipe(params, CPU)
    recipe = recipe.__class__(**{**recipe.__dict__, "r1_weight": params.loss.r1})
    batch = gan.draw_batch(images, draw_latents(8, 4, random), (None, None), recipe, random)
    gan.step(players, [own_part(batch, gan.DIMS)], recipe)
    return left_by(players)


def left_by(players: Players) -> dict[str, torch.Tensor]:
    """Return gradients and buffers of all networks."""
    found: dict[str, torch.Tensor] = {}
    for side, network in players.networks.items():
        found |= {
            f"{side}.{name}": weight.grad for name, weight in network.named_parameters() if weight.grad is not None
        }
        found |= {f"{side}.{name}": buffer.clone() for name, buffer in network.named_buffers()}
    return found


def gradients_of_a_game(changes: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Take the first step of any game with as many processes as there are; return gradients and buffers.

    Weights are made larger than those that a training starts with, so that fakes differ.
    """
    torch.set_num_threads(1)
    params = settings(1, precision="fp32", width=8, conditional="none", r1=0.5, r1_every=1, **changes)
    game, classes = game_of(params), ["a", "b"]
    counts = {"counts_per_class": {"train": dict.fromkeys(classes, 20)}, "class_names": classes}
    networks = build_networks(game, game.configs(params, {"image_size": 16, "channels": 1, "aspect": 1.0} | counts), 1)
    players, random = build_players(networks, game, 1e-3, (0.5, 0.999), CPU), torch.Generator().manual_seed(0)
    for weight in (weight for network in networks.values() for weight in network.parameters() if weight.ndim > 1):
        weight.data *= 3
    data = {"images": torch.randint(0, 256, (40, 1, 16, 16), dtype=torch.uint8, generator=random)}
    data = game.shown(data | {"labels": torch.arange(2).repeat(20)}, params)
    recipe = game.recipe_at(1, game.recipe(params, CPU), params)
    batches = [own_part(batch, game.DIMS) for batch in game.draw(data, Draws(1), recipe, params)]
    game.step(players, batches, recipe)
    return left_by(players)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def place(number: int, port: int) -> dict[str, str]:
    """Return the environment of one of two processes."""
    ranks = {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2"}
    return ranks | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def worker(number: int, port: int, changes: dict[str, Any], out: str) -> None:
    os.environ |= place(number, port)
    with joined(2, CPU):
        torch.save(gradients_of(changes), f"{out}/{number}.pt")


def gradients_of(changes: dict[str, Any]) -> dict[str, torch.Tensor]:
    return gradients_of_a_game(changes) if "game" in changes else gradients_of_a_step(changes)


@pytest.mark.parametrize(
    "changes",
    [*VARIANTS[:2], *GAMES, *(pytest.param(changes, marks=pytest.mark.proof) for changes in VARIANTS[2:] + MORE_GAMES)],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_gradients_of_two_processes_are_those_of_one_with_the_whole_batch(tmp_path: Path, changes: dict[str, Any]):
    given = free_port(), changes, str(tmp_path)
    multiprocessing.spawn(worker, given, nprocs=2)  # pyright: ignore[reportPrivateImportUsage]
    whole = gradients_of(changes)
    first, second = (torch.load(tmp_path / f"{number}.pt") for number in range(2))
    assert set(first) == set(whole)
    for name, expected in whole.items():
        assert torch.equal(first[name], second[name]), name
        # Adam's first step has the sign of gradients that are 0 but for rounding: statistics after it are less alike.
        close = 1e-3 if "running" in name else 2e-5
        torch.testing.assert_close(first[name], expected, rtol=1e-5, atol=close)


def test_as_many_processes_as_params_say_must_be_started(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match=r"train\.distributed = 2: 3 processes were started"), joined(2, CPU):
        pass


def ranks_of(launcher: "subprocess.Popen[str]") -> list[int]:
    """Return the process ids of a launcher's processes."""
    found = subprocess.run(["pgrep", "-P", str(launcher.pid)], capture_output=True, text=True).stdout.split()
    return [int(number) for number in found]


def errors_of(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("error: ")]


@pytest.mark.proof
@pytest.mark.parametrize("count", [2, 3])  # three add in an order of their own: DistributedDataParallel changes it
def test_a_killed_process_ends_the_others_and_the_same_command_goes_on(prepared: Path, count: int):  # noqa: F811
    change(prepared, train__distributed=str(count), batch_size="18", steps="60")
    shutil.rmtree(prepared / "whole")
    finish(prepared, "whole", "others")
    launcher = start(prepared, "resumed")
    wait_for_checkpoint(prepared, launcher, 14)
    os.kill(ranks_of(launcher)[-1], signal.SIGKILL)
    began = time.monotonic()
    said = launcher.communicate(timeout=60)[1]
    assert launcher.returncode != 0 and time.monotonic() - began < 45
    errors = errors_of(said)
    assert len(errors) == 1 and "goes on from its last checkpoint" in errors[0] and "Traceback" not in said
    assert "resumed at step" in finish(prepared, "resumed")
    assert hashes(prepared / "whole") == hashes(prepared / "resumed")


@pytest.mark.long
def test_a_mistake_that_all_processes_meet_is_told_once(prepared: Path):  # noqa: F811
    params = prepared / "params.yaml"
    params.write_text(edit_params(params.read_text(), {"train.distributed": "2", "batch_size": "2000"}))
    launcher = start(prepared, "out")
    said = launcher.communicate()[1]
    assert launcher.returncode == 1
    assert said.splitlines() == ["error: batch_size = 2000: there are only 1463 training images"]


@pytest.mark.proof
def test_a_process_with_other_params_is_refused(prepared: Path):  # noqa: F811
    port, processes, text = free_port(), [], (prepared / "params.yaml").read_text()
    for number, lr in enumerate(("1e-3", "1e-4")):
        folder = prepared / str(number)
        shutil.copytree(prepared / "data", folder / "data")
        (folder / "params.yaml").write_text(edit_params(text, {"train.distributed": "2", "lr": lr}))
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | place(number, port)
        given: Any = {"cwd": folder, "env": environment, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen([*TRAIN, "out"], **given))
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [1, 1]
    message = "error: processes 1 have other code, data or params than process 0: bring all to one commit"
    assert said[0].splitlines() == [message]


def torchrun(folder: Path, number: int, *within: str, **options: Any) -> "subprocess.Popen[str]":
    """Start the command of docs/cluster.md with one process, as machine `number`, by the command `within`."""
    page = (ROOT / "docs/cluster.md").read_text(encoding="utf-8").replace("\\\n", "")
    (line,) = re.findall(r"^torchrun .*$", page, re.MULTILINE)
    given = {"node-rank": number, "nproc-per-node": 1} | {key.replace("_", "-"): options[key] for key in options}
    for key, value in given.items():
        line, found = re.subn(rf"--{key}=\S+", f"--{key}={value}", line)
        assert found == 1, key
    command = [*within, sys.executable, str(Path(sys.executable).parent / "torchrun"), *shlex.split(line)[1:]]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.long
def test_two_machines_give_the_bytes_of_two_processes_and_a_first_one_that_moved_finds_the_checkpoints(
    prepared: Path,  # noqa: F811
):
    change(prepared, train__distributed="2", steps="40")
    folders = [shutil.copytree(prepared, prepared.parent / name) for name in ("node9", "node10")]
    shutil.rmtree(prepared / "whole")
    finish(prepared, "whole", "others")
    for machines, found in ((folders, "it starts at step 0"), (folders[::-1], "of process 1's machine")):
        at: Any = {"master_addr": "127.0.0.1", "master_port": free_port()}
        processes = [torchrun(folder, number, **at) for number, folder in enumerate(machines)]
        said = [process.communicate()[1] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
        assert found in said[0] and ("resumed at step 40" in said[0]) == (machines[0] is folders[1])
        assert hashes(machines[0] / "data/training") == hashes(prepared / "whole")
