"""The game with few labels: its arithmetic against plain PyTorch, and that hidden labels stay hidden."""

import copy
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ganlib.core.errors import UserError
from ganlib.core.files import read_json, sha256_of
from ganlib.core.packed import Split
from ganlib.core.params import load_params
from ganlib.features.eyes import Extractor
from ganlib.features.judge import Judge
from ganlib.functional.losses import LOSSES
from ganlib.games import semi
from ganlib.networks.families import FAMILIES, build_discriminator
from ganlib.training.claims import Subject
from ganlib.training.game import Draws, Players, build_networks, build_players
from ganlib.training.rehearsal import rehearse
from tests.conftest import edit_params, small_params
from tests.test_oracle import in_double  # noqa: F401
from tests.test_stages import Recorder, arguments_of, declared_params, invoke
from tests.test_training import CPU, settings

SIZE, CLASSES, EACH = 8, 3, 20
META = {
    "image_size": SIZE,
    "channels": 1,
    "class_names": ["a", "b", "c"],
    "counts_per_class": {"train": dict.fromkeys("abc", EACH)},
    "aspect": 1.0,
}
PLAIN = {"real_label_low": 1, "real_label_high": 1, "label_flip": 0, "r1": 0, "translation": 0, "labels": 4}
PLAIN |= {"game": "semi", "width": 4, "precision": "fp32", "steps": 4, "conditional": "none"}


def data_of_noise() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (CLASSES * EACH, 1, SIZE, SIZE), dtype=torch.uint8, generator=random)
    return {"images": images, "labels": torch.arange(CLASSES).repeat(EACH)}


def players_of(params: Any) -> Players:
    networks = build_networks(semi, semi.configs(params, META), params.seed)
    random = torch.Generator().manual_seed(0)
    for network in networks.values():
        for weight in network.parameters():  # large enough that features and logits are no rounding
            nn.init.normal_(weight, 0.0, 0.3, random)
    return build_players(networks, semi, params.lr, params.train.betas, CPU)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_logit_is_that_of_not_being_the_last_of_one_class_more_whose_logit_is_0(family: str):
    params = settings(architecture=family, **PLAIN)
    discriminator = build_discriminator(**semi.configs(params, META)["discriminator"]).eval()
    nn.init.normal_(discriminator.to_classes.weight, 0, 3)
    logits, class_logits = discriminator.classify(torch.randn(9, 1, SIZE, SIZE))
    shares = torch.cat([class_logits, torch.zeros(9, 1)], 1).softmax(1)
    assert class_logits.shape == (9, CLASSES) and logits.std() > 0.1
    torch.testing.assert_close(logits.sigmoid(), 1 - shares[:, -1])
    assert {name for name, _ in discriminator.named_parameters() if "to_" in name} == {
        "to_classes.weight",
        "to_classes.bias",
    }


def plain_steps(players: Players, data: Mapping[str, torch.Tensor], params: Any, game: bool) -> nn.Module:
    """Train as Salimans 2016 has it, by cross-entropies of one class more than there are, on what ganlib draws.

    Return the plain moving average; without `game`, of labelled images alone.
    """
    draws, recipe, matching = Draws(params.seed), semi.recipe(params, CPU), params.games.semi.feature_matching
    generator, discriminator = players.networks["generator"], players.networks["discriminator"]
    average = copy.deepcopy(discriminator)
    adams = [torch.optim.Adam(net.parameters(), betas=params.train.betas) for net in (discriminator, generator)]

    def wide(images: torch.Tensor) -> torch.Tensor:
        logits = discriminator.to_classes(discriminator.features(images, None))
        return torch.cat([logits, logits.new_zeros(len(logits), 1)], 1)

    for step in range(1, params.steps + 1):
        for adam in adams:
            adam.param_groups[0]["lr"] = params.lr * min(1, 2 * (params.steps - step + 1) / params.steps)
        if game:
            batch, told = semi.draw(data, draws, semi.recipe_at(step, recipe, params), params)
        else:
            told = semi.draw_labelled(data, draws, recipe, params)
        told_logits = discriminator.to_classes(discriminator.features(told.images, None))
        loss, fakes = params.loss.auxiliary * cross_entropy(told_logits, told.labels), torch.empty(0)
        if game:
            last = torch.full((params.batch_size,), CLASSES)
            real = -torch.log1p(-wide(batch.real_images).softmax(1)[:, -1]).mean()
            fakes = generator(batch.latents, None)
            loss = loss + real + cross_entropy(wide(fakes.detach()), last)
        adams[0].zero_grad()
        loss.backward()
        adams[0].step()
        if game:
            if matching:
                real, fake = (discriminator.features(images, None).mean(0) for images in (batch.real_images, fakes))
                g_loss = (fake - real.detach()).square().mean()
            else:
                g_loss = -torch.log1p(-wide(fakes).softmax(1)[:, -1]).mean()
            adams[1].zero_grad()
            g_loss.backward()
            adams[1].step()
        decay = 0.5 ** (1 / min(params.train.ema_halflife / params.batch_size, 0.05 * step))
        for ours, theirs in zip(average.parameters(), discriminator.parameters(), strict=True):
            ours.data = decay * ours.data + (1 - decay) * theirs.data
        for ours, theirs in zip(average.buffers(), discriminator.buffers(), strict=True):
            ours.data = theirs.data.clone()
    return average


