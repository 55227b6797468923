"""Every value of data.dataset leads somewhere; the sets of torchvision are small imitations of their files."""

import gzip
import hashlib
import io
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from ganlib.datasets import sources, torchvision_sets
from ganlib.datasets.examples import Example, Place, Source
from ganlib.datasets.sources import SOURCES, open_source
from ganlib.datasets.torchvision_sets import SETS
from ganlib.errors import UserError
from ganlib.params import DataParams
from tests.pictures import encoded, packed_into, pets, picture, tree
from tests.test_trees import archive


def examples_of(source: Source) -> list[Example]:
    return [item for item in source.examples if isinstance(item, Example)]


def test_every_dataset_that_params_offer_has_a_source():
    assert set(SOURCES) == set(get_args(DataParams.model_fields["dataset"].annotation))


def test_every_file_to_download_is_pinned():
    for known in [*SETS.values(), torchvision_sets._PETS]:
        assert known.files
        assert all(url.startswith("http") and len(bytes.fromhex(md5)) == 16 for url, md5 in known.files)


def test_digits_need_no_file(tmp_path: Path):
    source = open_source(Place("digits", tmp_path / "absent", tmp_path))
    assert len(examples_of(source)) == source.total == 1797 and source.class_names == [str(i) for i in range(10)]


@pytest.mark.parametrize("dataset", ["url", "stanford_dogs"])
def test_an_archive_by_url_is_read_as_a_folder_is(tmp_path: Path, dataset: str, monkeypatch: pytest.MonkeyPatch):
    file = archive(pets(), tmp_path / "images.tar")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(sources, "STANFORD_DOGS", ("http://127.0.0.1:9/images.tar", sha256))
    source = open_source(Place(dataset, tmp_path, tmp_path, "http://127.0.0.1:9/images.tar", sha256))
    assert source.class_names == ["cats", "dogs"] and len(examples_of(source)) == 12


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes())


