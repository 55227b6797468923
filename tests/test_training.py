from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from ganlib.augment import flip, translate
from ganlib.ema import decay_for, update_ema
from ganlib.errors import UserError
from ganlib.images import grid_image, to_pixels, to_unit_range
from ganlib.losses import LOSSES, hinge_d_loss, nonsaturating_d_loss, nonsaturating_g_loss, r1_penalty
from ganlib.networks.dcgan import Discriminator, Generator
from ganlib.networks.families import load_generator
from ganlib.networks.weights import save_network
from ganlib.seeding import random_generator, resolve_device, seeded_weights
from ganlib.training.loop import batches, build_gan, lr_factor, train_gan

CPU = torch.device("cpu")


def test_the_pixel_map_and_its_inverse_are_exact_for_all_256_values():
    pixels = torch.arange(256, dtype=torch.uint8)
    images = to_unit_range(pixels)
    assert images.min() == -1 and images.max() == 1
    assert torch.equal(to_pixels(images), pixels)


def test_pixels_outside_the_range_are_clamped():
    assert to_pixels(torch.tensor([-1.5, 1.5])).tolist() == [0, 255]


def test_a_grid_shows_images_row_by_row():
    pixels = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1).repeat(2, 2).repeat(2, 3)
    grid = np.asarray(grid_image(pixels, columns=3, scale=2, margin=1))
    assert grid.shape == (9, 14)
    assert [grid[0, 0], grid[0, 5], grid[0, 10], grid[5, 0]] == [0, 1, 2, 3]
    assert grid[5, 5] == 255  # the empty place stays white


