"""Captions and the images of them: colours as Pillow gives them, a step in plain PyTorch, sentences from the shell."""

import copy
import shutil
import sys
from pathlib import Path
from random import Random
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits, interpolate

from ganlib.core.captions import (
    COLOURS,
    Asked,
    asked_by,
    asked_for,
    decoded,
    draw_caption,
    encoded,
    vocabulary_of,
    words_of,
)
from ganlib.core.errors import UserError
from ganlib.core.packed import Split, read_meta, read_split
from ganlib.datasets.captions import coloured
from ganlib.features.judge import Judge
from ganlib.features.training import trained_classifier
from ganlib.games import stackgan
from ganlib.metrics.colours import colours_of
from ganlib.networks.captioned import ConditioningAugmentation, Draft, TextEncoder
from ganlib.training.claims import Translated
from ganlib.training.game import Draws, Players, build_networks, build_players
from stages.domains import translate
from tests.conftest import run
from tests.test_pair_games import params_of, prepared, trained, write_params
from tests.test_pairs import folder, pairs
from tests.test_training import CPU
from tests.test_unpaired_games import descend

__all__ = ["folder"]  # a fixture
STACKGAN = {"game": "stackgan", "pairs__kind": "captions"}
CAPTIONS = STACKGAN | {"pairs__channels_b": "3", "pairs__image_size": "16"}
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
META: dict[str, Any] = {
    "a": {"vocabulary": ["blue", "on", "red", "seven"], "length": 6},
    "b": {"image_size": 16, "channels": 3},
}


def test_a_caption_is_drawn_read_and_numbered_alike():
    chance, found = Random(0), list[str]()
    for _ in range(300):
        caption, asked = draw_caption("7", chance)
        assert asked_by(caption) == asked and asked.figure != asked.ground and "seven" in caption
        found.append(caption)
    assert {asked_by(caption) for caption in found} == {
        (one, other) for one in COLOURS for other in COLOURS if one != other
    }
    assert asked_by("a pink seven on a red ground") is None and asked_by("a bird") is None
    for _ in range(100):  # a name of several words, one of them a colour
        caption, asked = draw_caption("red ankle boot", chance)
        assert asked_by(caption) == asked and "red ankle boot" in caption
    vocabulary = vocabulary_of(found)
    assert vocabulary == sorted({*COLOURS, "a", "on", "ground", "with", "in", "seven"})
    numbers = encoded(found, vocabulary, 8)
    assert decoded(numbers, vocabulary) == found
    assert [vocabulary[number - 2] for number in numbers[0] if number] == found[0].split()


def test_words_are_small_and_unknown_ones_are_named():
    assert words_of("A bird's RED-ish wing, n°2!") == ["a", "bird's", "red", "ish", "wing", "n", "2"]
    numbers = encoded(["red or blue", "blue"], ["blue", "red"], 3)
    assert numbers.tolist() == [[3, 1, 2], [2, 0, 0]]
    assert asked_for(["Blue, red"], ["blue", "red"], 2).tolist() == [[2, 3]]
    with pytest.raises(
        UserError, match=r"--caption 'a pink bleu': no training caption had pink, bleu: did you mean blue"
    ):
        asked_for(["a pink bleu"], ["a", "blue", "red"], 3)
    with pytest.raises(UserError, match="no training caption had xyzzy: it knows a, blue"):
        asked_for(["xyzzy"], ["a", "blue"], 3)
    for wrong in ("!", "red red red"):
        with pytest.raises(UserError, match="words: training captions had 1 to 2"):
            asked_for([wrong], ["red"], 2)


