"""Pictures from a published model, as somebody who only has its folder asks for them."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from email.parser import Parser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dvc.repo import Repo
from numpy.typing import NDArray
from PIL import Image
from ruamel.yaml import YAML

from ganlib.core.errors import UserError
from ganlib.core.files import read_json, write_json
from ganlib.core.weights import save_network
from ganlib.evaluation.table import headline_of
from ganlib.looking.generation import asked_classes, named_pictures
from ganlib.networks.families import build_generator, generator_config, load_generator, network_configs
from ganlib.report.hub import write_hub
from ganlib.training.card import model_card
from stages import begin
from stages.__main__ import main as command
from tests.conftest import ROOT, edit_params, run
from tests.pictures import encoded, picture, tree
from tests.test_export import published
from tests.test_names import NAMES
from tests.test_report_page import figures
from tests.test_stages import arguments_of, invoke
from tests.test_training import settings

SIZE = 12
"""Of the pictures of `published`, whose classes are cat and dog, two of three training images cats."""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a model that is alone in a folder, and work in another, empty one."""
    for name in ("model", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "model"


def expected(
    model: Path, numbers: list[int], seed: int, classes: list[int] | None = None, truncation: float = 1
) -> list[NDArray[np.uint8]]:
    """Draw pictures (H, W, C) in plain PyTorch: each number's latent is of a stream of its own."""
    generator, pixels = load_generator(model), []
    for index, number in enumerate(numbers):
        digest = hashlib.sha256(f"{seed}/picture/{number}".encode()).digest()
        random = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") // 2)
        if generator.latents == "uniform":
            latent = 2 * torch.rand(1, generator.latent_dim, generator=random) - 1
        else:
            latent = torch.randn(1, generator.latent_dim, generator=random)
        labels = [] if classes is None else [torch.tensor([classes[index]])]
        with torch.no_grad():
            image = generator(latent * truncation, *labels)[0]
        pixels.append((127.5 * (image + 1)).round().to(torch.uint8).permute(1, 2, 0).numpy())
    return pixels


def alike(found: list[Any], wanted: list[NDArray[np.uint8]]) -> bool:
    """Tell whether pictures are equal but for what batches round, a grey level."""
    difference = np.stack([np.asarray(one) for one in found]).astype(int) - np.stack(wanted)
    return np.abs(difference).max() <= 1 and (difference != 0).mean() < 0.01


def opened(folder: Path) -> dict[str, NDArray[np.uint8]]:
    return {path.name: np.asarray(Image.open(path)) for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("truncation", [1, 0.5])
@pytest.mark.parametrize("latents", ["normal", "uniform"])
def test_the_files_are_what_pytorch_draws_of_the_seeds_latents(model: Path, latents: str, truncation: float):
    published(model, latents=latents)
    invoke("generate", str(model), "--count", "11", "--seed", "7", "--truncation", str(truncation))
    files = opened(Path("pictures"))
    assert list(files) == [f"{number:02}.png" for number in range(11)]
    assert alike([*files.values()], expected(model, [*range(11)], 7, truncation=truncation))
    assert np.std([*files.values()]) > 1


def test_anyone_draws_pictures_in_any_folder_and_again_the_same_soon(model: Path):
    published(model)
    program = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
        f"sys.path.insert(0, {str(ROOT)!r}); from stages.__main__ import main; main()"
    )
    asking = ["generate", str(model), "--count", "3", "--seed", "7", "--out", "own pictures"]
    result = run([sys.executable, "-c", program, *asking], Path())
    imported = set(result.stderr.split())
    assert "torch" in imported and imported.isdisjoint(
        {"pandas", "altair", "scipy", "jinja2", "sklearn", "torchvision"}
    )
    assert result.stdout == "3 pictures: own pictures\n"
    invoke("generate", str(model), "--count", "3", "--seed", "7", "--out", "again")
    invoke("generate", str(model), "--count", "3", "--seed", "8", "--out", "others")
    contents = [[path.read_bytes() for path in sorted(Path(name).iterdir())] for name in ("own pictures", "again")]
    assert contents[0] == contents[1] and len(contents[0]) == 3
    assert not {path.read_bytes() for path in Path("others").iterdir()} & set(contents[0])
    assert sorted(path.name for path in Path().iterdir()) == ["again", "others", "own pictures"]


def test_more_of_a_seed_begin_with_the_same(model: Path):
    generator = load_generator(published(model, conditional="concat"))
    few, many = (np.stack([np.asarray(one) for one in generator.sample(count, seed=3)]) for count in (5, 70))
    assert alike([*many[:5]], [*few])
    assert len({one.tobytes() for one in many}) == 70
    classes = [0] * 65 + [1, 0, 1, 1, 0]
    asked = generator.sample(70, seed=3, labels=classes)
    assert alike(asked[64:], expected(model, [*range(64, 70)], 3, classes=classes[64:]))


def test_so_many_of_each_class_as_asked_for_and_their_names_in_the_files(model: Path):
    published(model, conditional="concat")
    invoke("generate", str(model), "--classes", "dog=2, cat=1", "--seed", "4")
    files = opened(Path("pictures"))
    assert list(files) == ["0-dog.png", "1-dog.png", "2-cat.png"]
    assert alike([*files.values()], expected(model, [0, 1, 2], 4, classes=[1, 1, 0]))


def test_without_classes_each_comes_as_often_as_in_training(model: Path):
    published(model, conditional="concat")
    invoke("generate", str(model), "--count", "400")
    kinds = Counter(path.stem.split("-")[1] for path in Path("pictures").iterdir())
    assert kinds.total() == 400 and abs(kinds["cat"] - 400 * 2 / 3) < 4 * (400 * 2 / 9) ** 0.5


@pytest.mark.parametrize("names", [NAMES, ["a", "a=1,b", "b", "c,d=", "1", "1=1"], ["x.*", "(", "\\"]], ids=len)
def test_a_class_is_asked_for_by_its_name_whatever_that_is(names: list[str]):
    text = ",".join(f"{name}={count}" for count, name in enumerate(names))
    assert asked_classes(text, names[::-1]) == [name for count, name in enumerate(names) for _ in range(count)]
    assert asked_classes(text.replace("=1,", "=1, ", 1), names).count(names[-1]) >= len(names) - 1


def test_files_are_called_after_any_class_without_what_a_file_cannot_be_called():
    names = [*NAMES, "../../up", "a/b", "x" * 300, "nul\0l"]
    images = np.zeros((len(names), 1, 4, 4), np.uint8)
    files = [name for name, _ in named_pictures([(images, range(len(names)))], len(names), names, 1.0)]
    assert len(set(files)) == len(names) and [name[:3] for name in files[:2]] == ["00-", "01-"]
    assert not [name for name in files if set(name) & set('/\\\0\n\r:*?"<>|') or len(name) > 100]
    assert files[NAMES.index("猫 é")].endswith("-猫_é.png")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_zip_an_array_and_a_grid_hold_the_pictures_of_the_files(model: Path, channels: int):
    published(model)
    if channels == 1:
        make_grey(model)
    for form in ([], ["--format", "zip"], ["--format", "npy"], ["--grid"]):
        invoke("generate", str(model), "--count", "5", *form)
    files = opened(Path("pictures"))
    pixels = np.stack([np.atleast_3d(image) for image in files.values()])  # (N, H, W, C)
    assert pixels.shape == (5, SIZE, SIZE, channels)
    with zipfile.ZipFile("pictures.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            path.name: path.read_bytes() for path in Path("pictures").iterdir()
        }
    assert (np.load("pictures.npy") == pixels.transpose(0, 3, 1, 2)).all()
    grid = np.atleast_3d(np.asarray(Image.open("pictures.png")))
    scale = 64 // SIZE
    place = SIZE * scale + 2
    assert grid.shape[:2] == (2 * place - 2, 3 * place - 2), "five fit a square of three columns"
    for index, image in enumerate(pixels):
        top, left = index // 3 * place, index % 3 * place
        assert (grid[top : top + SIZE * scale : scale, left : left + SIZE * scale : scale] == image).all()


def make_grey(model: Path) -> None:
    config = generator_config(settings(width=8).model, SIZE, 1)
    save_network(model, "generator", build_generator(**config), config)


@pytest.mark.parametrize(
    ("asking", "message"),
    [
        (["--count", "0"], "count = 0: ask for 1 picture or more"),
        (["--count", "-1"], "count = -1: ask"),
        (["--classes", "cat=0"], "count = 0: ask"),
        (["--classes", "cats=2"], "no class 'cats': did you mean 'cat'?"),
        (["--classes", "cat=2,wolf=1"], "no class 'wolf': the model has 'cat', 'dog'"),
        (["--classes", "cat"], "--classes 'cat': say how many of each, as in cat=5,dog=3"),
        (["--classes", "cat=-1"], "--classes 'cat=-1': say how many"),
        (["--classes", "cat=1", "--count", "2"], "--classes says how many: leave --count out"),
        (["--truncation", "0"], "truncation = 0.0: must be over 0 and at most 1"),
        (["--truncation", "1.5"], "truncation = 1.5: must"),
        (["--truncation", "nan"], "truncation = nan: must"),
        (["--threads", "0"], "--threads 0: must be 1 or more"),
        (["--grid", "--format", "npy"], "--grid is one PNG: leave --format npy out"),
        (["--format", "zip", "--out", "."], "--out: . is a folder: name what is to be made in it"),
    ],
)
def test_what_cannot_be_asked_for_is_said_in_a_line_and_nothing_is_left(model: Path, asking: list[str], message: str):
    published(model, conditional="concat")
    with pytest.raises(UserError) as caught:
        invoke("generate", str(model), *asking)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
    assert not list(Path().iterdir())


def test_a_model_without_classes_is_asked_for_none(model: Path):
    published(model)
    with pytest.raises(UserError, match=r"the model is unconditional: it can't be asked for classes"):
        invoke("generate", str(model), "--classes", "cat=2")


@pytest.mark.parametrize("form", [[], ["--format", "zip"], ["--format", "npy"], ["--grid"]], ids=str)
def test_nothing_that_is_there_is_overwritten(model: Path, form: list[str]):
    published(model)
    files = {"pictures/mine.jpg": b"1", "pictures.zip": b"2", "pictures.npy": b"3", "pictures.png": b"4"}
    tree(files, Path())
    with pytest.raises(UserError, match=r"^--out: pictures(\.\w+)? is there already, and nothing is overwritten: name"):
        invoke("generate", str(model), "--count", "1", *form)
    assert {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()} == files


def test_an_empty_folder_is_filled_but_not_the_one_that_one_stands_in(model: Path):
    published(model)
    Path("made").mkdir()
    invoke("generate", str(model), "--count", "2", "--out", "made")
    assert len(list(Path("made").iterdir())) == 2
    os.chdir(model.parent / "elsewhere" / "made")
    Path("inner").mkdir()
    os.chdir("inner")
    with pytest.raises(UserError, match=r"^--out: \. is there already"):
        invoke("generate", str(model), "--out", ".")


def break_weights(model: Path) -> None:
    path = model / "generator.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def break_config(model: Path) -> None:
    (model / "generator.json").write_text('{"architecture": "dcgan", ')


def name_another(model: Path) -> None:
    write_json(model / "generator.json", read_json(model / "generator.json") | {"architecture": "vae"})


def add_a_key(model: Path) -> None:
    write_json(model / "generator.json", read_json(model / "generator.json") | {"depth": 3})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_weights, "generator.safetensors does not hold these weights"),
        (
            lambda model: (model / "generator.safetensors").unlink(),
            "generator.safetensors: No such file: name a folder",
        ),
        (lambda model: (model / "generator.json").unlink(), "generator.json: No such file: name a folder that holds"),
        (break_config, "generator.json: is damaged (Expecting property name"),
        (name_another, "generator.json does not describe a generator ('vae')"),
        (add_a_key, "generator.json does not describe a generator ("),
    ],
)
def test_a_folder_that_holds_no_model_is_named(model: Path, damage: Any, message: str):
    damage(published(model))
    with pytest.raises(UserError) as caught:
        invoke("generate", str(model))
    assert message in str(caught.value) and str(model) in str(caught.value) and "\n" not in str(caught.value)
    assert not list(Path().iterdir())


