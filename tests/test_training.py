from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ganlib.core.errors import UserError
from ganlib.core.images import grid_image, to_pixels, to_unit_range
from ganlib.core.packed import SPLITS
from ganlib.core.params import DCGAN_SIZES, load_params
from ganlib.core.schema import Params
from ganlib.core.seeding import random_generator, resolve_device, seeded_weights
from ganlib.core.weights import save_network
from ganlib.features.eyes import Extractor, Eyes
from ganlib.features.judge import ROTATIONS, Judge
from ganlib.features.seen import look
from ganlib.functional.augmentation import cut_out, draw_colours, draw_corners, draw_shifts, flip, recolour, translate
from ganlib.functional.averages import decay_for, update_ema
from ganlib.functional.losses import LOSSES, Targets, gradient_penalty, zero_centred_penalty
from ganlib.games import gan
from ganlib.games.gan import Recipe, draw_targets
from ganlib.networks import dcgan, resnet
from ganlib.networks.blocks import ACTIVATIONS, first_size
from ganlib.networks.dcgan import Discriminator, Generator
from ganlib.networks.families import (
    FAMILIES,
    build_discriminator,
    build_generator,
    check_width,
    discriminator_config,
    generator_config,
    load_generator,
)
from ganlib.training.game import BatchOrder, build_players
from ganlib.training.inputs import Inputs
from ganlib.training.loop import train
from ganlib.training.schedule import lr_factor
from ganlib.training.state import Training, start_training
from ganlib.training.steps import clip_weights
from ganlib.training.watch import Watch, build_watch
from tests.conftest import ROOT

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


@pytest.mark.parametrize("image_size", [8, 10, 12, 14, 28, 32, 64, 96, 256])
@pytest.mark.parametrize(
    ("kernel_size", "upsampling"),
    [(3, "transposed"), (4, "transposed"), (5, "transposed"), (3, "nearest"), (5, "nearest")],
)
def test_dcgan_fits_every_size_and_kernel(image_size: int, kernel_size: int, upsampling: str):
    size = {"width": 4, "image_size": image_size, "channels": 3, "kernel_size": kernel_size}
    images = dcgan.Generator(latent_dim=5, upsampling=upsampling, **size)(torch.randn(2, 5))
    assert images.shape == (2, 3, image_size, image_size)
    assert images.abs().max() <= 1
    assert dcgan.Discriminator(**size)(images).shape == (2,)


def test_the_networks_of_the_mnist_paper_have_its_shapes():
    generator = dcgan.Generator(latent_dim=100, width=64, image_size=28, channels=1, kernel_size=5)
    assert generator.project.weight.shape == (7 * 7 * 128, 100)
    assert [layer.weight.shape[:2] for layer in (generator.upsample[0], generator.to_image)] == [(128, 64), (64, 1)]
    discriminator = dcgan.Discriminator(width=64, image_size=28, channels=1, kernel_size=5, activation="elu")
    assert discriminator.to_logit.weight.shape == (1, 7 * 7 * 128)


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_every_norm(family: str, norm: str):
    nets = FAMILIES[family]
    images = nets.generator(latent_dim=5, width=4, image_size=12, channels=1, norm=norm)(torch.randn(3, 5))
    assert images.shape == (3, 1, 12, 12)
    assert nets.discriminator(width=4, image_size=12, channels=1, norm=norm, spectral_norm=True)(images).shape == (3,)


@pytest.mark.parametrize("image_size", [8, 10, 12, 14, 28, 48, 64, 128])
def test_resnet_fits_every_size(image_size: int):
    size = {"width": 4, "image_size": image_size, "channels": 3}
    images = resnet.Generator(latent_dim=5, **size)(torch.randn(2, 5))
    assert images.shape == (2, 3, image_size, image_size)
    assert resnet.Discriminator(**size)(images).shape == (2,)


