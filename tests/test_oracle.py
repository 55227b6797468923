"""The training loop against plain PyTorch, given the same chance; and chance against what the params ask for."""

import copy
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ganlib.core.images import to_unit_range
from ganlib.core.schema import Params
from ganlib.functional.losses import LOSSES
from ganlib.games import gan
from ganlib.games.gan import FAKE, JUDGED, REAL, Batch
from ganlib.networks.families import build_discriminator, build_generator, discriminator_config, generator_config
from ganlib.training import loop
from ganlib.training.game import build_players
from ganlib.training.loop import stepper
from ganlib.training.state import Training, start_training
from tests import plain_gan
from tests.test_training import CPU, settings

SIZE, CLASSES = 16, {"many": 24, "some": 12, "few": 4}
PLAIN = {
    "precision": "fp32",
    "batch_size": 4,
    "steps": 3,
    "width": 4,
    "lr": 1e-3,
    "lr_decay_start": 1,
    "real_label_low": 1,
    "real_label_high": 1,
    "r1": 0,
    "translation": 0,
    "ema_halflife": 20,
}
"""The simplest game; a case names what it adds."""
SEEN = {"translation": 0.125, "cutout": 0.4, "colour": 0.8, "instance_noise": 0.3, "channels": 3}
PENALISED = {"name": "wasserstein", "gradient_penalty": 10, "d_norm": "none"}
CASES: dict[str, dict[str, Any]] = {
    **{name: {"name": name} for name in LOSSES},
    **{f"{name}, smooth and flipped": {"name": name, "real_label_low": 0.7, "label_flip": 0.3} for name in LOSSES},
    "r1 at every step": {"r1": 2, "r1_every": 1},
    "r1 at steps 2 and 4": {"r1": 2, "r1_every": 2, "steps": 4},
    "r1 at no step": {"r1": 2, "r1_every": 4},
    "r1 of what D sees": {"r1": 2, "r1_every": 2, **SEEN},
    "r2 at steps 2 and 4": {"r2": 2, "r1_every": 2, "steps": 4},
    "R3GAN's game": {"name": "relativistic", "r1": 2, "r2": 3, "r1_every": 1, "d_norm": "none", **SEEN},
    "relativistic, by class": {"name": "relativistic", "conditional": "projection", "d_steps": 2, "g_steps": 2},
    "WGAN": {"name": "wasserstein", "weight_clip": 0.05},
    "WGAN-GP": {**PENALISED},
    "WGAN-GP of what D sees": {**PENALISED, **SEEN},
    "WGAN-GP of a flat critic": {**PENALISED, "spectral_norm": True},
    "spectral norm": {"name": "hinge", "d_norm": "none", "spectral_norm": True},
    **{mode: {"conditional": mode} for mode in ("concat", "projection", "auxiliary")},
    "auxiliary of weight 3": {"conditional": "auxiliary", "auxiliary": 3, "channels": 3},
    "projection, hinge, spectral norm": {"conditional": "projection", "name": "hinge", "spectral_norm": True},
    **{
        f"{mode} with both penalties": {
            "conditional": mode,
            "r1": 2,
            "r1_every": 2,
            "gradient_penalty": 10,
            "d_norm": "none",
            "d_steps": 2,
        }
        for mode in ("concat", "projection", "auxiliary")
    },
    "two updates of D": {"d_steps": 2},
    "two updates of D, clipped": {"d_steps": 2, "name": "wasserstein", "weight_clip": 0.05},
    "two time-scales": {"d_lr_ratio": 2},
    "a falling learning rate": {"lr_decay_start": 0.2, "steps": 4},
    **{f"{name} {value}": {name: value, "channels": 3} for name, value in SEEN.items() if name != "channels"},
    "grey images in other light": {"colour": 1},
    "all that D sees": {**SEEN, "flip": True, "conditional": "auxiliary"},
    "flipped images": {"flip": True},
    "uniform latents": {"latents": "uniform"},
    "no moving average": {"ema_halflife": 0},
    "other betas": {"betas": (0.3, 0.9)},
    "two updates of G": {"g_steps": 2},
    "two updates of each": {"g_steps": 2, "d_steps": 2, "conditional": "auxiliary", **SEEN},
}


