"""The house: which way imports run, and that each dvc.yaml names exactly what each stage depends on."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
from ruamel.yaml import YAML

from ganlib.core.domains_schema import DomainsGamesParams, DomainsParams
from ganlib.core.fields import NO_PATH
from ganlib.core.params import KINDS, load_domains_params, load_params
from ganlib.core.schema import GamesParams, Params
from ganlib.report.parts import flat
from ganlib.training.game import Game, ProbedGame, TranslatingGame
from tests.imports import ROOT, imported_modules, reached_files
from tests.test_params import STAGES

PIPELINE: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())
DOMAINS: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "domains/dvc.yaml").read_text())
SECTIONS: dict[str, Any] = PIPELINE["stages"] | {f"domains.{name}": it for name, it in DOMAINS["stages"].items()}
"""What dvc.yaml and domains/dvc.yaml say of each stage."""
ALL_STAGES = [*STAGES, *(name for name in SECTIONS if name.startswith("domains."))]
ROOMS = [
    "core",
    "functional",
    "metrics",
    "features",
    "networks",
    "datasets",
    "evaluation",
    "training",
    "games",
    "looking",
    "report",
]
"""From the ground up: a room takes only from those before it."""
IGNORED = [line.lstrip("/") for line in (ROOT / ".dvcignore").read_text().splitlines() if line.startswith("/ganlib")]
"""What can't change bytes, each with its reason in .dvcignore."""
ELSEWHERE = {
    "evaluate": ["ganlib/datasets/"],  # only `folders` reads images, which is no stage
    "train": ["ganlib/report/"],  # the page that shows how it goes is no output
    "publish": ["ganlib/core/"],  # it copies files; what it writes of its own is in files.py
    "domains.train": ["ganlib/report/"],
    "domains.baseline": ["ganlib/report/"],
}
"""Rooms that a stage reaches, and that can't change what it writes."""
TOOLS = ["__init__", "__main__", "params", "export", "generate", "hub", "checkpoints", "repair", "domains.export"]
GAMES = get_args(Params.model_fields["game"].annotation)
DOMAINS_GAMES = get_args(DomainsParams.model_fields["game"].annotation)
DOMAINS_TRAIN = ("train", "baseline")
MOST_LINES, MOST_ENTRIES, MOST_COLUMNS = 0.2, 12, 27

CHECKED = ["data/raw"]
"""No dependency: what is in it is taken only if its checksum fits."""


def outs_of(stage: str) -> list[str]:
    return [next(iter(out)) if isinstance(out, dict) else out for out in SECTIONS[stage]["outs"]]


def modules(package: str) -> Iterator[Path]:
    return (ROOT / package).rglob("*.py")


def code_of(stage: str) -> list[str]:
    """Return the code that a stage depends on, for every game."""
    return [dep.replace("${game}", game) for dep in named_code_of(stage) for game in games_of(stage)]


def games_of(stage: str) -> tuple[str, ...]:
    return DOMAINS_GAMES if stage.startswith("domains.") else GAMES


def named_code_of(stage: str) -> list[str]:
    """Return it as dvc.yaml names it."""
    return [dep for dep in SECTIONS[stage]["deps"] if dep.startswith(("ganlib/", "stages/"))]


def lies_in(file: str, place: str) -> bool:
    return file == place or file.startswith(place.rstrip("/") + "/")


def reached_by(stage: str) -> set[str]:
    named = any("${game}" in dep for dep in SECTIONS[stage]["deps"])
    games = [ROOT / f"ganlib/games/{game}.py" for game in games_of(stage)] if named else []  # found by their names
    script = SECTIONS[stage]["cmd"].split()[2]  # python -m stages.NAME
    return set().union(*(reached_files(path) for path in (ROOT / f"{script.replace('.', '/')}.py", *games)))


@pytest.mark.parametrize("stage", ALL_STAGES)
def test_every_module_that_a_stage_reaches_lies_in_what_it_depends_on_or_cannot_change_bytes(stage: str):
    loose = [
        file
        for file in reached_by(stage)
        if not any(lies_in(file, place) for place in (*code_of(stage), *ELSEWHERE.get(stage, [])))
        and not any(fnmatch(file, pattern) for pattern in IGNORED)
    ]
    assert loose == []


@pytest.mark.parametrize("stage", ALL_STAGES)
def test_a_stage_depends_on_nothing_that_it_does_not_reach(stage: str):
    reached = reached_by(stage)
    assert [place for place in code_of(stage) if not any(lies_in(file, place) for file in reached)] == []


def test_a_metric_that_only_evaluate_uses_does_not_retrain():
    assert not [file for file in reached_by("train") if file.startswith("ganlib/evaluation")]


def test_what_is_ignored_is_there_and_rooms_say_in_words_what_they_are():
    assert all(list(ROOT.glob(pattern)) for pattern in IGNORED)
    for path in ROOT.glob("ganlib/**/__init__.py"):
        (words,) = ast.parse(path.read_text()).body
        assert isinstance(words, ast.Expr) and len(ast.get_docstring(ast.parse(path.read_text())) or "") > 80, path


def test_the_house_is_small_and_no_room_is_a_house():
    entries = [path for path in (ROOT / "ganlib").iterdir() if path.name != "__pycache__"]
    assert {path.name for path in entries} == {*ROOMS, "__init__.py"} and len(entries) <= MOST_ENTRIES
    lines = {room: sum(path.read_text().count("\n") for path in modules(f"ganlib/{room}")) for room in ROOMS}
    assert max(lines.values()) < MOST_LINES * sum(lines.values()), lines


