"""The report in a browser: headless Chromium, without a network."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganlib.core.files import write_table
from ganlib.core.params import load_params
from ganlib.evaluation.table import headline_of
from ganlib.functional.latents import grid_classes
from ganlib.looking.sprites import plane_sprite
from ganlib.report import charts
from ganlib.report.comparison import comparison_sections
from ganlib.report.page import data_name, page_sections, real_rows, row_classes
from ganlib.report.parts import Absent, render
from ganlib.report.revisions import Run
from tests.conftest import ROOT, edit_params, small_params

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
OPTIONAL = ("metrics", "data/explore", "data/completion", "data/training", "data/model", "dvc.lock")
PICTURES = (
    23  # both grids, the explorer, film, 2 of pairs, 6 of latent space, 4 for each of 2 equations, 3 of completion
)
PLANE = 4
"""Images along each side of a plane to drag over."""
CHARTS = 7
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on the path")


def figures() -> dict[str, object]:
    measured: dict[str, object] = {
        "class_overlap": 0.9,
        "classes": 3,
        "classes_covered": 3,
        "diversity_score": 0.8,
        "diversity_score_high": 0.85,
        "diversity_score_low": 0.75,
        "domain_fid": 1.5,
        "domain_fid_floor": 0.5,
        "domain_fid_high": 1.6,
        "domain_fid_low": 1.4,
        "domain_fid_matched": 1.6,
        "domain_fid_over_floor": 3.2,
        "domain_fid_over_floor_high": 3.5,
        "domain_fid_over_floor_low": 2.9,
        "intra_class_diversity": 0.7,
        "judge_accuracy": 0.5,
        "judge_reliable": True,
        "matched_images": 12,
        "train_best_step": 400,
        "train_final_over_best": 1.2,
        "train_final_step": 2000,
        "published": "best",
        "published_ema": True,
        "published_step": 400,
        "train_restored": 1,
        "valid": 0.6,
        "valid_heldout": 0.9,
        "valid_high": 0.7,
        "valid_low": 0.5,
    }
    protocol = {"classes": "judge", "data_sha256": "d" * 64, "draws": 5, "extractor": "judge", "feature_dim": 64}
    protocol |= {"extractor_sha256": "e" * 64, "generated": 40, "heldout": 12, "neighbours": 5, "reference": 30}
    return measured | {f"protocol_{key}": value for key, value in (protocol | {"reference_split": "train"}).items()}


def coloured_plane(number: int) -> np.ndarray:
    """Return images (PLANE, PLANE, 3, 8, 8), each of one colour: red says the column, green the row, blue the plane."""
    rows, columns = np.indices((PLANE, PLANE))
    colours = np.stack([60 * columns, 60 * rows, np.full_like(rows, 100 * number)], 2).astype(np.uint8)
    return np.broadcast_to(colours[..., None, None], (PLANE, PLANE, 3, 8, 8))


def write_run(folder: Path, side: int = 16, channels: int = 3) -> None:
    """Write what the stages before the report would, with random pixels and a training that collapsed."""
    random = np.random.default_rng(0)

    def pixels(*shape: int) -> np.ndarray:
        return random.integers(0, 256, (*shape, channels, side, side), np.uint8)

    for name in ("prepared", "training", "model", "samples", "explore", "completion"):
        (folder / "data" / name).mkdir(parents=True)
    (folder / "metrics").mkdir()
    counts, digest = {"train": 30, "heldout": 12}, "f" * 64
    meta = {
        "dataset": "noise",
        "image_size": side,
        "counts": counts,
        "read": 45,
        "duplicates_dropped": 1,
        "rejected": 2,
    }
    meta |= {"source_sha256": digest, "sha256": dict.fromkeys(counts, digest)}
    (folder / "data/prepared/meta.json").write_text(json.dumps(meta))
    left_out = "file,reason,taken\na.png,truncated,False\n<b>.png,too small,False\n"
    (folder / "data/prepared/rejected.csv").write_text(left_out)
    np.save(folder / "data/prepared/train_images.npy", pixels(30).transpose(0, 2, 3, 1))
    np.save(folder / "data/samples/images.npy", pixels(40))
    np.save(folder / "data/samples/grid_images.npy", pixels(16))
    steps = np.arange(100, 2100, 100)
    np.savez(folder / "data/training/progress.npz", steps=steps, images=pixels(len(steps), 8))
    history = {"d_loss": 1.1, "g_loss": 0.9, "d_real": 0.6, "d_fake": 0.4, "d_fake_after": 0.3}
    history |= {"d_grad_norm": 5.0, "g_grad_norm": np.where(steps == 900, np.inf, 2.0)}
    evaluations = {
        "domain_fid_to_heldout": np.abs(steps - 400) + 1,
        "valid": 0.5,
        "diversity_score": 0.7,
        "classes_covered": 3,
    }
    tables = {
        "history": pd.DataFrame({"step": steps} | history),
        "evaluations": pd.DataFrame({"step": steps} | evaluations),
        "alarms": pd.DataFrame(
            {"step": [900, 1500], "alarm": ["large_gradient", "collapse"], "value": 0.1, "advice": "lower lr"}
        ),
        "classes": pd.DataFrame(
            {
                "class": ["cat & dog", "owl", "fox"],
                "real": 0.3,
                "generated": [0.5, 0.5, 0],
                "covered": [True, True, False],
            }
        ).assign(diversity=[0.9, np.nan, 0], heldout_images=4, judged=[True, False, True]),
        "confusion": pd.DataFrame({"asked": ["owl", "fox", "owl"], "judged": ["owl", "owl", "cat & dog"]}),
        "nearest": pd.DataFrame(
            {"kind": ["generated"] * 8 + ["training"] * 8, "image": range(16), "other": range(8, 24), "distance": 0.5}
        ).assign(near_duplicate=[True, *[False] * 15]),
    }
    for name, table in tables.items():
        write_table(folder / f"metrics/{name}.csv", table)
    (folder / "metrics/evaluate.json").write_text(json.dumps(headline_of(figures(), "domain_")))
    (folder / "metrics/details.json").write_text(json.dumps(figures()))
    shapes = {
        "interpolation": (3, 6),
        "plane": (4, 4),
        "truncation": (2, 6),
        "neighbours": (3, 5),
        "arithmetic": (2, 4),
    }
    for name, shape in shapes.items():
        np.save(folder / f"data/explore/{name}.npy", pixels(*shape))
    notes = {"truncation": [0.5, 1], "neighbours": ["owl"] * 3, "arithmetic": [["owl", "fox", "owl", "fox"]] * 2}
    notes |= {"planes": ["any class", "fox & owl"], "explorer": PLANE}
    (folder / "data/explore/planes").mkdir()
    for number in range(2):
        (folder / f"data/explore/planes/{number}.webp").write_bytes(plane_sprite(coloured_plane(number), 10**6))
    (folder / "data/explore/explore.json").write_text(json.dumps(notes))
    frames = [Image.fromarray(frame[0]) for frame in pixels(3)]
    frames[0].save(folder / "data/explore/walk.webp", save_all=True, append_images=frames[1:], lossless=True)
    scores = {"psnr": 20.0, "psnr_nearest": 15.0, "psnr_mean_fill": 10.0, "l1": 0.1, "l1_nearest": 0.2}
    scores |= {"l1_mean_fill": 0.3, "beats_nearest": 0.9}
    masks = {"centre": scores, "images": scores, "source": scores}  # one that is called as a key beside them
    completed = {"images": 8, "masks": masks, "source": "held-out"}
    (folder / "metrics/complete.json").write_text(json.dumps(completed))
    for name in masks:
        np.savez(
            folder / f"data/completion/{name}.npz",
            **{kind: pixels(8) for kind in ("original", "masked", "completed", "nearest", "mean")},
        )
    (folder / "dvc.lock").write_text("stages:\n  publish:\n    outs:\n    - path: data/model\n      md5: 12ab.dir\n")
    (folder / "params.yaml").write_text(edit_params(small_params(), {"sample.grid": "4", "data.channels": "3"}))


def build(folder: Path) -> tuple[str, str]:
    """Return the page and its Markdown twin."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        data = Path("data")
        sections = page_sections(
            load_params(),
            prepared=data / "prepared",
            training=data / "training",
            model=data / "model",
            samples=data / "samples",
            exploration=data / "explore",
            completion=data / "completion",
            metrics=Path("metrics"),
            lock=Path("dvc.lock"),
        )
    return render("page.html.jinja", sections), render("report.md.jinja", sections)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_run(folder)
    (folder / "page.html").write_text(build(folder)[0], encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def bare(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Leave of a run only the prepared images and the samples."""
    folder = tmp_path_factory.mktemp("bare") / "run"
    shutil.copytree(run, folder)
    for name in OPTIONAL:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "page.html").write_text(build(folder)[0], encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture
def complaints() -> list[str]:
    return []


def opened(browser: Any, folder: Path, complaints: list[str], width: int, scheme: str = "light") -> Any:
    """Open a page; note what it says on the console and asks for outside itself."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("data:", "file:")) or complaints.append(request.url))
    page.goto((folder / "page.html").as_uri())
    return page


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_and_asks_for_nothing(browser: Any, run: Path, bare: Path, width: int, complaints: list[str]):
    for folder in (run, bare):
        page = opened(browser, folder, complaints, width)
        for medium in ("screen", "print"):
            page.emulate_media(media=medium)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []


@needs_browser
def test_every_image_decodes_and_says_what_it_shows(browser: Any, run: Path, complaints: list[str]):
    page = opened(browser, run, complaints, 1280)
    images = page.evaluate(
        "Promise.all([...document.images].map(i => i.decode().then(() => [i.naturalWidth, i.width, i.alt])))"
    )
    assert len(images) == PICTURES
    assert all(natural > 0 and alt for natural, _, alt in images)


@needs_browser
def test_every_chart_has_its_marks(browser: Any, run: Path, complaints: list[str]):
    page = opened(browser, run, complaints, 1280)
    marks = "[...document.querySelectorAll('svg')].map(s => [...s.querySelectorAll('.role-mark path')]"
    counts = page.evaluate(f"{marks}.filter(p => p.getTotalLength() > 0).length)")
    assert len(counts) == CHARTS and all(counts)
    assert page.locator("svg", has_text="best").count() == 2
    rules = page.evaluate(
        "[...document.querySelectorAll('svg')].map(s => s.querySelectorAll('.mark-rule.role-mark line').length)"
    )
    assert len([drawn for drawn in rules if drawn >= 2]) == 5, "two alarms in every chart of the training"


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_meets_wcag_aa(browser: Any, run: Path, bare: Path, scheme: str, complaints: list[str]):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    for folder in (run, bare):
        page = opened(browser, folder, complaints, 1280, scheme)
        result = axe.Axe().run(page)
        assert result.violations_count == 0, result.generate_report()
        assert any(rule["id"] == "color-contrast" for rule in result.response["passes"])


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_a_picture_is_seen_before_any_scrolling(browser: Any, run: Path, width: int, complaints: list[str]):
    page = opened(browser, run, complaints, width)
    top, bottom = page.evaluate("(box => [box.top, box.bottom])(document.images[0].getBoundingClientRect())")
    assert top > 0 and bottom < 800
    assert page.evaluate("document.querySelector('dl').getBoundingClientRect().top") > bottom, "figures come after"


@needs_browser
def test_print_has_few_pages_with_real_images_beside_generated_ones(browser: Any, run: Path, complaints: list[str]):
    page = opened(browser, run, complaints, 700)
    page.emulate_media(media="print")
    boxes = page.evaluate("[...document.images].slice(0, 2).map(i => i.getBoundingClientRect().toJSON())")
    assert boxes[0]["top"] == boxes[1]["top"] and boxes[1]["left"] > boxes[0]["right"]
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))) <= 8


