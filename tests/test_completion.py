"""Masks, and the search for what they hide."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganlib.core.errors import UserError
from ganlib.core.images import to_pixels, to_unit_range
from ganlib.core.schema import MASKS, CompleteParams
from ganlib.core.seeding import random_generator
from ganlib.datasets.decode import Preparation
from ganlib.datasets.masks import Mask, blend, make_mask, observe, read_masks
from ganlib.datasets.plain import read_prepared_images
from ganlib.functional.losses import LOSSES
from ganlib.looking.completion import (
    compare_completions,
    complete,
    completion_figures,
    context_losses,
    context_weights,
    hidden_l1,
    hidden_psnr,
    search_latents,
    steps_an_image,
)
from ganlib.networks.dcgan import Discriminator, Generator
from tests.pictures import encoded, pets, picture, tree

SIZE = 16
SETTINGS = CompleteParams(
    path="data/prepared",
    images=6,
    masks=["centre"],
    own_masks="data/none",
    candidates=50,
    starts=2,
    steps=30,
    lr=0.1,
    prior_weight=0.01,
)

PRIOR = LOSSES["nonsaturating"].prior


def realism(scores: torch.Tensor) -> torch.Tensor:
    return PRIOR(scores, scores)


def networks(latents: str = "normal") -> tuple[Generator, Discriminator]:
    """Return a generator whose images differ much, and a discriminator, both with norms that have seen something."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(latent_dim=4, latents=latents, width=8, image_size=SIZE, channels=1)
        discriminator = Discriminator(width=8, image_size=SIZE, channels=1)
        for parameter in (*generator.parameters(), *discriminator.parameters()):
            parameter.data *= 5
        discriminator(generator(torch.randn(64, 4)))
    return generator.eval().requires_grad_(False), discriminator.eval().requires_grad_(False)


def masks() -> dict[str, Mask]:
    return {name: make_mask(name, SIZE, random_generator(0, name)) for name in MASKS}


def generated(generator: Generator, count: int = 6) -> torch.Tensor:
    return generator(torch.randn(count, 4, generator=random_generator(0, "originals")))


