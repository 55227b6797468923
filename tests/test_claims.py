"""The field's claims: their commands, their verdicts, and a page that says what the results say."""

import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import spearmanr, ttest_1samp

from experiments.__main__ import collect_all, queue
from experiments.claims import CANT_TELL, Comparison, Outcome, judged, load_claim, load_claims, outcome_of, together
from experiments.gallery import write_gallery
from experiments.page import seeds_of, told, wrapped, write_page
from experiments.runs import Run, joined, read_runs
from ganlib.core.errors import UserError
from ganlib.core.files import read_table
from tests.conftest import ROOT, run
from tests.test_setups import applied

COMMIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm"]
CLAIMS = {path.stem: load_claim(path) for path in (ROOT / "experiments").glob("*.yaml")}


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def run_of(seed: int, protocol: str = "p", **metrics: Any) -> Run:
    table = {"step": [1.0, 2, 3, 4], "distance": [8.0, 4, 2, 3], "d_loss": [1.0, 2, 3, 4]}
    return Run(f"side-{seed}", "side", seed, "c", {}, protocol, "d", metrics, table)


def test_every_claim_has_a_number_of_its_own():
    assert [claim.number for claim in load_claims().values()] == [*range(1, len(CLAIMS) + 1)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("number: 1", "number: 1: 2"), "mapping values are not allowed"),
        (("claim:", "clam:"), "claim Field required"),
        (("dvc exp run --queue", "dvc exp run"), "must be dvc exp run --queue -n SIDE"),
    ],
)
def test_a_claim_that_can_not_be_read_is_one_line(change: tuple[str, str], message: str, tmp_path: Path):
    path = tmp_path / "mlp.yaml"
    path.write_text((ROOT / "experiments/mlp.yaml").read_text().replace(*change))
    with pytest.raises(UserError, match=message) as error:
        load_claim(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_a_claims_commands_set_params_that_are_valid_and_its_tests_name_its_sides(name: str, tmp_path: Path):
    claim = CLAIMS[name]
    for line in claim.lines:
        words = shlex.split(line.replace("$IMAGES", "/images"))
        assert words[6:-1:2] == ["-S"] * ((len(words) - 7) // 2)
        applied(dict(word.split("=", 1) for word in words[7:-1:2]) | {"seed": "1"}, tmp_path)
    assert {test.of for test in claim.tests} <= set(claim.sides)
    assert {test.than for test in claim.tests if isinstance(test.than, str)} <= set(claim.sides)


def test_a_side_of_two_claims_is_run_by_one_command():
    lines = {line for name in CLAIMS for line in CLAIMS[name].lines}
    assert len({shlex.split(line)[5] for line in lines}) == len(lines)


def test_claims_that_must_rest_on_three_seeds_do():
    for name in ("mlp", "losses", "seeds", "curves"):
        assert all(len(seeds_of(line)) >= 3 for line in CLAIMS[name].lines)


@pytest.mark.parametrize(("sign", "verdict"), [(1, "holds"), (-1, "does not hold")])
def test_the_interval_is_that_of_students_test(sign: int, verdict: str):
    values = np.array([1.0, 1.3, 0.8])
    found = judged(values, sign)
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    assert found == pytest.approx((values.mean(), low, high, 3, verdict))
    assert judged(-values, sign).verdict == ("does not hold" if sign > 0 else "holds")


def test_an_interval_around_nothing_and_one_seed_tell_nothing():
    assert judged(np.array([1.0, -0.5, 0.2]), 1).verdict == CANT_TELL
    assert judged(np.array([100.0]), 1).verdict == CANT_TELL


def test_a_claim_holds_as_far_as_its_weakest_part():
    outcomes = {name: Outcome(0, 0, 0, 3, name) for name in ("holds", "does not hold", CANT_TELL)}  # pyright: ignore
    assert together([outcomes["holds"]] * 2) == "holds"
    assert together([outcomes["holds"], outcomes[CANT_TELL]]) == CANT_TELL
    assert together([*outcomes.values()]) == "does not hold"


def test_a_claim_of_which_a_part_is_not_run_does_not_hold_yet():
    holds, against = Outcome(1, 1, 1, 3, "holds"), Outcome(1, 1, 1, 3, "does not hold")
    assert told([holds, holds], 2) == "**holds**; 2 of 2 tests hold"
    assert told([holds], 2) == f"**{CANT_TELL}**; 1 of 2 tests hold; 1 not run yet"
    assert told([against], 2) == "**does not hold**; 0 of 2 tests hold; 1 not run yet"


def test_sides_are_paired_by_seed_and_seeds_of_one_side_are_left_out():
    test = Comparison.model_validate({"figure": "domain_fid", "of": "a", "is": "lower", "than": "b"})
    ours = [run_of(1, domain_fid=1.0), run_of(2, domain_fid=21.0), run_of(3, domain_fid=0.0)]
    theirs = [run_of(2, domain_fid=23.0), run_of(1, domain_fid=3.5)]
    found = outcome_of(test, {"a": ours, "b": theirs})
    assert (found.mean, found.seeds) == (-2.25, 2)


def test_runs_of_two_protocols_are_not_compared_but_for_ratios_within_a_run():
    sides = {"a": [run_of(1, "p", domain_fid=1.0)], "b": [run_of(1, "q", domain_fid=2.0)]}
    with pytest.raises(UserError, match="two protocols"):
        outcome_of(Comparison.model_validate({"figure": "domain_fid", "of": "a", "is": "lower", "than": "b"}), sides)
    lost = outcome_of(Comparison.model_validate({"figure": "lost", "of": "a", "is": "lower", "than": "b"}), sides)
    assert lost.mean == 0


def test_figures_of_a_training_are_read_off_its_evaluations():
    def mean(figure: str) -> float:
        return outcome_of(
            Comparison.model_validate({"figure": figure, "of": "a", "is": "lower"}), {"a": [run_of(1)]}
        ).mean

    assert (mean("end"), mean("lost"), mean("gained")) == (3, 0.5, 5)
    assert mean("rank_d_loss") == pytest.approx(abs(spearmanr([1, 2, 3, 4], [8, 4, 2, 3]).statistic))


def test_a_spread_is_held_against_what_each_runs_interval_explains():
    random, test = np.random.default_rng(0), Comparison.model_validate({"figure": "f", "of": "a", "is": "scattered"})

    def spread(sigma: float) -> Outcome:
        values = random.normal(0, sigma, 10)
        half = 1.96  # an interval of a standard deviation of 1
        runs = [run_of(n, f=value, f_low=value - half, f_high=value + half) for n, value in enumerate(values)]
        return outcome_of(test, {"a": runs})

    assert np.mean([spread(1).low < 1 < spread(1).high for _ in range(400)]) == pytest.approx(0.95, abs=0.04)
    assert (spread(6).verdict, spread(0.1).verdict) == ("holds", "does not hold")
    assert np.mean([spread(3).mean for _ in range(200)]) == pytest.approx(3, rel=0.1)


def test_losses_are_the_means_of_what_led_to_an_evaluation():
    evaluations = pd.DataFrame({"step": [100, 200], "domain_fid_to_heldout": [5.0, 4.0]})
    columns = {name: [1.0, 3, 10, 20] for name in ("d_loss", "g_loss", "d_grad_norm", "g_grad_norm")}
    found = joined(evaluations, pd.DataFrame({"step": [50, 100, 150, 200], **columns}))
    assert found == {"step": [100, 200], "distance": [5, 4], **{key: [2, 15] for key in columns}}


def test_a_wrapped_command_is_the_same_command():
    for line in (line for name in CLAIMS for line in CLAIMS[name].lines):
        assert shlex.split(wrapped(line).replace("\\\n", " ")) == shlex.split(line)
        assert max(map(len, wrapped(line).splitlines())) < 130


def test_the_page_is_that_of_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    write_page()
    made = [*Path("docs").rglob("*.*"), Path("experiments/results.csv")]
    assert [path.as_posix() for path in made if path.read_bytes() != (ROOT / path).read_bytes()] == []


def test_the_numbers_of_the_page_are_the_files():
    """Compute means and intervals anew, by pandas and SciPy, and look for them in the page."""
    page, table = (
        (ROOT / "docs/claims.md").read_text(encoding="utf-8"),
        read_table(ROOT / "experiments/results.csv", "commit", "protocol", "data"),
    )
    checked = 0
    for claim in CLAIMS.values():
        for test in (test for test in claim.tests if test.sense != "scattered"):
            if not set(test.sides) <= set(table["side"]):
                continue
            ours = table[table["side"] == test.of].set_index("seed")[test.figure]
            theirs = table[table["side"] == test.than].set_index("seed")[test.figure]
            if isinstance(test.than, str):
                both = ours.index.intersection(theirs.index)
                ours, theirs = ours[both], theirs[both]
            values = ours - theirs if isinstance(test.than, str) else ours - (test.than or 0)
            found = f"{values.mean():+.3g}"
            if len(values) > 1:
                low, high = ttest_1samp(values, 0).confidence_interval(0.95)
                found += f" ({low:+.3g} to {high:+.3g})"
            means = f"{ours.mean():.3g}" + (f", {theirs.mean():.3g}" if isinstance(test.than, str) else "")
            rows = [
                row for row in page.splitlines() if f"`{test.of}` {test.sense} than" in row and f"| {means} |" in row
            ]
            assert any(f"| {found} | {len(values)} |" in row for row in rows), (test, means, found)
            checked += 1
    assert checked > 3


def test_pictures_are_there_and_small():
    page = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    shown = {(ROOT / "docs" / path).resolve() for path in re.findall(r"]\((\S+\.(?:svg|webp))\)", page)}
    assert len(shown) > 2 and all(path.stat().st_size <= 300_000 for path in shown)
    assert shown == {*(ROOT / "docs/claims").iterdir(), *(ROOT / "experiments/results").glob("*.webp")}


def test_every_picture_of_the_gallery_is_shown_and_light():
    page = (ROOT / "docs/gallery.md").read_text(encoding="utf-8")
    files = {*(ROOT / "docs/gallery").iterdir()}
    assert {(ROOT / "docs" / path) for path in re.findall(r"]\((gallery/\S+)\)", page)} == files
    assert all(path.stat().st_size <= 300_000 for path in files)
    walks = [Image.open(path) for path in files if "_walk" in path.name]
    assert len(walks) == 6 and all(walk.n_frames > 1 for walk in walks)  # pyright: ignore


def test_pictures_of_a_run_need_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"data/samples/images.npy is not there: dvc repro, or dvc checkout"):
        write_gallery("mine")


def test_a_claim_of_no_name_and_images_that_are_not_there_are_one_line(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match="no claim 'mpl': there are mlp, labels"):
        queue(["mpl"])


def test_outside_a_repository_there_is_nothing_to_queue_and_to_collect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments", ignore=shutil.ignore_patterns("results*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UserError, match="is in no git repository"):
        collect_all()
    with pytest.raises(UserError, match=r"dvc queue status: .*not inside of a DVC repository"):
        queue(["mlp"])
    run(["git", "init", "-q"], tmp_path)
    run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "none", "--allow-empty"],
        tmp_path,
    )
    commit = run(["git", "rev-parse", "HEAD"], tmp_path).stdout.strip()
    run(["git", "update-ref", f"refs/exps/{commit[:2]}/{commit[2:]}/plain-1", commit], tmp_path)
    with pytest.raises(UserError, match=f"{commit[:8]} has no params.yaml: it is no finished run"):
        collect_all()