def at_the_handle(page: Any) -> list[int]:
    """Return the colour of the image that the explorer shows."""
    return page.evaluate("""() => {
        const copy = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        copy.drawImage(document.querySelector("#explorer canvas"), 0, 0);
        return [...copy.getImageData(4, 4, 1, 1).data].slice(0, 3);
    }""")


def blended(x: float, y: float, plane: int = 0) -> Any:
    """Return the colour at a place of the plane, shares of its sides: between four images it is their mean by area."""
    return pytest.approx([60 * (PLANE - 1) * x, 60 * (PLANE - 1) * y, 100 * plane], abs=3)


@needs_browser
def test_the_explorer_follows_the_mouse_and_stays_on_its_plane(browser: Any, run: Path, complaints: list[str]):
    page = opened(browser, run, complaints, 1280)
    page.locator(".map").scroll_into_view_if_needed()
    box = page.locator(".map").bounding_box()
    beside_a_corner = 1 / (PLANE - 1)
    assert at_the_handle(page) == blended(beside_a_corner, beside_a_corner)
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.7 * box["height"])
    assert at_the_handle(page) == blended(beside_a_corner, beside_a_corner), "nothing is held down"
    page.mouse.down()
    assert at_the_handle(page) == blended(0.2, 0.7)
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.1 * box["height"])
    assert at_the_handle(page) == blended(0.9, 0.1)
    page.mouse.move(box["x"] + 2 * box["width"], box["y"] - 50)
    assert at_the_handle(page) == blended(1, 0), "outside, its edge"
    page.mouse.up()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    assert at_the_handle(page) == blended(1, 0) and complaints == []


