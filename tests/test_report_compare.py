"""Several runs side by side: found in git, ranked only under one protocol."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ganlib.core.errors import UserError
from ganlib.report.comparison import comparison_sections
from ganlib.report.figures import KINDS, best_of, protocol_groups, unlike_protocols
from ganlib.report.parts import render
from ganlib.report.revisions import find_commit, read_run
from stages import report
from tests.conftest import ROOT, run
from tests.test_report_page import browser, needs_browser, opened  # noqa: F401

FID = next(kind for kind in KINDS if kind.name == "domain_fid")
VALID = next(kind for kind in KINDS if kind.name == "valid")


def measured(value: float, spread: float = 0.1, extractor: str = "judge") -> dict[str, object]:
    bounds = {"domain_fid_low": value - spread, "domain_fid_high": value + spread}
    return {"domain_fid": value, "protocol_extractor": extractor} | bounds


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commit a run, one with another lr, tagged, and an experiment of DVC under another protocol, on no branch."""
    folder = tmp_path_factory.mktemp("a clone") / "runs"
    (folder / "metrics").mkdir(parents=True)
    run(["git", "init", "-q", "-b", "main"], folder)

    def commit(fid: float, lr: str, extractor: str) -> None:
        params = (ROOT / "params.yaml").read_text().replace("lr: 4e-4", f"lr: {lr}")
        (folder / "params.yaml").write_text(params)
        (folder / "metrics/evaluate.json").write_text(json.dumps(measured(fid, extractor=extractor)))
        (folder / "metrics/history.csv").write_text(f"step,d_loss,g_loss,d_fake\n50,{fid},1,0.5\n100,1,1,0.4\n")
        watching = "lite0_fid_to_heldout,domain_fid_to_heldout" if extractor == "lite0" else "domain_fid_to_heldout"
        distances = ",".join([str(fid)] * len(watching.split(",")))
        row = f"step,{watching},valid,diversity_score\n100,{distances},0.5,0.5\n"
        (folder / "metrics/evaluations.csv").write_text(row)
        Image.new("L", (40, 40), round(fid)).save(folder / "metrics/grid.png")
        run(["git", "add", "-A"], folder)
        run(["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", lr], folder)

    commit(1, "4e-4", "judge")
    commit(2, "1e-3", "judge")
    run(["git", "tag", "faster"], folder)
    commit(3, "4e-4", "lite0")
    run(["git", "update-ref", "refs/exps/ab/cdef/icy-bear", "HEAD"], folder)
    run(["git", "reset", "-q", "--hard", "HEAD~1"], folder)
    return folder


def test_the_best_is_marked_and_what_its_interval_meets():
    assert best_of([measured(1.0), measured(2.0)], FID) == {0}
    assert best_of([measured(1.15), measured(2.0), measured(1.0)], FID) == {0, 2}
    assert best_of([{"valid": 0.5, "valid_low": 0.4}, {"valid": 0.9}], VALID) == {1}


def test_figures_of_unlike_protocols_are_not_ranked():
    runs = [measured(1.0), measured(0.1, extractor="inception")]
    assert best_of(runs, FID) == set()
    assert unlike_protocols(runs) == {"protocol_extractor": ["judge", "inception"]}


def test_runs_of_one_protocol_are_ranked_beside_one_of_another():
    runs = [measured(1.0), measured(0.1, extractor="inception"), measured(2.0)]
    assert protocol_groups(runs) == [0, 1, 0]
    assert best_of(runs, FID) == {0}


def test_a_key_that_one_run_lacks_is_a_difference():
    runs = [measured(1.0), measured(2.0) | {"protocol_draws": 5}]
    assert unlike_protocols(runs) == {"protocol_draws": [None, 5]} and best_of(runs, FID) == set()