def test_in_python_a_generator_returns_pictures(model: Path):
    generator = load_generator(str(published(model, conditional="concat")))
    pictures = generator.sample(3, seed=5, labels=["dog", 0, "dog"], truncation=0.7)
    assert [(type(one), one.size, one.mode) for one in pictures] == [(Image.Image, (SIZE, SIZE), "RGB")] * 3
    wanted = expected(model, [0, 1, 2], 5, classes=[1, 0, 1], truncation=0.7)
    assert alike(pictures, wanted)
    assert alike(generator.sample(3, seed=5, labels=np.array([1, 0, 1]).tolist(), truncation=0.7), wanted)
    assert alike(generator.sample(3, seed=5, labels=torch.tensor([1, 0, 1]), truncation=0.7), wanted)
    both = [generator.sample(2, 5, labels=label) for label in ("dog", 1)]
    assert alike(both[0], expected(model, [0, 1], 5, classes=[1, 1])) and alike(both[1], list(map(np.asarray, both[0])))
    for labels, message in (
        (["dog"], "1 labels for 3 pictures: give one each"),
        ("fox", "no class 'fox'"),
        (2, "class 2: the model's classes are 0 to 1"),
        (-1, "class -1: the model's"),
    ):
        with pytest.raises(UserError, match=message):
            generator.sample(3, labels=labels)