def test_masks_hide_the_part_that_their_name_says():
    hidden = {name: mask.hidden.float().mean().item() for name, mask in masks().items()}
    assert hidden == pytest.approx(
        {"centre": 1 / 4, "random": 0.8, "left": 1 / 2, "grid": 15 / 16, "lowres": 1}, abs=0.1
    )
    assert masks()["left"].hidden[:, : SIZE // 2].all() and not masks()["left"].hidden[:, SIZE // 2 :].any()
    assert masks()["centre"].hidden[SIZE // 2, SIZE // 2] and not masks()["centre"].hidden[0, 0]


@pytest.mark.parametrize("name", MASKS)
def test_blending_changes_nothing_of_what_is_known(name: str):
    mask, (images, originals) = masks()[name], torch.rand(2, 3, 1, SIZE, SIZE, generator=random_generator(0, "pixels"))
    blended = blend(images, originals, mask)
    torch.testing.assert_close(observe(blended, mask), observe(originals, mask))
    torch.testing.assert_close(blended - observe(blended, mask), images - observe(images, mask))
    torch.testing.assert_close(blend(originals, originals, mask), originals)


@pytest.mark.parametrize("name", MASKS)
def test_only_known_pixels_count_and_those_beside_the_hole_most(name: str):
    mask = masks()[name]
    weights = context_weights(mask)
    assert weights.sum().item() == pytest.approx(1)
    assert mask.block > 1 or not weights[mask.hidden].any()
    if name == "left":
        across = weights[SIZE // 2, SIZE // 2 :]
        assert across[:3].tolist() == sorted(across[:3].tolist(), reverse=True) and not across[3:].any()


@pytest.mark.parametrize("name", MASKS)
def test_the_search_comes_nearer_to_a_generated_image_than_any_other_image_does(name: str):
    generator, discriminator = networks()
    originals, mask = generated(generator), masks()[name]
    others = to_pixels(generator(torch.randn(50, 4, generator=random_generator(0, "train")))).numpy()
    found = complete(generator, discriminator, originals, mask, PRIOR, SETTINGS, random_generator(0, "candidates"))
    completion = compare_completions(found, originals, others, mask)
    figures = completion_figures(completion, to_pixels(originals).numpy(), mask)
    assert figures["psnr"] > figures["psnr_nearest"] + 3 and figures["psnr"] > figures["psnr_mean_fill"] + 3
    assert figures["l1"] < figures["l1_nearest"] and figures["beats_nearest"] > 0.5


def test_what_is_known_is_the_originals_in_every_completion():
    generator, discriminator = networks()
    originals, mask = to_unit_range(to_pixels(generated(generator))), masks()["centre"]
    found = complete(generator, discriminator, originals, mask, PRIOR, SETTINGS, random_generator(0, "candidates"))
    completion, known = compare_completions(found, originals, to_pixels(originals).numpy(), mask), ~mask.hidden.numpy()
    for images in completion:
        assert np.array_equal(images[..., known], to_pixels(originals).numpy()[..., known])
    assert (completion.masked[..., ~known] == 128).all()


def test_a_conditional_model_completes_with_classes_that_fit():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        asked = {"class_names": ["dark", "bright"], "class_counts": [3, 1]}
        generator = Generator(latent_dim=4, width=8, image_size=SIZE, channels=1, **asked).eval()
        discriminator = Discriminator(width=8, image_size=SIZE, channels=1, conditional="concat", classes=2).eval()
    for parameter in generator.parameters():
        parameter.data *= 5
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    originals = generator(torch.randn(6, 4, generator=random_generator(0, "originals")), labels).detach()
    found = complete(
        generator, discriminator, originals, masks()["left"], PRIOR, SETTINGS, random_generator(0, "candidates")
    )
    near = (found - originals).abs().mean((1, 2, 3))
    assert near.median() < 0.25 * (originals.roll(1, 0) - originals).abs().mean((1, 2, 3)).median()


def test_the_second_search_goes_on_where_the_first_ended_with_the_same_class():
    generator = Generator(
        latent_dim=4, width=8, image_size=SIZE, channels=1, class_names=["a", "b"], class_counts=[1, 1]
    ).eval()
    discriminator = Discriminator(width=8, image_size=SIZE, channels=1, conditional="concat", classes=2).eval()
    originals = generator(torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1])).detach()
    calls: list[torch.Tensor] = []
    generator.register_forward_pre_hook(
        lambda _, inputs: calls.append(torch.cat([inputs[0].detach(), inputs[1][:, None]], 1))
    )
    complete(generator, discriminator, originals, masks()["left"], PRIOR, SETTINGS, random_generator(0, "candidates"))
    trial = next(index for index, call in enumerate(calls) if len(call) == 6)
    ends = {tuple(row) for row in calls[trial - 1].tolist()}  # (12, latent_dim + 1): two starts of each, and the class
    assert len(calls[trial - 1]) == 12 and {tuple(row) for row in calls[trial].tolist()} < ends


def test_an_image_is_completed_alike_whatever_else_is_in_its_batch():
    generator, discriminator = networks()
    originals, mask = generated(generator), masks()["centre"]

    def completed(rows: list[int]) -> torch.Tensor:
        random = random_generator(0, "candidates")
        return complete(generator, discriminator, originals[rows], mask, PRIOR, SETTINGS, random)

    together = completed([0, 1, 2, 3, 4, 5])
    torch.testing.assert_close(completed([3]), together[[3]], rtol=0, atol=1e-3)
    torch.testing.assert_close(completed([5, 0]), together[[5, 0]], rtol=0, atol=1e-3)


def test_completion_asks_for_no_more_images_than_it_says():
    generator, discriminator = networks()
    scored, told = [], []
    discriminator.register_forward_pre_hook(lambda _, inputs: scored.append(len(inputs[0])))
    settings = SETTINGS.model_copy(update={"starts": 4, "steps": 10})
    random = random_generator(0, "candidates")
    complete(generator, discriminator, generated(generator), masks()["left"], PRIOR, settings, random, told.append)
    steps = 6 * (4 * 1 + 10)  # images, each with four starts for a tenth of the steps and one for all of them
    assert sum(told) == steps == 6 * steps_an_image(settings)
    assert sum(scored) == 50 + steps + 6 * (4 + 1)  # what was drawn, the steps, and the ends of both searches


def test_the_search_goes_on_from_the_best_of_its_starts():
    generator, discriminator = networks()
    originals, mask = generated(generator, 30), masks()["left"]
    known, weights = observe(originals, mask), context_weights(mask)

    def misfit(starts: int) -> float:
        settings = SETTINGS.model_copy(update={"starts": starts, "prior_weight": 0.0})
        random = random_generator(0, "candidates")
        found = complete(generator, discriminator, originals, mask, PRIOR, settings, random)
        return context_losses(found, known, mask, weights).mean().item()

    assert misfit(6) < 0.9 * misfit(1)


def test_the_networks_are_left_as_they_were():
    generator, discriminator = networks()
    before = {
        name: value.clone() for name, value in [*generator.state_dict().items(), *discriminator.state_dict().items()]
    }
    complete(
        generator,
        discriminator,
        generated(generator),
        masks()["left"],
        PRIOR,
        SETTINGS,
        random_generator(0, "candidates"),
    )
    after = dict([*generator.state_dict().items(), *discriminator.state_dict().items()])
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def grey_generator() -> Any:
    """Return a generator of one latent whose images are all of one grey, the latent's."""

    class Grey(torch.nn.Module):
        latents, latent_dim, class_names = "normal", 1, ()

        def forward(self, latents: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
            return latents[:, :, None, None].expand(-1, 1, SIZE, SIZE)

    return Grey()


class Scorer(torch.nn.Module):
    """A discriminator that finds bright images real: their mean grey, times and plus something, is their score."""

    def __init__(self, scale: float = 1, offset: float = 0):
        super().__init__()
        self.scale, self.offset = scale, offset

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return images.mean((1, 2, 3)) * self.scale + self.offset


def completed_grey(loss: str, discriminator: Any, prior_weight: float = 0.03) -> float:
    """Return how bright the completion of a grey image, 0, becomes under a prior."""
    settings = SETTINGS.model_copy(update={"prior_weight": prior_weight, "candidates": 200, "steps": 100})
    original = torch.zeros(1, 1, SIZE, SIZE)
    network, random = grey_generator(), random_generator(0, "candidates")
    prior = LOSSES[loss].prior
    found = complete(network, discriminator, original, masks()["centre"], prior, settings, random)
    return found.mean().item()


@pytest.mark.parametrize("loss", LOSSES)
def test_the_prior_draws_to_images_with_higher_scores(loss: str):
    scores = torch.linspace(-3, 0.9, 9).requires_grad_()
    prior = LOSSES[loss].prior(scores, torch.linspace(-1, 1, 50))
    (gradient,) = torch.autograd.grad(prior.sum(), scores)
    assert prior.shape == (9,) and (gradient < 0).all()
    assert completed_grey(loss, Scorer(), prior_weight=5) > completed_grey(loss, Scorer(), prior_weight=0) + 0.1


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("nonsaturating", [-0.0183, -0.6931, -50]),  # log(1 - sigmoid(score))
        ("minimax", [-0.0183, -0.6931, -50]),
        ("boundary", [-0.0183, -0.6931, -50]),
        ("least_squares", [12.5, 0.5, 1200.5]),  # half the square of score - 1
        ("hinge", [5, 1, 0]),  # D's loss of a real image
        ("wasserstein", [3, 1, -24]),  # of images with scores of 2 +- 2
        ("relativistic", [6.0092, 2.3556, 0]),  # (log(1 + e^4) + log(1 + e^8)) / 2, (log 2 + log(1 + e^4)) / 2
    ],
)
def test_the_prior_of_each_loss_has_its_form(loss: str, expected: list[float]):
    prior = LOSSES[loss].prior(torch.tensor([-4.0, 0, 50]), torch.tensor([0.0, 4]))
    assert prior.tolist() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("scale", "offset"), [(1000, 0), (1e-3, 0), (1, 1000)])
