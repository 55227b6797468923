"""Walks through latent space, arithmetic in it, and neighbours."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import kstest

from ganlib.core.schema import ExploreParams
from ganlib.core.seeding import random_generator
from ganlib.features.eyes import Extractor
from ganlib.features.judge import ROTATIONS, Judge
from ganlib.functional.latents import LENGTH, draw_latents
from ganlib.looking.exploration import (
    Arithmetic,
    Images,
    class_arithmetic,
    judged_latents,
    nearest_training_images,
    paint,
    paint_walks,
)
from ganlib.looking.pictures import labelled_rows
from ganlib.looking.planes import class_corners, painted_planes
from ganlib.looking.sprites import plane_sprite, walk_animation
from ganlib.looking.walks import class_means, combine, interpolate, loop, plane
from ganlib.metrics.manifold import nearest_neighbours
from ganlib.networks.dcgan import Generator
from ganlib.networks.sampling import generate
from tests.digits import CPU, SIZE, halves, judge_of_digits

KINDS = ["normal", "uniform"]
SETTINGS = ExploreParams(
    rows=5, columns=3, neighbours=3, pool=300, average=1, stops=2, frames=4, frame_ms=100, explorer=3
)
PLACES = [(row, column) for row in range(3) for column in range(3)]


def latents(count: int, dim: int = 64, kind: str = "normal") -> torch.Tensor:
    random = random_generator(0, f"latents/{count}")
    return (
        torch.rand(count, dim, generator=random) * 2 - 1
        if kind == "uniform"
        else torch.randn(count, dim, generator=random)
    )


def generator(**changes: object) -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        settings: dict[str, object] = {"latent_dim": 8, "width": 8, "image_size": SIZE, "channels": 1} | changes
        network = Generator(**settings)  # pyright: ignore[reportArgumentType]
    for parameter in network.parameters():
        parameter.data *= 4  # so that the judge sees several classes
    return network.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_a_way_begins_and_ends_at_its_latents(kind: str):
    start, end = latents(6, kind=kind).split(3)
    way = interpolate(start, end, torch.linspace(0, 1, 5), kind)
    assert way.shape == (3, 5, 64)
    torch.testing.assert_close(way[:, 0], start)
    torch.testing.assert_close(way[:, -1], end)


def test_normal_latents_keep_their_length_on_the_way_and_turn_evenly():
    start, end = torch.nn.functional.normalize(latents(6), dim=1).split(3)
    way = interpolate(start, end, torch.linspace(0, 1, 9), "normal")
    torch.testing.assert_close(way.norm(dim=2), torch.ones(3, 9))
    angles = (way[:, 1:] * way[:, :-1]).sum(2).acos()
    torch.testing.assert_close(angles, angles[:, :1].expand(-1, 8), rtol=1e-2, atol=0)


def far_apart(count: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pairs of uniform latents of the default length."""
    return latents(2 * count, 100, "uniform").split(count)  # pyright: ignore[reportReturnType]


def evenness(numbers: torch.Tensor) -> float:
    """Return the p-value of a Kolmogorov-Smirnov test of numbers against the uniform distribution in [-1, 1]."""
    return float(kstest(numbers.flatten().numpy(), "uniform", (-1, 2)).pvalue)


def middles(way: str) -> torch.Tensor:
    """Return uniform latents amid others, (N, 100), on each kind of way."""
    start, end = far_apart()
    if way == "interpolation":
        return interpolate(start, end, torch.tensor([0.5]), "uniform")[:, 0]
    if way == "plane":
        planes = [plane(corners, 3, "uniform")[1, 1] for corners in torch.cat([start, end]).split(4)]
        return torch.stack(planes)
    return loop(torch.stack([start, end]), 2, "uniform")[1]


@pytest.mark.parametrize("way", ["interpolation", "plane", "loop"])
def test_the_middles_of_uniform_latents_are_spread_as_drawn_ones(way: str):
    drawn, amid = torch.cat(far_apart()), middles(way)
    assert evenness(drawn) > 0.01 and evenness(amid) > 0.01
    assert drawn.norm(dim=1).min() < amid.norm(dim=1).min() and amid.norm(dim=1).max() < drawn.norm(dim=1).max()