def usual_aspect(preparation: dict[str, str], images: list[Image.Image], params_file: Path) -> float:
    """Prepare images, of which the first lies on its side, and return what meta.json says of their aspect."""
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {f"tree/{index}.png": encoded(image) for index, image in enumerate(images)}
    tree(files | {"tree/0.png": encoded(images[0], exif=exif)}, Path())
    changes = {"data.dataset": "folder", "data.path": "tree", "data.heldout": "0.5"} | preparation
    params_file.write_text(edit_params(params_file.read_text(), changes), encoding="utf-8")
    invoke("prepare", *arguments_of("prepare"))
    return read_json(Path("data/prepared/meta.json"))["aspect"]


@pytest.mark.parametrize(
    ("preparation", "aspect"),
    [
        ({"data.resize": "squash"}, 1.5),
        ({"data.resize": "crop"}, 1),
        ({"data.resize": "pad"}, 1),
    ],
    ids=str,
)
def test_squashed_images_remember_how_wide_they_usually_were(
    params_file: Path, preparation: dict[str, str], aspect: float
):
    widths = [
        (20, 40),
        (60, 20),
        (30, 20),
        (30, 20),
        (20, 40),
        (40, 20),
        (21, 20),
        (20, 80),
    ]  # the first turned: (40, 20)
    images = [picture(seed, size) for seed, size in enumerate(widths)]
    assert usual_aspect(preparation, images, params_file) == aspect  # the median of 2, 3, 1.5, 1.5, .5, 2, 1.05 and .25


