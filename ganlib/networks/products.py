"""Convolutions written as the matrix products that they are, where a processor gains by it.

Parameters have the names and shapes of PyTorch's own layers. Maps lie with their channels last, as oneDNN and cuDNN
want them, so that nothing is copied between a product and the convolution beside it.
"""

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv_transpose2d, pad

SMALL_MAP = 7
"""Height up to which patches pay for their copying: oneDNN's bfloat16 convolution takes up to twice as long."""


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
        if not gains(maps, maps.shape[2] // 2):
            return super().forward(maps)
        return add_bias(_Halve.apply(maps.bfloat16(), self.weight.bfloat16()), self.bias)


class Doubling(nn.ConvTranspose2d):
    """A transposed convolution that doubles a size, for kernels of 3, 4 and 5."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, bias: bool):
        padding = (kernel_size - 1) // 2
        super().__init__(inputs, outputs, kernel_size, 2, padding, output_padding=kernel_size % 2, bias=bias)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not gains(maps, maps.shape[2]):
            return super().forward(maps)
        return add_bias(_Double.apply(maps.bfloat16(), self.weight.bfloat16()), self.bias)


def gains(maps: torch.Tensor, small_height: int) -> bool:
    """Return whether a layer whose smaller side has this height is faster as a product of patches."""
    return maps.device.type == "cpu" and torch.is_autocast_enabled("cpu") and small_height <= SMALL_MAP


def add_bias(maps: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return maps if bias is None else maps + bias.to(maps).view(-1, 1, 1)


# Both are differentiable once: penalties, which need it twice, are taken in float32, by PyTorch's layers.
class _Halve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(maps, weight)
        return halve(maps, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        maps, weight = ctx.saved_tensors
        of_maps = double(gradient, weight) if ctx.needs_input_grad[0] else None
        return of_maps, weight_gradient(gradient, maps, weight) if ctx.needs_input_grad[1] else None


class _Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(maps, weight)
        return double(maps, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        maps, weight = ctx.saved_tensors
        of_maps = halve(gradient, weight) if ctx.needs_input_grad[0] else None
        return of_maps, weight_gradient(maps, gradient, weight) if ctx.needs_input_grad[1] else None


def halve(large: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Convolve (N, B, 2H, 2W) by weights (A, B, k, k) to (N, A, H, W)."""
    height, width = large.shape[2] // 2, large.shape[3] // 2
    product = patches(large, weight.shape[2]) @ weight.permute(0, 2, 3, 1).flatten(1).T  # (N*H*W, A)
    return product.view(-1, height, width, len(weight)).permute(0, 3, 1, 2)


def double(small: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Convolve (N, A, H, W) by the transpose of weights (A, B, k, k) to (N, B, 2H, 2W)."""
    kernel_size = weight.shape[2]
    return conv_transpose2d(small, weight, None, 2, (kernel_size - 1) // 2, output_padding=kernel_size % 2)


def weight_gradient(small: torch.Tensor, large: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return what (N, A, H, W) and (N, B, 2H, 2W) add to weights (A, B, k, k), one of them a gradient."""
    kernel_size = weight.shape[2]
    rows = small.permute(0, 2, 3, 1).flatten(0, 2)  # (N*H*W, A)
    product = rows.T @ patches(large, kernel_size)  # (A, k*k*B)
    return product.view(len(weight), kernel_size, kernel_size, -1).permute(0, 3, 1, 2)


def patches(large: torch.Tensor, kernel_size: int) -> torch.Tensor:
    """Return what a kernel of stride 2 covers of (N, B, 2H, 2W) at each place, (N*H*W, k*k*B)."""
    before = (kernel_size - 1) // 2
    padded = pad(large.permute(0, 2, 3, 1), (0, 0, before, before, before, before))
    windows = padded.unfold(1, kernel_size, 2).unfold(2, kernel_size, 2)  # (N, H, W, B, k, k)
    return windows.permute(0, 1, 2, 4, 5, 3).flatten(0, 2).flatten(1)
