"""DVC's page of plots, in a browser without a network."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganlib.report.plots import inlined
from stages.report import plots
from tests.conftest import ROOT, run
from tests.test_report_page import BROWSER, browser, complaints, needs_browser

__all__ = ["browser", "complaints"]
PIPELINE = """
plots:
  - evaluations: {x: step, y: {evaluations.csv: fid}, template: logarithmic}
  - grid.png
  - real.png
"""


@needs_browser
def test_the_plots_are_drawn_without_a_network(
    browser: Any, tmp_path: Path, complaints: list[str], monkeypatch: pytest.MonkeyPatch
):
    assert BROWSER
    run(["dvc", "init", "--no-scm", "--quiet"], tmp_path)
    shutil.copytree(ROOT / ".dvc/plots", tmp_path / ".dvc/plots", dirs_exist_ok=True)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "evaluations.csv").write_text("step,fid\n100,64\n200,8\n300,1\n")
    for name in ("grid.png", "real.png"):
        Image.fromarray(np.full((300, 300), 128, np.uint8)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    plots(None, Path("page"))
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("data:", "file:")) or complaints.append(request.url))
    page.goto((tmp_path / "page/index.html").as_uri())
    page.wait_for_selector("#evaluations svg")
    # Where halvings are as high as each other, the axis is logarithmic: 64, 8 and 1 lie on a straight line.
    view = "vegaEmbed(document.createElement('div'), spec).then(it => it.view.scale('y'))"
    places = page.evaluate(f"{view}.then(y => [64, 8, 1].map(fid => y(fid)))")
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=1) and places[1] > places[0] + 10
    grid, real = (page.locator(f"#{name}_png").bounding_box() for name in ("grid", "real"))
    assert grid["y"] == real["y"] and real["x"] > grid["x"], "side by side"
    assert complaints == []


def test_a_page_that_loads_no_vega_is_told():
    with pytest.raises(ValueError, match="0 places"):
        inlined("<html></html>")