def test_a_critics_units_cancel(scale: float, offset: float):
    told, scaled = completed_grey("wasserstein", Scorer()), completed_grey("wasserstein", Scorer(scale, offset))
    assert scaled == pytest.approx(told, abs=1e-3) and abs(scaled) < 0.1  # what is known counts more


def test_a_hinge_critic_that_is_sure_has_no_say():
    assert completed_grey("hinge", Scorer(1000, 50_000)) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("drawn", [[7.0], [7.0, 7.0]])
def test_a_critic_that_says_the_same_of_all_has_no_say(drawn: list[float]):
    scores = torch.tensor([7.0, 8]).requires_grad_()
    prior = LOSSES["wasserstein"].prior(scores, torch.tensor(drawn))
    (gradient,) = torch.autograd.grad(prior.sum(), scores)
    assert prior.tolist() == [0, 0] and gradient.tolist() == [0, 0]


def test_a_search_of_no_steps_ends_where_it_starts():
    generator, discriminator = networks("uniform")
    starts = torch.rand(3, 4) * 2 - 1
    known = observe(generator(starts), masks()["grid"])
    ends, _ = search_latents(generator, discriminator, known, masks()["grid"], starts, None, realism, SETTINGS, 0)
    torch.testing.assert_close(ends, starts)


def test_uniform_latents_stay_where_the_generator_was_trained():
    generator, discriminator = networks("uniform")
    starts = torch.full((3, 4), 0.9)
    far = observe(generator(torch.full((3, 4), 4.0)), masks()["grid"])
    latents, losses = search_latents(
        generator, discriminator, far, masks()["grid"], starts, None, realism, SETTINGS, SETTINGS.steps
    )
    assert latents.abs().max() < 1 and losses.shape == (3,)


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_a_heavy_prior_keeps_latents_short(kind: str):
    generator, discriminator = networks(kind)
    discriminator.to_logit.weight.data.zero_()  # so that only the latents count
    starts = torch.full((3, 4), 0.95)
    known = observe(generator(starts), masks()["grid"])

    def length(prior_weight: float) -> float:
        settings = SETTINGS.model_copy(update={"prior_weight": prior_weight})
        ends, _ = search_latents(
            generator, discriminator, known, masks()["grid"], starts, None, realism, settings, settings.steps
        )
        return ends.norm().item()

    assert length(10.0) < 0.5 * length(0.0)