@needs_browser
def test_the_explorer_follows_a_finger_while_the_page_stays(browser: Any, run: Path):
    page = browser.new_page(viewport={"width": 390, "height": 800}, has_touch=True)
    page.goto((run / "page.html").as_uri())
    page.locator(".map").scroll_into_view_if_needed()
    box, scrolled = page.locator(".map").bounding_box(), page.evaluate("scrollY")
    touches = page.context.new_cdp_session(page)
    for kind, x, y in (("touchStart", 0.5, 0.8), ("touchMove", 0.6, 0.5), ("touchMove", 0.75, 0.25)):
        points = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}]
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )  # moves wait for a frame
    assert at_the_handle(page) == blended(0.75, 0.25)
    touches.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert page.evaluate("scrollY") == scrolled


@needs_browser
def test_the_explorer_goes_by_keys_and_by_class(browser: Any, run: Path, complaints: list[str]):
    page = opened(browser, run, complaints, 1280)
    page.locator(".map").focus()
    page.keyboard.press("Home")
    assert at_the_handle(page) == blended(0, 0)
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    step = 1 / 4 / (PLANE - 1)
    assert at_the_handle(page) == blended(3 * step, 5 * step)
    page.get_by_label("Class", exact=True).select_option("fox & owl")
    page.wait_for_function("document.querySelector('.map img').complete")
    assert at_the_handle(page) == blended(3 * step, 5 * step, plane=1)
    page.locator(".map").press("End")
    assert at_the_handle(page) == blended(1, 1, plane=1) and complaints == []