def test_the_corners_of_the_cube_have_finite_ways():
    corner = torch.ones(1, 100)
    way = interpolate(corner, torch.cat([-corner[:, :50], corner[:, 50:]], 1), torch.linspace(0, 1, 5), "uniform")
    assert way.isfinite().all() and way.abs().max() <= 1
    torch.testing.assert_close(way[0, 0], corner[0])


@pytest.mark.parametrize("end", [1, -1])
def test_parallel_latents_have_a_way_too(end: int):
    way = interpolate(latents(3), latents(3) * end, torch.linspace(0, 1, 5), "normal")
    assert way.isfinite().all()
    torch.testing.assert_close(way[:, -1], latents(3) * end)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plane_has_its_four_latents_at_the_corners(kind: str):
    corners = latents(4, kind=kind)
    side = plane(corners, 5, kind)
    assert side.shape == (5, 5, 64)
    torch.testing.assert_close(side[[0, 0, -1, -1], [0, -1, 0, -1]], corners)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loop_passes_its_stops_and_closes_in_steps_as_small_as_the_others(kind: str):
    stops = latents(12, kind=kind).unflatten(0, (4, 3))
    walk = loop(stops, 10, kind)
    assert walk.shape == (40, 3, 64)
    torch.testing.assert_close(walk[::10], stops)
    steps = (walk - walk.roll(1, 0)).norm(dim=2)
    assert steps.max() < 2 * steps.median()


def test_class_means_are_of_the_surest_latents_and_leave_rare_classes_out():
    z = torch.arange(6.0)[:, None]
    logits = torch.tensor([[3.0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 5, 0], [0, 4, 0], [0, 0, 1]])
    means = class_means(z, logits, 2, "normal")
    assert {index: mean.item() for index, mean in means.items()} == {0: 1.0, 1: 3.5}


@pytest.mark.parametrize("kind", KINDS)
def test_means_and_their_sums_are_as_long_as_latents_and_point_as_the_plain_ones_do(kind: str):
    drawn = latents(3000, 100, kind).unflatten(0, (100, 3, 10))
    means = combine(drawn, torch.ones(10), kind)  # (100, 3, d)
    sums = combine(means, torch.tensor([1.0, -1, 1]), kind)
    for found in (means, sums):
        assert drawn.norm(dim=-1).min() < found.norm(dim=-1).min()
        assert found.norm(dim=-1).max() < drawn.norm(dim=-1).max()
    torch.testing.assert_close(combine(drawn[:, :, :1], torch.ones(1), kind), drawn[:, :, 0])
    plain = drawn.mean(2)
    assert torch.nn.functional.cosine_similarity(means, plain, dim=-1).min() > 0.9
    assert torch.nn.functional.cosine_similarity(sums, plain[:, 0] - plain[:, 1] + plain[:, 2], dim=-1).min() > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_arithmetic_shows_means_and_their_sum(kind: str):
    network, z = generator(latents=kind), latents(300, 8, kind)
    judge = judge_of_digits()
    logits = judged_latents(network, judge, z, CPU)
    result = class_arithmetic(network, judge, z, logits, SETTINGS, random_generator(0, "equations"), CPU)
    assert isinstance(result, Arithmetic), result
    assert result.images.shape == (5, 4, 1, SIZE, SIZE)
    assert all(len(set(row[:3])) == 3 and len(row) == 4 for row in result.terms)
    everything = {image.tobytes() for image in paint(network, z, torch.tensor(0), CPU)}
    assert all(image.tobytes() in everything for row in result.images for image in row[:3])  # means of one each