def test_the_networks_of_sngan_for_128_pixels_have_its_shapes():
    with torch.device("meta"):
        generator = resnet.Generator(latent_dim=128, width=64, image_size=128, channels=3)
        discriminator = resnet.Discriminator(width=64, image_size=128, channels=3, norm="none")
    assert generator.project.weight.shape == (4 * 4 * 1024, 128)
    widths = [block.branch[-1].weight.shape[0] for block in generator.upsample]
    assert widths == [1024, 512, 256, 128, 64]
    assert [block.shortcut[-1].weight.shape[0] for block in generator.upsample] == widths
    outputs = [layer.out_channels for layer in discriminator.downsample.modules() if isinstance(layer, nn.Conv2d)]
    blocks = [[64] * 3, [128] * 3, [256] * 3, [512] * 3, [1024] * 3, [1024] * 2]  # the last has no shortcut to widen
    assert outputs == [width for block in blocks for width in block]
    assert discriminator.to_logit.weight.shape == (1, 1024)


BLOCKS = {
    "up": lambda activation, norm: resnet.up_block(4, 6, activation, norm),
    "first": lambda activation, norm: resnet.first_block(4, 6, activation),
    "down": lambda activation, norm: resnet.down_block(4, 6, activation, norm),
    "flat": lambda activation, norm: resnet.flat_block(4, activation, norm),
}


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_leaves_its_input_alone_and_adds_its_shortcut_to_its_branch(block: str, activation: str, norm: str):
    residual, x = BLOCKS[block](activation, norm), torch.randn(3, 4, 8, 8)
    branch, shortcut = residual.branch(x.clone()), residual.shortcut(x.clone())
    given = x.clone()
    torch.testing.assert_close(residual(given), branch + shortcut)
    assert torch.equal(given, x)


@pytest.mark.parametrize("family", FAMILIES)
def test_networks_leave_their_inputs_alone(family: str):
    nets = FAMILIES[family]
    latents, images = torch.randn(3, 5), torch.randn(3, 1, 12, 12)
    given = latents.clone(), images.clone()
    nets.generator(latent_dim=5, width=4, image_size=12, channels=1, norm="none")(given[0])
    nets.discriminator(width=4, image_size=12, channels=1, norm="none")(given[1])
    assert torch.equal(given[0], latents) and torch.equal(given[1], images)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_setting_of_a_family_reaches_its_networks_and_unknown_ones_are_refused(family: str):
    model = settings(architecture=family).model
    reached = generator_config(model, 12, 1).keys() | discriminator_config(model, 12, 1).keys()
    assert set(type(getattr(model, family)).model_fields) <= reached
    for config, build in ((generator_config, build_generator), (discriminator_config, build_discriminator)):
        build(**config(model, 12, 1))
        with pytest.raises(TypeError, match="kernel_sise"):
            build(**config(model, 12, 1), kernel_sise=5)


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_the_mlp_has_as_many_hidden_layers_as_asked_for(layers: int):
    model = settings(architecture="mlp", hidden_layers=layers).model
    generator = build_generator(**generator_config(model, 8, 1))
    for network in (generator, build_discriminator(**discriminator_config(model, 8, 1))):
        assert sum(isinstance(module, nn.Linear) for module in network.modules()) == layers + 1


def test_equal_widths_are_those_of_the_nets_for_32_pixels():
    size: Any = {"width": 8, "image_size": 32, "channels": 3, "widths": "equal"}
    for network in (resnet.Generator(latent_dim=5, **size), resnet.Discriminator(**size)):
        convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
        assert {layer.out_channels for layer in convolutions} <= {8, 3}
    assert resnet.Discriminator(**size)(resnet.Generator(latent_dim=5, **size)(torch.randn(2, 5))).shape == (2,)


def test_a_residual_net_keeps_the_scale_of_its_features_at_the_start():
    images = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with seeded_weights(0, "weights"):
        discriminator = resnet.Discriminator(width=8, image_size=64, channels=3, norm="none", activation="relu")
    assert 0.3 < discriminator.downsample(images).std().item() < 5