@needs_browser
def test_a_walk_waits_where_motion_is_not_wanted(browser: Any, run: Path):
    for wish, shown in (("reduce", False), ("no-preference", True)):
        page = browser.new_page(reduced_motion=wish)
        page.goto((run / "page.html").as_uri())
        assert page.locator("#walk img").is_visible() == shown


@pytest.mark.parametrize(
    ("changes", "dataset", "name"),
    [
        ({}, "oxford_pets_cats", "oxford pets cats"),
        ({"path": "../cats.zip"}, "folder", "cats"),
        ({"path": "/home/me/My Dogs.TAR.gz"}, "folder", "My Dogs"),
        ({"path": "../birds/train"}, "folder", "birds"),
        ({"path": "../v1.5"}, "folder", "v1.5"),
        ({"path": ".."}, "folder", "folder"),
        ({"url": "https://example.org/sets/flowers.tgz?x=1.zip"}, "url", "flowers"),
    ],
)
def test_the_page_is_named_after_the_data(changes: dict[str, str], dataset: str, name: str):
    assert data_name(load_params(ROOT / "params.yaml").data.model_copy(update=changes), dataset) == name


def test_a_conditional_models_rows_are_those_of_its_grid_with_real_images_of_the_same_class():
    meta = {"class_names": ["a", "b", "c"], "counts_per_class": {"train": {"a": 5, "b": 0, "c": 2}}}
    rows = row_classes(meta, 4)
    assert rows == [label.item() for label in grid_classes(4, 1, [5, 0, 2])]
    labels = np.array([0, 2, 0, 0, 2, 0, 0])
    shown = real_rows(7, 16, 1, labels, rows)
    assert labels[shown].reshape(4, 4).tolist() == [[row] * 4 for row in rows]
    assert len(set(shown[:4])) == 4, "no image twice where there are enough"
    assert real_rows(7, 3, 1, labels, []).tolist() == sorted(real_rows(7, 3, 1, None, rows).tolist())


