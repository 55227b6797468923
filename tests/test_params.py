import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from ganlib.core.domains_schema import DomainsParams
from ganlib.core.errors import UserError
from ganlib.core.params import load_domains_params, load_params
from ganlib.core.schema import Params
from tests.conftest import ROOT, edit_params, small_params

STAGES = ["prepare", "judge", "reference", "train", "publish", "sample", "evaluate", "probe"]
STAGES += ["explore", "complete", "report"]


@pytest.mark.parametrize(("written", "number"), [("2e-4", 2e-4), ("1e-05", 1e-5), ("0.0002", 2e-4), ("1E-3", 1e-3)])
def test_a_learning_rate_is_a_number_however_it_is_written(params_file: Path, written: str, number: float):
    params_file.write_text(edit_params(params_file.read_text(), {"lr": written}))
    assert load_params().lr == number


def test_steps_may_be_written_with_an_exponent(params_file: Path):
    params_file.write_text(edit_params(params_file.read_text(), {"steps": "1e4"}))
    assert load_params().steps == 10_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((r"^lr:", "lrr:"), ["params.yaml: unknown key lrr: did you mean lr?"]),
        ((r"^  latent_dim:", "  latent_dims:"), ["unknown key model.latent_dims: did you mean model.latent_dim?"]),
        ((r"^  width:", "  zzz:"), ["unknown key model.zzz: known are architecture, latent_dim"]),
        ((r"^lr: \S+", "lr: -1"), ["lr = -1: must be greater than 0"]),
        ((r"^lr: \S+", "lr: fast"), ["lr = 'fast': must be a number"]),
        ((r"^lr: \S+", "lr: .nan"), ["lr = nan"]),
        ((r"^seed: \S+", "seed: true"), ["seed = True: must be a number"]),
        ((r"^steps: \S+", "steps: 1.5"), ["steps = 1.5"]),
        ((r"^device: \S+", "device: gpu"), ["device = 'gpu': must be 'auto', 'cpu' or 'cuda'"]),
        ((r"^  image_size: \S+", "  image_size: 50"), ["data.image_size = 50", "10, 12, 14, 16"]),
        ((r"^  real_label_low: \S+", "  real_label_low: 0.95"), ["loss.real_label_low = 0.95 is over"]),
        ((r"^  gradient_penalty: \S+", "  gradient_penalty: 10"), ["loss.gradient_penalty", "set model.d_norm"]),
        ((r"^  name: \S+", "  name: hinge"), ["loss.name = hinge has no labels"]),
        ((r"^  r2: \S+", "  r2: -1"), ["loss.r2 = -1"]),
        ((r"^  d_steps: \S+", "  d_steps: 0"), ["train.d_steps = 0"]),
        ((r"^  width: \S+", "  width: 3"), ["model.width = 3"]),
        ((r"^  conditional: \S+", "  conditional: concatenate"), ["model.conditional = 'concatenate'", "mean concat?"]),
        ((r"^  auxiliary: \S+", "  auxiliary: 0"), ["loss.auxiliary = 0: must be greater than 0"]),
        ((r"^  cutout: \S+", "  cutout: 2"), ["train.cutout = 2"]),
        ((r"^  colour: \S+", "  colour: -1"), ["train.colour = -1"]),
        ((r"^  channels: \S+", "  channels: 2"), ["data.channels = 2: must be 1 or 3"]),
        (
            (r"^  dataset: \S+", "  dataset: CIFAR-10"),
            ["data.dataset = 'CIFAR-10'", "did you mean cifar10?"],
        ),
        ((r"^  dataset: \S+", "  dataset: stanford"), ["did you mean stanford_dogs?"]),
        ((r"^  dataset: \S+", "  dataset: url"), ["data.url is null: data.dataset url needs the archive's address"]),
        ((r"^  path: \S+", "  path: null"), ["data.path = None: must be a path; data/none stands for none"]),
        ((r"^  classes: \S+", "  classes: []"), ["data.classes = []"]),
        ((r"^  limit: \S+", "  limit: 0"), ["data.limit = 0"]),
        ((r"^  flip: \S+", "  flip: 1"), ["data.flip = 1"]),
        (
            (r"^  masks: .*", "  masks: [center]"),
            ["complete.masks.0 = 'center': must be centre, random", "a PNG of your own goes into complete.own_masks"],
        ),
        ((r"^  masks: .*", "  masks: [left, left]"), ["complete.masks", "one is named twice"]),
        ((r"^  own_masks: .*", "  own_masks: null"), ["complete.own_masks = None", "data/none stands for none"]),
        ((r"^  path: data/prep\S+", "  path: data/none"), ["complete.path = data/none", "set it to data/prepared"]),
        ((r"^  path: data/prep\S+", "  path: null"), ["complete.path = None: must be a path"]),
        (
            (r"^  path: data/none", "  path: ../pets.zip"),
            ["data.path = ../pets.zip: data.dataset digits reads no"],
        ),
        ((r"^  dataset: \S+", "  dataset: folder"), ["data.path = data/none: data.dataset folder needs it: set it to"]),
        ((r"^  checkpoint: \S+", "  checkpoint: last"), ["publish.checkpoint = 'last': must be 'best' or 'final'"]),
        ((r"^  starts: \S+", "  starts: 21"), ["complete.starts = 21 is over complete.candidates"]),
        ((r"^  ema: \S+", "  ema: 0"), ["publish.ema = 0"]),
        ((r"^lr: \S+", "lr: [1"), ["not valid YAML"]),
        ((r"^lr: \S+", "lr: 1e-4\nlr: 1e-3"), ["not valid YAML", "duplicate"]),
        ((r"(?s).*", "- 1\n"), ["must hold `key: value` lines"]),
        ((r"^model:", "model: 3\nother:"), ["model = 3"]),
    ],
)
def test_a_mistake_is_named_with_its_key_and_what_is_allowed(
    params_file: Path, change: tuple[str, str], message: list[str]
):
    text, count = re.subn(change[0], change[1], params_file.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1
    params_file.write_text(text)
    with pytest.raises(UserError) as caught:
        load_params()
    assert all(part in str(caught.value) for part in message), caught.value
    assert all(line.startswith("params.yaml") for line in str(caught.value).splitlines())


def test_a_misspelt_key_is_one_mistake(params_file: Path):
    params_file.write_text(params_file.read_text().replace("lr:", "lrr:", 1))
    with pytest.raises(UserError) as caught:
        load_params()
    assert str(caught.value) == "params.yaml: unknown key lrr: did you mean lr?"


def test_an_absent_file_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"params\.yaml is missing"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("stage", STAGES)
def test_a_typo_ends_a_stage_in_one_line_before_torch_is_imported(params_file: Path, stage: str):
    params_file.write_text(edit_params(params_file.read_text(), {"lr": "-1"}))
    result = run_stage(stage, params_file.parent, "-X", "importtime")
    assert result.returncode == 1
    told = [line for line in result.stderr.splitlines() if not line.startswith("import time:")]
    assert told == ["error: params.yaml: lr = -1: must be greater than 0"]
    assert "ganlib.core.params" in result.stderr and not re.search(r"\| +(torch|pandas|altair)$", result.stderr, re.M)


def test_a_missing_gpu_is_refused_by_every_stage_before_any_work(params_file: Path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    params_file.write_text(edit_params(params_file.read_text(), {"device": "cuda"}))
    result = run_stage("prepare", params_file.parent)
    assert result.returncode == 1
    assert result.stderr.startswith("error: device = 'cuda'") and result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["export"], ["evaluate", "folders"], ["report", "compare"]], ids=" ".join)