def same(ours: nn.Module, theirs: nn.Module, before: nn.Module) -> None:
    old, expected = before.state_dict(), theirs.state_dict()
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value.to(expected[name]), expected[name], rtol=0, atol=1e-6, msg=name)
    assert max((expected[name] - old[name]).abs().max() for name in expected) > 1e-3


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize(
    "changes", [{}, {"feature_matching": True}, {"auxiliary": 3.0, "flip": True}, {"d_norm": "none"}], ids=str
)
def test_a_training_computes_what_the_paper_says(changes: dict[str, Any]):
    params = settings(**PLAIN | changes)
    players, plain = players_of(params), players_of(params)
    before, data = players_of(params), semi.shown(data_of_noise(), params)
    for each in (players, plain, before):
        for network in (*each.networks.values(), *each.averages.values()):
            network.double()
    average = plain_steps(plain, data, params, game=True)
    draws, recipe = Draws(params.seed), semi.recipe(params, CPU)

    def take_step(step: int) -> None:
        at = semi.recipe_at(step, recipe, params)
        semi.step(players, semi.draw(data, draws, at, params), at)

    rehearse(players, params, take_step)
    for name in ("generator", "discriminator"):
        same(players.networks[name], plain.networks[name], before.networks[name])
    same(players.averages["discriminator"], average, before.networks["discriminator"])


def subject_of(players: Players, params: Any) -> Subject:
    data = data_of_noise()
    split = Split(data["images"].numpy(), data["labels"].numpy())
    return Subject(
        networks=players.averages,
        configs=semi.configs(params, META),
        train=split,
        heldout=split,
        judge=(judge := Judge(image_size=SIZE, channels=1, class_names=list("abc"))),
        extractor=Extractor(judge, None, "domain_", {}),
        class_names=list("abc"),
        evaluations=pd.DataFrame({"step": [2, 4], "accuracy": [0.25, 0.5]}),
        device=CPU,
    )


def test_the_baseline_is_the_same_net_trained_on_the_same_labels_alone():
    params = settings(**PLAIN)
    networks = build_networks(semi, semi.configs(params, META), params.seed)
    plain, before = (build_players(copy.deepcopy(networks), semi, params.lr, (0.5, 0.999), CPU) for _ in range(2))
    data = semi.shown(data_of_noise(), params)
    average = plain_steps(plain, data, params, game=False)
    found, curve = semi.labels_alone(subject_of(before, params), data, params)
    same(found, average, before.networks["discriminator"])
    assert curve["step"].tolist() == [2, 4] and curve["value"].iloc[-1] == accuracy_of(found)


def accuracy_of(classifier: nn.Module) -> float:
    data = data_of_noise()
    images: Any = data["images"].float() / 127.5 - 1
    guessed = torch.cat([classifier.classify(images)[1]]).argmax(1)  # pyright: ignore
    return float((guessed == data["labels"]).float().double().mean())


def test_the_labels_of_the_game_and_of_its_baseline_are_drawn_alike():
    params, recipe = settings(**PLAIN | {"translation": 0.25, "flip": True}), None
    data = semi.shown(data_of_noise(), params)
    recipe = semi.recipe(params, CPU)
    played, alone = Draws(1), Draws(1)
    for _ in range(3):
        (_, told), others = semi.draw(data, played, recipe, params), semi.draw_labelled(data, alone, recipe, params)
        assert torch.equal(told.images, others.images) and torch.equal(told.labels, others.labels)


def test_the_probe_counts_what_both_get_right_and_shows_the_labels():
    params = settings(**PLAIN)
    players = players_of(params)
    findings = semi.probe(subject_of(players, params), params, torch.Generator())
    (claim,) = findings.claims
    assert claim.name == "held-out accuracy with 12 labels" and claim.better == "higher"
    assert claim.value == accuracy_of(players.averages["discriminator"])
    rows = findings.pictures["the_labelled_images"]
    data = data_of_noise()
    for label, name in enumerate("abc"):
        own = {image.tobytes() for image in data["images"][data["labels"] == label].numpy()}
        assert len(rows[name]) == 4 and {image.tobytes() for image in rows[name]} <= own
    accuracy = findings.tables["accuracy"]
    game = accuracy[accuracy["series"] == "with the game"]
    assert game["value"].tolist() == [0.25, 0.5] and set(accuracy["step"]) == {2, 4}