def test_the_page_shows_params_figures_grids_and_curves(history: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(history)
    page = render("compare.html.jinja", comparison_sections([read_run(name) for name in ("HEAD~1", "faster")]))
    assert "<mark>1.00</mark>" in page and "<mark>2.00</mark>" not in page
    assert "<th>lr</th>" in page and "<th>seed</th>" not in page
    assert page.count("data:image/png;base64,") == 2 and page.count('<figure class="chart"') == 6
    assert "not ranked" not in page


def test_curves_of_every_distance_that_a_run_has_are_drawn(history: Path, monkeypatch: pytest.MonkeyPatch):
    def distances(*names: str) -> list[str]:
        charts = comparison_sections([read_run(name) for name in names])["charts"]
        return [caption for caption, chart in charts if "FID" in caption and "<svg" in str(chart)]

    monkeypatch.chdir(history)
    assert distances("HEAD", "icy-bear") == ["lite0 FID of the moving average", "domain FID of the moving average"]
    assert distances("HEAD", "faster") == ["domain FID of the moving average"]


def test_the_page_names_the_protocol_that_differs_and_ranks_nothing(history: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(history)
    page = render("compare.html.jinja", comparison_sections([read_run(name) for name in ("HEAD~1", "icy-bear")]))
    assert "not ranked" in page and "<th>protocol_extractor</th>" in page and "<mark>" not in page


def test_what_a_revision_lacks_is_absent_with_the_reason(history: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(history)
    for name in ("grid.png", "evaluate.json", "evaluations.csv"):
        (history / "metrics" / name).unlink()
    try:
        page = render("compare.html.jinja", comparison_sections([read_run(name) for name in ("HEAD", "workspace")]))
    finally:
        run(["git", "restore", "."], history)
    assert "Absent: no metrics/grid.png here" in page and "Absent: no metrics/evaluate.json here" in page


def test_an_experiment_goes_by_its_name(history: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(history)
    assert read_run("icy-bear").metrics == measured(3, extractor="lite0")
    assert find_commit("icy-bear") != find_commit("HEAD") == find_commit("faster")


@pytest.mark.parametrize("name", ["icy-bea", "--all", "HEAD~99", ""])
def test_a_revision_that_is_not_there_is_one_clear_line(name: str, history: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(history)
    with pytest.raises(UserError, match=f"^{name}: no commit, branch, tag or experiment of that name") as error:
        read_run(name)
    assert "\n" not in str(error.value)


def test_a_folder_outside_git_has_no_revisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UserError, match="is in no git repository, so it has no revisions"):
        read_run("HEAD")


def test_another_refusal_of_git_is_told_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    run(["git", "init", "-q"], tmp_path)
    (tmp_path / ".git/config").write_text("[core\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"^git for-each-ref in .*: fatal: bad config line 1") as error:
        read_run("HEAD")
    assert "\n" not in str(error.value)


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_and_meets_wcag_aa(
    history: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    browser: Any,  # noqa: F811
    width: int,
):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    monkeypatch.chdir(history)
    runs = [read_run(name) for name in ("HEAD~1", "faster", "icy-bear", "workspace")]
    (tmp_path / "page.html").write_text(render("compare.html.jinja", comparison_sections(runs)), encoding="utf-8")
    complaints: list[str] = []
    page = opened(browser, tmp_path, complaints, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width and complaints == []
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    result = axe.Axe().run(page, options={"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21aa"]}})
    assert result.violations_count == 0, result.generate_report()


CONFLICT = "<<<<<<< HEAD\n{ours}\n=======\n{theirs}\n>>>>>>> other\n"
BROKEN = [
    ("params.yaml", b"lr: [1\n", "params.yaml can't be read"),
    ("params.yaml", b"", "params.yaml can't be read: it holds no keys"),
    ("params.yaml", b"just words\n", "it holds no keys"),
    ("params.yaml", CONFLICT.format(ours="lr: 1", theirs="lr: 2").encode(), "params.yaml holds a merge conflict"),
    ("metrics/evaluate.json", b'{"domain_fid": null, "valid": 0.5}', None),
    ("metrics/evaluate.json", CONFLICT.format(ours="{}", theirs="[]").encode(), "evaluate.json holds a merge conflict"),
    ("metrics/evaluate.json", b"null", "evaluate.json can't be read"),
    ("metrics/evaluate.json", b'{"domain_fid": 1', "evaluate.json can't be read"),
    ("metrics/evaluate.json", b"\xff\xfe", "evaluate.json can't be read"),
    ("metrics/details.json", b"[1, 2]", None),
    ("metrics/history.csv", b"", None),
    ("metrics/history.csv", b"step,d_loss\n", None),
    ("metrics/history.csv", b"a,b\n1,2,3,4\n5\n", None),
    ("metrics/evaluations.csv", CONFLICT.format(ours="1,2", theirs="3,4").encode(), None),
    ("metrics/grid.png", b"\x89PNG\r\n\x1a\nbroken", "metrics/grid.png can't be read"),
    ("metrics/grid.png", b"", "metrics/grid.png can't be read"),
]


@pytest.mark.parametrize(("path", "content", "words"), BROKEN)
def test_what_a_revision_has_broken_is_absent_with_the_reason_and_the_rest_is_shown(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, content: bytes, words: str | None
):
    folder = tmp_path / "clone"
    shutil.copytree(history, folder)
    (folder / path).write_bytes(content)
    run(["git", "add", "-A"], folder)
    run(["git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "broken"], folder)
    monkeypatch.chdir(folder)
    report.compare(["HEAD", "faster", "workspace"], Path("report/compare.html"))
    page = (folder / "report/compare.html").read_text()
    assert page.count("<tr>") >= 2 and ">faster<" in page
    if words:
        assert page.replace("&#39;", "'").count(words) == 2  # of HEAD, and of the workspace


def test_a_name_of_two_experiments_is_asked_about(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "clone"
    shutil.copytree(history, folder)
    head, before = (run(["git", "rev-parse", name], folder).stdout.strip() for name in ("HEAD", "HEAD~1"))
    run(["git", "update-ref", f"refs/exps/{before[:2]}/{before[2:]}/icy-bear", "HEAD~1"], folder)
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=r"icy-bear: 2 experiments have that name \(.*: give one's commit") as caught:
        find_commit("icy-bear")
    assert before[:8] in str(caught.value) and find_commit(head) == head


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives a folder away")
def test_a_repository_of_another_user_is_called_that(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "clone"
    shutil.copytree(history, folder)
    for path in (folder, folder / ".git"):
        os.chown(path, 12345, 12345)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.delenv("SUDO_UID", raising=False)
    with pytest.raises(UserError, match=r"whose owner is another user; if you trust it: git config --global --add"):
        find_commit("HEAD")