@pytest.fixture
def in_double(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let all that asks for float32, or leaves it unsaid, compute in float64."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("case", CASES)
def test_training_computes_what_the_papers_say(case: str):
    check_against_plain(params_of(**CASES[case]), 1e-6)


@pytest.mark.parametrize("case", CASES)
def test_training_in_float32_stays_close_to_it(case: str):
    check_against_plain(params_of(**CASES[case]), 1e-4)


def check_against_plain(params: Params, tolerance: float) -> None:
    """Train both with the same chance; compare weights, statistics, the last gradients and each step's figures."""
    training, plain = start(params)
    before = [copy.deepcopy(network) for network in plain]
    steps = [[in_float64(batch) for batch in batches] for batches in train(training, params)]
    rows = plain_gan.train(*plain, steps, flat(params))
    players = training.players
    for network, expected, first in zip(
        (*players.networks.values(), *players.averages.values()), plain, before, strict=True
    ):
        close(network.state_dict(), expected.state_dict(), tolerance)
        close(gradients(network), gradients(expected), tolerance)
        changes = [(new - old).abs().max() for new, old in zip(expected.parameters(), first.parameters(), strict=True)]
        assert max(changes) > 5 * tolerance
    for row, expected in zip(training.history, rows, strict=True):
        assert {name: row[name] for name in expected} == pytest.approx(expected, abs=tolerance, rel=tolerance)


def close(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float) -> None:
    assert actual.keys() == expected.keys()
    for name, value in actual.items():
        torch.testing.assert_close(value.to(expected[name]), expected[name], atol=tolerance, rtol=0, msg=name)


def gradients(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}


def params_of(**changes: Any) -> Params:
    """Return the simplest params with some changes."""
    params = settings(**PLAIN | changes)
    assert all(getattr(flat(params), key) == value for key, value in (PLAIN | changes).items())
    return params


def flat(params: Params) -> SimpleNamespace:
    """Return the settings of a training by their last names."""
    values = params.model_dump()
    sections = values["data"] | values["model"] | values["loss"] | values["train"]
    top = {key: values[key] for key in ("lr", "batch_size", "steps")}
    return SimpleNamespace(**sections | top)


def start(params: Params) -> tuple[Training, tuple[Any, Any, Any]]:
    """Return a training before its first step, and a plain generator, discriminator and average of the same weights.

    Weights are large enough that logits pass the hinge on both sides, which those of the first step of a real training
    do not.
    """
    how, random = flat(params), torch.Generator().manual_seed(0)
    classes = CLASSES if how.conditional != "none" else {}
    generator = build_generator(**generator_config(params.model, SIZE, how.channels, classes))
    discriminator = build_discriminator(**discriminator_config(params.model, SIZE, how.channels, len(classes)))
    for weight in [*generator.parameters(), *discriminator.parameters()]:
        nn.init.normal_(weight, 0.0, 0.3, random)
    networks = {"generator": generator, "discriminator": discriminator}
    players = build_players(networks, gan, params.lr, params.train.betas, CPU)
    shared = {"width": how.width, "channels": how.channels, "classes": len(classes)}
    norm = {"conditional": how.conditional, "norm": how.d_norm == "batch", "spectral": how.spectral_norm}
    plain = [plain_gan.Generator(how.latent_dim, **shared), plain_gan.Discriminator(**shared, **norm)]
    for network, weights in zip(plain, (generator, discriminator), strict=True):
        network.double().load_state_dict(weights.state_dict())
    return start_training(players, len(images_of(params)), params), (*plain, copy.deepcopy(plain[0]))


def images_of(params: Params) -> torch.Tensor:
    """Return 40 random images, each with its number as its first pixel."""
    shape, random = (40, params.data.channels, SIZE, SIZE), torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)
    images[:, :, 0, 0] = torch.arange(40)[:, None]
    return images


def labels_of(params: Params) -> torch.Tensor | None:
    counts = torch.tensor(list(CLASSES.values()))
    return None if params.model.conditional == "none" else torch.arange(len(CLASSES)).repeat_interleave(counts)


def data_of(params: Params) -> dict[str, torch.Tensor]:
    labels = labels_of(params)
    return {"images": images_of(params)} | ({} if labels is None else {"labels": labels})