PIPELINE = """
stages:
  evaluate:
    cmd: python measure.py
    params: [seed, steps, model.architecture]
    outs:
"""
OUTS = ("evaluate.json", "details.json", "evaluations.csv", "history.csv", "grid.png")
MEASURE = """
import json, pathlib
from PIL import Image
from ruamel.yaml import YAML
params = YAML(typ="safe", pure=True).load(pathlib.Path("params.yaml"))
out = pathlib.Path("metrics")
out.mkdir(exist_ok=True)
fid = params["seed"] + 5 * (params["model"]["architecture"] == "mlp")
(out / "evaluate.json").write_text(json.dumps({"domain_fid": fid, "protocol": "p"}))
(out / "details.json").write_text(json.dumps({"domain_fid_low": fid - 1, "protocol_data_sha256": "d"}))
(out / "evaluations.csv").write_text(f"step,domain_fid_to_heldout\\n10,9\\n20,{fid}\\n")
(out / "history.csv").write_text("step,d_loss,g_loss,d_grad_norm,g_grad_norm\\n10,1,2,3,4\\n20,5,6,7,8\\n")
Image.new("L", (20, 20), 40 * params["seed"]).save(out / "grid.png")
"""
"""What stands for the pipeline: figures that are known for every choice of params."""


@pytest.mark.slow
@pytest.mark.long
def test_what_is_queued_runs_once_is_collected_and_not_queued_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    outs = "".join(f"      - metrics/{name}: {{cache: false}}\n" for name in OUTS)
    files = {"dvc.yaml": PIPELINE + outs, "measure.py": MEASURE, "params.yaml": (ROOT / "params.yaml").read_text()}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments", ignore=shutil.ignore_patterns("results*"))
    for words in (["git", "init", "-q"], ["dvc", "init", "-q"], ["git", "add", "-A"]):
        run(words, tmp_path)
    run([*COMMIT, "small"], tmp_path)
    commit = run(["git", "rev-parse", "HEAD"], tmp_path).stdout.strip()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("IMAGES", raising=False)
    with pytest.raises(UserError, match="IMAGES is not set"):
        queue(["mlp"])
    monkeypatch.setenv("IMAGES", str(tmp_path))
    queue(["mlp"])
    status = run(["dvc", "queue", "status"], tmp_path).stdout
    assert status.count("Queued") == 6 and "mnist-mlp-3" in status
    queue(["mlp"])  # what waits is not queued again
    assert run(["dvc", "queue", "status"], tmp_path).stdout.count("Queued") == 6
    run(["dvc", "exp", "run", "--run-all"], tmp_path)
    collect_all()
    assert [one.metrics["domain_fid"] for one in read_runs("mnist-mlp")] == [6, 7, 8]
    one = read_runs("mnist-mlp")[1]
    assert (one.seed, one.commit, one.name, one.data, one.protocol) == (2, commit, "mnist-mlp-2", "d", "p")
    assert one.changes["model.architecture"] == "mlp" and "data.path" not in one.changes
    assert Image.open("experiments/results/mnist-mlp-1.webp").getpixel((9, 9)) == pytest.approx((40, 40, 40), abs=2)
    queue(["mlp"])
    assert "Queued" not in run(["dvc", "queue", "status"], tmp_path).stdout
