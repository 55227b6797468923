"""The house: which way imports run, and that dvc.yaml names exactly what each stage depends on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ganlib.core.params import load_params
from ganlib.core.schema import NO_PATH
from ganlib.report.parts import flat
from tests.imports import ROOT, imported_modules, reached_files
from tests.test_params import STAGES

PIPELINE: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())
GROUND = {"errors", "schema", "params", "console", "seeding", "files", "images", "distributed", "launch", "memory"}
MIDDLE = {
    "datasets",
    "networks",
    "losses",
    "augment",
    "ema",
    "latent",
    "precision",
    "sampling",
    "masks",
    "completion",
    "exploration",
    "walks",
    "pictures",
    "metrics",
    "report",
}
LAYERS = [GROUND, MIDDLE, {"training"}]


CHECKED = ["data/raw"]
"""No dependency: what is in it is taken only if its checksum fits."""


def outs_of(stage: str) -> list[str]:
    return [next(iter(out)) if isinstance(out, dict) else out for out in PIPELINE["stages"][stage]["outs"]]


def modules(package: str) -> Iterator[Path]:
    return (ROOT / package).rglob("*.py")


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_exactly_the_files_that_a_stage_reaches(stage: str):
    declared = {dep for dep in PIPELINE["stages"][stage]["deps"] if dep.startswith(("ganlib/", "stages/"))}
    assert declared == reached_files(ROOT / "stages" / f"{stage}.py")


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_that_a_stage_is_given_is_declared(stage: str):
    known = [*PIPELINE["stages"][stage]["deps"], *outs_of(stage), *CHECKED]
    paths = [word for word in PIPELINE["stages"][stage]["cmd"].split() if "/" in word]
    assert [path for path in paths if not any(name == path or name.startswith(f"{path}/") for name in known)] == []


def test_every_path_in_params_is_a_dependency_of_the_stages_that_read_it_and_is_there_or_made():
    paths = {key for key, value in flat(load_params(ROOT / "params.yaml").model_dump()).items() if "/" in str(value)}
    assert paths == {"data.path", "evaluate.inception_weights", "complete.path", "complete.own_masks"}
    for stage in set(STAGES) - {"report"}:
        section, params = PIPELINE["stages"][stage], {f"${{{path}}}": path for path in paths}
        templates = {params[dep] for dep in section["deps"] if dep in params}
        assert templates == {path for path in paths if {path, path.split(".")[0]} & set(section["params"])}, stage
    assert (ROOT / NO_PATH).read_bytes() == b""


def test_every_script_is_a_stage_or_a_tool():
    assert {path.stem for path in modules("stages")} == {"__init__", "params", "export", *PIPELINE["stages"]}


def test_training_emits_only_cached_outputs():
    assert all(isinstance(out, str) for out in PIPELINE["stages"]["train"]["outs"])


def test_stages_do_not_import_each_other():
    for path in modules("stages"):
        assert not [name for name in imported_modules(path) if name.startswith("stages")], path


def test_ganlib_knows_neither_stages_nor_the_command_line_nor_dvc():
    for path in modules("ganlib"):
        text = path.read_text()
        assert not any(f"import {name}" in text or f"from {name}" in text for name in ("stages", "typer", "dvc")), path


def test_arrows_inside_ganlib_run_down_only():
    level = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}
    for path in modules("ganlib"):
        if path.name == "__init__.py":
            continue
        room = path.relative_to(ROOT / "ganlib").parts[0].removesuffix(".py")
        for name in imported_modules(path):
            below = name.split(".")[1]
            assert level[below] <= level[room], f"{path} imports {name}"


def test_imports_have_no_circles():
    def visit(path: Path, above: tuple[Path, ...]) -> None:
        assert path not in above, above
        for name in imported_modules(path):
            file = ROOT / (name.replace(".", "/") + ".py")
            if file.is_file():
                visit(file, (*above, path))

    for path in (*modules("ganlib"), *modules("stages")):
        visit(path, ())


def test_metrics_and_plots_exist_as_outputs():
    outs = [out for stage in STAGES for out in outs_of(stage)]
    curves = [next(iter(next(iter(plot.values()))["y"])) for plot in PIPELINE["plots"] if isinstance(plot, dict)]
    images = [plot for plot in PIPELINE["plots"] if isinstance(plot, str)]
    assert curves and images and {*PIPELINE["metrics"], *curves, *images} <= set(outs)