def test_what_is_missing_is_absent_with_the_reason(bare: Path):
    page, markdown = build(bare)
    assert page.count("<svg") == 0 and page.count("<img") == 2
    for stage in ("evaluate", "train", "explore", "complete"):
        assert f"dvc repro {stage} makes it" in page
    assert "Figures absent: metrics/details.json is not there" in markdown
    assert '<p class="absent">Absent: .' not in page


def test_arithmetic_that_was_not_done_says_why(run: Path, tmp_path: Path):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run/data/explore/explore.json"
    notes = {key: value for key, value in json.loads(path.read_text()).items() if key != "arithmetic"}
    path.write_text(json.dumps(notes | {"arithmetic_absent": "two classes only"}))
    assert "Absent: two classes only." in build(tmp_path / "run")[0]


@pytest.mark.parametrize(
    ("game", "extractor", "told"), [("gan", "lite0", 0), ("vision_aided", "lite0", 2), ("vision_aided", "judge", 0)]
)
def test_features_akin_to_those_that_taught_the_generator_are_told(
    game: str, extractor: str, told: int, run: Path, tmp_path: Path
):
    shutil.copytree(run, tmp_path / "run")
    params, details = tmp_path / "run/params.yaml", tmp_path / "run/metrics/details.json"
    params.write_text(edit_params(params.read_text(), {"game": game}))
    details.write_text(json.dumps(figures() | {"protocol_extractor": extractor}))
    assert sum("ImageNet has taught this generator" in text for text in build(tmp_path / "run")) == told


def test_two_builds_are_the_same_bytes(run: Path):
    assert build(run) == build(run)


def test_names_of_files_are_escaped(run: Path):
    page = build(run)[0]
    assert "&lt;b&gt;.png" in page and "<b>.png" not in page and "cat &amp; dog" in page


def test_a_distance_stands_beside_its_floor_at_one_count(run: Path):
    for text in build(run):
        assert "with 12 images on each side 1.60, 3.2 times (2.9 to 3.5) the 0.50 of real held-out images" in text
        assert "1.50" in text


