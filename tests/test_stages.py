"""Each stage for real, in one process, on the small params."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save
from typer import Typer
from typer.testing import CliRunner

from ganlib.core.errors import UserError
from ganlib.core.fields import Section
from ganlib.core.files import read_json, read_table, sha256_of, write_json
from ganlib.core.packed import SPLITS, read_split
from ganlib.core.params import PARAMS_FILE, load_params
from ganlib.core.schema import Params
from ganlib.features.judge import ROTATIONS, load_judge
from ganlib.features.judging import judge_images
from ganlib.games import gan
from ganlib.looking import served
from ganlib.report.parts import flat
from ganlib.training.claims import Claim, Findings
from tests.conftest import ROOT, edit_params, figures_of, small_params
from tests.pictures import pets, tree
from tests.test_params import STAGES
from tests.test_structure import PIPELINE, outs_of

pytestmark = pytest.mark.slow


def prefixes(section: type[Section], before: str = "") -> dict[type[Section], str]:
    """Return what the names of each section's parameters begin with."""
    found: dict[type[Section], str] = {}
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            inner = f"{before}{name}."
            found |= {field.annotation: inner} | prefixes(field.annotation, inner)
    return found


PREFIX = prefixes(Params)


WITHOUT_EFFECT = {"train": {"train.checkpoint_every"}}
"""Parameters that a stage reads, and that change no byte of what it leaves."""
OF_OTHER_GAMES = {"lr", "batch_size", "steps", "data.flip", "loss", "train.lr_decay_start", "train.betas"}
OF_OTHER_GAMES |= {"train.d_steps", "train.d_lr_ratio", "train.instance_noise", "train.translation", "train.cutout"}
OF_OTHER_GAMES |= {"train.colour", "train.ema_halflife"}
"""Parameters, and a section of them, that only other games' baselines are trained with."""


class Recorder:
    """Note which parameters are read, as dotted names, from when a stage has loaded them until it ends."""

    def __init__(self) -> None:
        self.reads: set[str] = set()
        self.on = False

    def install(self, patch: pytest.MonkeyPatch) -> None:
        plain = Section.__getattribute__

        def recording(section: Section, name: str) -> Any:
            if self.on and name in type(section).model_fields and type(plain(section, name)) not in PREFIX:
                self.reads.add(PREFIX.get(type(section), "") + name)
            return plain(section, name)

        patch.setattr(Section, "__getattribute__", recording)

    def load(self, path: Path = PARAMS_FILE) -> Params:
        params = load_params(path)
        self.on = True
        return params


def invoke(stage: str, *arguments: str) -> None:
    module = importlib.import_module(f"stages.{stage}")
    app = getattr(module, "app", None) or Typer()
    if not app.registered_commands:
        app.command()(module.main)
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output


def arguments_of(stage: str) -> list[str]:
    return PIPELINE["stages"][stage]["cmd"].split()[3:]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, set[str]]]]:
    """Run all stages in a folder of their own; yield it with the params that each stage has read."""
    folder = tmp_path_factory.mktemp("pipeline")
    (folder / "params.yaml").write_text(small_params(), encoding="utf-8")
    reads: dict[str, set[str]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage in STAGES:
            with pytest.MonkeyPatch.context() as recording:
                recorder = Recorder()
                recorder.install(recording)
                module = importlib.import_module(f"stages.{stage}")
                loading = "load_params" if hasattr(module, "load_params") else "load_shared"  # of both pipelines
                recording.setattr(module, loading, recorder.load)
                invoke(stage, *arguments_of(stage))
            reads[stage] = recorder.reads
        yield folder, reads


def strengthen(path: Path) -> None:
    """Make weights larger: after so few steps images have next to no contrast."""
    path.write_bytes(save({name: 3 * value if value.ndim > 1 else value for name, value in load_file(path).items()}))


def declared_params(stage: str) -> set[str]:
    """Expand the sections that dvc.yaml names whole, and its templates."""
    params = load_params(ROOT / "params.yaml")
    chosen = {"${game}": params.game, "${model.architecture}": params.model.architecture}
    known, names = flat(params.model_dump()), set[str]()
    for name in PIPELINE["stages"][stage]["params"]:
        for template, value in chosen.items():
            name = name.replace(template, value)
        names |= {key for key in known if key == name or key.startswith(f"{name}.")}
    return names


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "report"])
def test_a_stage_depends_on_exactly_the_params_that_it_reads(pipeline: tuple[Path, dict[str, set[str]]], stage: str):
    declared = declared_params(stage)
    if stage == "probe":  # tests of these games see that they are read
        declared = {key for key in declared if key not in OF_OTHER_GAMES and key.split(".")[0] not in OF_OTHER_GAMES}
    assert declared == pipeline[1][stage] - WITHOUT_EFFECT.get(stage, set())


