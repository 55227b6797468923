"""Layers written as products against PyTorch's convolutions."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d
from torch.nn.grad import conv2d_weight

from ganlib.networks.products import (
    DEEP,
    SMALL_MAP,
    Doubling,
    Halving,
    Projection,
    _Double,
    _Halve,
    halve,
    weigh,
)


@pytest.mark.parametrize("kernel_size", [3, 4, 5])
@pytest.mark.parametrize("channels", [2, 5])
@pytest.mark.parametrize("product", [_Halve, _Double])
def test_a_product_and_its_gradients_are_those_of_the_convolution(product: type, channels: int, kernel_size: int):
    maps = torch.randn((2, channels, 8, 12) if product is _Halve else (2, 6, 4, 6)).double().requires_grad_()
    weight = torch.randn(6, channels, kernel_size, kernel_size).double().requires_grad_()
    bias = torch.randn(6 if product is _Halve else channels).double().requires_grad_()
    padding = (kernel_size - 1) // 2
    if product is _Halve:
        expected = conv2d(maps, weight, bias, 2, padding)
    else:
        expected = conv_transpose2d(maps, weight, bias, 2, padding, output_padding=kernel_size % 2)
    result = product.apply(maps, weight, bias)
    torch.testing.assert_close(result, expected)
    gradient = torch.randn_like(expected)
    ours, theirs = (torch.autograd.grad(images, (maps, weight, bias), gradient) for images in (result, expected))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("product", [_Halve, _Double])
def test_a_product_can_be_differentiated_twice(product: type):
    maps = torch.randn((1, 2, 4, 4) if product is _Halve else (1, 3, 2, 2)).double().requires_grad_()
    weight = torch.randn(3, 2, 4, 4).double().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda maps, weight: product.apply(maps, weight, None), (maps, weight))


def test_patches_times_weights_are_the_convolution_in_bfloat16():
    large, small = torch.randn(2, DEEP, 8, 8).bfloat16(), torch.randn(2, 4, 4, 4).bfloat16()
    weight = (torch.randn(4, DEEP, 4, 4) / 64).bfloat16()
    expected = conv2d(large.float(), weight.float(), None, 2, 1)
    torch.testing.assert_close(halve(large, weight, None).float(), expected, rtol=0.02, atol=0.02)
    expected = conv2d_weight(large.float(), weight.shape, small.float(), 2, 1)
    torch.testing.assert_close(weigh(small, large, 4).float(), expected, rtol=0.02, atol=0.1)


@pytest.mark.parametrize("size", [SMALL_MAP, 2 * SMALL_MAP])
@pytest.mark.parametrize("layer", [Halving(DEEP, 5, 4, bias=True), Doubling(5, DEEP, 4, bias=True)], ids=type)
def test_a_layer_computes_the_same_in_bfloat16_as_in_float32(layer: nn.Module, size: int):
    side = 2 * size if isinstance(layer, Halving) else size
    maps = torch.randn(4, layer.in_channels, side, side)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = layer(maps)
    assert (type(rounded.grad_fn).__name__ in ("_HalveBackward", "_DoubleBackward")) == (size <= SMALL_MAP)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), layer(maps), rtol=0, atol=0.03)


def test_a_projection_is_a_transposed_convolution_of_a_single_pixel():
    latents, project = torch.randn(4, 7), Projection(7, 5, 6, bias=False)
    expected = conv_transpose2d(latents[:, :, None, None], project.weight.T.unflatten(1, (5, 6, 6)))
    torch.testing.assert_close(project(latents), expected)
