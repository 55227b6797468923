"""Names of classes and files that look like something else, through every stage that writes or shows them."""

import html
import json
import re
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ganlib.core.errors import UserError
from ganlib.core.files import read_json, read_table, write_table
from ganlib.core.params import load_params
from ganlib.report.comparison import comparison_sections
from ganlib.report.parts import render
from ganlib.report.revisions import read_run
from tests.conftest import edit_params, run, small_params
from tests.pictures import encoded, picture, tree
from tests.test_report_page import build, write_run
from tests.test_stages import arguments_of, invoke

NAMES = [
    *("NA", "nan", "None", "null", "1.0", "true", "01", "1e3", "猫 é", "  leading", "a, b", 'so "called"', "it's"),
    *("<b>bold", "a|b", "two\nlines", "carriage\rreturn", "=1+1", "#1", "[x]", "clip12"),
]
SMALLEST = {
    "data.dataset": "folder",
    "data.path": "tree",
    "data.image_size": "8",
    "data.heldout": "0.5",
    "steps": "2",
    "sample.count": "100",
    "sample.grid": "2",
    "evaluate.judge_epochs": "1",
    "train.evaluate_every": "2",
    "train.evaluate_count": "100",
    "train.log_every": "1",
    "complete.steps": "1",
}


def words(page: str, tag: str) -> list[str]:
    """Return the texts of all elements of a kind."""
    return [html.unescape(text) for text in re.findall(rf"<{tag}\b[^>]*>([^<]*)</{tag}>", page)]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run every stage on a class of each name, one of them large enough to be judged, beside broken files so named."""
    folder = tmp_path_factory.mktemp("names")
    counts = {name: 60 if name == "NA" else 6 for name in NAMES}
    images = {f"tree/all/{name}/{number}.png": (name, number) for name in NAMES for number in range(counts[name])}
    tree({path: encoded(picture(seed)) for seed, path in enumerate(images)}, folder)
    tree(dict.fromkeys(NAMES, b"broken"), folder / "tree")
    (folder / "params.yaml").write_text(edit_params(small_params(), SMALLEST), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage in ("prepare", "judge", "reference", "train", "publish"):
            invoke(stage, *arguments_of(stage))
        for stage in ("sample", "evaluate", "explore", "complete", "report"):
            invoke(stage, *arguments_of(stage))
    return folder


def test_tables_name_every_class_and_file(chain: Path):
    assert read_json(chain / "data/prepared/meta.json")["class_names"] == sorted(NAMES)
    classes = read_table(chain / "metrics/classes.csv", "class")
    assert classes["class"].tolist() == sorted(NAMES)
    assert classes["judged"].dtype == bool
    assert np.isnan(classes["diversity"]).tolist() == (~classes["judged"]).tolist()
    assert set(read_table(chain / "metrics/confusion.csv", "asked")["asked"]) == set(NAMES)
    assert read_table(chain / "data/prepared/rejected.csv", "file")["file"].tolist() == sorted(NAMES)


def test_the_page_shows_every_name_whole_as_row_and_as_label(chain: Path):
    page = (chain / "report/index.html").read_bytes().decode()  # which leaves line ends as they are
    table, labels = page[page.index("Figures of each class") :], words(page, "text")
    cells = [cell.removesuffix(" (not covered)") for cell in words(table, "td")]
    for name in NAMES:
        assert cells.count(name) >= 1 + (name in sorted(NAMES)[:20]), f"{name!r}: a class and a rejected file"
        assert labels.count(name.strip()) >= 2, f"{name!r}: in the histogram, and on a side of the matrix at least"
    assert "<b>bold" not in page
    assert len(re.findall(r"<tr><td>", table[: table.index("</table>")])) == len(NAMES)


def test_a_class_that_is_not_judged_has_a_dash_for_its_diversity(chain: Path):
    page = (chain / "report/index.html").read_text(encoding="utf-8")
    classes = read_table(chain / "metrics/classes.csv", "class")
    assert 0 < np.count_nonzero(classes["judged"]) < len(NAMES)
    assert page.count(">\N{EN DASH}</td>") == (~classes["judged"]).sum()
    assert page.count(f">{classes['diversity'].max():.2f}</td>") >= 1


def test_evaluate_hands_on_the_names_of_classes_that_are_all_called_as_numbers(chain: Path, tmp_path: Path):
    shutil.copytree(chain, tmp_path / "numbers", ignore=shutil.ignore_patterns("tree"))
    confusion = tmp_path / "numbers/data/judge/confusion.csv"
    write_table(confusion, pd.DataFrame({"asked": ["01", "1.0"], "judged": ["1.0", "1e3"]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "numbers")
        invoke("evaluate", *arguments_of("evaluate"))
    assert (tmp_path / "numbers/metrics/confusion.csv").read_bytes() == confusion.read_bytes()


@pytest.mark.parametrize("at_once", [True, False])
def test_a_table_reads_as_it_was_written(tmp_path: Path, at_once: bool):
    table = pd.DataFrame({"class": NAMES, "count": range(len(NAMES)), "diversity": np.nan, "judged": False})
    table.loc[3, "diversity"], table.loc[3, "judged"] = 1 / 3, True
    write_table(tmp_path / "table.csv", table)
    back = read_table(BytesIO((tmp_path / "table.csv").read_bytes()) if at_once else tmp_path / "table.csv", "class")
    assert back["class"].tolist() == NAMES and back["judged"].tolist() == table["judged"].tolist()
    assert back["count"].tolist() == table["count"].tolist() and back["count"].dtype == int
    assert back["diversity"].dropna().to_dict() == {3: 0.333333}


def test_classes_that_are_all_called_as_numbers_keep_their_names_on_the_page(tmp_path: Path):
    write_run(tmp_path)
    names = ["01", "1.0", "1"]
    shares = {"real": 0.3, "generated": 0.3, "covered": True, "diversity": 0.5, "heldout_images": 9, "judged": True}
    write_table(tmp_path / "metrics/classes.csv", pd.DataFrame({"class": names} | shares))
    write_table(tmp_path / "metrics/confusion.csv", pd.DataFrame({"asked": names, "judged": names[::-1]}))
    left_out = pd.DataFrame({"file": ["007", "1.50"], "reason": "1", "taken": False})
    write_table(tmp_path / "data/prepared/rejected.csv", left_out)
    page, _ = build(tmp_path)
    labels, cells = words(page, "text"), words(page, "td")
    assert labels.count("01") == 3 and labels.count("1.0") >= 3, "in the histogram, and on both sides of the matrix"
    assert {"01", "1.0", "007", "1.50"} <= set(cells)


def test_a_table_of_plain_names_is_plain(tmp_path: Path):
    write_table(tmp_path / "table.csv", pd.DataFrame({"class": ["owl", "fox"], "real": [0.5, 1]}))
    assert (tmp_path / "table.csv").read_bytes() == b"class,real\nowl,0.5\nfox,1\n"


def test_nothing_reads_or_writes_csv_but_the_one_reader_and_writer():
    root = Path(__file__).parents[1]
    for path in (
        path
        for name in ("ganlib", "stages", "benchmarks", "experiments", "tests")
        for path in (root / name).rglob("*.py")
    ):
        if path not in (root / "ganlib/core/files.py", Path(__file__)):
            assert not re.search(r"read_csv|to_csv|^import csv", path.read_text(), re.MULTILINE), path


def test_a_row_of_markdown_is_one_row_whatever_a_mask_is_called(tmp_path: Path):
    write_run(tmp_path)
    path = tmp_path / "metrics/complete.json"
    figures = json.loads(path.read_text())
    scores = figures["masks"]["centre"]
    path.write_text(json.dumps(figures | {"masks": dict.fromkeys(NAMES, scores)}))
    page, markdown = build(tmp_path)
    assert [name for name in words(page, "b") if name in NAMES] == NAMES
    lines = markdown.split("\n")
    head = lines.index("| completion | PSNR | nearest training image | mean |")
    rows = list(filter(None, lines[head + 2 :]))
    assert len(rows) == len(NAMES) and "\r" not in markdown
    for name, row in zip(NAMES, rows, strict=True):
        cells = re.split(r"(?<!\\)\|", row)
        shown = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", cells[1])  # as CommonMark undoes a backslash
        assert len(cells) == 6 and shown.split() == name.split()
        assert not re.search(r"(?<!\\)[<*_`\[]", cells[1])


def test_runs_may_be_called_as_values_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    names = ["NA", "nan", "null", "1.0", "true", "01", "<b>", "a,b", "a|b", 'a"b', "clip12"]
    (tmp_path / "metrics").mkdir()
    monkeypatch.chdir(tmp_path)
    run(["git", "init", "-q"], tmp_path)
    for number, name in enumerate(names):
        (tmp_path / "params.yaml").write_text(f"lr: {number}\ndata: {{classes: [{json.dumps(name)}, b]}}\n")
        (tmp_path / "metrics/evaluations.csv").write_text(f"step,domain_fid,valid\n100,{number + 1},\n")
        run(["git", "add", "-A"], tmp_path)
        run(["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "run"], tmp_path)
        run(["git", "tag", name], tmp_path)
    page = render("compare.html.jinja", comparison_sections([read_run(name) for name in names]))
    heads, cells = words(page, "th"), words(page, "td")
    labels = [html.unescape(name) for name in re.findall(r"</svg>([^<]*)</li>", page)]
    for name in names:
        assert name in heads and name in labels and f"[{name}, b]" in cells, name


@pytest.mark.parametrize(
    ("written", "quoted"),
    [
        ("[NA, 01]", '["01"]'),
        ("[1.0]", '["1.0"]'),
        ("[cat, true]", '["true"]'),
        ("[null]", '["null"]'),
        ("[1e3]", '["1e3"]'),
        ("[2024-01-01]", '["2024-01-01"]'),
    ],
)
def test_a_class_that_yaml_takes_for_something_else_is_to_be_quoted(params_file: Path, written: str, quoted: str):
    text = params_file.read_text()
    params_file.write_text(edit_params(text, {"data.classes": written}))
    with pytest.raises(UserError) as caught:
        load_params()
    assert re.fullmatch(r"params\.yaml: data\.classes\.\d = .*: must be text; quote it: (.*)", str(caught.value))
    assert str(caught.value).endswith(f"quote it: {quoted}")
    mended = written.replace(quoted[2:-2], quoted[1:-1])
    params_file.write_text(edit_params(text, {"data.classes": mended}))
    assert quoted[2:-2] in (load_params().data.classes or [])


def test_classes_are_chosen_by_names_that_look_like_values(params_file: Path):
    classes = json.dumps([name for name in NAMES if "#" not in name])
    params_file.write_text(edit_params(params_file.read_text(), {"data.classes": classes}), encoding="utf-8")
    assert load_params().data.classes == [name for name in NAMES if "#" not in name]