@pytest.mark.parametrize(("architecture", "width"), [("dcgan", 1024), ("resnet", 1024), ("mlp", 1024)])
def test_a_width_that_no_machine_holds_is_refused_at_once(architecture: str, width: int):
    model = settings(architecture=architecture, width=width, max_width=16_384).model
    with pytest.raises(UserError, match=rf"model\.width = {width}: {architecture} would have .* weights"):
        check_width(generator_config(model, 256, 3), discriminator_config(model, 256, 3))
    model = settings(architecture=architecture, width=64).model
    check_width(generator_config(model, 64, 3), discriminator_config(model, 64, 3))


@pytest.mark.parametrize("image_size", [4, 6, 9, 11, 13, 18, 30, 100])
def test_sizes_that_doubling_does_not_reach_are_refused(image_size: int):
    with pytest.raises(ValueError, match="doubled"):
        first_size(image_size)
    assert image_size not in DCGAN_SIZES


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


ONES, ZEROS = torch.ones(50), torch.zeros(50)


def test_cross_entropy_is_that_of_the_labels():
    real, fake, labels = torch.randn(50), torch.randn(50), torch.rand(50)
    expected = binary_cross_entropy_with_logits(real, labels) + binary_cross_entropy_with_logits(fake, ZEROS)
    torch.testing.assert_close(LOSSES["minimax"].discriminator(real, fake, labels, ZEROS), expected)
    torch.testing.assert_close(LOSSES["nonsaturating"].generator(fake), binary_cross_entropy_with_logits(fake, ONES))
    torch.testing.assert_close(LOSSES["minimax"].generator(fake), -binary_cross_entropy_with_logits(fake, ZEROS))


def test_hinge_loss_ignores_what_is_beyond_the_margin():
    assert LOSSES["hinge"].discriminator(torch.tensor([1.0, 3]), torch.tensor([-1.0, -2]), ONES[:2], ZEROS[:2]) == 0


def test_the_wasserstein_estimate_is_the_difference_of_means():
    assert LOSSES["wasserstein"].discriminator(3 * ONES, ONES, ONES, ZEROS) == -2


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_pushes_logits_the_right_way(name: str):
    real, fake = (torch.full((4,), 0.5, requires_grad=True) for _ in range(2))
    LOSSES[name].discriminator(real, fake, ONES[:4], ZEROS[:4]).backward()
    assert (real.grad < 0).all() and (fake.grad > 0).all()
    fake = torch.full((4,), -0.5, requires_grad=True)  # which boundary holds for unreal, as all others do
    LOSSES[name].generator(fake).backward()
    assert (fake.grad < 0).all()


def test_the_boundary_is_sought_from_both_sides_and_stayed_on():
    logits = torch.tensor([-3.0, 0, 3], requires_grad=True)
    LOSSES["boundary"].generator(logits).backward()
    assert logits.grad is not None and torch.allclose(logits.grad, logits.detach() / 3)


def test_the_gradient_penalty_of_a_linear_critic_is_its_norms_distance_from_one():
    critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1, bias=False), torch.nn.Flatten(0))
    torch.nn.init.constant_(critic[1].weight, 0.5)
    images = torch.randn(2, 5, 3, 2, 2)
    penalty = gradient_penalty(critic, images[0], images[1], torch.rand(5, 1, 1, 1))
    assert penalty.item() == pytest.approx((0.5 * 12**0.5 - 1) ** 2, rel=1e-5)


def recipe(**changes: object) -> Recipe:
    return replace(gan.recipe(settings(), CPU), **changes)