def train(training: Training, params: Params) -> list[list[Batch]]:
    """Train to the end; return the batches of each step, copied before it was taken."""
    steps: list[list[Batch]] = []

    def recording(*arguments: Any) -> Any:
        take_step = stepper(*arguments)

        def record(batches: Sequence[Batch], recipe: Any) -> Any:
            steps.append(copy.deepcopy(list(batches)))
            return take_step(batches, recipe)

        return record

    figures = dict.fromkeys(("domain_fid_to_heldout", "valid", "diversity_score", "classes_covered"), 1.0)
    watch: Any = SimpleNamespace(figures_of=lambda *networks: (figures, np.zeros((1, 1, SIZE, SIZE), np.uint8)))
    watch.real = watch.device = None  # this game looks at neither
    quiet: Any = {"report": lambda row: None, "warn": lambda text: None, "checkpoint": lambda training: None}
    quiet["stopping"] = bool
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "stepper", recording)
        loop.train(training, gan, data_of(params), params, CPU, watch=watch, **quiet)
    return steps


def in_float64(batch: Batch) -> SimpleNamespace:
    return SimpleNamespace(
        **{
            name: value.double() if value is not None and value.is_floating_point() else value
            for name, value in batch._asdict().items()
        }
    )


def drawn(**changes: Any) -> SimpleNamespace:
    """Return what 30 steps of 40 images drew, by its name, with all steps and updates of D in one: (steps, ..., N)."""
    params = params_of(**{"batch_size": 40, "steps": 30, "log_every": 100} | changes)
    batches = [batch for step in train(start(params)[0], params) for batch in step]
    fields = {name: [getattr(batch, name) for batch in batches] for name in Batch._fields}
    drawn = {name: [value for value in values if value is not None] for name, values in fields.items()}
    return SimpleNamespace(**{name: torch.stack(values) for name, values in drawn.items() if values})


def unlike(*draws: torch.Tensor) -> None:
    """Assert that no two of these draws, and no two neighbours in one of them, have to do with each other."""
    rows = torch.stack([draw.double().flatten() for draw in draws] + [draws[0].double().flatten().roll(1)])
    off_diagonal = rows.corrcoef() - torch.eye(len(rows))
    assert off_diagonal.abs().max() < 0.12  # four standard errors of 1200 draws


def test_targets_are_smoothed_on_the_real_side_and_flipped_on_both():
    real, fake = drawn(real_label_low=0.7, real_label_high=0.9, label_flip=0.2).targets.unbind(1)
    unlike(real, fake)
    smooth = real[real > 0]
    assert 0.7 <= smooth.min() < 0.71 and 0.89 < smooth.max() <= 0.9
    assert smooth.mean().item() == pytest.approx(0.8, abs=0.01)
    assert smooth.std().item() == pytest.approx(0.2 / 12**0.5, rel=0.1)
    assert (real == 0).double().mean().item() == pytest.approx(0.2, abs=0.05)
    assert set(fake.unique().tolist()) == {0, 1} and fake.mean().item() == pytest.approx(0.2, abs=0.05)


def test_targets_are_those_of_the_params_where_nothing_is_drawn():
    real, fake = drawn(real_label_low=0.9, real_label_high=0.9, steps=2).targets.unbind(1)
    assert (real == 0.9).all() and not fake.any()


def test_what_d_sees_moves_by_every_number_of_pixels_up_to_the_share():
    shifts = drawn(translation=0.125).shifts  # (steps, 3, 2, N)
    for place in (REAL, FAKE, JUDGED):
        for axis in (0, 1):
            assert shares(shifts[:, place, axis]) == pytest.approx(dict.fromkeys(range(-2, 3), 0.2), abs=0.05)
    unlike(*shifts.permute(1, 2, 0, 3).flatten(0, 1))


def test_colours_change_evenly_in_both_directions():
    colours = drawn(colour=0.5).colours.permute(1, 2, 0, 3).flatten(0, 1)  # (3 * 3, steps, N)
    for change in colours:
        assert -1 <= change.min() < -0.98 and 0.98 < change.max() <= 1
        assert change.mean().item() == pytest.approx(0, abs=0.07)
        assert change.std().item() == pytest.approx(3**-0.5, rel=0.1)
    unlike(*colours)


