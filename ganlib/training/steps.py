"""What the steps of all games do: compute in a precision, update, and ask a discriminator that does not learn."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ganlib.core.distributed import average_gradients


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a tensor from the CPU to the device without waiting for it."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def autocast(like: torch.Tensor, enabled: bool) -> torch.autocast:
    """Return a context in which networks compute in bfloat16 on the device of a tensor."""
    return torch.autocast(like.device.type, torch.bfloat16, enabled=enabled)


@contextmanager
def frozen_weights(*networks: nn.Module) -> Iterator[None]:
    """Let networks only judge what is computed inside: their own gradients, which nobody would use, are left out."""
    for network in networks:
        network.requires_grad_(False)
    try:
        yield
    finally:
        for network in networks:
            network.requires_grad_(True)


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Let networks compute as they will when they are used: norms by what they have gathered, and gathering nothing."""
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for network in networks:
            network.train()


def update(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """Take one optimiser step down the gradient of a scalar loss, averaged over all processes."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    average_gradients(parameter for group in optimizer.param_groups for parameter in group["params"])
    optimizer.step()


@torch.no_grad()
def clip_weights(discriminator: nn.Module, largest: float) -> None:
    """Clamp every weight to [-largest, largest], WGAN's crude Lipschitz bound (Arjovsky et al. 2017)."""
    torch._foreach_clamp_min_(list(discriminator.parameters()), -largest)
    torch._foreach_clamp_max_(list(discriminator.parameters()), largest)