def test_psnr_and_l1_look_at_hidden_pixels_only():
    originals, images = np.zeros((2, 1, 4, 4), np.uint8), np.zeros((2, 1, 4, 4), np.uint8)
    hidden = np.zeros((4, 4), bool)
    hidden[:2] = True
    images[0, :, 2:] = 255  # known: no error
    images[1, :, :2] = 51  # a fifth of the range: 20 log10(5) dB
    assert hidden_psnr(images, originals, hidden) == pytest.approx([60, 13.979], abs=1e-3)
    assert hidden_l1(images, originals, hidden) == pytest.approx([0, 0.2])


def hole() -> Image.Image:
    pixels = np.zeros((SIZE, SIZE), np.uint8)
    pixels[3:5, 6:] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("folder", [True, False])
def test_a_mask_may_be_painted(tmp_path: Path, folder: bool):
    hole().save(tmp_path / "hole.png")
    masks = read_masks(tmp_path if folder else tmp_path / "hole.png", SIZE, ["left"])
    assert list(masks) == ["hole"] and masks["hole"].block == 1
    assert np.array_equal(masks["hole"].hidden.numpy(), np.asarray(hole()) == 255)


def test_a_folder_of_masks_is_taken_by_name(tmp_path: Path):
    for name in ("b.png", "a.PNG", ".hidden.png"):
        hole().save(tmp_path / name, "PNG")
    assert list(read_masks(tmp_path, SIZE, [])) == ["a", "b"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"^complete\.own_masks: .*own: no PNG there"),
        (["left.png"], r"^complete\.own_masks: .*own/left\.png: another mask is called left, too: rename the file$"),
        (["a.png", "a.PNG"], r"^complete\.own_masks: .*own/a\.PNG: another mask is called a, too"),
    ],
)
def test_masks_that_are_none_or_have_one_name_are_refused(tmp_path: Path, names: list[str], message: str):
    (tmp_path / "own").mkdir()
    for name in names:
        hole().save(tmp_path / "own" / name, "PNG")
    with pytest.raises(UserError, match=message):
        read_masks(tmp_path / "own", SIZE, ["centre", "left"])


