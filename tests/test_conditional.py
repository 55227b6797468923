"""Models that are asked for images of a class."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganlib.core.errors import UserError
from ganlib.core.files import read_json, read_table, write_json
from ganlib.core.packed import read_split
from ganlib.core.params import check_classes
from ganlib.core.seeding import seeded_weights
from ganlib.core.weights import save_network
from ganlib.functional.latents import draw_classes, grid_classes
from ganlib.functional.losses import LOSSES, class_loss
from ganlib.games import gan
from ganlib.games.gan import Batch
from ganlib.looking.exploration import paint
from ganlib.networks.families import (
    FAMILIES,
    build_discriminator,
    build_generator,
    discriminator_config,
    generator_config,
    load_generator,
)
from ganlib.networks.sampling import generate
from ganlib.training import loop
from ganlib.training.game import Players, build_players
from ganlib.training.state import start_training
from tests.conftest import ROOT, edit_params, figures_of, run, small_params
from tests.test_params import STAGES
from tests.test_stages import arguments_of, invoke
from tests.test_training import CPU, go_on, settings

pytestmark = pytest.mark.slow

MODES = ["concat", "projection", "auxiliary"]
COUNTS = {"dark": 30, "bright": 10, "absent": 0}


def players_of(generator: Any, discriminator: Any, params: Any) -> Players:
    networks = {"generator": generator, "discriminator": discriminator}
    return build_players(networks, gan, params.lr, params.train.betas, CPU)


def networks(size: int = 8, channels: int = 1, **changes: object) -> tuple[Any, Any]:
    model = settings(width=4, latent_dim=5, **changes).model
    with seeded_weights(0, "weights"):
        generator = build_generator(**generator_config(model, size, channels, COUNTS))
        return generator, build_discriminator(**discriminator_config(model, size, channels, len(COUNTS)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("conditional", MODES)
@pytest.mark.parametrize("architecture", FAMILIES)
def test_every_family_takes_labels(architecture: str, conditional: str, channels: int):
    generator, discriminator = networks(12, channels, architecture=architecture, conditional=conditional)
    images = generator(torch.randn(4, 5), torch.tensor([0, 1, 2, 0]))
    assert images.shape == (4, channels, 12, 12)
    assert discriminator(images, torch.tensor([0, 1, 2, 0])).shape == (4,)


@pytest.mark.parametrize("conditional", MODES)
@pytest.mark.parametrize("architecture", FAMILIES)
def test_labels_change_what_the_networks_say(architecture: str, conditional: str):
    generator, discriminator = (
        net.eval() for net in networks(architecture=architecture, conditional=conditional, spectral_norm=True)
    )
    latents, zeros, ones = torch.randn(4, 5), torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    images = generator(latents, zeros)
    assert not torch.equal(images, generator(latents, ones))
    if conditional == "auxiliary":  # which guesses the class instead of being told
        logits, class_logits = discriminator.classify(images)
        assert torch.equal(logits, discriminator(images)) and class_logits.shape == (4, len(COUNTS))
    else:
        assert not torch.equal(discriminator(images, zeros), discriminator(images, ones))


@pytest.mark.parametrize("conditional", MODES)
def test_a_conditional_network_asks_for_labels(conditional: str):
    generator, discriminator = networks(conditional=conditional)
    with pytest.raises(ValueError, match="conditional: give it labels"):
        generator(torch.randn(4, 5))
    if conditional != "auxiliary":
        with pytest.raises(ValueError, match="conditional: give it labels"):
            discriminator(torch.rand(4, 1, 8, 8))


def test_the_projection_is_the_product_of_features_and_embedding():
    discriminator = networks(conditional="projection")[1].eval()
    images, labels = torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 2, 1])
    features = discriminator.features(images, labels)
    expected = discriminator.to_logit(features).squeeze(1) + (features * discriminator.to_classes.weight[labels]).sum(1)
    torch.testing.assert_close(discriminator(images, labels), expected)


def test_the_class_loss_of_a_sure_and_right_guess_is_zero_and_of_a_blind_one_log_classes():
    labels = torch.tensor([0, 1, 2])
    assert class_loss(100 * torch.eye(3), labels) == 0
    assert class_loss(torch.zeros(3, 3), labels).item() == pytest.approx(np.log(3))


@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_conditional_generator_is_rebuilt_from_its_two_files(tmp_path: Path, architecture: str):
    generator, _ = networks(architecture=architecture, conditional="concat")
    model = settings(width=4, latent_dim=5, architecture=architecture, conditional="concat").model
    save_network(tmp_path, "generator", generator, generator_config(model, 8, 1, COUNTS))
    loaded = load_generator(tmp_path)
    assert dict(zip(loaded.class_names, loaded.class_counts, strict=True)) == COUNTS
    latents, labels = torch.randn(3, 5), torch.tensor([2, 0, 1])
    assert torch.equal(loaded(latents, labels), generator.eval()(latents, labels))


def test_labels_are_drawn_with_the_shares_of_the_training_images():
    labels = draw_classes(4000, list(COUNTS.values()), torch.Generator().manual_seed(0))
    assert labels.bincount(minlength=3).tolist() == pytest.approx([3000, 1000, 0], abs=120)
    assert torch.equal(labels, draw_classes(4000, list(COUNTS.values()), torch.Generator().manual_seed(0)))


def test_a_grid_has_a_class_a_row():
    assert grid_classes(3, 2, [5, 9]).tolist() == [0, 0, 1, 1, 0, 0]  # more rows than classes: in order again
    assert grid_classes(2, 2, [1] * 9).tolist() == [0, 0, 1, 1]
    assert grid_classes(3, 2, [4, 0, 7]).tolist() == [0, 0, 2, 2, 0, 0]  # nobody has seen class 1


def test_a_class_that_no_training_image_had_is_refused_and_shown_nowhere():
    generator = networks(conditional="concat")[0].eval()
    unseen = [name for name, count in COUNTS.items() if not count]
    with pytest.raises(UserError, match=f"trained on no image of {unseen[0]}: it would make noise"):
        generator.sample(2, labels=unseen[0])
    latents, seen = torch.randn(6, 5), torch.tensor([0, 1, 0, 1, 0, 1])
    assert np.array_equal(paint(generator, latents, torch.arange(6), CPU), generate(generator, latents, CPU, seen))


@pytest.mark.parametrize("conditional", MODES)
@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_generator_learns_to_draw_what_it_is_asked_for(architecture: str, conditional: str):
    """Dark and bright images: seconds of training tell them apart."""
    lipschitz = {"spectral_norm": True, "d_norm": "none"} if architecture == "resnet" else {}  # as in its paper
    params = settings(
        **lipschitz, architecture=architecture, conditional=conditional, steps=300, batch_size=16, width=8, log_every=50
    )
    with seeded_weights(0, "weights"):
        generator = build_generator(**generator_config(params.model, 8, 1, {"dark": 64, "bright": 64}))
        discriminator = build_discriminator(**discriminator_config(params.model, 8, 1, 2))
    labels = torch.arange(128) % 2
    noise = torch.randint(0, 56, (128, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    images = (noise + 200 * labels[:, None, None, None]).to(torch.uint8)
    training = start_training(players_of(generator, discriminator, params), len(images), params)
    go_on(training, images, params, labels)
    latents = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
    dark, bright = (
        generate(generator.eval(), latents, CPU, torch.full((50,), label)).mean((1, 2, 3)) for label in (0, 1)
    )
    assert (dark < 128).mean() > 0.9 and (bright > 128).mean() > 0.9


@pytest.mark.parametrize("penalty", [0, 10])
def test_wgan_gp_looks_between_images_of_one_class(penalty: float, monkeypatch: pytest.MonkeyPatch):
    params = settings(
        conditional="projection", gradient_penalty=penalty, d_norm="none", d_steps=2, batch_size=40, steps=2, width=4
    )
    drawn: list[Batch] = []

    def recording(*arguments: Any) -> Any:
        take = stepper(*arguments)
        return lambda batches, recipe: drawn.extend(batches) or take(batches, recipe)

    stepper = loop.stepper
    monkeypatch.setattr(loop, "stepper", recording)
    generator = build_generator(**generator_config(params.model, 8, 1, COUNTS))
    discriminator = build_discriminator(**discriminator_config(params.model, 8, 1, len(COUNTS)))
    images = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8)
    players = players_of(generator, discriminator, params)
    go_on(start_training(players, len(images), params), images, params, torch.arange(40) % 2)
    same = [bool((batch.real_classes == batch.fake_classes).all()) for batch in drawn]
    assert same == [penalty > 0] * 4


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("conditional", MODES)
def test_every_loss_and_penalty_takes_labels_and_repeats(conditional: str, loss: str):
    def weights() -> dict[str, torch.Tensor]:
        params = settings(
            conditional=conditional, name=loss, r1=0.1, gradient_penalty=10, d_norm="none", d_steps=2, width=4
        )
        with seeded_weights(0, "weights"):
            generator = build_generator(**generator_config(params.model, 8, 1, COUNTS))
            discriminator = build_discriminator(**discriminator_config(params.model, 8, 1, len(COUNTS)))
        images = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        training = start_training(players_of(generator, discriminator, params), len(images), params)
        labels = torch.arange(40) % 2
        go_on(training, images, params, labels)
        return {**generator.state_dict(), **discriminator.state_dict()}

    first, second = weights(), weights()
    assert all(value.isfinite().all() and torch.equal(value, second[name]) for name, value in first.items())


@pytest.fixture
def conditional_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the stages up to train with a conditional model."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(edit_params(small_params(), {"model.conditional": "auxiliary"}))
    for stage in STAGES[: STAGES.index("sample")]:
        invoke(stage, *arguments_of(stage))
    return tmp_path


def test_a_conditional_model_goes_through_every_stage(conditional_run: Path):
    for stage in STAGES[STAGES.index("sample") :]:
        invoke(stage, *arguments_of(stage))
    labels, meta = np.load("data/samples/labels.npy"), read_json(Path("data/prepared/meta.json"))
    assert labels.shape == (400,) and set(labels) == set(range(10))
    generator, latents = load_generator(Path("data/model")), np.load("data/samples/grid_latents.npy")
    assert generator.class_names == meta["class_names"] and sum(generator.class_counts) == meta["counts"]["train"]
    images = generate(generator, torch.from_numpy(latents), CPU, grid_classes(10, 10, [1] * 10))
    assert np.array_equal(images, np.load("data/samples/grid_images.npy"))
    confusion = read_table(Path("metrics/confusion.csv"), "asked", "judged")
    assert confusion["asked"].value_counts().sort_index().tolist() == np.bincount(labels).tolist()
    agreement = (confusion["asked"] == confusion["judged"]).mean()
    assert figures_of(Path())["class_agreement"] == pytest.approx(agreement)


def test_agreement_of_real_images_with_their_own_labels_is_the_judges_accuracy(conditional_run: Path):
    invoke("sample", *arguments_of("sample"))
    heldout = read_split(Path("data/prepared"), "heldout")
    assert heldout.labels is not None
    np.save("data/samples/images.npy", heldout.images)
    np.save("data/samples/labels.npy", heldout.labels)
    invoke("evaluate", *arguments_of("evaluate"))
    metrics = figures_of(Path())
    assert metrics["class_agreement"] == pytest.approx(metrics["judge_accuracy"], abs=1e-5)


def test_unlabelled_images_are_refused_before_the_first_step(conditional_run: Path):
    meta = Path("data/prepared/meta.json")
    write_json(meta, read_json(meta) | {"class_names": []})
    said = run(stage_command("train"), conditional_run, check=False)
    assert said.returncode == 1
    assert said.stderr.startswith("error: model.conditional = auxiliary: the prepared images have no labels")


@pytest.mark.parametrize("stage", ["train", "sample"])
def test_more_classes_than_samples_are_refused(conditional_run: Path, stage: str):
    Path("params.yaml").write_text(edit_params(Path("params.yaml").read_text(), {"sample.count": "100"}))
    names = [str(index) for index in range(101)]
    meta, config = Path("data/prepared/meta.json"), Path("data/model/generator.json")
    write_json(meta, read_json(meta) | {"class_names": names})
    write_json(config, read_json(config) | {"class_names": names, "class_counts": [1] * 101})
    generator = build_generator(**read_json(config))
    save_network(config.parent, "generator", generator, read_json(config))
    said = run(stage_command(stage), conditional_run, check=False)
    assert said.returncode == 1
    assert said.stderr == "error: sample.count = 100: a conditional model has 101 classes; raise it to 101\n"


def stage_command(stage: str) -> list[str]:
    program = f"import runpy, sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv[1:] = {arguments_of(stage)!r}; "
    return [sys.executable, "-c", program + f"runpy.run_module('stages.{stage}', run_name='__main__')"]


def test_without_labels_a_model_is_as_before():
    params = settings()
    assert params.model.conditional == "none"
    assert set(generator_config(params.model, 8, 1, COUNTS)).isdisjoint({"class_names", "class_counts", "conditional"})
    with pytest.raises(UserError, match=r"model\.conditional"):
        check_classes(settings(conditional="concat"), [])