def test_images_have_the_colours_of_their_captions_as_pillow_gives_them(folder: Path):
    assert not pairs(folder, pairs__kind="negative", pairs__b__limit="200", pairs__image_size="16")
    grey = [read_split(Path("pairs/b"), split) for split in ("train", "heldout")]
    assert not pairs(folder, **CAPTIONS, pairs__b__limit="200")
    a, b = read_meta(Path("pairs/a")), read_meta(Path("pairs/b"))
    assert b["channels"] == 3 and a["counts"] == b["counts"] and a["class_names"] == b["class_names"]
    for split, before in zip(("train", "heldout"), grey, strict=True):
        images, captions = read_split(Path("pairs/b"), split), read_split(Path("pairs/a"), split)
        assert captions.labels is not None and before.labels is not None
        assert (captions.labels == before.labels).all() and (images.labels == before.labels).all()
        sentences = decoded(captions.images, a["vocabulary"])
        for image, was, sentence, label in zip(images.images, before.images, sentences, before.labels, strict=True):
            asked = asked_by(sentence)
            assert asked and DIGITS[label] in sentence
            plain = ImageOps.colorize(Image.fromarray(was[0]), black=COLOURS[asked.ground], white=COLOURS[asked.figure])
            assert np.abs(np.asarray(plain).transpose(2, 0, 1) - image.astype(int)).max() <= 1  # which cuts off
        assert colours_of(images.images, COLOURS) == [asked_by(sentence) for sentence in sentences]
    assert len(read_split(Path("pairs/a"), "train").images) == a["counts"]["train"] > 100


def test_colours_of_a_square_are_found_under_noise_and_a_grey_image_has_none_of_its_own():
    random, names = np.random.default_rng(0), list(COLOURS)
    images = np.zeros((30, 3, 16, 16))
    expected = [tuple(random.permutation(names)[:2].tolist()) for _ in images]
    for image, (figure, ground) in zip(images, expected, strict=True):
        image += np.array(COLOURS[ground])[:, None, None]
        image[:, 3:15, 3:15] = np.array(COLOURS[figure])[:, None, None]
    noisy = (images + random.normal(0, 20, images.shape)).clip(0, 255).astype(np.uint8)
    assert colours_of(noisy, COLOURS) == expected
    assert all(found.figure == found.ground for found in colours_of(np.full((1, 3, 16, 16), 90, np.uint8), COLOURS))


def with_texts(folder: Path, count: int = 80) -> None:
    """Write images of two classes, each with a sentence of its own beside it."""
    for number in range(count):
        colour, words = ("red", "An old, red barn") if number % 2 else ("blue", "the sea is blue today")
        place = folder / "own" / colour
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 200, (18, 18, 3), np.uint8)
        pixels[..., 0 if number % 2 else 2] += 50
        Image.fromarray(pixels).save(place / f"{number}.png")
        (place / f"{number}.txt").write_text(f"{words} {number}")


OWN = STACKGAN | {"pairs__b__dataset": "folder", "pairs__b__path": "own", "pairs__channels_b": "3"}


def test_text_files_beside_images_are_their_captions(folder: Path):
    with_texts(folder)
    assert not pairs(folder, **OWN, pairs__image_size="16")
    vocabulary = read_meta(Path("pairs/a"))["vocabulary"]
    assert {"old", "sea", "red", "79"} - set(vocabulary) <= {"79"} and read_meta(Path("pairs/a"))["length"] == 6
    unseen = 0
    for split in ("train", "heldout"):
        images, captions = read_split(Path("pairs/b"), split), read_split(Path("pairs/a"), split)
        assert images.labels is not None and captions.labels is not None
        for image, sentence, label in zip(
            images.images, decoded(captions.images, vocabulary), images.labels, strict=True
        ):
            assert sentence.startswith(("the sea is blue today", "an old red barn")[label])
            assert (image[0].mean() > image[2].mean()) == bool(label)
            unseen += sentence.endswith("…")  # a number that only a held-out image has
        assert (unseen > 0) == (split == "heldout")
    refused = pairs(folder, **OWN, pairs__b__classes="[red]")
    assert "pairs.b.classes = ['red']: kind captions finds files by their names, and takes all: set it" in refused
    Path("own/9.png").write_bytes(Path("own/red/9.png").read_bytes())
    assert pairs(folder, **OWN) == "pairs.b.path = own: 9.png: lies in no class folder, as others do: move it into one"
    Path("own/9.png").unlink()
    Path("own/red/7.txt").write_text("a red barn", encoding="utf-16")
    assert pairs(folder, **OWN) == "own/red/7.txt: cannot be read as UTF-8: save it so"
    Path("own/red/7.txt").write_text("a red barn", encoding="utf-8-sig")
    shutil.make_archive("own", "zip", "own")
    refused = pairs(folder, **OWN | {"pairs__b__path": "own.zip"})
    assert refused == "pairs.b.path = own.zip: its files are found by their names: unpack it, and name its folder"
    for number in (3, 5):
        Path(f"own/red/{number}.txt").unlink()
    told = pairs(folder, **OWN)
    assert told == "pairs.b.path = own: 2 of 80 images have no caption beside them (red/3.txt, red/5.txt)"
    for number in (3, 5):
        Path(f"own/red/{number}.txt").write_text("?!")
    assert pairs(folder, **OWN) == "own/red/3.txt: has 0 words: a caption has 1 to 64"