def test_as_many_labels_of_each_class_as_asked_are_shown_and_no_others():
    params, data = settings(**PLAIN), data_of_noise()
    shown = semi.shown(data, params)
    assert set(shown) == {"images", "labelled", "labels"}
    assert shown["labels"].bincount().tolist() == [4, 4, 4] and len(set(shown["labelled"].tolist())) == 12
    assert torch.equal(data["labels"][shown["labelled"]], shown["labels"])
    other = semi.shown(data, settings(**PLAIN | {"seed": 2}))
    assert set(other["labelled"].tolist()) != set(shown["labelled"].tolist())


def hidden_changed(labels: torch.Tensor, params: Any) -> torch.Tensor:
    """Return other labels for all images that are not labelled, for which the same ones are chosen.

    In the order in which labels are given, one class has its last before the others: all hidden ones may be of it.
    """
    data = {"images": torch.zeros(len(labels)), "labels": labels}
    kept = semi.shown(data, params)["labelled"]
    for label in labels.unique():
        changed = torch.full_like(labels, int(label))
        changed[kept] = labels[kept]
        if set(semi.shown(data | {"labels": changed}, params)["labelled"].tolist()) == set(kept.tolist()):
            return changed
    raise AssertionError("no class is full first")


@pytest.mark.slow
def test_no_byte_that_is_published_depends_on_a_hidden_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    changes = {"game": "semi", "data.image_size": "8", "steps": "12", "games.semi.labels": "3", "batch_size": "32"}
    changes |= {"evaluate.judge_epochs": "2", "train.ema_halflife": "64"}
    Path("params.yaml").write_text(edit_params(small_params(), changes))
    invoke("prepare", *arguments_of("prepare"))
    params, path = load_params(), Path("data/prepared/train_labels.npy")
    labels, kept, found = torch.from_numpy(np.load(path)), [], []
    for given in (labels, hidden_changed(labels, params)):
        np.save(path, given.numpy())
        for stage in ("judge", "train", "publish"):
            invoke(stage, *arguments_of(stage))
        kept.append({file.name: sha256_of(file) for file in Path("data/model").glob("*.*") if file.suffix != ".md"})
        kept[-1]["history"] = sha256_of(Path("data/training/history.csv"))
        found.append(Path("data/training/evaluations.csv").read_text())
    assert (hidden_changed(labels, params) != labels).float().mean() > 0.7
    assert kept[0] == kept[1] and {"discriminator.safetensors", "published.json"} <= set(kept[0])
    assert found[0] != found[1]  # the judge has seen them
    assert read_json(Path("data/model/published.json"))["published"] == "final"


@pytest.mark.slow
def test_every_stage_serves_the_game_and_probe_reads_the_params_that_it_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(edit_params(small_params(), {"game": "semi"}))
    for stage in ("prepare", "judge", "train", "publish", "sample", "reference", "evaluate"):
        invoke(stage, *arguments_of(stage))
    with pytest.MonkeyPatch.context() as recording:
        recorder = Recorder()
        recorder.install(recording)
        recording.setattr("stages.probe.load_params", recorder.load)
        invoke("probe", *arguments_of("probe"))
    declared = {key for key in declared_params("probe") if not key.startswith("games.")}
    assert {key for key in recorder.reads if not key.startswith("games.")} == declared
    for stage in ("explore", "complete", "report"):
        invoke(stage, *arguments_of(stage))
    claims, page = read_json(Path("metrics/probe.json")), Path("report/index.html").read_text()
    assert list(claims) == ["held-out accuracy with 100 labels"]
    assert (
        "What this game promises" in page
        and "The labelled images" in page
        and "The model is the last generator" in page
    )
    assert "The game&#39;s own: accuracy" in page
    invoke("checkpoints", "publish", next(Path("checkpoints").iterdir()).name, "--out", "stopped")
    assert read_json(Path("stopped/published.json"))["published"] == "stopped"


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"class_names": []}, "game = semi: the prepared images have no two classes"),
        ({"class_names": ["a"]}, "no two classes to tell apart; give images in a subfolder per class"),
        (
            {"counts_per_class": {"train": {"a": 20, "b": 3, "c": 20}}},
            r"games\.semi\.labels = 4: class b has 3 training images; lower it",
        ),
    ],
)
def test_images_with_too_few_labels_are_refused(meta: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        semi.configs(settings(**PLAIN), META | meta)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_that_is_not_finite_ends_the_training_as_there_is_no_best_to_take(loss: str):
    from ganlib.training.loop import back_to_best

    training: Any = SimpleNamespace(best={"any": 1}, players=None, restored=0)
    with pytest.raises(UserError, match="step 3"):
        back_to_best(training, semi, "warn", "step 3: not finite")