def test_every_mask_has_its_figures_whatever_it_is_called(run: Path):
    page, markdown = build(run)
    assert "Parts of 8 held-out images" in page
    for name in ("centre", "images", "source"):
        assert f"<b>{name}</b>: 20.0 dB" in page and f"| {name} | **20.0 dB**" in markdown


def test_alarms_are_listed_with_advice_in_both_forms(run: Path):
    for text in build(run):
        assert "large_gradient" in text and "collapse" in text and "lower lr" in text


def test_the_page_stays_small_at_the_default_size_of_images(tmp_path: Path):
    write_run(tmp_path, side=32, channels=1)
    assert len(build(tmp_path)[0].encode()) < 5_000_000


@pytest.mark.parametrize("count", [10, 1201, 100_000])
def test_long_curves_are_thinned_to_their_extremes(count: int):
    random = np.random.default_rng(0)
    curve = pd.DataFrame({"step": np.arange(count), "one": random.normal(size=count), "two": np.nan})
    curve.loc[count // 3, "one"], curve.loc[count // 2, "one"] = 99, -99
    long = charts.series(curve, {"one": "one", "two": "two"})
    drawn = charts.thinned(pd.concat([long[: len(long) // 2], long[len(long) // 2 :]]))
    kept = drawn[drawn["series"] == "one"]
    assert len(drawn) <= 1200 and kept["step"].is_monotonic_increasing
    assert dict(zip(kept["value"], kept["step"], strict=True)) | {99: count // 3, -99: count // 2} == dict(
        zip(kept["value"], kept["step"], strict=True)
    )
    merged = kept.merge(curve, on="step")
    assert (merged["value"] == merged["one"]).all() and set(drawn["series"]) == {"one", "two"}
    assert "<svg" in charts.curves(long, "value", "a long curve", best=("one", count - 1))


def test_any_number_of_alarms_is_drawn():
    steps = np.arange(1, 20_001)
    alarms = pd.DataFrame({"step": steps, "alarm": "collapse"})
    long = charts.series(pd.DataFrame({"step": steps, "one": 1.0}), {"one": "one"})
    drawn = charts.curves(long, "value", "a curve", alarms=alarms)
    assert drawn.count('stroke="var(--alarm)"') <= 280 and ">1 to 1" in drawn and len(drawn) < 300_000


@pytest.mark.parametrize("classes", [70, 71, 90, 91, 1000])
def test_a_thousand_classes_are_drawn(classes: int):
    random, names = np.random.default_rng(0), [f"class {number:04}" for number in range(classes)]
    asked, judged = (np.array(names)[random.integers(0, classes, 30_000)] for _ in range(2))
    judged[:5000] = asked[:5000] = names[7]  # a pair that must stay
    drawn = charts.confusion(pd.DataFrame({"asked": asked, "judged": judged}), names)
    assert drawn.count("aria-label=") < 4000 and "class 0007" in drawn
    shares = pd.DataFrame({"class": names, "real": 1 / classes, "generated": 1 / classes})
    shares.loc[classes - 1, "generated"] = 0.5
    histogram = charts.class_histogram(shares)
    assert ">50%<" in histogram and (f"most of {classes:,}" in histogram) == (classes > 90)
    assert ("most frequent pairs of" in drawn) == (classes > 50)


def test_two_hundred_runs_of_two_million_steps_are_compared():
    steps = np.arange(50, 2_000_001, 500)
    runs = [
        Run(
            f"run {number}",
            "",
            {"lr": number},
            {"domain_fid": float(number)},
            {
                "history": pd.DataFrame({"step": steps, "d_loss": 1.0, "g_loss": 2.0, "d_fake": 0.5}),
                "evaluations": pd.DataFrame({"step": steps, "domain_fid_to_heldout": 1.0 + number, "valid": 0.5}),
            },
            Absent("none"),
        )
        for number in range(200)
    ]
    page = render("compare.html.jinja", comparison_sections(runs))
    assert page.count("<svg") >= 4 and "run 199" in page and len(page) < 20_000_000