def test_a_flip_mirrors_about_half_of_the_images_and_changes_nothing_else():
    images = torch.rand(400, 1, 2, 3)
    flipped = flip(images, torch.Generator().manual_seed(0))
    mirrored = (flipped == images.flip(3)).flatten(1).all(1)
    assert ((flipped == images).flatten(1).all(1) ^ mirrored).all()
    assert 160 < mirrored.sum() < 240
    assert torch.equal(flipped, flip(images, torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("image_size", [8, 16, 32, 64, 128, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_dcgan_fits_every_size_and_colour(image_size: int, channels: int):
    generator = Generator(latent_dim=5, width=4, image_size=image_size, channels=channels)
    images = generator(torch.randn(2, 5))
    assert images.shape == (2, channels, image_size, image_size)
    assert images.abs().max() <= 1
    assert Discriminator(width=4, image_size=image_size, channels=channels)(images).shape == (2,)


def test_dcgan_weights_are_drawn_as_in_the_paper():
    discriminator = Discriminator(width=32, image_size=32, channels=1)
    assert discriminator.downsample[2].weight.std().item() == pytest.approx(0.02, rel=0.1)


def test_a_generator_is_rebuilt_from_its_two_files(tmp_path):
    config = {"latent_dim": 5, "width": 4, "image_size": 16, "channels": 3}
    generator = Generator(**config)
    generator(torch.randn(8, 5))  # moves batch norm's statistics
    save_network(tmp_path, "generator", generator, config | {"architecture": "dcgan"})
    latents = torch.randn(3, 5)
    assert torch.equal(load_generator(tmp_path)(latents), generator.eval()(latents))


def test_nonsaturating_loss_is_cross_entropy_with_smoothed_real_labels():
    real, fake = torch.randn(50), torch.randn(50)
    expected = binary_cross_entropy_with_logits(real, torch.full((50,), 0.9))
    expected += binary_cross_entropy_with_logits(fake, torch.zeros(50))
    torch.testing.assert_close(nonsaturating_d_loss(real, fake, 0.9), expected)
    torch.testing.assert_close(nonsaturating_g_loss(fake), binary_cross_entropy_with_logits(fake, torch.ones(50)))


def test_hinge_loss_ignores_what_is_beyond_the_margin():
    assert hinge_d_loss(torch.tensor([1.0, 3]), torch.tensor([-1.0, -2]), 1.0) == 0


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_pushes_logits_the_right_way(name: str):
    real, fake = (torch.full((4,), 0.5, requires_grad=True) for _ in range(2))
    LOSSES[name].discriminator(real, fake, 1.0).backward()
    assert (real.grad < 0).all() and (fake.grad > 0).all()
    fake.grad = None
    LOSSES[name].generator(fake).backward()
    assert (fake.grad < 0).all()


def test_translation_moves_whole_pixels_and_repeats_the_edge():
    images = torch.randn(64, 2, 8, 8)
    moved = translate(images, 0.25, torch.Generator().manual_seed(0))
    shifts = set()
    for image, result in zip(images, moved, strict=True):
        padded = torch.nn.functional.pad(image[None], (2, 2, 2, 2), mode="replicate")[0]
        found = [(y, x) for y in range(5) for x in range(5) if torch.equal(padded[:, y : y + 8, x : x + 8], result)]
        assert len(found) == 1
        shifts.add(found[0])
    assert len(shifts) > 15


def test_translation_lets_gradients_through():
    images = torch.randn(4, 1, 8, 8, requires_grad=True)
    translate(images, 0.25, torch.Generator().manual_seed(0)).sum().backward()
    assert images.grad is not None and images.grad.sum() == pytest.approx(4 * 64)


def test_the_moving_average_follows_parameters_and_copies_buffers():
    average, current = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    torch.nn.init.constant_(current.weight, 3.0)
    current.running_mean = torch.tensor([5.0, 5.0])
    update_ema(average, current, 0.75)
    assert average.weight.tolist() == [1.5, 1.5] and average.running_mean.tolist() == [5, 5]


def test_half_of_the_average_is_forgotten_after_its_halflife():
    assert decay_for(1000, 10) ** 100 == pytest.approx(0.5)
    assert decay_for(0, 10) == 0


def test_an_epoch_shows_every_image_once_in_whole_batches():
    order = batches(10, 3, torch.Generator().manual_seed(0))
    epochs = [[next(order) for _ in range(3)] for _ in range(2)]
    assert all(len(set(torch.cat(epoch).tolist())) == 9 for epoch in epochs)
    assert not torch.equal(torch.cat(epochs[0]), torch.cat(epochs[1]))


def test_fewer_images_than_a_batch_are_refused():
    with pytest.raises(UserError, match="batch_size = 8: there are only 7 training images"):
        next(batches(7, 8, torch.Generator()))


def test_the_learning_rate_falls_in_a_straight_line_after_its_start():
    assert [lr_factor(step, 4, 0.5) for step in (1, 2, 3, 4)] == [1, 1, 1, 0.5]
    assert [lr_factor(step, 4, 0.0) for step in (1, 2, 3, 4)] == [1, 0.75, 0.5, 0.25]
    assert lr_factor(4, 4, 1.0) == 1


def test_streams_of_one_seed_differ_and_repeat():
    draws = [torch.rand(3, generator=random_generator(seed, stream)).tolist() for seed in (1, 2) for stream in "ab"]
    assert len({tuple(draw) for draw in draws}) == 4
    assert torch.rand(3, generator=random_generator(1, "a")).tolist() == draws[0]


def test_drawing_weights_leaves_the_global_state_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    with seeded_weights(1, "x"):
        torch.rand(5)
    assert torch.equal(torch.rand(1), expected)


def test_a_device_that_is_not_there_is_refused():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert resolve_device("auto") == CPU
    with pytest.raises(UserError, match="set device to auto or cpu"):
        resolve_device("cuda")


def trained(seed: int, flip: bool = False, **changes: object) -> dict[str, torch.Tensor]:
    settings = {"precision": "fp32", "lr_decay_start": 0.5, "translation": 0.1, "ema_halflife": 100, "log_every": 1}
    params = SimpleNamespace(
        seed=seed,
        lr=1e-3,
        batch_size=8,
        steps=3,
        data=SimpleNamespace(flip=flip),
        model=SimpleNamespace(latent_dim=4),
        loss=SimpleNamespace(name="nonsaturating", real_label=0.9, r1=0.1, r1_every=2),
        train=SimpleNamespace(**settings | changes),
    )
    with seeded_weights(seed, "weights"):
        generator = Generator(latent_dim=4, width=4, image_size=8, channels=1)
        discriminator = Discriminator(width=4, image_size=8, channels=1)
    gan = build_gan(generator, discriminator, params.lr, CPU)
    images = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    history = train_gan(gan, images, params, CPU, lambda row: None)
    assert [row["step"] for row in history] == [1, 2, 3]
    return {**generator.state_dict(), **{f"ema.{key}": value for key, value in gan.generator_ema.state_dict().items()}}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_seed_gives_the_same_weights_bit_for_bit(precision: str):
    assert equal(trained(1, precision=precision), trained(1, precision=precision))
    assert not equal(trained(1, precision=precision), trained(2, precision=precision))


def test_flipped_images_train_other_weights():
    assert not equal(trained(1), trained(1, flip=True))


def test_without_a_halflife_the_last_weights_are_published():
    state = trained(1, ema_halflife=0)
    assert all(torch.equal(value, state[f"ema.{key}"]) for key, value in state.items() if not key.startswith("ema."))


def test_the_r1_penalty_of_a_linear_discriminator_is_half_its_squared_weight():
    weight, images = torch.randn(12), torch.randn(5, 3, 2, 2, requires_grad=True)
    penalty = r1_penalty(images.flatten(1) @ weight, images)
    assert penalty.item() == pytest.approx(weight.square().sum().item() / 2, rel=1e-5)