def test_captions_of_templates_need_colours_and_their_game(folder: Path):
    assert "pairs.channels_b = 1: captions name colours: set it to 3" in pairs(folder, **STACKGAN)
    assert "pairs.kind = captions: game pix2pix learns from edges" in pairs(folder, pairs__kind="captions")
    assert "pairs.kind = edges: game stackgan learns from captions" in pairs(folder, game="stackgan")
    told = pairs(folder, **CAPTIONS, translate__path="own")
    assert "translate.path = own: game stackgan translates none" in told


def players_and_batch(tmp_path: Path, **changes: str) -> tuple[Any, Players, stackgan.Batch]:
    params = params_of(tmp_path, "stackgan", train__precision="fp32", steps="10", **changes)
    players = build_players(
        build_networks(stackgan, stackgan.configs(params, META), 1), stackgan, 1e-3, (0.5, 0.999), CPU
    )
    torch.manual_seed(0)
    for network in players.networks.values():  # else no figure depends on stage II's last layer, 0 at first
        for weight in network.parameters():
            weight.data += 0.05 * torch.randn_like(weight)
        for reader in (module for module in network.modules() if isinstance(module, TextEncoder)):
            reader.embed.weight.data[0] = 0  # of no word
    captions = torch.tensor([[2, 3, 4, 0, 0, 0], [5, 3, 2, 0, 0, 0], [4, 4, 4, 1, 0, 0], [2, 2, 0, 0, 0, 0]])
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    length = params.games.stackgan.latent_dim + 2 * params.games.stackgan.condition_dim
    return params, players, stackgan.Batch(images, captions, captions.roll(1, 0), torch.randn(4, length))


def plainly_read(reader: Any, captions: torch.Tensor) -> torch.Tensor:
    one_hot = torch.eye(6)[captions] * (captions > 0)[:, :, None]
    return reader.layers((one_hot @ reader.embed.weight).transpose(1, 2)).max(2).values


