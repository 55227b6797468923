"""Starting a stage's command in several processes, as torchrun does, and what each of them joins."""

import logging
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psutil
import torch
from torch import distributed
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from ganlib.core.errors import UserError

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others before it gives them up."""
SILENCE = 60
"""Seconds after which a machine that answers nothing any more, not even the other's system, is taken for dead."""
PATIENCE = 5
"""Seconds that a process whose peers are gone gives the launcher to say which, and to end it."""
AGAIN = "give the same command again; a training goes on from its last checkpoint"


def processes_here(count: int, device: torch.device) -> int:
    """Return over how many processes of this machine work is spread: no more than it has GPUs, if it has any."""
    return min(count, torch.cuda.device_count()) if device.type == "cuda" else count


def must_launch(count: int) -> bool:
    """Tell whether this process has to start `count` others: not for one, nor in one that was started so."""
    return count > 1 and "WORLD_SIZE" not in os.environ


def launch(count: int, module: str) -> None:
    """Run this command, that of a module, in `count` processes.

    Raises UserError when one is killed, and exits as the first that fails.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # what happened is said here
    try:
        elastic_launch(config, sys.executable)("-m", module, *sys.argv[1:])
    except SignalException as error:
        raise KeyboardInterrupt from error
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        if failure.exitcode >= 0:
            sys.exit(failure.exitcode)  # it has said why
        name = signal.Signals(-failure.exitcode).name
        raise UserError(f"process {number} was ended by {name}: {AGAIN}") from None


@contextmanager
def joined(count: int, device: torch.device) -> Iterator[torch.device]:
    """Join the other processes for a block, and yield this one's device; raise UserError unless there are `count`."""
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != count:
        raise UserError(f"train.distributed = {count}: {started} processes were started; make them equal")
    if count == 1:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    probe_connections()
    try:
        yield device
    except RuntimeError as error:
        if "gloo" not in str(error) and not isinstance(error, distributed.DistError):
            raise
        time.sleep(PATIENCE)
        raise UserError(f"another process has ended: {AGAIN}") from None
    finally:
        distributed.destroy_process_group()


def probe_connections() -> None:
    """Let this process's connections fail soon when a machine has vanished: gloo would wait for as long as it may."""
    options = {"TCP_KEEPIDLE": SILENCE // 4, "TCP_KEEPINTVL": SILENCE // 4, "TCP_USER_TIMEOUT": SILENCE * 1000}
    for found in psutil.Process().net_connections("tcp"):
        with socket.fromfd(found.fd, found.family, found.type) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in options.items():
                if hasattr(socket, name):  # not on every system
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