def test_the_report_shows_all_params_and_so_depends_on_the_whole_file(pipeline: tuple[Path, dict[str, set[str]]]):
    assert PIPELINE["stages"]["report"]["params"] == [{"params.yaml": None}]
    page = (pipeline[0] / "report/index.html").read_text()
    assert all(f"<th>{name}</th>" in page for name in ("lr", "train.precision", "evaluate.neighbours"))


def test_prepared_data_is_packed_and_described(pipeline: tuple[Path, dict[str, set[str]]]):
    folder = pipeline[0] / "data/prepared"
    meta = read_json(folder / "meta.json")
    images = {name: read_split(folder, name).images for name in SPLITS}
    assert sum(meta["counts"].values()) == 1797 - meta["duplicates_dropped"]
    for name, array in images.items():
        assert array.dtype == np.uint8 and array.shape == (meta["counts"][name], 1, 32, 32)
        assert sum(meta["counts_per_class"][name].values()) == len(array)
    assert len({image.tobytes() for array in images.values() for image in array}) == sum(meta["counts"].values())
    with Image.open(folder / "contact_sheet.png") as sheet:
        assert sheet.width == sheet.height > 500


def test_samples_are_made_from_the_weights_alone(pipeline: tuple[Path, dict[str, set[str]]]):
    from ganlib.networks.families import load_generator
    from ganlib.networks.sampling import generate

    folder = pipeline[0]
    generator = load_generator(folder / "data/model")
    latents = torch.from_numpy(np.load(folder / "data/samples/grid_latents.npy"))
    images = generate(generator, latents, torch.device("cpu"))
    assert np.array_equal(images, np.load(folder / "data/samples/grid_images.npy"))
    assert np.load(folder / "data/samples/images.npy").shape == (400, 1, 32, 32)


def test_any_sample_can_be_made_again_from_its_latent(pipeline: tuple[Path, dict[str, set[str]]]):
    from ganlib.core.images import to_pixels
    from ganlib.networks.families import load_generator

    folder = pipeline[0]
    generator = load_generator(folder / "data/model")
    latents = torch.from_numpy(np.load(folder / "data/samples/latents.npy"))
    again = to_pixels(generator(latents[[17]])).int().numpy()
    assert np.abs(again - np.load(folder / "data/samples/images.npy")[[17]]).max() <= 1  # a batch of one rounds anew


