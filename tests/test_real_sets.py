"""Real sets, beside the repository on some machines, through the stage as a user passes them."""

from pathlib import Path

import pytest

from ganlib.core.files import read_json
from stages.prepare import main
from tests.conftest import ROOT
from tests.test_prepare import write_params

pytestmark = pytest.mark.slow
REAL = ROOT.parent / "shared/data"


@pytest.mark.parametrize(
    ("dataset", "path", "images", "classes"),
    [
        ("folder", "cifar10/train.zip", 50000, 10),
        ("folder", "cifar10/test.zip", 10000, 10),
        ("folder", "cats/catfaces64.zip", 5000, 0),
        ("folder", "cats/cats.zip", 830, 12),
        ("folder", "dogs/dogs.zip", 1190, 25),
        ("folder", "flowers/flowers.zip", 3667, 5),
        ("mnist", "mnist", 70000, 10),
    ],
)
def test_a_real_set_is_taken_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, path: str, images: int, classes: int
):
    if not (REAL / path).exists():
        pytest.skip(f"../shared/data/{path} is not on this machine")
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, dataset=dataset, path=str(REAL / path), channels=3)
    main(Path("data/prepared"), Path("metrics/prepare.json"), Path("data/raw"))
    metrics = read_json(tmp_path / "metrics/prepare.json")
    assert metrics["read"] == images and metrics["rejected"] == 0 and metrics["classes"] == classes
    assert metrics["train_images"] + metrics["heldout_images"] + metrics["duplicates_dropped"] == images