def test_the_usual_width_is_of_the_images_that_are_kept(params_file: Path):
    images = [picture(seed, (20 + seed, 20)) for seed in range(12)]
    limited = usual_aspect({"data.resize": "squash", "data.limit": "3"}, images, params_file)
    arrays = [np.load(f"data/prepared/{name}_images.npy") for name in ("train", "heldout")]
    kept = [image.tobytes() for images in arrays for image in images]
    assert len(kept) == 3
    squashed = {}
    for path in Path("tree").iterdir():
        with Image.open(path) as image:
            turned = image.transpose(Image.Transpose.ROTATE_270) if path.stem == "0" else image
            pixels = turned.convert("L").resize((32, 32), Image.Resampling.BICUBIC).tobytes()
            squashed[pixels] = turned.width / turned.height
    assert limited == round(sorted(squashed[pixels] for pixels in kept)[1], 6)


@pytest.mark.parametrize(("aspect", "size"), [(1.5, (18, 12)), (0.8, (12, 15)), (1.0, (12, 12))])
@pytest.mark.parametrize("family", ["dcgan", "mlp", "resnet"])
def test_pictures_are_stretched_to_the_aspect_that_the_images_had(
    model: Path, family: str, aspect: float, size: tuple[int, int], capfd: pytest.CaptureFixture[str]
):
    published(model, architecture=family)
    meta = {"image_size": SIZE, "channels": 3, "class_names": [], "counts_per_class": {"train": {}}, "aspect": aspect}
    config = network_configs(settings(width=8, architecture=family).model, meta)["generator"]
    assert config.get("aspect", 1) == aspect
    write_json(model / "generator.json", config)
    plain, wide = (load_generator(model).sample(2, stretch=stretch) for stretch in (False, True))
    assert [one.size for one in plain] == [(SIZE, SIZE)] * 2
    wanted = [np.asarray(one.resize(size, Image.Resampling.BICUBIC)) for one in plain]
    assert [one.size for one in wide] == [size] * 2 and alike(wide, wanted)
    invoke("generate", str(model), "--count", "2", "--stretch")
    assert alike([*opened(Path("pictures")).values()], wanted)
    if aspect != 1:
        invoke("generate", str(model), "--count", "2", "--stretch", "--format", "npy")
        assert np.load("pictures.npy").shape == (2, 3, *size[::-1])