def mnist_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write ten small images a split in MNIST's files, and pin them in torchvision's place."""
    random = np.random.default_rng(0)
    files = {}
    for split in ("train", "t10k"):
        files[f"{split}-images-idx3-ubyte.gz"] = idx(random.integers(0, 256, (10, 28, 28)))
        files[f"{split}-labels-idx1-ubyte.gz"] = idx(np.arange(10))
    tree(files, folder)
    pinned = [(name, hashlib.md5(content).hexdigest()) for name, content in files.items()]
    monkeypatch.setattr(datasets.MNIST, "resources", pinned)
    known = SETS["mnist"]._replace(files=[(f"http://127.0.0.1:9/{name}", md5) for name, md5 in pinned])
    monkeypatch.setitem(SETS, "mnist", known)


def test_mnist_is_read_from_files_that_are_there_and_leaves_their_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    mnist_files(tmp_path / "mine/MNIST/raw", monkeypatch)
    before = sorted((tmp_path / "mine").rglob("*"))
    source = open_source(Place("mnist", tmp_path / "mine", tmp_path / "scratch"))
    examples = examples_of(source)
    assert sorted((tmp_path / "mine").rglob("*")) == before
    assert source.class_names == [str(digit) for digit in range(10)]
    assert [example.label for example in examples] == [*range(10), *range(10)]
    assert examples[0].name == "0/000000" and examples[10].name == "1/000000"
    packed = packed_into(tmp_path / "out", Source("mnist", source.class_names, 20, iter(examples)))
    assert packed.read == 20 and not packed.rejected


def test_a_set_that_cannot_be_downloaded_says_what_to_get_and_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    url = "http://127.0.0.1:9/cifar-10-python.tar.gz"
    monkeypatch.setitem(SETS, "cifar10", SETS["cifar10"]._replace(files=[(url, "0" * 32)]))
    with pytest.raises(UserError, match=rf"cannot download {url}: no connection; .* put it into .*cifar10"):
        open_source(Place("cifar10", tmp_path, tmp_path / "scratch"))


def fake_set(**attributes: Any) -> Any:
    """Return what builds both splits of a torchvision set with two images each."""
    images = [(picture(seed, (9, 8)), seed % 2) for seed in range(2)]

    class Part(list[Any]):
        classes = ("a", "b")

    part = Part(images)
    vars(part).update(attributes)
    return lambda root: [part, part]


@pytest.mark.parametrize("name", sorted(SETS))
def test_every_torchvision_set_joins_its_splits(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(SETS, name, SETS[name]._replace(files=[], parts=fake_set()))
    source = open_source(Place(name, tmp_path, tmp_path / "scratch"))
    assert source.total == len(examples_of(source)) == 4
    assert source.class_names in (["a", "b"], torchvision_sets.DIGITS)


def test_emnist_is_turned_upright():
    lying = picture(0, (9, 8), "L")
    assert torchvision_sets._upright(lying).size == (8, 9)
    assert torchvision_sets._upright(lying).getpixel((2, 5)) == lying.getpixel((5, 2))


def test_cifar_is_unpacked_by_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import pickle

    cifar, names = datasets.CIFAR10, ["plane", "cat"]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3072)).astype(np.uint8)
    batch = pickle.dumps({"data": pixels, "labels": [0, 1]})
    files = {"data_batch_1": batch, "test_batch": batch, "batches.meta": pickle.dumps({"label_names": names})}
    tar = archive({f"cifar-10-batches-py/{name}": data for name, data in files.items()}, tmp_path / "c.tar.gz")
    tar = tar.rename(tmp_path / cifar.filename)
    md5 = {name: hashlib.md5(data).hexdigest() for name, data in files.items()}
    monkeypatch.setattr(cifar, "train_list", [["data_batch_1", md5["data_batch_1"]]])
    monkeypatch.setattr(cifar, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(cifar, "meta", cifar.meta | {"md5": md5["batches.meta"]})
    tar_md5 = hashlib.md5(tar.read_bytes()).hexdigest()
    monkeypatch.setattr(cifar, "tgz_md5", tar_md5)
    monkeypatch.setitem(SETS, "cifar10", SETS["cifar10"]._replace(files=[(cifar.url, tar_md5)]))
    source = open_source(Place("cifar10", tmp_path, tmp_path / "scratch"))
    assert source.class_names == names and [
        example.label for example in source.examples if isinstance(example, Example)
    ] == [0, 1, 0, 1]


def test_pets_are_told_apart_by_species(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    part = SimpleNamespace(
        _images=[tmp_path / f"{index}.jpg" for index in range(4)],
        _labels=[0, 1, 2, 1],
        _bin_labels=[0, 1, 0, 1],
        classes=["Abyssinian", "Boxer", "Sphynx"],
    )
    monkeypatch.setattr(torchvision_sets, "_PETS", torchvision_sets._PETS._replace(files=[], parts=lambda root: [part]))
    cats = open_source(Place("oxford_pets_cats", tmp_path, tmp_path))
    dogs = open_source(Place("oxford_pets_dogs", tmp_path, tmp_path))
    assert cats.class_names == ["Abyssinian", "Sphynx"] and [e.label for e in examples_of(cats)] == [0, 1]
    assert dogs.class_names == ["Boxer"] and [e.name for e in examples_of(dogs)] == ["1.jpg", "3.jpg"]


def test_celeba_is_read_from_fetched_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "celeba"
    names = [f"{index:06}.jpg" for index in (1, 2)]
    tables = {
        "list_eval_partition.txt": "".join(f"{name} 0\n" for name in names),
        "identity_CelebA.txt": "".join(f"{name} 7\n" for name in names),
        **{
            f"list_{kind}_celeba.txt": "2\nx y\n" + "".join(f"{name} 1 -1\n" for name in names)
            for kind in ("bbox", "landmarks_align", "attr")
        },
    }
    tree({name: text.encode() for name, text in tables.items()}, folder)
    tree({name: encoded(picture(seed), "JPEG") for seed, name in enumerate(names)}, folder / "img_align_celeba")
    monkeypatch.setattr("torchvision.datasets.celeba.check_integrity", lambda path, md5: Path(path).exists())
    source = open_source(Place("celeba", tmp_path, tmp_path))
    assert source.class_names == [] and [example.name for example in examples_of(source)] == names


def test_lsun_is_read_from_its_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lmdb = pytest.importorskip("lmdb")
    folder = tmp_path / "bedroom_train_lmdb"
    with lmdb.open(str(folder)) as database, database.begin(write=True) as transaction:
        for seed in range(3):
            transaction.put(f"key{seed}".encode(), encoded(picture(seed), "WEBP", lossless=True))
    (tmp_path / "scratch").mkdir()
    monkeypatch.chdir(tmp_path)
    source = open_source(Place("lsun_bedroom", Path(), tmp_path / "scratch"))
    examples = examples_of(source)
    assert [example.name for example in examples] == ["key0", "key1", "key2"] and source.total == 3
    assert isinstance(examples[0].content, bytes)
    with Image.open(io.BytesIO(examples[0].content)) as image:
        assert image.tobytes() == picture(0).tobytes()
    assert not list(tmp_path.glob("_cache_*"))  # torchvision's, which would lie in the repository