def test_labels_are_drawn_from_their_range_and_flipped_as_often_as_asked():
    random = torch.Generator().manual_seed(0)
    real, fake = draw_targets(4000, recipe(targets=Targets(0.9, 1.0, 0.1)), random)
    kept = real[real > 0]
    assert kept.min() >= 0.9 and kept.max() <= 1 and kept.std() > 0.02
    assert len(kept) == pytest.approx(3600, rel=0.05) and fake.sum() == pytest.approx(400, rel=0.2)
    real, fake = draw_targets(9, recipe(targets=Targets(0.9, 0.9, 0)), random)
    assert torch.equal(real, torch.full((9,), 0.9)) and not fake.any()


def test_clipped_weights_stay_in_their_range():
    discriminator = Discriminator(width=4, image_size=8, channels=1)
    clip_weights(discriminator, 0.01)
    assert max(weight.abs().max() for weight in discriminator.parameters()) <= 0.01


def test_instance_noise_fades_to_nothing():
    params = settings(instance_noise=0.5)
    first, last = (gan.recipe_at(step, gan.recipe(params, CPU), params) for step in (1, params.steps))
    assert 0.3 < first.noise < 0.5 and last.noise == 0


def test_translation_moves_whole_pixels_and_repeats_the_edge():
    images = torch.randn(64, 2, 8, 8)
    moved = translate(images, draw_shifts(images.shape, 0.25, torch.Generator().manual_seed(0)))
    shifts = set()
    for image, result in zip(images, moved, strict=True):
        padded = torch.nn.functional.pad(image[None], (2, 2, 2, 2), mode="replicate")[0]
        found = [(y, x) for y in range(5) for x in range(5) if torch.equal(padded[:, y : y + 8, x : x + 8], result)]
        assert len(found) == 1
        shifts.add(found[0])
    assert len(shifts) > 15


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_translation_is_exact_whatever_autocast_says(dtype: torch.dtype):
    images, shifts = torch.randn(4, 1, 8, 8).to(dtype), torch.tensor([[1, 0, -2, 3], [0, 2, -1, 0]])
    with torch.autocast("cpu", torch.bfloat16):
        moved = translate(images, shifts)
    assert moved.dtype == dtype and all(value in images for value in moved.flatten())


def test_translation_lets_gradients_through():
    images = torch.randn(4, 1, 8, 8, requires_grad=True)
    translate(images, torch.tensor([[1, 0, -2, 1], [0, 2, -1, 0]])).sum().backward()
    assert images.grad is not None and images.grad.sum() == pytest.approx(4 * 64)


@pytest.mark.parametrize(("share", "side"), [(0.5, 4), (0.4, 3), (1.0, 8)])
def test_a_cutout_blanks_one_square_that_the_edges_may_clip(share: float, side: int):
    images = torch.ones(300, 2, 8, 8)
    cut = cut_out(images, share, draw_corners(images.shape, share, torch.Generator().manual_seed(0)))
    assert torch.equal(cut[:, 0], cut[:, 1]) and set(cut.unique().tolist()) <= {0, 1}
    blank = cut[:, 0] == 0
    heights, widths = blank.any(2).sum(1), blank.any(1).sum(1)
    assert torch.equal(heights * widths, blank.sum((1, 2)))  # a rectangle
    assert heights.max() == widths.max() == side and heights.min() < side
    assert len({tuple(row) for row in blank.flatten(1).tolist()}) > 30


def test_recolouring_changes_brightness_colour_and_contrast_by_as_much_as_stated():
    random = torch.Generator().manual_seed(0)
    grey = torch.randn(500, 1, 8, 8, generator=random)
    changed = recolour(grey, 1.0, draw_colours(500, random))
    moved = changed.mean((1, 2, 3)) - grey.mean((1, 2, 3))
    stretched = changed.std((1, 2, 3)) / grey.std((1, 2, 3))
    assert -0.5 <= moved.min() < -0.45 and 0.45 < moved.max() <= 0.5
    assert 0.5 <= stretched.min() < 0.55 and 1.45 < stretched.max() <= 1.5
    colour = torch.randn(500, 3, 8, 8, generator=random)
    share = recolour(colour, 1.0, draw_colours(500, random)).std(1).mean((1, 2)) / colour.std(1).mean((1, 2))
    assert share.min() < 0.1 and 2 < share.max() <= 3  # saturation and contrast together
    torch.testing.assert_close(recolour(colour, 0.0, draw_colours(500, random)), colour)


