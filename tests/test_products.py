"""Layers written as products against PyTorch's convolutions."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d

from ganlib.networks.products import SMALL_MAP, Doubling, Halving, Projection, _Double, _Halve


@pytest.mark.parametrize("kernel_size", [3, 4, 5])
@pytest.mark.parametrize("product", [_Halve, _Double])
def test_a_product_of_patches_and_its_gradients_are_those_of_the_convolution(product: type, kernel_size: int):
    large, small = (2, 3, 8, 12), (2, 5, 4, 6)
    maps = torch.randn(large if product is _Halve else small).double().requires_grad_()
    weight = torch.randn(5, 3, kernel_size, kernel_size).double().requires_grad_()
    padding = (kernel_size - 1) // 2
    if product is _Halve:
        expected = conv2d(maps, weight, None, 2, padding)
    else:
        expected = conv_transpose2d(maps, weight, None, 2, padding, output_padding=kernel_size % 2)
    result = product.apply(maps, weight)
    torch.testing.assert_close(result, expected)
    gradient = torch.randn_like(expected)
    ours, theirs = (torch.autograd.grad(images, (maps, weight), gradient) for images in (result, expected))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("size", [SMALL_MAP, 2 * SMALL_MAP])
@pytest.mark.parametrize("layer", [Halving(3, 5, 4, bias=True), Doubling(3, 5, 4, bias=True)], ids=type)
def test_a_layer_computes_the_same_in_bfloat16_as_in_float32(layer: nn.Module, size: int):
    maps = torch.randn(4, 3, 2 * size, 2 * size)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = layer(maps)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), layer(maps), rtol=0, atol=0.03)


def test_a_projection_is_a_transposed_convolution_of_a_single_pixel():
    latents, project = torch.randn(4, 7), Projection(7, 5, 6, bias=False)
    expected = conv_transpose2d(latents[:, :, None, None], project.weight.T.unflatten(1, (5, 6, 6)))
    torch.testing.assert_close(project(latents), expected)
