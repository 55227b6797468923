"""Determinism: where random numbers come from, and what makes arithmetic repeat bit for bit."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from ganlib.core.errors import UserError


def random_generator(seed: int, stream: str) -> torch.Generator:
    """Return a CPU generator for one named stream, independent of every other stream of the same seed.

    Numbers are drawn on the CPU whatever the device, so that a GPU run sees the same latents and the same data order.
    """
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def pin_arithmetic(threads: int) -> None:
    """Fix what changes rounding: the number of threads (torch, BLAS) and the choice of algorithms."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    threadpool_limits(limits=threads)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # A debugging aid that costs a tenth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    torch.backends.cudnn.benchmark = False


def resolve_device(name: str) -> torch.device:
    """Return the device that `auto`, `cpu` or `cuda` stands for; raise UserError when CUDA is asked for and absent."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device = 'cuda': this PyTorch finds no CUDA device; set device to auto or cpu")
    return torch.device(name)


@contextmanager
def seeded_weights(seed: int, stream: str) -> Iterator[None]:
    """Draw what PyTorch's layers draw when they are built from a named stream; the global state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_generator(seed, stream).initial_seed())
        yield