@pytest.mark.parametrize("files", ["png", "zip"])
def test_samples_are_written_as_files_on_request(
    pipeline: tuple[Path, dict[str, set[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: str
):
    from ganlib.datasets.plain import read_images

    shutil.copytree(pipeline[0], tmp_path / "files")
    monkeypatch.chdir(tmp_path / "files")
    Path("params.yaml").write_text(edit_params(Path("params.yaml").read_text(), {"sample.files": files}))
    invoke("sample", *arguments_of("sample"))
    written = Path("data/samples/images" if files == "png" else "data/samples/images.zip")
    assert np.array_equal(read_images(written), np.load("data/samples/images.npy"))


def test_samples_in_bf16_differ_from_those_in_fp32_by_a_few_levels(
    pipeline: tuple[Path, dict[str, set[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(pipeline[0], tmp_path / "bf16")
    monkeypatch.chdir(tmp_path / "bf16")
    strengthen(Path("data/model/generator.safetensors"))
    invoke("sample", *arguments_of("sample"))
    whole = np.load("data/samples/images.npy").astype(int)
    Path("params.yaml").write_text(edit_params(Path("params.yaml").read_text(), {"sample.precision": "bf16"}))
    invoke("sample", *arguments_of("sample"))
    apart = np.abs(np.load("data/samples/images.npy") - whole)
    assert 0 < apart.mean() < 1 and apart.max() < 16


@pytest.mark.proof
def test_two_processes_sample_and_describe_what_one_does(
    pipeline: tuple[Path, dict[str, set[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(pipeline[0], tmp_path / "two")
    monkeypatch.chdir(tmp_path / "two")
    Path("params.yaml").write_text(edit_params(Path("params.yaml").read_text(), {"train.distributed": "2"}))
    for stage in ("reference", "sample", "evaluate"):
        for out in outs_of(stage):
            Path(out).unlink() if Path(out).is_file() else shutil.rmtree(out)
        line = [sys.executable, *PIPELINE["stages"][stage]["cmd"].split()[1:]]
        subprocess.run(line, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
        for out in outs_of(stage):
            assert Path(out).exists()
    images, latents = np.load("data/samples/images.npy"), np.load("data/samples/latents.npy")
    assert np.array_equal(latents, np.load(pipeline[0] / "data/samples/latents.npy"))
    # Batches of other sizes round anew.
    assert np.abs(images.astype(int) - np.load(pipeline[0] / "data/samples/images.npy")).max() <= 1
    figures, expected = (figures_of(folder) for folder in (Path(), pipeline[0]))
    assert figures.keys() == expected.keys()
    numbers = {name: value for name, value in expected.items() if not isinstance(value, str)}
    assert {name: figures[name] for name in numbers} == pytest.approx(numbers, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("ema", [True, False])
def test_samples_are_drawn_from_what_is_published(
    pipeline: tuple[Path, dict[str, set[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ema: bool
):
    from ganlib.networks.families import load_generator
    from ganlib.networks.sampling import generate

    shutil.copytree(pipeline[0], tmp_path / "checkpoint")
    monkeypatch.chdir(tmp_path / "checkpoint")
    for kept in ("generator_ema", "generator"):
        strengthen(Path(f"data/training/final/{kept}.safetensors"))
    chosen = {"publish.checkpoint": "final", "publish.ema": str(ema).lower()}
    Path("params.yaml").write_text(edit_params(Path("params.yaml").read_text(), chosen))
    for stage in ("publish", "sample", "evaluate", "report"):
        invoke(stage, *arguments_of(stage))
    latents = torch.from_numpy(np.load("data/samples/grid_latents.npy"))
    images = {
        kept: generate(load_generator(Path("data/training/final"), kept), latents, torch.device("cpu"))
        for kept in ("generator_ema", "generator")
    }
    asked, other = images if ema else reversed(images)
    assert np.array_equal(np.load("data/samples/grid_images.npy"), images[asked])
    assert not np.array_equal(images[asked], images[other])
    metrics = figures_of(Path())
    assert (metrics["published"], metrics["published_ema"], metrics["published_step"]) == ("final", ema, 6)
    said = "the moving average of its weights" if ema else "its weights themselves"
    assert f"The model is the last generator, that of step 6, with {said}" in Path("report/index.html").read_text()


def test_how_often_a_checkpoint_is_kept_changes_no_byte(
    pipeline: tuple[Path, dict[str, set[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(pipeline[0], tmp_path / "often", ignore=shutil.ignore_patterns("checkpoints"))
    monkeypatch.chdir(tmp_path / "often")
    Path("params.yaml").write_text(edit_params(Path("params.yaml").read_text(), {"train.checkpoint_every": "1"}))
    invoke("train", *arguments_of("train"))
    files = [path.relative_to(pipeline[0]) for path in (pipeline[0] / "data/training").rglob("*") if path.is_file()]
    assert len(files) > 10 and all(sha256_of(path) == sha256_of(pipeline[0] / path) for path in files)


def test_completion_figures_stand_beside_those_of_the_baselines(pipeline: tuple[Path, dict[str, set[str]]]):
    folder = pipeline[0]
    metrics = read_json(folder / "metrics/complete.json")
    assert set(metrics) == {"images", "masks", "source"} and metrics["images"] == 6
    assert set(metrics["masks"]) == {"centre", "random", "left"}
    for name in ("centre", "random", "left"):
        arrays = np.load(folder / f"data/completion/{name}.npz")
        known = ~arrays["hidden"]
        for kind in ("masked", "completed", "nearest", "mean"):
            assert arrays[kind].shape == (6, 1, 32, 32)
            assert np.array_equal(arrays[kind][..., known], arrays["original"][..., known])
        assert {"psnr", "psnr_nearest", "psnr_mean_fill", "l1", "l1_nearest", "l1_mean_fill"} < set(
            metrics["masks"][name]
        )


def test_own_images_are_completed(
    pipeline: tuple[Path, dict[str, set[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(pipeline[0], tmp_path / "own")
    monkeypatch.chdir(tmp_path / "own")
    tree(pets(), Path("pets"))
    names = ["images.png", "source.png", "completed.png", "nearest.png"]  # as keys and rows beside theirs are called
    hidden = np.zeros((32, 32), np.uint8)
    hidden[:8] = 255
    Path("masks").mkdir()
    for name in names:
        Image.fromarray(hidden).save(Path("masks") / name)
    chosen = {
        "complete.path": "pets",
        "complete.masks": "[lowres]",
        "complete.own_masks": "masks",
        "complete.steps": "1",
    }
    Path("params.yaml").write_text(edit_params(Path("params.yaml").read_text(), chosen))
    invoke("complete", *arguments_of("complete"))
    metrics = read_json(Path("metrics/complete.json"))
    assert metrics["source"] == "own images" and metrics["images"] == 6
    assert set(metrics["masks"]) == {"lowres", *(Path(name).stem for name in names)}
    assert "psnr" in metrics["masks"]["images"] and "psnr" in metrics["masks"]["source"]
    with Image.open("metrics/complete.png") as picture:
        assert picture.height == 66 + 5 * 3 * 66 + 5 * 10 - 2, "a row of originals, three for each mask"
    for name in ("lowres", "images"):
        assert np.load(f"data/completion/{name}.npz")["completed"].shape == (6, 1, 32, 32)


def test_completion_that_is_turned_off_says_so_everywhere(
    pipeline: tuple[Path, dict[str, set[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(pipeline[0], tmp_path / "off")
    monkeypatch.chdir(tmp_path / "off")
    Path("params.yaml").write_text(edit_params(Path("params.yaml").read_text(), {"complete.masks": "[]"}))
    invoke("complete", *arguments_of("complete"))
    reason = "complete.masks and complete.own_masks name no mask"
    assert read_json(Path("metrics/complete.json")) == {"absent": reason, "images": 0, "masks": {}}
    assert not list(Path("data/completion").iterdir()) and Path("metrics/complete.png").stat().st_size
    invoke("report", *arguments_of("report"))
    assert f"Absent: {reason}." in Path("report/index.html").read_text()
    assert f"Completion absent: {reason}." in Path("report/report.md").read_text()


def test_explored_arrays_have_their_shapes(pipeline: tuple[Path, dict[str, set[str]]]):
    folder = pipeline[0] / "data/explore"
    shapes = {path.stem: np.load(path).shape[:-3] for path in folder.glob("*.npy")}
    expected = {"interpolation": (3, 4), "plane": (4, 4), "walk": (12, 4), "truncation": (4, 4), "neighbours": (3, 7)}
    notes = read_json(folder / "explore.json")
    if "arithmetic" in notes:
        expected["arithmetic"] = (3, 4)
        assert len(notes["arithmetic"]) == 3
    else:
        assert "3 are needed" in notes["arithmetic_absent"]
    assert shapes == expected and len(notes["neighbours"]) == 3


def test_metrics_carry_their_protocol(pipeline: tuple[Path, dict[str, set[str]]]):
    folder = pipeline[0]
    metrics = figures_of(folder)
    headline = read_json(folder / "metrics/evaluate.json")
    assert list(headline) == sorted(headline)
    assert metrics["mode_collapse"] == pytest.approx(1 - metrics["diversity_score"])
    assert metrics["protocol_extractor_sha256"] == sha256_of(folder / "data/judge/judge.safetensors")
    assert metrics["protocol_generated"] == 400
    assert read_table(folder / "metrics/history.csv")["step"].tolist() == [2, 4, 6]
    assert read_table(folder / "metrics/evaluations.csv")["step"].tolist() == [4, 6]
    assert len(read_table(folder / "metrics/classes.csv")) == 10
    assert len(read_table(folder / "metrics/confusion.csv")) == metrics["protocol_heldout"]


def test_the_nearest_pairs_name_images_by_where_they_lie(pipeline: tuple[Path, dict[str, set[str]]]):
    folder = pipeline[0]
    pairs = read_table(folder / "metrics/nearest.csv")
    fake, train = np.load(folder / "data/samples/images.npy"), read_split(folder / "data/prepared", "train").images
    judge = load_judge(folder / "data/judge")
    device = torch.device("cpu")
    for pair in pairs.to_dict("records"):
        both = np.stack([fake[pair["image"]], (fake if pair["kind"] == "generated" else train)[pair["other"]]])
        first, second = judge_images(judge, both, device).features
        assert np.linalg.norm(first - second) == pytest.approx(pair["distance"], rel=1e-3, abs=1e-3)


def test_intervals_and_floors_stand_beside_the_headline_figures(pipeline: tuple[Path, dict[str, set[str]]]):
    metrics = figures_of(pipeline[0])
    for name in ("domain_fid", "diversity_score", "valid"):
        assert metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"]
    assert {"domain_fid_floor", "domain_fid_infinity_floor", "valid_heldout", "coverage_heldout"} <= set(metrics)
    assert metrics["matched_images"] == min(metrics["protocol_generated"], metrics["protocol_heldout"])
    assert {"train_best_domain_fid_to_heldout", "train_final_domain_fid_to_heldout"} <= set(metrics)
    assert "fid" not in metrics and "undersampled" not in metrics


def test_a_reference_of_another_extractor_is_named(pipeline: tuple[Path, dict[str, set[str]]]):
    from ganlib.evaluation.extractors import check_protocol

    theirs = read_json(pipeline[0] / "data/reference/protocol.json")
    ours = {"protocol_extractor": "judge", "protocol_extractor_sha256": "0"}
    with pytest.raises(UserError, match=r"protocol_extractor_sha256 differ.*run dvc repro reference"):
        check_protocol(ours, theirs, Path("data/reference"))


def test_images_without_labels_go_through_every_stage_of_the_evaluation(
    pipeline: tuple[Path, dict[str, set[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(pipeline[0], tmp_path / "unlabelled")
    monkeypatch.chdir(tmp_path / "unlabelled")
    quick = {"threads": "1", "evaluate.judge_epochs": "1"}
    Path("params.yaml").write_text(edit_params(Path("params.yaml").read_text(), quick))
    meta = Path("data/prepared/meta.json")
    write_json(meta, read_json(meta) | {"class_names": []})
    for path in Path("data/prepared").glob("*_labels.npy"):
        path.unlink()
    for stage in ("judge", "reference", "evaluate"):
        invoke(stage, *arguments_of(stage))
    metrics = figures_of(Path())
    assert metrics["protocol_classes"] == "8 bins" and 0 <= metrics["diversity_score"] <= 1
    assert read_table(Path("metrics/classes.csv"), "class")["class"].tolist() == [f"bin {index}" for index in range(8)]
    assert set(read_table(Path("metrics/confusion.csv"), "asked")["asked"]) == set(ROTATIONS)


def test_with_inception_the_figures_have_names_of_their_own(
    pipeline: tuple[Path, dict[str, set[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Pooled(torch.nn.Module):
        """Stand in for Inception, which takes a second for ten images."""

        def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
            return [torch.nn.functional.adaptive_avg_pool2d(images, 4).flatten(1)[:, :, None, None]]

    shutil.copytree(pipeline[0], tmp_path / "inception")
    monkeypatch.chdir(tmp_path / "inception")
    Path("weights.pth").write_bytes(b"any")
    chosen = {"evaluate.extractor": "inception", "evaluate.inception_weights": "weights.pth"}
    Path("params.yaml").write_text(edit_params(Path("params.yaml").read_text(), chosen))
    monkeypatch.setattr("ganlib.evaluation.extractors.load_inception", lambda path: Pooled())
    for stage in ("reference", "evaluate", "report"):
        invoke(stage, *arguments_of(stage))
    metrics = figures_of(Path())
    assert not [name for name in metrics if name.startswith("domain_")]
    assert {"fid", "fid_floor", "fid_infinity", "kid_mean", "kid_std"} <= set(metrics)
    assert metrics["undersampled"] and metrics["protocol_classes"] == "judge"
    assert metrics["protocol_extractor_sha256"] == sha256_of(Path("weights.pth"))
    assert "<dt>FID</dt>" in Path("report/index.html").read_text()


def test_the_report_needs_no_network_and_holds_its_pictures(pipeline: tuple[Path, dict[str, set[str]]]):
    page = (pipeline[0] / "report/index.html").read_text()
    assert page.count("<img") > 12 and page.count("<svg") == 8
    assert "data/explore is not" not in page and "dvc.lock is not there; dvc repro report makes it" in page
    outside = page.replace("http://www.w3.org/", "")  # names of XML namespaces
    assert "http://" not in outside and "https://" not in outside and "<script src" not in outside
    assert "| Domain FID | **" in (pipeline[0] / "report/report.md").read_text()


def test_no_output_names_this_machine_or_folder(pipeline: tuple[Path, dict[str, set[str]]]):
    folder = pipeline[0]
    for path in folder.rglob("*"):
        if path.is_file():
            assert str(folder).encode() not in path.read_bytes(), path


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "report"])
def test_running_a_stage_again_gives_the_same_bytes(
    pipeline: tuple[Path, dict[str, set[str]]], stage: str, monkeypatch: pytest.MonkeyPatch
):
    folder = pipeline[0]
    monkeypatch.chdir(folder)
    shutil.rmtree("checkpoints", ignore_errors=True)  # or the finished training would be taken
    before = {path: sha256_of(path) for path in folder.rglob("*") if path.is_file()}
    invoke(stage, *arguments_of(stage))
    shutil.rmtree("checkpoints", ignore_errors=True)
    assert {path: sha256_of(path) for path in folder.rglob("*") if path.is_file()} == before


def test_the_page_shows_the_claims_of_the_game(pipeline: tuple[Path, dict[str, set[str]]]):
    folder = pipeline[0]
    claims, page = read_json(folder / "metrics/probe.json"), (folder / "report/index.html").read_text()
    assert len(claims) == 2
    for name, claim in claims.items():
        assert set(claim) == {"value", "baseline", "baseline_value", "better", "held", "source"}
        row = next(row for row in page.split("<tr>") if name.replace("'", "&#39;") in row)
        assert f"{claim['value']:.3g}" in row and f"{claim['baseline_value']:.3g}" in row and claim["source"] in row
        assert ("not held" in row) != claim["held"]
    assert "What a linear classifier gets wrong" in page
    assert "gan promises" in (folder / "report/report.md").read_text()


@pytest.fixture
def elsewhere(pipeline: tuple[Path, dict[str, set[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(pipeline[0], tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def test_images_without_labels_get_no_claim_and_the_reason_instead(elsewhere: Path):
    meta = Path("data/prepared/meta.json")
    write_json(meta, read_json(meta) | {"class_names": []})
    for path in Path("data/prepared").glob("*_labels.npy"):
        path.unlink()
    for stage in ("probe", "report"):
        invoke(stage, *arguments_of(stage))
    reason = "the images have no two classes that a classifier could tell apart"
    assert read_json(Path("metrics/probe.json")) == {"absent": reason}
    assert [path.name for path in Path("metrics/probe").iterdir()] == ["nothing.png"]
    assert f"Absent: {reason}." in Path("report/index.html").read_text()
    assert f"What this game promises: absent: {reason}." in Path("report/report.md").read_text()


def test_tables_and_curves_of_a_game_are_shown(elsewhere: Path, monkeypatch: pytest.MonkeyPatch):
    claim = Claim("a figure", 0.25, "a baseline", 0.5, "higher", "a paper")
    tables = {
        "codes_and_classes": pd.DataFrame({"code": [0, 1], "zero": [0.125, 1], "one": [7, 8]}),
        "its_course": pd.DataFrame({"step": [1, 2], "series": "ours", "value": [0.5, 0.75]}),
    }
    monkeypatch.setattr(gan, "probe", lambda *_: Findings(claims=[claim], tables=tables))
    for stage in ("probe", "report"):
        invoke(stage, *arguments_of(stage))
    page = Path("report/index.html").read_text()
    assert "<b>Codes and classes</b>" in page and "0.125" in page and ">Its course<" in page
    assert "<b>not held</b>" in page and "a paper" in page
    assert read_table(Path("metrics/probe/codes_and_classes.csv"))["one"].tolist() == [7, 8]


def test_a_game_that_can_not_be_looked_at_leaves_the_reason(elsewhere: Path, monkeypatch: pytest.MonkeyPatch):
    reasons = {"complete": "its D sees no images", "explore": "its latents are no plane"}
    monkeypatch.setattr(served, "UNSERVED", {stage: {"gan": reason} for stage, reason in reasons.items()})
    for stage in ("complete", "explore", "report"):
        invoke(stage, *arguments_of(stage))
    page = Path("report/index.html").read_text()
    assert all(f"Absent: {reason}." in page for reason in reasons.values())
    assert read_json(Path("data/explore/explore.json")) == {"absent": reasons["explore"]}
    assert [path.name for path in Path("metrics/explore").iterdir()] == ["nothing.png"]


def stop() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("fault", [stop, lambda: (_ for _ in ()).throw(OSError(28, "No space left on device"))])
def test_a_stage_that_is_stopped_leaves_its_old_output_whole(tmp_path: Path, fault: Callable[[], None]):
    from ganlib.core.files import whole_file, whole_folder

    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").write_text("old")
    with pytest.raises((KeyboardInterrupt, OSError)), whole_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("new")
        fault()
    with pytest.raises((KeyboardInterrupt, OSError)), whole_file(tmp_path / "b.csv") as file:
        file.write_text("half")
        fault()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a"]
    assert (tmp_path / "out/a").read_text() == "old"


def test_a_corrupt_weights_file_is_named(tmp_path: Path, pipeline: tuple[Path, dict[str, set[str]]]):

    source = pipeline[0] / "data/judge"
    (tmp_path / "judge.json").write_bytes((source / "judge.json").read_bytes())
    (tmp_path / "judge.safetensors").write_bytes((source / "judge.safetensors").read_bytes()[:1000])
    with pytest.raises(UserError, match=r"judge\.safetensors.*delete it and run dvc repro"):
        load_judge(tmp_path)