def test_tools_work_where_there_are_no_params(tmp_path: Path, command: list[str]):
    result = run_stage(command[0], tmp_path, arguments=command[1:])
    assert result.returncode == 2 and "Missing argument" in result.stderr


def run_stage(
    stage: str, folder: Path, *options: str, arguments: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run a stage as a user does, in a folder that has only a params file."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *options, "-m", f"stages.{stage}", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_committed_schema_is_current():
    assert json.loads((ROOT / "params.schema.json").read_text()) == Params.model_json_schema()
    assert json.loads((ROOT / "domains/params.schema.json").read_text()) == DomainsParams.model_json_schema()


@pytest.mark.parametrize("file", ["params.yaml", "domains/params.yaml"])
def test_every_value_has_a_comment_beside_it(file: str):
    lines = (ROOT / file).read_text().splitlines()
    bare = [line for line in lines if re.match(r"\s*\w+: \S", line) and "#" not in line]
    assert bare == []


def test_sections_cannot_be_changed(params_file: Path):
    with pytest.raises(ValueError, match="frozen"):
        load_params().lr = 1.0


@pytest.mark.parametrize("params", [Params, DomainsParams])
def test_every_parameter_says_what_it_means(params: type[Params | DomainsParams]):
    schema = params.model_json_schema()
    sections = [schema, *schema["$defs"].values()]
    leaves = [
        (name, leaf) for section in sections for name, leaf in section["properties"].items() if "$ref" not in leaf
    ]
    assert [name for name, leaf in leaves if not leaf.get("description")] == []


UNPAIRED = {"pairs.paired": "false"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs.image_size": "30"}, "pairs.image_size = 30: must be a multiple of 4"),
        ({"game": "srgan"}, "pairs.kind = edges: game srgan learns from lowres"),
        ({"game": "pixpix"}, "did you mean pix2pix?"),
        (
            {"pairs.channels_a": "3"},
            "pairs.channels_a = 3: images are made of grey ones: set pairs.channels_b to 3",
        ),
        ({"pairs.kind": "grey", "pairs.channels_a": "3", "pairs.channels_b": "3"}, "makes grey images of colour"),
        ({"pairs.kind": "masked", "pairs.channels_b": "3"}, "make them equal"),
        ({"pairs.kind": "folders"}, "pairs.a = data/none: kind folders needs it"),
        ({"pairs.b.dataset": "folder"}, "pairs.b.path = data/none: kind edges needs it"),
        ({"pairs.b.dataset": "folder", "pairs.b.path": "data"}, "pairs.b.path = data: holds data/prepared"),
        ({"pairs.paired": "false"}, "pairs.paired = false: game pix2pix learns from partners: set it to true"),
        ({"game": "cogan"}, "pairs.paired = true: game cogan learns without partners: set it to false"),
        (
            {"game": "dualgan", "pairs.paired": "false"},
            "nonsaturating: game dualgan: set it to wasserstein",
        ),
        ({"loss.name": "wasserstein"}, "loss.name = wasserstein: game pix2pix: set it to another"),
        ({"pairs.kind": "masked", "pairs.made": "b"}, "pairs.made = b: kind masked does not make B of A: set it to a"),
        ({"translate.back": "true"}, "translate.back = true: game pix2pix learns no way back: set it to false"),
        (
            {"game": "cogan", "pairs.paired": "false", "translate.path": "own"},
            "translate.path = own: game cogan translates none: set it to data/none",
        ),
        ({"pairs.kind": "lowres", "game": "srgan", "pairs.image_size": "8"}, "pairs.image_size = 8: with pairs.factor"),
        ({"batch_size": "16", "train.distributed": "3"}, "train.distributed = 3 must divide it"),
        ({"pairs.a": "own"}, "pairs.a = own: nothing reads it: set pairs.kind to folders, or pairs.a to data/none"),
        ({"pairs.b.path": "own"}, "pairs.b.path = own: nothing reads it: set pairs.b.dataset to folder"),
        ({**UNPAIRED, "game": "cogan", "pairs.image_size": "36"}, "pairs.image_size = 36: game cogan takes 8, 10"),
        (
            {"game": "stackgan", "pairs.kind": "captions", "pairs.channels_b": "3", "pairs.image_size": "12"},
            "pairs.image_size = 12: game stackgan takes 16, 20",
        ),
        ({**UNPAIRED, "game": "simgan", "pairs.channels_b": "3"}, "game simgan compares refined images"),
        (
            {**UNPAIRED, "game": "cyclegan", "pairs.channels_b": "3", "games.cyclegan.identity": "5"},
            "games.cyclegan.identity = 5: A has 1 channels and B 3",
        ),
    ],
)
def test_a_mistake_in_the_params_of_two_domains_is_named(tmp_path: Path, changes: dict[str, str], message: str):
    path = tmp_path / "params.yaml"
    path.write_text(edit_params((ROOT / "domains/params.yaml").read_text(), changes))
    with pytest.raises(UserError) as caught:
        load_domains_params(path)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_params_of_two_domains_are_checked_before_torch_is_imported(tmp_path: Path):
    (tmp_path / "domains").mkdir()
    wrong = edit_params((ROOT / "domains/params.yaml").read_text(), {"lr": "-1"})
    (tmp_path / "domains/params.yaml").write_text(wrong)
    for command in (["domains.pairs"], ["judge", "--params", "domains/params.yaml"]):
        result = run_stage(command[0], tmp_path, "-X", "importtime", arguments=command[1:])
        told = [line for line in result.stderr.splitlines() if not line.startswith("import time:")]
        assert told == ["error: domains/params.yaml: lr = -1: must be greater than 0"]
        assert result.returncode == 1 and not re.search(r"\| +(torch|pandas|altair)$", result.stderr, re.M)