def conditions(told: Any, captions: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what a stage is told, and its divergence, by PyTorch's own distributions."""
    read = plainly_read(told.reader, captions)
    mean, log_variance = told.to_normal(read).split(noise.shape[1], 1)
    normal = Normal(mean, log_variance.exp().sqrt())
    return normal.mean + normal.stddev * noise, kl_divergence(normal, Normal(0.0, 1.0)).mean()


@pytest.mark.parametrize(("second", "mismatched"), [(False, True), (True, True), (True, False)])
def test_a_step_is_that_of_plain_pytorch(tmp_path: Path, second: bool, mismatched: bool):
    changes = {"games__stackgan__divergence": "3", "games__stackgan__mismatched": str(mismatched).lower()}
    params, players, batch = players_and_batch(tmp_path, **changes)
    constant = stackgan.recipe(params, CPU)
    recipe = stackgan.recipe_at(8 if second else 4, constant, params)
    assert recipe.second == second and recipe.r1_weight == 4
    name = "discriminator" if second else "small_discriminator"
    generator, critic = copy.deepcopy(players.networks["generator"]), copy.deepcopy(players.networks[name])
    before = copy.deepcopy({name: network.state_dict() for name, network in players.networks.items()})
    result = stackgan.step(players, [batch], recipe)

    z, one, two = batch.latents.split([32, 32, 32], 1)
    condition, divergence = conditions(generator.told[0], batch.captions, one)
    generator.first.train(not second)
    fake, real = generator.first(torch.cat([z, condition], 1)), avg_pool2d(batch.b, 2)
    if second:
        draft = fake.detach()
        condition, divergence = conditions(generator.told[1], batch.captions, two)
        planes = condition[:, :, None, None].repeat(1, 1, 4, 4)
        maps = generator.second.refine(torch.cat([generator.second.halve(draft), planes], 1))
        fake = interpolate(draft, scale_factor=2, mode="bicubic") + generator.second.to_image(maps)
        real = batch.b
    real = real.clone().requires_grad_()
    said, of_fake = critic(real, batch.captions), critic(fake.detach(), batch.captions)
    wrong = critic(real, batch.others)
    ones, zeros = torch.ones(4), torch.zeros(4)
    d_loss = binary_cross_entropy_with_logits(said, ones)
    if mismatched:
        d_loss = d_loss + binary_cross_entropy_with_logits(of_fake, zeros) / 2
        d_loss = d_loss + binary_cross_entropy_with_logits(wrong, zeros) / 2
    else:
        d_loss = d_loss + binary_cross_entropy_with_logits(of_fake, zeros)
    slope = torch.autograd.grad(said.sum(), real, create_graph=True)[0]
    penalty = 4 * 0.5 * slope.flatten(1).norm(dim=1).square().mean()
    descend(torch.optim.Adam(critic.parameters(), 1e-3, (0.5, 0.999)), d_loss + penalty)
    g_loss = binary_cross_entropy_with_logits(critic(fake, batch.captions), ones) + 3 * divergence
    learns = [generator.second, generator.told[1]] if second else [generator.first, generator.told[0]]
    weights = [weight for module in learns for weight in module.parameters()]
    descend(torch.optim.Adam(weights, 1e-3, (0.5, 0.999)), g_loss)
    assert float(result.d_loss) == pytest.approx(float(d_loss.detach()), rel=1e-4)
    assert float(result.g_loss) == pytest.approx(float(g_loss.detach()), rel=1e-4)
    assert float(result.divergence) == pytest.approx(float(divergence.detach()), rel=1e-4)
    assert (float(result.d_mismatched) == 0.5) != mismatched
    for ours, plain in ((players.networks["generator"], generator), (players.networks[name], critic)):
        for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
            rounding = other.grad is not None and other.grad.abs().max() < 1e-6  # of a bias before a norm
            assert rounding or (one - other).abs().mean() < 2e-5  # Adam's steps are 1e-3
    rests = ("told.0.", "first.") if second else ("told.1.", "second.")
    state, others = players.networks["generator"].state_dict(), {"discriminator", "small_discriminator"} - {name}
    kept = [key for key in state if key.startswith(rests)]  # norms' own counts, too
    assert kept and all(torch.equal(before["generator"][key], state[key]) for key in kept)
    (other,) = others
    assert all(torch.equal(value, players.networks[other].state_dict()[key]) for key, value in before[other].items())


def test_mismatched_captions_are_other_ones_though_many_are_alike():
    captions = torch.tensor([[2, 3], [2, 3], [2, 4], [2, 3], [5, 3]])
    assert stackgan.unlike(captions).tolist() == [2, 2, 3, 4, 0]
    assert stackgan.unlike(torch.ones(3, 2)).tolist() == [0, 1, 2]


def test_other_captions_are_those_of_other_images(tmp_path: Path):
    params = params_of(tmp_path, "stackgan", batch_size="8")
    images = torch.arange(40, dtype=torch.uint8)[:, None, None, None].expand(40, 3, 16, 16)
    data, draws = {"images": images, "a": torch.arange(40)[:, None].expand(40, 6)}, Draws(1)
    for _ in range(5):
        (batch,) = stackgan.draw(data, draws, stackgan.recipe(params, CPU), params)
        assert ((batch.b[:, 0, 0, 0] + 1) * 127.5).round().tolist() == batch.captions[:, 0].tolist()
        assert (batch.captions != batch.others).all()
        assert sorted(batch.captions[:, 0].tolist()) == sorted(batch.others[:, 0].tolist())


def test_stage_two_begins_with_stage_one_enlarged_and_word_order_counts(tmp_path: Path):
    params = params_of(tmp_path, "stackgan")
    generator: Any = build_networks(stackgan, stackgan.configs(params, META), 1)["generator"].eval()
    captions, latents = torch.tensor([[2, 5, 3, 4, 0, 0], [4, 5, 3, 2, 0, 0]]), torch.randn(1, 96).repeat(2, 1)
    torch.testing.assert_close(generator(latents, captions), Draft(generator)(latents, captions))
    read = generator.told[0].reader(captions)
    assert (read[0] - read[1]).abs().max() > 0.01  # "blue seven on red", "red seven on blue"
    told, noise = ConditioningAugmentation(9, 4), torch.randn(2, 4)
    same = told(captions, noise)[0] - told(captions, torch.zeros(2, 4))[0]
    assert (same.sign() == noise.sign()).all()


def test_a_discriminator_adds_the_product_of_its_features_with_the_caption(tmp_path: Path):
    _, players, batch = players_and_batch(tmp_path)
    critic = players.networks["discriminator"].eval()
    features = critic.judge.downsample(batch.b).permute(0, 2, 3, 1).reshape(4, -1)
    read = plainly_read(critic.reader, batch.captions)
    expected = features @ critic.judge.to_logit.weight[0] + critic.judge.to_logit.bias
    expected = expected + torch.einsum("nf,df,nd->n", features, critic.to_caption.weight, read)
    torch.testing.assert_close(critic(batch.b, batch.captions), expected)


def test_what_is_read_of_images_is_held_against_their_captions(tmp_path: Path):
    names, chance, count = ["whole", "half"], Random(0), 400
    labels = np.arange(count) % 2
    drawn = [draw_caption(names[label], chance) for label in labels]
    grey = np.full((count, 1, 16, 16), 0, np.uint8)
    grey[:, :, 4:12, 4:12] = 255
    grey[labels == 1, :, 4:12, 4:8] = 0  # half a square for the second class
    right = coloured(grey, [asked for _, asked in drawn])
    other = right.copy()
    other[:30] = coloured(grey[1:31], [asked for _, asked in drawn[:30]])  # of the other class
    other[30:50] = coloured(grey[30:50], [Asked(asked.ground, asked.figure) for _, asked in drawn[30:50]])
    vocabulary = vocabulary_of(caption for caption, _ in drawn)
    captions = Split(encoded([*(caption for caption, _ in drawn[:-1]), "what is this"], vocabulary, 8), labels)
    real = Split(right, labels)
    found = Translated(
        made={"ours": right, "baseline": other},
        a={"train": captions, "heldout": captions},
        b={"train": real, "heldout": real},
        judge=cast(Judge, trained_classifier(real, names, epochs=40, seed=1, device=CPU)),
        class_names_a=names,
        vocabulary=vocabulary,
        load=lambda who, name: None,
        derive=None,
        device=CPU,
    )
    rows = stackgan.examine(found, params_of(tmp_path, "stackgan"))
    assert rows["ours"]["as_asked"] == rows["real"]["as_asked"] == 1 and rows["ours"]["as_asked_chance"] == 1 / 24
    assert rows["ours"]["as_asked_shuffled"] == pytest.approx(1 / 24, abs=0.06)
    expected = {"class_kept": 369, "figure_as_asked": 379, "ground_as_asked": 379, "as_asked": 349}
    assert {key: round(rows["baseline"][key] * 399) for key in expected} == expected  # one caption says nothing
    figures = {name: row | {"fid_to_heldout": 1.0} for name, row in rows.items()} | {"first": {"fid_to_heldout": 2.0}}
    claims = stackgan.promises(figures)
    assert [claim.baseline for claim in claims] == [
        "shuffled captions", "chance", "without mismatched captions", "stage I enlarged",
    ]  # fmt: skip
    assert all(claim.held for claim in claims)


@pytest.mark.slow
@pytest.mark.long
def test_a_sentence_becomes_pictures_and_unknown_words_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    prepared(tmp_path, "stackgan")
    trained("ours")
    given = (
        sys.executable,
        "-m",
        "stages.domains.translate",
        "pairs",
        "ours",
        "ours",
        "--out",
        "drawn",
        "--picture",
        "drawn.png",
    )
    sentences = "a red seven on a blue ground", "Three in yellow on white"
    done = run([*given, *(word for sentence in sentences for word in ("--caption", sentence))], tmp_path, check=False)
    assert done.returncode == 0 and "Drew 10 images of each of 2 captions" in done.stdout
    pictures = sorted(Path("drawn").iterdir())
    assert len(pictures) == 20 and Image.open(pictures[0]).size == (16, 16) and Image.open(pictures[0]).mode == "RGB"
    done = run([*given, "--caption", "a pink seven"], tmp_path, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "--caption 'a pink seven': no training caption had pink" in done.stderr and len(pictures) == 20
    network = translate.load_average(Path("ours"), "generator", stackgan)
    assert network.vocabulary == read_meta(Path("pairs/a"))["vocabulary"]
    write_params(tmp_path, "pix2pix")
    done = run([*given, "--caption", "a red seven"], tmp_path, check=False)
    assert done.returncode == 1 and "--caption: game pix2pix reads no captions: train game stackgan" in done.stderr
