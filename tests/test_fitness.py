"""Whether a judge can judge, and what is said and shown of one that can't."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ganlib.evaluation.extractors import notes_on_judge
from ganlib.features.eyes import Extractor, Eyes, class_names_for, eyes_of
from ganlib.features.fitness import judge_fitness
from ganlib.features.judge import ROTATIONS, Judge, judged_classes
from ganlib.report.figures import headline


def answers(*counts: int, right: float, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the true classes, of so many images each, and those of a judge that is right so often, else elsewhere."""
    asked = np.repeat(np.arange(len(counts)), counts)
    wrong = np.random.default_rng(seed).random(len(asked)) >= right
    return asked, np.where(wrong, (asked + 1) % max(len(counts), 2), asked)


@pytest.mark.parametrize(
    ("counts", "right", "reason"),
    [
        ((100, 100), 0.9, ""),
        ((100, 100, 100), 0.5, ""),
        ((100, 100), 0.5, "it is right on .* the commonest class alone is 50.0%"),
        ((190, 20), 0.9, "the commonest class alone is 90.5%"),
        ((300,), 1, "1 class has 20 held-out images, and it takes two"),
        ((300, 19), 1, "1 class has 20"),
        ((19, 19, 19), 1, "0 classes have 20"),
    ],
)
def test_a_judge_needs_two_classes_and_more_than_chance(counts: tuple[int, ...], right: float, reason: str):
    import re

    fitness = judge_fitness(*answers(*counts, right=right))
    assert re.search(reason, fitness.unfit_because) and bool(reason) == bool(fitness.unfit_because)
    assert fitness.accuracy == pytest.approx(right, abs=0.06)


def test_guessing_is_hardly_ever_fit():
    random = np.random.default_rng(0)
    asked = np.repeat([0, 1, 2], 40)
    fit = sum(not judge_fitness(asked, random.integers(0, 3, 120)).unfit_because for _ in range(500))
    assert fit <= 5


def test_one_class_teaches_nothing_so_that_rotations_take_its_place():
    assert judged_classes(["cat"]) == judged_classes([]) == ROTATIONS and judged_classes(["a", "b"]) == ["a", "b"]


def test_beside_other_features_only_a_good_judge_names_classes():
    judge = Judge(image_size=8, channels=3, class_names=["a", "b"])
    own, other = (Extractor(judge, features, "", {}) for features in (None, lambda images, device: np.zeros((1, 1))))
    good, poor = (eyes_of("lite0", judge_fitness(*answers(90, 90, right=share)), True, 0.95) for share in (1, 0.8))
    assert class_names_for(other, good) == class_names_for(own, poor) == ["a", "b"]
    assert class_names_for(other, poor) == []
    turned = Extractor(Judge(image_size=8, channels=3, class_names=ROTATIONS), None, "", {})
    assert class_names_for(turned, good) == []


def eyes(accuracy: float, unfit_because: str = "") -> Eyes:
    return Eyes("judge", "classes", accuracy, not unfit_because, unfit_because, False)


@pytest.mark.parametrize("poor", [eyes(0.44), eyes(1.0, "1 class has 20 held-out images, and it takes two")])
def test_an_unreliable_judge_gives_no_headline_and_a_word_of_what_to_take(
    poor: Eyes, capsys: pytest.CaptureFixture[str]
):
    notes = notes_on_judge(poor, "judge", 0.95)
    warned = capsys.readouterr().err
    assert "evaluate.extractor to lite0" in warned and not notes["judge_reliable"]
    figures = {"valid": 1.0, "valid_heldout": 1.0, "diversity_score": 0.9, "protocol_extractor": "judge"}
    assert headline(figures | notes) == []
    assert [figure.title for figure in headline(figures | notes_on_judge(eyes(0.99), "judge", 0.95))] == [
        "Diversity score",
        "Valid share",
    ]
    notes_on_judge(poor, "lite0", 0.95)
    assert headline(figures | notes | {"protocol_extractor": "lite0"}) and "WARNING" not in capsys.readouterr().err