@pytest.mark.parametrize("path", ["data", ".", "data/prepared", "data/samples/images", "metrics", "../{name}"])
@pytest.mark.parametrize("key", ["data.path", "train.start"])
def test_what_the_pipeline_makes_cannot_be_what_it_starts_from(params_file: Path, path: str, key: str):
    shutil.copy(ROOT / "dvc.yaml", params_file.parent)
    path = path.format(name=params_file.parent.name)
    changes = {key: path} | ({"data.dataset": "folder"} if key == "data.path" else {})
    params_file.write_text(edit_params(small_params(), changes))
    with pytest.raises(UserError, match=rf"{key} = {path}: holds .*, which the pipeline makes of it"):
        load_params()
    params_file.write_text(edit_params(small_params(), changes | {key: "data/raw"}))
    load_params()


@pytest.mark.parametrize("path", ["~/pets", "~", "~someone/pets.zip"])
def test_a_home_folder_is_asked_to_be_written_out(params_file: Path, path: str):
    params_file.write_text(edit_params(small_params(), {"data.path": f'"{path}"'}))
    with pytest.raises(UserError, match=r"data\.path = .*: ~ is no folder here"):
        load_params()


@pytest.mark.parametrize("size", [30, 100, 250, 8, 64])
@pytest.mark.parametrize("architecture", ["dcgan", "resnet", "mlp"])
def test_editors_refuse_the_sizes_that_the_check_refuses(params_file: Path, size: int, architecture: str):
    params_file.write_text(
        edit_params(small_params(), {"data.image_size": str(size), "model.architecture": architecture})
    )
    document = YAML(typ="safe", pure=True).load(params_file.read_text().replace("4e-4", "0.0004"))
    errors = list(Draft202012Validator(Params.model_json_schema()).iter_errors(document))
    try:
        load_params()
        refused = False
    except UserError:
        refused = True
    assert bool(errors) == refused == (architecture != "mlp" and size in (30, 100, 250)), errors


def test_a_typo_of_an_experiment_says_how_to_take_it_back(params_file: Path):
    params_file.write_text(params_file.read_text().replace("lr: 4e-4", "lr: fast", 1))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVC_EXP_BASELINE_REV": "0" * 40}  # as DVC sets it
    done = subprocess.run(
        [sys.executable, "-m", "stages.train"], cwd=params_file.parent, env=environment, capture_output=True, text=True
    )
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and lines[0].startswith("error: params.yaml: lr = 'fast'")
    assert lines[1:] == ["error: params.yaml keeps it until: git restore params.yaml"]
