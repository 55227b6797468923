"""Watching a training: alarms, the best weights, and what a collapse does."""

import copy
import io
import math
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, minimize_scalar

from ganlib.core.errors import UserError
from ganlib.core.files import read_json, read_table
from ganlib.core.images import to_unit_range
from ganlib.core.packed import evenly
from ganlib.core.params import load_domains_params, load_params
from ganlib.core.schema import CriticLoss, LabelledLoss, Params
from ganlib.functional.losses import LOSSES, Targets
from ganlib.networks.families import discriminator_config, generator_config, load_discriminator, load_generator
from ganlib.training.alarms import EVALUATION_ALARMS, LOG_ALARMS, STUCK_ROWS, Curves
from ganlib.training.loop import RESTORES
from ganlib.training.publish import publish
from ganlib.training.results import save_results
from ganlib.training.state import Training
from tests.conftest import ROOT
from tests.test_training import go_on, start, watch_of

HEALTHY = {"d_loss": 1.2, "g_loss": 0.9, "d_grad_norm": 3.0, "g_grad_norm": 2.0}


def raised(history: list[dict[str, float]], scores: list[float] = [], smallest: float = 0.0) -> list[str]:  # noqa: B006
    evaluations = [{"diversity_score": score} for score in scores]
    curves = Curves(history, evaluations, smallest)
    return [alarm.name for alarm in (*LOG_ALARMS, *EVALUATION_ALARMS) if alarm.value(curves) is not None]


def rows(**changes: float) -> list[dict[str, float]]:
    """Return a long enough history whose losses move, but for the changes."""
    return [HEALTHY | {"d_loss": 1.2 + row / 100, "g_loss": 0.9 - row / 100} | changes for row in range(STUCK_ROWS)]


def test_a_healthy_training_raises_no_alarm():
    assert raised(rows(), [0.1, 0.5, 0.9, 0.88, 0.9]) == []


