"""Several runs side by side: found in git, ranked only under one protocol."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ganlib.core.errors import UserError
from ganlib.report.comparison import comparison_sections
from ganlib.report.figures import KINDS, best_of, protocol_groups, unlike_protocols
from ganlib.report.parts import render
from ganlib.report.revisions import find_commit, read_run
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
    assert page.count("data:image/png;base64,") == 2 and page.count("<svg") == 6
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
    assert "Absent: no metrics/grid.png here" in page and "Figures absent: no metrics/evaluate.json here" in page


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
    with pytest.raises(UserError, match="HEAD: this folder is in no git repository"):
        read_run("HEAD")


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