def test_augmentations_let_gradients_through():
    images, random = torch.randn(4, 3, 8, 8, requires_grad=True), torch.Generator().manual_seed(0)
    recoloured = recolour(images, 0.5, draw_colours(4, random))
    cut_out(recoloured, 0.5, draw_corners(images.shape, 0.5, random)).square().sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0


def test_the_moving_average_follows_parameters_and_copies_buffers():
    average, current = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    torch.nn.init.constant_(current.weight, 3.0)
    current.running_mean = torch.tensor([5.0, 5.0])
    update_ema(average, current, 0.75)
    assert average.weight.tolist() == [1.5, 1.5] and average.running_mean.tolist() == [5, 5]


def test_half_of_the_average_is_forgotten_after_its_halflife():
    assert decay_for(1000, 10, seen=20_000) ** 100 == pytest.approx(0.5)
    assert decay_for(1000, 10, seen=10**9) == decay_for(1000, 10, seen=20_000)
    assert decay_for(1000, 10, seen=4000) ** 20 == pytest.approx(0.5)  # 200 images, a twentieth of those seen
    assert decay_for(0, 10, seen=1000) == 0


def test_an_epoch_shows_every_image_once_in_whole_batches():
    order = BatchOrder(10, 3, torch.Generator().manual_seed(0))
    epochs = [[order.next_batch() for _ in range(3)] for _ in range(2)]
    assert all(len(set(torch.cat(epoch).tolist())) == 9 for epoch in epochs)
    assert not torch.equal(torch.cat(epochs[0]), torch.cat(epochs[1]))


def test_fewer_images_than_a_batch_are_refused():
    with pytest.raises(UserError, match="batch_size = 8: there are only 7 training images"):
        BatchOrder(7, 8, torch.Generator())


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


def settings(seed: int = 1, **changes: object) -> Any:
    """Return the committed params with three tiny steps and some changes, by the keys' last names."""
    values = load_params(ROOT / "params.yaml").model_dump()
    changes = (
        {"seed": seed, "batch_size": 8, "steps": 3, "latent_dim": 4, "log_every": 1, "r1_every": 2}
        | {"evaluate_count": 100}
        | changes
    )

    def change(section: dict[str, Any]) -> dict[str, Any]:
        return {
            key: changes.get(key, change(value) if isinstance(value, dict) else value) for key, value in section.items()
        }

    return Params.model_validate(change(values))


def start(seed: int, **changes: object) -> tuple[Training, torch.Tensor, Params]:
    """Return a training before its first step on 40 random images of 8 pixels."""
    params = settings(seed, **changes)
    with seeded_weights(seed, "weights"):
        generator = build_generator(**generator_config(params.model, 8, 1))
        discriminator = build_discriminator(**discriminator_config(params.model, 8, 1))
    networks = {"generator": generator, "discriminator": discriminator}
    players = build_players(networks, gan, params.lr, params.train.betas, CPU)
    images = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return start_training(players, len(images), params), images, params


def watch_of(images: torch.Tensor, params: Params, labels: torch.Tensor | None = None) -> Watch:
    """Return a watch with an untrained judge, whose held-out images are the training images."""
    with seeded_weights(0, "judge"):
        judge = Judge(image_size=8, channels=1, class_names=ROTATIONS).eval()
    counts = [] if labels is None else labels.bincount().tolist()
    latents = {"latent_dim": params.model.latent_dim, "latents": params.model.latents}
    configs = {"generator": {"class_counts": counts, **latents}}
    data = {"images": images} if labels is None else {"images": images, "labels": labels}
    inputs = Inputs(
        data=data,
        real=dict.fromkeys(SPLITS, images.numpy()),
        extractor=Extractor(judge, None, "domain_", {}),
        eyes=Eyes("judge", "rotations", 1.0, True, "", False),
        seen=dict.fromkeys(SPLITS, look(images.numpy(), np.arange(len(images)), judge, None, CPU)),
        configs=configs,
        digests=[],
    )
    return build_watch(inputs, params, CPU)