def test_arithmetic_that_cannot_be_done_says_why():
    judge, z, random = judge_of_digits(), latents(30, 8), random_generator(0, "equations")
    logits, few = judged_latents(generator(), judge, z, CPU), SETTINGS.model_copy(update={"average": 31})
    assert not isinstance(logits, str)
    told = class_arithmetic(generator(), judge, z, logits, few, random, CPU)
    assert told == "the judge finds 0 classes 31 times or more among 30 images: 3 are needed"
    conditional = generator(class_names=["a", "b"], class_counts=[1, 1])
    assert "conditional" in str(judged_latents(conditional, judge, z, CPU))
    assert class_arithmetic(conditional, judge, z, "a reason", few, random, CPU) == "a reason"
    turns = Judge(image_size=SIZE, channels=1, class_names=ROTATIONS)
    assert "only knows how far an image is turned" in str(judged_latents(generator(), turns, z, CPU))


def test_walks_pass_the_images_of_their_latents():
    network, (rows, columns) = generator(), (SETTINGS.rows, SETTINGS.columns)
    walks = paint_walks(network, lambda count, _: latents(count, 8), SETTINGS, CPU)

    def images(count: int) -> Images:
        return paint(network, latents(count, 8), torch.tensor(0), CPU)

    assert np.array_equal(np.concatenate(walks["interpolation"][:, [0, -1]].swapaxes(0, 1)), images(2 * rows))
    assert np.array_equal(np.concatenate(walks["plane"][[0, -1]][:, [0, -1]]), images(4))
    assert np.array_equal(np.concatenate(walks["walk"][:: SETTINGS.frames]), images(SETTINGS.stops * columns))
    assert np.array_equal(walks["truncation"][-1], images(columns))


def test_a_conditional_generator_is_asked_for_each_class_in_turn():
    network = generator(class_names=["a", "b"], class_counts=[1, 1])
    z = latents(6, 8).unflatten(0, (3, 2))
    images = paint(network, z, torch.arange(3)[:, None], CPU)
    assert images.shape == (3, 2, 1, SIZE, SIZE)
    others = paint(network, z, torch.tensor([[1], [1], [1]]), CPU)
    assert [np.array_equal(*pair) for pair in zip(images, others, strict=True)] == [False, True, False]


def test_a_training_image_is_its_own_nearest_neighbour():
    train = halves()[0].images[:300]
    extractor = Extractor(judge_of_digits(), None, "domain_", {})
    real = extractor.describe(train, CPU)
    neighbours = nearest_training_images(extractor, train[[7, 70]], train, real, 3, CPU)
    assert neighbours.images.shape == (2, 4, 1, SIZE, SIZE)
    assert np.array_equal(neighbours.images[:, 0], neighbours.images[:, 1])
    assert not np.array_equal(neighbours.images[:, 0], neighbours.images[:, 2])
    assert neighbours.classes == [str(label) for label in halves()[0].labels[[7, 70]]]


def test_neighbours_come_sorted_by_distance():
    y = np.array([[3.0], [1.0], [2.0], [9.0]])
    indices, distances = nearest_neighbours(np.array([[0.0], [8.5]]), y, 2)
    assert indices.tolist() == [[1, 2], [3, 0]]
    assert distances == pytest.approx(np.array([[1, 2], [0.5, 5.5]]))