@pytest.mark.parametrize("name", ["d_loss", "g_grad_norm"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_raises_the_alarm(name: str, value: float):
    assert "not_finite" in raised([HEALTHY | {name: value}])


def test_diversity_under_half_of_its_best_is_a_collapse():
    assert raised(rows(), [0.2, 0.8, 0.39]) == ["collapse"]
    assert raised(rows(), [0.2, 0.8, 0.41]) == []


def test_the_unsteady_scores_of_a_generator_that_has_learnt_nothing_yet_are_no_collapse():
    assert raised(rows(), [0.0, 0.2, 0.0]) == []


def test_a_generator_that_is_not_diverse_after_some_evaluations_raises_the_alarm():
    assert raised(rows(), [0.0, 0.1, 0.0, 0.2, 0.1]) == ["not_diverse"]
    assert raised(rows(), [0.0, 0.1, 0.0, 0.2]) == raised(rows(), [0.0, 0.1, 0.3, 0.2, 0.2]) == []


def at_the_end(**levels: float) -> list[str]:
    """Return the alarms of a training of one row and one evaluation, which ends here."""
    curves = Curves([HEALTHY], [{"diversity_score": 0.8, "valid": 0.5} | levels], 0.0, last=True)
    return [alarm.name for alarm in (*LOG_ALARMS, *EVALUATION_ALARMS) if alarm.value(curves) is not None]


def test_one_evaluation_at_the_end_is_enough_where_there_is_nothing():
    assert at_the_end() == at_the_end(diversity_score=0.06, valid=0.06) == []
    assert at_the_end(diversity_score=0.0) == ["not_diverse"]
    assert at_the_end(valid=0.01) == ["not_valid"]


def test_a_generator_without_valid_images_raises_the_alarm_before_the_end_too():
    evaluations = [{"diversity_score": 0.5, "valid": share} for share in (0.3, 0.04, 0.01, 0.02, 0.0, 0.03)]

    def fired(shown: int) -> bool:
        return any(alarm.name == "not_valid" and alarm.value(Curves([], evaluations[:shown], None)) is not None
                   for alarm in EVALUATION_ALARMS)  # fmt: skip

    assert [fired(shown) for shown in range(1, 7)] == [False] * 5 + [True]


def test_a_discriminator_that_has_memorised_raises_the_alarm_at_the_second_evaluation():
    def fired(*shares: float) -> bool:
        evaluations = [{"diversity_score": 0.8, "valid": 0.5, "d_memorises": share} for share in shares]
        return "d_memorises" in [
            a.name for a in EVALUATION_ALARMS if a.value(Curves([], evaluations, None)) is not None
        ]

    assert fired(0.1, 0.6, 0.7) and not fired(0.6) and not fired(0.7, 0.4) and not fired(0.7, math.nan)


def test_what_d_has_memorised_is_the_way_from_training_to_generated_images():
    _, images, params = start(0)
    watch = watch_of(images.repeat(3, 1, 1, 1), params)
    brightness = torch.nn.Sequential(torch.nn.Flatten(), Mean())
    seen, unseen, fakes = (np.full((120, 1, 8, 8), level, np.uint8) for level in (200, 150, 100))
    shown = replace(watch, seen=seen, unseen=unseen)
    assert shown.memorised_by(brightness, fakes)["d_memorises"] == pytest.approx(0.5)
    assert replace(shown, unseen=seen).memorised_by(brightness, fakes)["d_memorises"] == pytest.approx(0)
    assert replace(shown, unseen=fakes).memorised_by(brightness, fakes)["d_memorises"] == pytest.approx(1)
    assert math.isnan(shown.memorised_by(brightness, seen)["d_memorises"])
    few = replace(shown, unseen=unseen[:99])
    assert few.memorised_by(brightness, fakes) == {} and "99 held-out images are under 100" in few.memory_absent
    assert shown.memorised_by(None, fakes) == {} and brightness.training


def test_memory_is_measured_over_all_classes_of_a_folder_where_they_lie_one_after_the_other():
    _, _, params = start(0)
    levels = (torch.arange(10) * 25).repeat_interleave(150)  # 1,500 images, ten classes
    watch = watch_of(levels[:, None, None, None].expand(-1, 1, 8, 8).to(torch.uint8).contiguous(), params)
    for side in (watch.seen, watch.unseen):
        assert len(side) == 1000 and (np.unique(side[:, 0, 0, 0], return_counts=True)[1] == 100).all()
    assert [*evenly(7, 3)] == [0, 3, 6] and [*evenly(4, 9)] == [0, 1, 2, 3]


class Mean(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(1)


def test_a_discriminator_that_has_nothing_left_to_learn_raises_the_alarm():
    assert raised(rows(d_loss=0.33), smallest=0.325) == ["discriminator_wins"]
    assert raised(rows(d_loss=0.33)[1:], smallest=0.325) == []


def test_a_gradient_norm_that_stays_over_100_raises_the_alarm():
    assert raised(rows(g_grad_norm=101)) == ["large_gradient"]
    assert raised([*rows()[1:], HEALTHY | {"g_grad_norm": 500}]) == []


def test_losses_that_stand_still_raise_the_alarm_when_both_do():
    assert raised(rows(d_loss=0.7, g_loss=0.7)) == ["frozen_losses"]
    assert raised(rows(d_loss=0.7)) == []


def images_of_each_kind(targets: Targets, count: int = 100) -> tuple[torch.Tensor, torch.Tensor]:
    """Return labels of real and of fake images, (count,) each, as many of each kind as their share."""
    flipped = round(targets.flip * count)
    drawn = torch.linspace(targets.real_low, targets.real_high, count - flipped, dtype=torch.float64)
    real_labels = torch.cat([torch.zeros(flipped, dtype=torch.float64), drawn])
    return real_labels, (torch.arange(count) < flipped).double()


def d_loss_at(name: str, targets: Targets, logits: np.ndarray) -> float:
    """Return D's loss where it gives all real images one logit and all fakes another."""
    labels = images_of_each_kind(targets)
    real, fake = (torch.full_like(labels[0], logit) for logit in logits)
    return LOSSES[name].discriminator(real, fake, *labels).item()


TARGETS = [Targets(1, 1, 0), Targets(0.9, 0.9, 0), Targets(0.9, 0.9, 0.1), Targets(0.7, 1, 0), Targets(0.6, 1, 0.2)]


@pytest.mark.parametrize("name", ["nonsaturating", "minimax", "boundary", "least_squares", "hinge"])
@pytest.mark.parametrize("targets", TARGETS, ids=str)
def test_the_smallest_loss_of_d_is_what_minimising_it_reaches(name: str, targets: Targets):
    options = {"xatol": 1e-6, "fatol": 1e-9}
    reached = minimize(partial(d_loss_at, name, targets), [0.5, -0.5], method="Nelder-Mead", options=options).fun
    assert LOSSES[name].smallest_d_loss(targets) == pytest.approx(reached, abs=2e-3)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("targets", TARGETS, ids=str)
def test_the_undecided_logit_is_where_d_is_best_if_it_must_say_the_same_of_all(name: str, targets: Targets):
    undecided = LOSSES[name].undecided(targets)
    alike = minimize_scalar(lambda logit: d_loss_at(name, targets, np.array([logit, logit])), (-1.0, 1.0))
    if undecided is None:  # as good anywhere near
        assert all(d_loss_at(name, targets, np.array([at, at])) == pytest.approx(alike.fun) for at in (-0.9, 0, 0.9))
    else:
        assert alike.x == pytest.approx(undecided, abs=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_labelled_if_labels_change_it_and_the_schema_says_the_same(name: str):
    plain, smoothed = (d_loss_at(name, targets, np.array([0.3, -0.2])) for targets in (TARGETS[0], TARGETS[2]))
    assert LOSSES[name].labelled == (plain != smoothed) == (name in get_args(LabelledLoss))


def test_every_loss_of_the_schema_has_its_row():
    assert {*get_args(LabelledLoss), *get_args(CriticLoss)} == set(LOSSES)


def configs_of(params: Params) -> dict[str, dict[str, Any]]:
    return {
        "generator": generator_config(params.model, 8, 1),
        "discriminator": discriminator_config(params.model, 8, 1),
    }


def past(training: Training) -> None:
    """Give a training a past in which it was good and diverse, so that what follows is a collapse."""
    figures = {"domain_fid_to_heldout": 0.0, "valid": 0.9, "diversity_score": 0.9, "classes_covered": 4}
    training.evaluations.append({"step": 0, **figures})
    training.best = copy.deepcopy(training.players.state())


def test_a_collapse_only_warns_unless_more_is_asked_for():
    training, images, params = start(1, evaluate_every=1)
    past(training)
    warnings = go_on(training, images, params)
    assert training.step == params.steps and not training.restored
    assert len(warnings) == 1 and "diversity score has fallen" in warnings[0]
    assert [(row["step"], row["alarm"]) for row in training.alarms] == [(1, "collapse")]


def test_a_collapse_can_stop_the_training():
    training, images, params = start(1, evaluate_every=2, on_collapse="stop")
    past(training)
    go_on(training, images, params)
    assert training.ended and training.step == 2


def test_a_collapse_can_restore_the_best_weights_with_half_the_learning_rate_a_few_times():
    training, images, params = start(1, evaluate_every=1, steps=10, on_collapse="restore_best", lr_decay_start=1)
    past(training)
    go_on(training, images, params)
    assert training.ended and training.restored == RESTORES
    lr = params.lr
    assert [row["lr"] for row in training.history] == [lr, lr / 2, lr / 4, lr / 8]


def test_weights_that_are_lost_end_the_training_with_the_best_or_with_an_error():
    training, images, params = start(1)
    past(training)
    training.players.networks["generator"].get_parameter("to_image.weight").data.fill_(math.nan)
    go_on(training, images, params)
    assert training.ended and training.step == 1
    training, images, params = start(1)
    training.players.networks["generator"].get_parameter("to_image.weight").data.fill_(math.nan)
    with pytest.raises(UserError, match=r"step 1: a loss or gradient is not finite .*: lower lr"):
        go_on(training, images, params)


def test_a_return_at_the_last_step_ends_with_the_best_weights_and_their_figures(tmp_path: Path):
    training, images, params = start(1, evaluate_every=3, steps=3, on_collapse="restore_best")
    past(training)
    go_on(training, images, params)
    assert training.restored == 1 and [(row["step"], row["alarm"]) for row in training.alarms] == [(3, "collapse")]
    save_results(tmp_path, training, configs_of(params), {"train_precision": "fp32"})
    figures, weights = read_json(tmp_path / "training.json"), "generator_ema.safetensors"
    assert figures["train_final_step"] == figures["train_best_step"] == 0
    assert figures["train_final_diversity_score"] == 0.9 and figures["train_alarms"] == 1
    assert (tmp_path / "final" / weights).read_bytes() == (tmp_path / "best" / weights).read_bytes()
    go_on(training, images, params)  # the same from the last checkpoint
    assert training.restored == len(training.alarms) == 1


def test_weights_that_are_no_numbers_are_not_published(tmp_path: Path):
    training, images, params = start(1)
    past(training)
    training.progress[0] = images[:1]
    training.players.networks["generator"].get_parameter("to_image.weight").data.fill_(math.nan)
    go_on(training, images, params)
    save_results(tmp_path, training, configs_of(params), {"train_precision": "fp32"})
    (tmp_path / "model").mkdir()
    with pytest.raises(UserError, match=r"^publish.checkpoint = final: .*not finite; set it to best"):
        publish(tmp_path, tmp_path / "model", "final", True)
    publish(tmp_path, tmp_path / "model", "best", True)
    assert all(weight.isfinite().all() for weight in load_generator(tmp_path / "model").parameters())


def test_weights_that_are_lost_can_be_restored_from_the_best():
    training, images, params = start(1, evaluate_every=1, on_collapse="restore_best")
    past(training)
    training.players.networks["generator"].get_parameter("to_image.weight").data.fill_(math.nan)
    go_on(training, images, params)
    assert training.step == params.steps and training.restored >= 1
    assert all(weight.isfinite().all() for weight in training.players.networks["generator"].parameters())


def contents(state: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("resumed", [False, True])
def test_what_trains_on_after_a_return_never_changes_the_best(resumed: bool):
    training, images, params = start(1, evaluate_every=1)
    go_on(training, images, params)
    assert training.best
    best = contents(training.best)
    if resumed:
        checkpoint = torch.load(io.BytesIO(contents(training.state())), weights_only=True)
        training, images, params = start(1, evaluate_every=1)
        training.restore(checkpoint)
    for _ in range(2):
        training.players.load(training.best)
        for optimizer in training.players.optimizers.values():
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.grad = torch.full_like(parameter, math.nan)
            optimizer.step()
        assert contents(training.best) == best
        training.players.load(training.best)
        assert contents(training.players.state()) == best


@pytest.mark.parametrize("ema", [True, False])
@pytest.mark.parametrize("which", ["best", "final"])
def test_the_published_model_is_the_best_or_the_last_and_the_average_or_the_weights(
    tmp_path: Path, which: str, ema: bool
):
    training, images, params = start(1, evaluate_every=1)
    past(training)
    go_on(training, images, params)
    networks = copy.deepcopy(training.players.networks)
    trained = copy.deepcopy(training.players.averages["generator"]), networks["generator"]
    last, other = trained[:: 1 if ema else -1]
    save_results(tmp_path, training, configs_of(params), {"train_precision": "fp32"})
    (tmp_path / "model").mkdir()
    publish(tmp_path, tmp_path / "model", which, ema)
    latents, real_images = torch.randn(5, params.model.latent_dim), to_unit_range(images[:5])
    with torch.no_grad():
        published = load_generator(tmp_path / "model")(latents)
        assert torch.equal(
            load_generator(tmp_path / which, "generator_ema" if ema else "generator")(latents), published
        )
        assert torch.equal(last.eval()(latents), published) == (which == "final")
        assert not torch.equal(other.eval()(latents), published)
        logits = load_discriminator(tmp_path / "model")(real_images)
        assert torch.equal(networks["discriminator"].eval()(real_images), logits) == (which == "final")
    step = 0 if which == "best" else params.steps
    expected = {"published": which, "published_ema": ema, "published_step": step}
    assert read_json(tmp_path / "model/published.json") == expected
    figures = read_json(tmp_path / "training.json")
    assert figures["train_best_step"] == 0 and figures["train_final_step"] == params.steps
    assert figures["train_alarms"] == 1 == len(read_table(tmp_path / "alarms.csv"))


@pytest.mark.parametrize(
    "params", [load_params(ROOT / "params.yaml"), load_domains_params(ROOT / "domains/params.yaml")]
)
def test_alarms_advise_what_the_pipeline_has(params: Any):
    for alarm in (*LOG_ALARMS, *EVALUATION_ALARMS):
        advised = alarm.advised(params)
        keys = [key.split(".") for key in re.findall(r"\w+\.\w+", advised)]
        assert advised and all(name in getattr(params, section).model_dump() for section, name in keys)