def test_the_command_lists_stages_and_tools_and_runs_only_those(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ganlib"])
    command()
    said = capsys.readouterr().out
    assert all(f"  {name}" in said for name in ("generate", "train", "hub")) and "Train the GAN." in said
    for words, message in (
        (["genrate"], "error: no command 'genrate': there are"),
        (["train"], "error: params.yaml is"),
    ):
        monkeypatch.setattr(sys, "argv", ["ganlib", *words])
        with pytest.raises(SystemExit):
            command()
        assert capsys.readouterr().err.startswith(message)
    begin(["train", "--help"])  # what a command is for is told without params, too


def front_matter(card: str) -> dict[str, Any]:
    empty, top, _ = card.split("---\n", 2)
    assert not empty
    return YAML(typ="safe", pure=True).load(top)


TRAINED = {
    "train_best_step": 400,
    "train_best_valid": 0.5,
    "train_best_lite0_fid_to_heldout": 1.25,
    "train_final_valid": 0.4,
}
PUBLISHED = {"published": "best", "published_ema": True, "published_step": 400}


def test_the_card_says_what_the_model_is_and_how_to_draw_from_it():
    names = ["cat", "```\n# odd", "---"]
    config = {"architecture": "resnet", "image_size": 64, "channels": 3, "class_names": names, "latent_dim": 8}
    card = model_card(config, PUBLISHED, TRAINED)
    top = front_matter(card)
    assert top["pipeline_tag"] == "unconditional-image-generation" and top["library_name"] == "ganlib"
    assert {"gan", "resnet", "safetensors"} <= set(top["tags"]) and "license" not in top
    assert "RESNET for colour images of 64 pixels, 3 classes" in card and "step 400, as a moving average" in card
    assert "| `lite0_fid_to_heldout` | 1.25 |\n| `valid` | 0.5 |" in card and "0.4" not in card
    assert json.loads(card.split("```json\n")[1].split("\n```")[0]) == config
    assert card == model_card(config, PUBLISHED, TRAINED)
    raw = model_card(config, PUBLISHED | {"published_ema": False}, TRAINED)
    assert "1.25" not in raw and "moving average" not in raw, "the training measures moving averages"


def hub_inputs(folder: Path) -> None:
    published(folder / "model")
    write_json(folder / "model/published.json", PUBLISHED)
    card = model_card(read_json(folder / "model/generator.json"), PUBLISHED, TRAINED)
    (folder / "model/README.md").write_text(card, encoding="utf-8")
    (folder / "metrics").mkdir()
    write_json(folder / "metrics/evaluate.json", headline_of(figures(), "domain_"))
    write_json(folder / "metrics/details.json", figures())
    picture(0).save(folder / "metrics/grid.png")


def test_a_folder_to_share_has_the_model_its_figures_their_protocol_and_the_grid(model: Path):
    hub_inputs(model.parent)
    for path in model.iterdir():
        path.chmod(0o444)  # as DVC's links into its cache are
    invoke("hub", str(model), str(model.parent / "metrics"))
    assert all(path.stat().st_mode & 0o200 for path in Path("hub").iterdir())
    card = Path("hub/README.md").read_text(encoding="utf-8")
    assert card.startswith((model / "README.md").read_text(encoding="utf-8")) and front_matter(card)
    assert "| Domain FID | 1.50 | 1.40 to 1.60 |" in card and "| Diversity score | 0.80 |" in card
    assert f"| data\\_sha256 | {'d' * 64} |".replace("\\_", "_") in card and "| generated | 40 |" in card
    assert (
        "](grid.png)" in card and Path("hub/grid.png").read_bytes() == (model.parent / "metrics/grid.png").read_bytes()
    )
    pictures = [load_generator(folder).sample(2) for folder in (model, "hub")]
    assert pictures[0] == pictures[1]
    with pytest.raises(UserError, match=r"^--out: hub is there already"):
        invoke("hub", str(model), str(model.parent / "metrics"))


@pytest.mark.parametrize(
    "absent",
    ["model/README.md", "model/published.json", "metrics/evaluate.json", "metrics/details.json", "metrics/grid.png"],
)
def test_figures_of_another_model_and_missing_files_are_not_shared(model: Path, absent: str):
    hub_inputs(model.parent)
    (model.parent / absent).rename(model.parent / "aside")
    with pytest.raises(UserError, match=rf"{absent} is missing: dvc repro makes it"):
        write_hub(model, model.parent / "metrics", Path("hub"))
    (model.parent / "aside").rename(model.parent / absent)
    write_json(model.parent / "metrics/details.json", figures() | {"published_step": 300})
    with pytest.raises(UserError, match=r"has published_step = 300, the model 400: dvc repro evaluate"):
        write_hub(model, model.parent / "metrics", Path("hub"))
    assert not Path("hub").exists()


def test_dvc_knows_the_model_as_an_artifact():
    with Repo(str(ROOT)) as repo:
        ((name, artifact),) = repo.artifacts.read()["dvc.yaml"].items()
        outs = {out.def_path for stage in repo.index.stages for out in stage.outs}
    assert (name, artifact.path, artifact.type) == ("generator", "data/model", "model") and artifact.path in outs


def test_a_wheel_has_the_library_its_templates_the_stages_and_the_command(tmp_path: Path):
    """Build it from git's files, as `pip install .` does, without pip, which would fetch setuptools."""
    source = tmp_path / "source"
    names = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], ROOT).stdout.splitlines()
    kept = [
        name for name in names if name.startswith(("ganlib/", "stages/")) or name in ("pyproject.toml", "README.md")
    ]
    tree({name: (ROOT / name).read_bytes() for name in kept if (ROOT / name).is_file()}, source)
    program = "from setuptools import build_meta; build_meta.build_wheel('..')"
    subprocess.run([sys.executable, "-c", program], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info" not in name}
        (points,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("entry_points.txt"))
        (metadata,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    assert inside == {name for name in kept if "/" in name}
    assert points.split() == ["[console_scripts]", "ganlib", "=", "stages.__main__:main"]
    assert "torch>=2.11" in Parser().parsestr(metadata).get_all("Requires-Dist", [])