def test_labelled_rows_hold_every_image_beside_its_name():
    white = np.full((2, 1, 64, 64), 255, np.uint8)
    picture = labelled_rows([{"first": white, "second": white // 3}, {"third": white // 2}], ["left", "right"])
    pixels = np.asarray(picture)
    assert picture.height == 24 + 3 * 64 + 2 * 2 + 10
    left = picture.width - (2 * 64 + 2)
    assert (pixels[24 + 66 + 30, left + 66 :] == 85).all() and (pixels[-30, left : left + 64] == 127).all()
    assert all((pixels[top : top + 64, :left] < 128).any() for top in (24, 90, 166))  # names
    assert (pixels[:24, left:] < 128).any()  # headings


def noise(*shape: int) -> Images:
    return torch.randint(256, shape, dtype=torch.uint8, generator=random_generator(0, "noise")).numpy()


def opened(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content))


def test_a_walk_of_small_images_keeps_every_pixel_and_starts_again():
    images = noise(5, 2, 1, 32, 32)
    content = walk_animation(images, 2, 70, 10**6)
    with opened(content) as animation:
        assert animation.n_frames == 5 and animation.info["loop"] == 0  # pyright: ignore[reportAttributeAccessIssue]
        animation.seek(3)
        assert np.array_equal(np.asarray(animation.convert("L"))[:64:2, 66::2], images[3, 1, 0]), "twice as large"
    assert content == walk_animation(images, 2, 70, 10**6)


@pytest.mark.parametrize(("side", "most"), [(32, 40_000), (64, 40_000), (64, 9_000), (256, 30_000)])
def test_what_a_page_carries_is_as_light_as_it_must_be_even_noise(side: int, most: int):
    images = noise(4, 4, 3, side, side)
    sprite, walk = plane_sprite(images, most), walk_animation(images, 2, 70, most)
    assert len(sprite) <= most and len(walk) <= most
    with opened(sprite) as whole:
        assert whole.width == whole.height and whole.width % 4 == 0 and 16 <= whole.width // 4 <= min(side, 128)
    with opened(walk) as animation:
        assert animation.n_frames == 4  # pyright: ignore[reportAttributeAccessIssue]


def test_a_sprite_has_each_image_in_its_place():
    images = noise(3, 3, 1, 16, 16)
    with opened(plane_sprite(images, 10**6)) as sprite:
        pixels = np.asarray(sprite.convert("L"))
    assert all(np.array_equal(pixels[16 * r : 16 * r + 16, 16 * c : 16 * c + 16], images[r, c, 0]) for r, c in PLACES)


def test_a_generator_that_is_told_the_class_has_a_plane_for_each_of_the_same_latents():
    network, corners = generator(class_names=["a", "b", "c"], class_counts=[1, 0, 2]), latents(4, 8)
    planes = dict(painted_planes(network, corners, 3, {"not asked for": corners}, CPU))
    assert list(planes) == ["a", "c"]
    for name, label in (("a", 0), ("c", 2)):
        asked = torch.full((4,), label)
        assert np.array_equal(planes[name][[0, 0, 2, 2], [0, 2, 0, 2]], generate(network, corners, CPU, asked))


def test_of_many_classes_the_most_frequent_have_planes_in_their_order():
    counts = [0, *range(1, 20)]
    names = [str(number) for number in range(20)]
    network = generator(class_names=names, class_counts=counts)
    assert [name for name, _ in painted_planes(network, latents(4, 8), 2, {}, CPU)] == names[-12:]


def test_a_code_has_a_plane_for_each_category():
    network, random = generator(latent_dim=8, latents="normal+3+1"), random_generator(0, "codes")
    corners = draw_latents(4, 8, random, "normal+3+1")
    planes = painted_planes(network, corners, 2, {}, CPU)
    assert [name for name, _ in planes] == ["code 0", "code 1", "code 2"]
    for code, (_, images) in enumerate(planes):
        asked = corners.clone()
        asked[:, 4:7] = LENGTH * torch.eye(3)[code]
        assert np.array_equal(images.reshape(4, *images.shape[2:]), generate(network, asked, CPU))


def test_of_other_generators_the_classes_are_those_that_the_judge_is_sure_of():
    z, sure = latents(30, 8), torch.linspace(0.5, 5, 30)
    logits = torch.zeros(30, 3)
    logits[torch.arange(30), torch.arange(30) % 2] = sure
    logits[3] = torch.tensor([0.0, 0, 9])
    corners = class_corners(z, logits, ["even", "odd", "rare"])
    assert list(corners) == ["even", "odd"], "four of a class are needed"
    assert torch.equal(corners["even"], z[[28, 26, 24, 22]]) and torch.equal(corners["odd"], z[[29, 27, 25, 23]])
    network = generator()
    planes = dict(painted_planes(network, latents(4, 8), 3, corners, CPU))
    assert list(planes) == ["any class", "even", "odd"]
    assert np.array_equal(planes["odd"][[0, 0, 2, 2], [0, 2, 0, 2]], generate(network, corners["odd"], CPU))