def go_on(
    training: Training,
    images: torch.Tensor,
    params: Params,
    labels: torch.Tensor | None = None,
    held: Callable[[torch.Tensor], Any] = lambda images: images,
) -> list[str]:
    """Train to the end, judged by an untrained judge; return the warnings. `held` says where the images lie."""
    warnings: list[str] = []
    data = {"images": held(images)} if labels is None else {"images": held(images), "labels": labels}
    watch = watch_of(images, params, labels)
    quiet: Any = {"report": lambda training: None, "checkpoint": lambda training: None, "stopping": bool}
    train(training, gan, data, params, CPU, watch=watch, warn=warnings.append, **quiet)
    return warnings


def trained(seed: int, **changes: object) -> dict[str, torch.Tensor]:
    training, images, params = start(seed, **changes)
    go_on(training, images, params)
    assert [row["step"] for row in training.history] == [1, 2, 3]
    networks = {"": training.players.networks["generator"], "ema.": training.players.averages["generator"]}
    return {prefix + key: value for prefix, net in networks.items() for key, value in net.state_dict().items()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


VARIANTS = [
    {"precision": "fp32"},
    {"precision": "bf16"},
    {"name": "minimax", "latents": "uniform", "label_flip": 0.1, "real_label_high": 1.0},
    {"name": "least_squares", "kernel_size": 3, "upsampling": "nearest", "instance_noise": 0.1, "g_steps": 2},
    {"name": "hinge", "real_label_low": 1, "real_label_high": 1, "spectral_norm": True, "d_norm": "none", "d_steps": 2},
    {"name": "wasserstein", "real_label_low": 1, "real_label_high": 1, "gradient_penalty": 10, "d_norm": "instance"},
    {"name": "wasserstein", "real_label_low": 1, "real_label_high": 1, "weight_clip": 0.01, "d_lr_ratio": 0.5},
    {"architecture": "mlp", "g_norm": "none", "d_activation": "elu", "g_activation": "elu"},
    {"architecture": "resnet", "spectral_norm": True, "d_norm": "none"},
    {"cutout": 0.5, "colour": 1.0, "precision": "bf16"},
    {"name": "relativistic", "real_label_low": 1, "real_label_high": 1, "r2": 0.1, "r1_every": 2, "precision": "bf16"},
    {"name": "relativistic", "real_label_low": 1, "real_label_high": 1, "translation": 0, "r2": 0.1, "r1_every": 1},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_a_seed_gives_the_same_weights_bit_for_bit(changes: dict[str, object]):
    first = trained(1, **changes)
    assert all(value.isfinite().all() for value in first.values())
    assert equal(first, trained(1, **changes))
    assert not equal(first, trained(2, **changes))


def test_flipped_images_train_other_weights():
    assert not equal(trained(1), trained(1, flip=True))


def test_g_steps_and_betas_train_other_weights():
    assert not equal(trained(1), trained(1, g_steps=2))
    assert not equal(trained(1), trained(1, betas=(0, 0.9)))


def test_without_a_halflife_the_last_weights_are_published():
    state = trained(1, ema_halflife=0)
    assert all(torch.equal(value, state[f"ema.{key}"]) for key, value in state.items() if not key.startswith("ema."))


def test_the_r1_penalty_of_a_linear_discriminator_is_half_its_squared_weight():
    weight, images = torch.randn(12), torch.randn(5, 3, 2, 2, requires_grad=True)
    penalty = zero_centred_penalty(images.flatten(1) @ weight, images)
    assert penalty.item() == pytest.approx(weight.square().sum().item() / 2, rel=1e-5)
