"""Convolutions written as the matrix products that they are, where a processor gains a tenth or more by it.

Parameters have the names and shapes of PyTorch's own layers. Maps lie with their channels last, as oneDNN and cuDNN
want them, so that nothing is copied between a product and the convolution beside it.
"""

from typing import Any

import torch
from torch import nn
from torch.nn.functional import conv_transpose2d, linear, pad

SMALL_MAP = 7
"""Height of maps up to which patches pay for their copying: oneDNN's bfloat16 takes up to twice as long."""
DEEP = 256
"""Channels from which they do: a step at 128 pixels and width 64 gains a sixth, one at 64 pixels a twentieth."""


class Projection(nn.Linear):
    """A transposed convolution of latents (N, latent_dim), maps of 1x1, to maps (N, channels, size, size)."""

    def __init__(self, latent_dim: int, channels: int, size: int, bias: bool):
        super().__init__(latent_dim, channels * size**2, bias)
        self.map_shape = (channels, size, size)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().forward(latents).unflatten(1, self.map_shape).contiguous(memory_format=torch.channels_last)


class Halving(nn.Conv2d):
    """A convolution of stride 2 that halves an even size, for kernels of 3, 4 and 5."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, bias: bool):
        super().__init__(inputs, outputs, kernel_size, stride=2, padding=(kernel_size - 1) // 2, bias=bias)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        if gains(maps, maps.shape[2] // 2, self.in_channels):
            return _Halve.apply(*computed_in(maps, self.weight, self.bias))
        return super().forward(maps)


class Doubling(nn.ConvTranspose2d):
    """A transposed convolution that doubles a size, for kernels of 3, 4 and 5."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, bias: bool):
        padding = (kernel_size - 1) // 2
        super().__init__(inputs, outputs, kernel_size, 2, padding, output_padding=kernel_size % 2, bias=bias)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        if gains(maps, maps.shape[2], self.out_channels):
            return _Double.apply(*computed_in(maps, self.weight, self.bias))
        return super().forward(maps)


def gains(maps: torch.Tensor, height: int, channels: int) -> bool:
    """Return whether the smaller maps are so small, the larger so deep, and the precision such, that products pay."""
    small = height <= SMALL_MAP and channels >= DEEP
    return small and maps.device.type == "cpu" and torch.is_autocast_enabled("cpu")


def computed_in(*tensors: torch.Tensor | None) -> list[torch.Tensor | None]:
    """Cast tensors as autocast casts those of PyTorch's convolutions."""
    return [None if tensor is None else tensor.to(torch.get_autocast_dtype("cpu")) for tensor in tensors]


# The convolution, its transpose and the gradient of its weights: each is linear in both inputs, and its gradients are
# the other two, so that all can be differentiated as often as a penalty needs.


class _Halve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, large: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(large, weight)
        return halve(large, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        large, weight = ctx.saved_tensors
        needs_large, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            _Double.apply(gradient, weight, None) if needs_large else None,
            _Weigh.apply(gradient, large, weight.shape[2]) if needs_weight else None,
            gradient.sum((0, 2, 3)) if needs_bias else None,
        )


class _Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, small: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(small, weight)
        return double(small, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        small, weight = ctx.saved_tensors
        needs_small, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            _Halve.apply(gradient, weight, None) if needs_small else None,
            _Weigh.apply(small, gradient, weight.shape[2]) if needs_weight else None,
            gradient.sum((0, 2, 3)) if needs_bias else None,
        )


class _Weigh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, small: torch.Tensor, large: torch.Tensor, kernel_size: int) -> torch.Tensor:
        ctx.save_for_backward(small, large)
        return weigh(small, large, kernel_size)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        small, large = ctx.saved_tensors
        needs_small, needs_large, _ = ctx.needs_input_grad
        return (
            _Halve.apply(large, gradient, None) if needs_small else None,
            _Double.apply(small, gradient, None) if needs_large else None,
            None,
        )


def halve(large: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Convolve (N, B, 2H, 2W) by weights (A, B, k, k) to (N, A, H, W)."""
    height, width = large.shape[2] // 2, large.shape[3] // 2
    product = linear(patches(large, weight.shape[2]), weight.permute(0, 2, 3, 1).flatten(1), bias)  # (N*H*W, A)
    return product.view(-1, height, width, len(weight)).permute(0, 3, 1, 2)


def double(small: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Convolve (N, A, H, W) by the transpose of weights (A, B, k, k) to (N, B, 2H, 2W)."""
    kernel_size = weight.shape[2]
    return conv_transpose2d(small, weight, bias, 2, (kernel_size - 1) // 2, output_padding=kernel_size % 2)


def weigh(small: torch.Tensor, large: torch.Tensor, kernel_size: int) -> torch.Tensor:
    """Return what (N, A, H, W) and (N, B, 2H, 2W) add to weights (A, B, k, k), one of them a gradient."""
    rows = small.permute(0, 2, 3, 1).flatten(0, 2)  # (N*H*W, A)
    product = rows.T @ patches(large, kernel_size)  # (A, k*k*B)
    return product.view(len(product), kernel_size, kernel_size, -1).permute(0, 3, 1, 2)


def patches(large: torch.Tensor, kernel_size: int) -> torch.Tensor:
    """Return what a kernel of stride 2 covers of (N, B, 2H, 2W) at each place, (N*H*W, k*k*B)."""
    before = (kernel_size - 1) // 2
    padded = pad(large.permute(0, 2, 3, 1), (0, 0, before, before, before, before))
    windows = padded.unfold(1, kernel_size, 2).unfold(2, kernel_size, 2)  # (N, H, W, B, k, k)
    return windows.permute(0, 1, 2, 4, 5, 3).flatten(0, 2).flatten(1)
