"""Networks of two domains: shapes, what a patch sees, and the papers' own numbers of weights."""

import pytest
import torch
from torch import nn

from ganlib.networks.patches import PatchDiscriminator
from ganlib.networks.superres import SuperResolver
from ganlib.networks.translators import ResidualTranslator, Translator, box_of, halvings


def translator(size: int, **changes: object) -> Translator:
    config = {"in_channels": 1, "out_channels": 3, "width": 4, "depth": 5, "norm": "instance", "skips": True}
    return Translator(image_size=size, **config | changes)  # pyright: ignore[reportArgumentType]


def weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("size", [8, 12, 28, 32, 64, 100])
@pytest.mark.parametrize("skips", [True, False])
def test_a_translation_has_the_size_of_what_is_translated(size: int, skips: bool):
    made = translator(size, skips=skips)(torch.randn(2, 1, size, size))
    assert made.shape == (2, 3, size, size) and made.abs().max() <= 1


@pytest.mark.parametrize(("size", "times"), [(64, 5), (28, 2), (12, 2), (96, 5), (100, 2)])
def test_a_size_is_halved_while_it_can_be(size: int, times: int):
    assert halvings(size, 5) == times and len(translator(size).down) == times


def test_the_paper_s_unet_and_patchgan_have_the_weights_of_its_authors_code():
    # 54.414 M and 2.769 M as pytorch-CycleGAN-and-pix2pix prints of unet_256 and of the basic discriminator, with batch
    # norm, 3 channels, and A beside B in D. Its outermost and innermost convolutions have no bias.
    unet = translator(256, in_channels=3, width=64, depth=8, norm="batch")
    patches = PatchDiscriminator(channels=6, width=64, layers=3, norm="batch")
    assert round((weights(unet) - 64 - 512) / 1e6, 3) == 54.414 and round(weights(patches) / 1e6, 3) == 2.769


def test_the_residual_translator_has_the_weights_of_its_authors_code():
    # 11.378 M as pytorch-CycleGAN-and-pix2pix prints of resnet_9blocks, whose instance norms have no weights.
    network = ResidualTranslator(image_size=256, in_channels=3, out_channels=3, width=64, blocks=9, norm="none")
    assert round(weights(network) / 1e6, 3) == 11.378


@pytest.mark.parametrize("size", [8, 12, 28, 64])
def test_a_residual_translation_has_the_size_of_what_is_translated(size: int):
    network = ResidualTranslator(image_size=size, in_channels=1, out_channels=3, width=4, blocks=2, norm="instance")
    made = network(torch.randn(2, 1, size, size))
    assert made.shape == (2, 3, size, size) and made.abs().max() <= 1


def test_the_box_of_a_hole_is_the_smallest_rectangle_around_it():
    assert box_of(["0000", "0100", "0011", "0000"]) == (slice(1, 3), slice(1, 4))
    assert box_of(["11", "11"]) == (slice(0, 2), slice(0, 2))


@pytest.mark.parametrize(("layers", "side"), [(1, 16), (2, 34), (3, 70)])
def test_a_logit_sees_a_patch_of_the_side_that_follows_from_kernels_and_strides(layers: int, side: int):
    patches = PatchDiscriminator(channels=1, width=4, layers=layers, norm="none")
    images = torch.randn(1, 1, 128, 128, requires_grad=True)
    logits = patches(images)
    middle = logits.shape[2] // 2
    (gradient,) = torch.autograd.grad(logits[0, 0, middle, middle], images)
    seen = gradient[0, 0] != 0
    assert (seen.any(0).sum(), seen.any(1).sum()) == (side, side)


@pytest.mark.parametrize("factor", [2, 4])
def test_pixels_are_shuffled_as_pytorch_does_and_training_starts_from_bicubic(factor: int):
    images = torch.rand(2, 3, 8, 8) * 2 - 1
    resolver = SuperResolver(channels=3, width=4, blocks=2, factor=factor, norm="instance")
    expected = nn.functional.interpolate(images, scale_factor=factor, mode="bicubic")
    assert torch.equal(resolver(images), expected) and expected.shape == (2, 3, 8 * factor, 8 * factor)
    assert len([layer for layer in resolver.modules() if isinstance(layer, nn.PixelShuffle)]) == factor // 2


def test_srresnet_has_the_weights_of_the_paper():
    # Ledig 2017, figure 4: 16 blocks of 64 channels, x4. Convolutions by hand; norms' and PReLUs' weights beside.
    def conv(inputs: int, outputs: int, kernel: int) -> int:
        return inputs * outputs * kernel**2 + outputs

    convolutions = conv(3, 64, 9) + 33 * conv(64, 64, 3) + 2 * conv(64, 256, 3) + conv(64, 3, 9)
    assert weights(SuperResolver(channels=3, width=64, blocks=16, factor=4, norm="batch")) == (
        convolutions + 33 * 2 * 64 + (1 + 16 + 2)
    )


def test_skips_carry_what_the_bottleneck_loses():
    def influence(skips: bool) -> float:
        torch.manual_seed(0)
        network = translator(32, skips=skips, norm="none")
        for layer in (network.down[-1], network.up[0]):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)  # nothing comes through
        images = torch.randn(1, 1, 32, 32, requires_grad=True)
        network(images).sum().backward()
        return 0.0 if images.grad is None else float(images.grad.abs().max())

    assert influence(True) > 0 == influence(False)
