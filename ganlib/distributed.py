"""One training over several processes (torchrun's), which stay bit for bit alike: PyTorch Distributed.

Every process draws the whole batch from the same random streams and takes its own part of it. Gradients are averaged
here and not by DistributedDataParallel, which knows neither penalties that differentiate twice nor a discriminator
that is frozen in the generator's step.
"""

import logging
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed, nn
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.nn.modules.batchnorm import _BatchNorm

from ganlib.errors import UserError

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others before it gives them up."""


PATIENCE = 5
"""Seconds that a process whose peers are gone gives the launcher to say which, and to end it."""

Value = TypeVar("Value")
Network = TypeVar("Network", bound=nn.Module)


def is_launched() -> bool:
    """Return whether this process is one of torchrun's or `launch`'s."""
    return "WORLD_SIZE" in os.environ


def launch(count: int, command: list[str]) -> None:
    """Run a command in `count` processes on this machine, as torchrun does; raise UserError when one is killed."""
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
        elastic_launch(config, command[0])(*command[1:])
    except SignalException as error:
        raise KeyboardInterrupt from error
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        if failure.exitcode >= 0:
            sys.exit(failure.exitcode)  # it has said why
        name = signal.Signals(-failure.exitcode).name
        raise UserError(
            f"process {number} was ended by {name}: the same command goes on from the last checkpoint"
        ) from None


def processes() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return this process's number; 0 is the one that writes."""
    return distributed.get_rank() if distributed.is_initialized() else 0


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
    try:
        yield device
    except RuntimeError as error:
        if "gloo" not in str(error) and not isinstance(error, distributed.DistError):
            raise
        time.sleep(PATIENCE)
        raise UserError("another process has ended: the same command goes on from the last checkpoint") from None
    finally:
        distributed.destroy_process_group()


def check_alike(key: str) -> None:
    """Raise UserError unless all processes run the same code on the same data with the same params."""
    keys: list[Any] = [None] * processes()
    if processes() > 1:
        distributed.all_gather_object(keys, key)
    unlike = [str(number) for number, other in enumerate(keys) if other not in (None, keys[0])]
    if unlike:
        raise UserError(
            f"processes {', '.join(unlike)} have other code, data or params than process 0: bring all to one commit"
        )


def part(tensor: torch.Tensor, dim: int = 0) -> torch.Tensor:
    """Return this process's part of a tensor that all have, along a dimension."""
    return tensor.tensor_split(processes(), dim)[rank()]


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over all processes."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if processes() == 1 or not gradients:
        return
    flat = averaged(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(mean.view(gradient.shape))


def averaged(values: torch.Tensor) -> torch.Tensor:
    """Return the mean of a tensor over all processes."""
    if processes() > 1:
        values = values.clone()
        distributed.all_reduce(values)
    return values / processes()


def together(own: NDArray[Any]) -> NDArray[Any]:
    """Return the arrays of all processes, one behind the other."""
    if processes() == 1:
        return own
    arrays: list[Any] = [None] * processes()
    distributed.all_gather_object(arrays, own)
    return np.concatenate(arrays)


def from_first(make: Callable[[], Value]) -> Value:
    """Return to all processes what the first one makes."""
    values: list[Any] = [make() if rank() == 0 else None]
    if processes() > 1:
        distributed.broadcast_object_list(values)
    return values[0]


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; what each makes of it flows back to all."""

    @staticmethod
    def forward(ctx: Any, own: torch.Tensor) -> torch.Tensor:
        return averaged(own) * processes()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Sum.apply(gradient)


class SyncBatchNorm(_BatchNorm):
    """Batch norm over the batches of all processes; PyTorch's own refuses to work on a CPU."""

    def _check_input_dim(self, input: torch.Tensor) -> None:
        pass

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(input)
        x, dims = input.float(), [0, *range(2, input.dim())]
        shape = [1, -1] + [1] * (input.dim() - 2)
        mean = _Sum.apply(x.mean(dims)) / processes()
        centred = x - mean.view(shape)
        variance = _Sum.apply(centred.square().mean(dims)) / processes()
        self._follow(mean.detach(), variance.detach(), x.numel() // x.shape[1] * processes())
        scaled = centred * (variance + self.eps).rsqrt().view(shape)
        return (scaled * self.weight.view(shape) + self.bias.view(shape)).to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: torch.Tensor, variance: torch.Tensor, count: int) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        self.running_mean.lerp_(mean, self.momentum or 0.0)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum or 0.0)
        self.num_batches_tracked += 1


def synchronise(network: Network) -> Network:
    """Let every batch norm of a network see the batches of all processes; return the network."""
    if processes() == 1:
        return network
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, _BatchNorm):
                synced = SyncBatchNorm(child.num_features, child.eps, child.momentum)
                synced.load_state_dict(child.state_dict())
                setattr(module, name, synced)
    return network