def test_a_name_that_no_other_mask_in_use_has_may_be_that_of_a_mask_by_name(tmp_path: Path):
    hole().save(tmp_path / "left.png")
    assert list(read_masks(tmp_path, SIZE, ["centre"])) == ["left"]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("L", (20, 10)), r"hole\.png: 20x10 pixels, the images have 16x16: resize it"),
        (Image.new("L", (SIZE, SIZE)), r"hole\.png: all black: paint what is hidden white"),
        (Image.new("L", (SIZE, SIZE), "white"), r"hole\.png: all white"),
        (b"text", r"hole\.png: not a PNG image"),
        (None, r"hole\.png: there is no such file"),
    ],
)
def test_a_mask_that_cannot_be_used_is_named(tmp_path: Path, image: Image.Image | bytes | None, message: str):
    if image:
        (tmp_path / "hole.png").write_bytes(image if isinstance(image, bytes) else encoded(image))
    with pytest.raises(UserError, match=r"^complete\.own_masks: .*" + message):
        read_masks(tmp_path / "hole.png", SIZE, [])


def test_low_resolution_needs_a_size_that_its_blocks_divide():
    with pytest.raises(UserError, match=r"complete\.masks: lowres needs a data\.image_size that 4 divides, not 30"):
        make_mask("lowres", 30, torch.Generator())


PREPARATION = Preparation(SIZE, 1, "crop", 255)


def test_own_images_are_prepared_as_training_images_are(tmp_path: Path):
    images = read_prepared_images(tree(pets(), tmp_path / "pets"), PREPARATION, limit=5)
    assert images.shape == (5, 1, SIZE, SIZE) and images.dtype == np.uint8
    np.save(tmp_path / "pets.npy", images)
    assert np.array_equal(read_prepared_images(tmp_path / "pets.npy", PREPARATION, limit=3), images[:3])


def test_own_images_in_colour_keep_their_pixels(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    images = read_prepared_images(tmp_path, PREPARATION._replace(channels=3), limit=2)
    assert np.array_equal(images.transpose(0, 2, 3, 1), pixels)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "own: no images there"),
        ({"notes.txt": b"text"}, "own: no images there"),
        ({"a.png": encoded(picture(0)), "b.png": b"broken"}, r"own: b\.png: .*replace or delete it"),
    ],
)
def test_own_images_that_cannot_be_used_are_named(tmp_path: Path, files: dict[str, bytes], message: str):
    (tmp_path / "own").mkdir()
    with pytest.raises(UserError, match=message):
        read_prepared_images(tree(files, tmp_path / "own"), PREPARATION, limit=5)


def test_an_array_of_another_size_is_named(tmp_path: Path):
    np.save(tmp_path / "own.npy", np.zeros((2, 1, 8, 8), np.uint8))
    with pytest.raises(UserError, match=r"own\.npy: holds uint8 \(2, 1, 8, 8\), not uint8 \(N, 1, 16, 16\)"):
        read_prepared_images(tmp_path / "own.npy", PREPARATION, limit=5)