@pytest.mark.parametrize(("share", "side"), [(0.5, 8), (0.3, 5)])
def test_a_cutout_lies_anywhere_with_its_middle_in_the_image(share: float, side: int):
    corners = drawn(cutout=share).corners.permute(1, 2, 0, 3).flatten(0, 1)  # (3 * 2, steps, N)
    middles = range(-(side // 2), SIZE + 1 - side % 2 - side // 2)
    for corner in corners:
        assert shares(corner) == pytest.approx(dict.fromkeys(middles, 1 / len(middles)), abs=0.03)
    unlike(*corners)


def test_noise_is_normal_and_fades_in_a_straight_line():
    noise = drawn(instance_noise=0.6, steps=6).noise  # (steps, 3, N, C, H, W)
    expected = [0.6 * (1 - step / 6) for step in range(1, 6)]  # in the last step there is none
    assert noise.std((1, 2, 3, 4, 5)).tolist() == pytest.approx(expected, rel=0.03)
    assert (noise[0].abs() > 1).double().mean().item() == pytest.approx(0.0455, rel=0.1)  # two standard deviations
    unlike(*noise.movedim(1, 0))


def test_the_gradient_penalty_is_taken_anywhere_between_the_images():
    shares = drawn(name="wasserstein", gradient_penalty=10, d_norm="none").shares
    assert 0 <= shares.min() < 0.01 and 0.99 < shares.max() <= 1
    assert shares.mean().item() == pytest.approx(0.5, abs=0.04)
    assert shares.std().item() == pytest.approx(12**-0.5, rel=0.1)
    unlike(shares)


@pytest.mark.parametrize(("latents", "std"), [("normal", 1), ("uniform", 3**-0.5)])
def test_latents_are_drawn_anew_from_their_distribution(latents: str, std: float):
    values = drawn(latents=latents, d_steps=2, steps=15).latents
    assert values.mean().item() == pytest.approx(0, abs=0.05) and values.std().item() == pytest.approx(std, rel=0.05)
    assert (values.abs().max() <= 1) == (latents == "uniform")
    assert len(values.flatten(0, 1).unique(dim=0)) == 30 * 40
    unlike(*values.movedim(2, 0))


def test_fakes_are_asked_for_in_the_shares_of_the_real_classes_and_not_in_their_order():
    draws = drawn(conditional="concat")
    labels, numbers = labels_of(params_of(conditional="concat")), numbers_of(draws.real_images)
    assert labels is not None and torch.equal(draws.real_classes, labels[numbers])
    assert shares(draws.fake_classes) == pytest.approx({0: 0.6, 1: 0.3, 2: 0.1}, abs=0.05)
    unlike(draws.real_classes, draws.fake_classes)


def test_every_epoch_shows_every_image_once_unchanged():
    params = params_of(channels=3)
    images = drawn(channels=3, batch_size=20, d_steps=2, steps=4).real_images.flatten(0, 1)
    numbers = numbers_of(images)
    torch.testing.assert_close(images, images_of(params)[numbers].float() * 2 / 255 - 1, atol=1e-6, rtol=0)
    assert torch.equal(numbers.view(4, 40).sort().values, torch.arange(40).expand(4, 40))
    assert len(numbers.view(4, 40).unique(dim=0)) == 4


def test_half_of_the_real_images_are_mirrored():
    images = drawn(flip=True).real_images.flatten(0, 1)
    originals = images_of(params_of())
    turned = (images[:, None] == to_unit_range(originals.flip(3))).flatten(2).all(2).any(1)
    straight = (images[:, None] == to_unit_range(originals)).flatten(2).all(2).any(1)
    assert (turned ^ straight).all() and turned.double().mean().item() == pytest.approx(0.5, abs=0.06)
    unlike(turned)


def numbers_of(images: torch.Tensor) -> torch.Tensor:
    """Return which of the images these are, (...)."""
    return ((images[..., 0, 0, 0] + 1) * 127.5).round().long()


def shares(draws: torch.Tensor) -> dict[int, float]:
    values, counts = draws.unique(return_counts=True)
    return dict(zip(values.tolist(), (counts / draws.numel()).tolist(), strict=True))