def test_the_pipeline_is_read_at_one_look():
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) < 240
    assert len((ROOT / "domains/dvc.yaml").read_text().splitlines()) < 240
    for stages in (STAGES, DOMAINS["stages"]):
        names = [stage if stages is STAGES else f"domains.{stage}" for stage in stages]
        assert len({place for stage in names for place in named_code_of(stage)}) <= MOST_COLUMNS


def test_a_game_is_a_file_a_section_and_what_the_loop_asks_for():
    files = {path.stem for path in (ROOT / "ganlib/games").glob("*.py")} - {"__init__"}
    assert files == {*GAMES, *DOMAINS_GAMES} and set(GAMES) == set(GamesParams.model_fields)
    assert set(DOMAINS_GAMES) == set(DomainsGamesParams.model_fields) == set(KINDS)
    assert all("games.${game}" in DOMAINS["stages"][name]["params"][0]["domains/params.yaml"] for name in DOMAINS_TRAIN)
    for game in DOMAINS_GAMES:
        asked = {name for it in (Game, TranslatingGame) for name in vars(it) if not name.startswith("_")}
        assert asked <= set(vars(import_module(f"ganlib.games.{game}")))
    for stage in ("train", "probe"):
        assert "ganlib/games/${game}.py" in PIPELINE["stages"][stage]["deps"]
        assert "games.${game}" in PIPELINE["stages"][stage]["params"]
    asked = {name for it in (Game, ProbedGame) for name in vars(it) if not name.startswith("_")}
    for game in GAMES:
        assert asked <= set(vars(import_module(f"ganlib.games.{game}")))


@pytest.mark.parametrize("stage", ALL_STAGES)
def test_every_path_that_a_stage_is_given_is_declared(stage: str):
    known = [*SECTIONS[stage]["deps"], *outs_of(stage), *CHECKED, "domains/params.yaml"]
    known += [str(Path(dep).parent) for dep in known if dep.startswith("metrics/domains/")]
    paths = [word for word in SECTIONS[stage]["cmd"].split() if "/" in word]
    assert [path for path in paths if not any(name == path or name.startswith(f"{path}/") for name in known)] == []


def test_every_path_in_params_is_a_dependency_of_the_stages_that_read_it_and_is_there_or_made():
    paths = {key for key, value in flat(load_params(ROOT / "params.yaml").model_dump()).items() if "/" in str(value)}
    assert paths == {
        "data.path",
        "evaluate.inception_weights",
        "evaluate.dinov2_weights",
        "complete.path",
        "complete.own_masks",
        "train.start",
    }
    for stage in set(STAGES) - {"report"}:
        section, params = PIPELINE["stages"][stage], {f"${{{path}}}": path for path in paths}
        templates = {params[dep] for dep in section["deps"] if dep in params}
        assert templates == {path for path in paths if {path, path.split(".")[0]} & set(section["params"])}, stage
    assert "no path" in (ROOT / NO_PATH).read_text()  # DVC warns of an empty file


def test_every_path_in_the_params_of_two_domains_is_a_dependency_of_the_stages_that_read_it():
    known = flat(load_domains_params(ROOT / "domains/params.yaml").model_dump())
    paths = {key for key, value in known.items() if "/" in str(value)}
    for stage, section in DOMAINS["stages"].items():
        if stage == "report":  # it tells of them all, and opens none
            continue
        read = [key for file in section["params"] for key in next(iter(file.values())) or []]
        needed = {path for path in paths if any(path == key or path.startswith(f"{key}.") for key in read)}
        assert {f"${{{path}}}" for path in needed} == {dep for dep in section["deps"] if dep.startswith("${")}, stage


def test_every_script_is_a_stage_or_a_tool():
    scripts = {section["cmd"].split()[2] for section in SECTIONS.values()} | {f"stages.{tool}" for tool in TOOLS}
    found = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules("stages")}
    assert found - {"stages.domains.__init__"} == scripts


def test_stages_of_two_domains_run_in_the_root_and_read_their_own_params():
    for section in DOMAINS["stages"].values():
        assert section["wdir"] == ".." and all(list(file) == ["domains/params.yaml"] for file in section["params"])
        script = section["cmd"].split()
        assert script[2].startswith("stages.domains.") or "--params domains/params.yaml" in section["cmd"], script


def test_training_emits_only_cached_outputs():
    assert all(isinstance(out, str) for out in PIPELINE["stages"]["train"]["outs"])


def test_stages_do_not_import_each_other():
    for path in modules("stages"):
        others = {name for name in imported_modules(path) if name.startswith("stages")}
        assert others == ({"stages", "stages.begin"} if path.stem == "__main__" else set()), path


def test_ganlib_knows_neither_stages_nor_the_command_line_nor_dvc():
    for path in modules("ganlib"):
        text = path.read_text()
        assert not any(f"import {name}" in text or f"from {name}" in text for name in ("stages", "typer", "dvc")), path


def test_arrows_between_rooms_run_down_only():
    for path in modules("ganlib"):
        room = path.relative_to(ROOT / "ganlib").parts[0]
        for name in imported_modules(path) if room in ROOMS else []:
            assert ROOMS.index(name.split(".")[1]) <= ROOMS.index(room), f"{path} imports {name}"


@pytest.mark.long
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
