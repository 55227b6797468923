"""The stage probe: the claims of games beside their baselines, and what stands where there is none."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge, RidgeClassifier

from ganlib.core.packed import Split
from ganlib.core.params import load_params
from ganlib.features.eyes import Extractor
from ganlib.features.judge import Judge
from ganlib.games import gan
from ganlib.metrics.linear import STRENGTHS, linear_guesses
from ganlib.networks.families import build_discriminator, discriminator_config
from ganlib.training.claims import Claim, Subject
from tests.conftest import edit_params
from tests.test_training import CPU, settings

SIZE = 8


def test_the_linear_classifier_is_scikit_learns_at_the_penalty_that_leaving_each_image_out_chooses():
    random = np.random.default_rng(0)
    classes, others = np.arange(60) % 3, random.normal(size=(500, 20))
    features = random.normal(size=(60, 20)) + 0.6 * np.eye(20)[classes]
    guesses = linear_guesses(features, classes, others)
    centred, known = features - features.mean(0), np.eye(3)[classes]
    penalties = STRENGTHS * np.linalg.eigvalsh(centred @ centred.T).mean()

    def right_when_left_out(penalty: float) -> int:
        plain = Ridge(alpha=penalty, fit_intercept=False)
        without = [np.arange(60) != image for image in range(60)]
        fits = [plain.fit(centred[kept], (known - known.mean(0))[kept]).predict(centred[~kept]) for kept in without]
        return sum((np.concatenate(fits) + known.mean(0)).argmax(1) == classes)

    chosen = penalties[int(np.argmax([right_when_left_out(penalty) for penalty in penalties]))]
    assert STRENGTHS[0] < chosen / (penalties[0] / STRENGTHS[0]) < STRENGTHS[-1]
    assert np.array_equal(guesses, RidgeClassifier(alpha=chosen).fit(features, classes).predict(others))
    assert 0.4 < (linear_guesses(features, classes, features) == classes).mean() < 1
    assert not np.array_equal(guesses, RidgeClassifier(alpha=penalties[-1]).fit(features, classes).predict(others))


def test_features_that_do_not_differ_are_no_mistake():
    assert set(linear_guesses(np.ones((6, 4)), np.array([0, 1, 1, 1, 0, 1]), np.ones((3, 4)))) == {1}


def subject_of(labelled: bool = True) -> tuple[Subject, Any]:
    """Return real digits of 8 pixels and an untrained discriminator."""
    params = settings(width=8)
    pixels, labels = load_digits(return_X_y=True)
    images = np.rint(pixels.reshape(-1, 1, SIZE, SIZE) * (255 / 16)).astype(np.uint8)
    config = discriminator_config(params.model, SIZE, 1)
    names = [str(digit) for digit in range(10)]
    splits = [Split(images[rows], labels[rows] if labelled else None) for rows in (slice(0, 900), slice(900, None))]
    subject = Subject(
        networks={"discriminator": build_discriminator(**config).eval()},
        configs={"discriminator": config},
        train=splits[0],
        heldout=splits[1],
        judge=(judge := Judge(image_size=SIZE, channels=1, class_names=names)),
        extractor=Extractor(judge, None, "domain_", {}),
        class_names=names if labelled else [],
        evaluations=pd.DataFrame(),
        device=CPU,
    )
    return subject, params


def test_the_accuracy_on_pixels_is_that_of_scikit_learn_and_wrong_ones_are_shown():
    subject, params = subject_of()
    first, second = gan.probe(subject, params, torch.Generator().manual_seed(0)).claims
    train, heldout = subject.train, subject.heldout
    assert train.labels is not None and heldout.labels is not None
    plain = RidgeClassifier(alpha=1.0).fit(train.images.reshape(900, -1) / 127.5 - 1, train.labels)
    expected = plain.score(heldout.images.reshape(len(heldout.images), -1) / 127.5 - 1, heldout.labels)
    assert first.baseline_value == pytest.approx(expected, abs=0.01)
    assert first.value == second.value and 0.8 < second.baseline_value < 1  # random features are good ones
    assert not second.held or second.value > second.baseline_value


def test_the_features_are_those_of_the_discriminator_at_hand():
    subject, params = subject_of()
    ordinary = gan.probe(subject, params, torch.Generator().manual_seed(0))
    for weight in subject.networks["discriminator"].parameters():
        weight.data.zero_()
    blind = gan.probe(subject, params, torch.Generator().manual_seed(0))
    assert blind.claims[0].value < 0.2 < 0.8 < ordinary.claims[0].value and not blind.claims[0].held
    assert blind.claims[0].baseline_value == ordinary.claims[0].baseline_value


@pytest.mark.parametrize("changes", [{"conditional": "concat"}, {}], ids=str)
def test_there_is_no_claim_without_labels_nor_where_d_was_told_them(changes: dict[str, Any]):
    subject, _ = subject_of(labelled=bool(changes))
    findings = gan.probe(subject, settings(width=8, **changes), torch.Generator())
    assert not findings.claims and ("concat" if changes else "no two classes") in findings.absent


@pytest.mark.parametrize(
    ("value", "better", "held"), [(2, "higher", True), (1, "higher", False), (0, "lower", True), (2, "lower", False)]
)
def test_a_claim_is_held_if_its_value_is_better_and_not_if_it_is_equal_or_no_number(
    value: float, better: Any, held: bool
):
    assert Claim("", value, "", 1, better, "").held == held
    assert not Claim("", float("nan"), "", 1, better, "").held


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"game": "semi", "model.conditional": "concat"}, "model.conditional = concat: game semi takes no classes"),
        ({"game": "aae", "model.conditional": "auxiliary"}, "model.conditional = auxiliary: game aae takes no"),
        ({"game": "semi", "train.on_collapse": "restore_best"}, "train.on_collapse = restore_best: the judge"),
        ({"game": "sgan"}, "game = 'sgan': must be 'gan', 'semi', 'aae', 'bigan', 'infogan' or 'vision_aided'"),
        ({"games.semi.labels": "0"}, "games.semi.labels = 0: must be greater than or equal to 1"),
        ({"games.semi.feature_matching": "1"}, "games.semi.feature_matching = 1: must be true or false"),
        ({"games.infogan.categories": "1000"}, "games.infogan.categories = 1000: must be less than or equal to 100"),
        ({"games.gan": "{labels: 3}"}, "unknown key games.gan.labels: games.gan has no keys"),
    ],
)
def test_what_a_game_can_not_be_asked_for_is_one_line(params_file: Path, changes: dict[str, str], message: str):
    from ganlib.core.errors import UserError

    params_file.write_text(edit_params(params_file.read_text(), changes))
    with pytest.raises(UserError) as caught:
        load_params()
    assert message in str(caught.value) and "\n" not in str(caught.value)
