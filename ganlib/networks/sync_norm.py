"""Batch norm over the batches of all processes; PyTorch's own SyncBatchNorm refuses to work on a CPU."""

from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganlib.core.distributed import averaged, processes

Network = TypeVar("Network", bound=nn.Module)


class _Sum(torch.autograd.Function):
    """The sum over all processes; what each makes of it flows back to all. PyTorch has deprecated its own."""

    @staticmethod
    def forward(ctx: Any, own: torch.Tensor) -> torch.Tensor:
        return averaged(own) * processes()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Sum.apply(gradient)


class SyncBatchNorm(_BatchNorm):
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
