"""One training over two machines: network namespaces with a cable between them, which is pulled out."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganlib.core.launch import PATIENCE, SILENCE
from tests.test_distributed import errors_of, torchrun
from tests.test_resume import change, finish, hashes, prepared, template, wait_for_checkpoint  # noqa: F401

pytestmark = pytest.mark.proof


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def machines() -> Iterator[list[str]]:
    """Make two network namespaces, and a third that switches between them; skip where that is not allowed."""
    names = [f"gan{os.getpid()}{letter}" for letter in "abs"]
    try:
        for name in names:
            ip("netns", "add", name)
        switch = names[-1]
        ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", switch, "link", "set", "bridge", "up")
        for number, name in enumerate(names[:-1]):
            cable = "add", "eth0", "netns", name, "type", "veth", "peer", "name", f"port{number}", "netns", switch
            ip("link", *cable)
            ip("-n", switch, "link", "set", f"port{number}", "master", "bridge", "up")
            ip("-n", name, "address", "add", f"10.77.0.{number + 1}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                ip("-n", name, "link", "set", link, "up")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces: {error}")
    else:
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def test_a_machine_that_no_longer_answers_ends_the_other_and_the_same_command_goes_on(
    prepared: Path,  # noqa: F811
    machines: list[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth0")
    change(prepared, train__distributed="2", steps="400", train__evaluate_every="100")
    folders = [shutil.copytree(prepared, prepared.parent / name) for name in machines[:2]]
    shutil.rmtree(prepared / "whole")
    finish(prepared, "whole", "others")

    def begin() -> "list[subprocess.Popen[str]]":
        at = {"master_addr": "10.77.0.1", "master_port": 29500}
        within = "ip", "netns", "exec"
        return [torchrun(folders[number], number, *within, machines[number], **at) for number in range(2)]

    processes = begin()
    wait_for_checkpoint(folders[0], processes[0], 14)
    ip("-n", machines[-1], "link", "set", "port1", "down")
    began = time.monotonic()
    said = [process.communicate(timeout=2 * SILENCE)[1] for process in processes]
    assert time.monotonic() - began < SILENCE + PATIENCE + 40
    for process, words in zip(processes, said, strict=True):
        errors = errors_of(words)
        assert process.returncode == 1 and len(errors) == 1, words
        assert "another process has ended: give the same command again" in errors[0]
    ip("-n", machines[-1], "link", "set", "port1", "up")
    said = [process.communicate()[1] for process in begin()]
    assert "resumed at step" in said[0], said
    assert hashes(folders[0] / "data/training") == hashes(prepared / "whole")
