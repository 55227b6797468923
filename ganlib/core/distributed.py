"""Work that several processes share (PyTorch Distributed): each does its part, and all stay bit for bit alike.

Every process of a training draws the whole batch from the same random streams and takes its own part of it. Gradients
are averaged here, always in one order. DistributedDataParallel gives equal ones, also under R1 or with a frozen
discriminator, but adds them in another from its second step on: of three processes, a resumed run then differs in bits.
Under find_unused_parameters it does not, but all games would have to call their networks through its wrappers.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed, nn

from ganlib.core.errors import UserError

Value = TypeVar("Value")


def processes() -> int:
    """Return how many processes work together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return this process's number; 0 is the one that writes."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def check_alike(key: str) -> None:
    """Raise UserError unless all processes run the same code on the same data with the same params."""
    keys = gathered(key)
    unlike = [str(number) for number, other in enumerate(keys) if other != keys[0]]
    if unlike:
        raise UserError(
            f"processes {', '.join(unlike)} have other code, data or params than process 0: bring all to one commit"
        )


def part(tensor: torch.Tensor, dim: int = 0) -> torch.Tensor:
    """Return this process's part of a tensor that all have, along a dimension."""
    return tensor.tensor_split(processes(), dim)[rank()]


def all_of(own: torch.Tensor) -> torch.Tensor:
    """Return the parts of all processes, equally long, one behind the other."""
    if processes() == 1:
        return own
    parts = [torch.empty_like(own) for _ in range(processes())]
    distributed.all_gather(parts, own.contiguous())
    return torch.cat(parts)


def own_rows(count: int) -> range:
    """Return which of `count` rows that all processes have are this one's part."""
    start, stop = (count * number // processes() for number in (rank(), rank() + 1))
    return range(start, stop)


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


def gathered(own: Value) -> list[Value]:
    """Return what all processes have, by their numbers."""
    values: list[Any] = [own] * processes()
    if processes() > 1:
        distributed.all_gather_object(values, own)
    return values


def together(own: NDArray[Any]) -> NDArray[Any]:
    """Return the arrays of all processes, one behind the other."""
    return np.concatenate(gathered(own)) if processes() > 1 else own


def from_process(number: int, make: Callable[[], Value]) -> Value:
    """Return to all processes what one of them makes."""
    values: list[Any] = [make() if rank() == number else None]
    if processes() > 1:
        distributed.broadcast_object_list(values, number)
    return values[0]
