"""Every value of data.dataset leads somewhere; torchvision's own classes read small imitations of their files."""

import gzip
import hashlib
import io
import pickle
import struct
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from ganlib.core.errors import UserError
from ganlib.core.schema import DataParams
from ganlib.datasets import sources, torchvision_sets
from ganlib.datasets.decode import open_image, read_content
from ganlib.datasets.examples import Example, Place, Source
from ganlib.datasets.sources import SOURCES, open_source
from ganlib.datasets.torchvision_sets import SETS
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
    source = open_source(Place("digits", None, tmp_path / "absent", tmp_path))
    assert len(examples_of(source)) == source.total == 1797 and source.class_names == [str(i) for i in range(10)]


@pytest.mark.parametrize("dataset", ["url", "stanford_dogs"])
def test_an_archive_by_url_is_read_as_a_folder_is(tmp_path: Path, dataset: str, monkeypatch: pytest.MonkeyPatch):
    file = archive(pets(), tmp_path / "images.tar")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(sources, "STANFORD_DOGS", ("http://127.0.0.1:9/images.tar", sha256))
    source = open_source(Place(dataset, tmp_path, tmp_path / "raw", tmp_path, "http://127.0.0.1:9/images.tar", sha256))
    assert source.class_names == ["cats", "dogs"] and len(examples_of(source)) == 12


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def mnist_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write ten small images a split in MNIST's files, and pin them in torchvision's place."""
    random = np.random.default_rng(0)
    files = {}
    for split in ("train", "t10k"):
        files[f"{split}-images-idx3-ubyte.gz"] = gzip.compress(idx(random.integers(0, 256, (10, 28, 28))))
        files[f"{split}-labels-idx1-ubyte.gz"] = gzip.compress(idx(np.arange(10)))
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
    source = open_source(Place("mnist", tmp_path / "mine", tmp_path / "raw", tmp_path / "scratch"))
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
        open_source(Place("cifar10", None, tmp_path, tmp_path / "scratch"))


@pytest.mark.parametrize("own", [True, False])
def test_a_folder_of_ones_own_is_searched_and_never_written_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
):
    url, there = "http://127.0.0.1:9/cifar-10-python.tar.gz", tmp_path / "mine"
    monkeypatch.setitem(SETS, "cifar10", SETS["cifar10"]._replace(files=[(url, "0" * 32)]))
    there.mkdir()
    with pytest.raises(UserError, match=r"put it into .*raw/cifar10"):
        open_source(Place("cifar10", there if own else None, tmp_path / "raw", tmp_path / "scratch"))
    assert not list(there.iterdir())


def mat(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, arrays)
    return buffer.getvalue()


def idx_files(folder: str, splits: tuple[str, ...], pixels: np.ndarray) -> dict[str, bytes]:
    """Imitate a set in MNIST's format."""
    parts = {"images-idx3-ubyte": idx(pixels), "labels-idx1-ubyte": idx(np.arange(2))}
    return {f"{folder}/raw/{split}-{kind}": data for split in splits for kind, data in parts.items()}


def cifar_files(folder: str, batches: list[str], meta: str, key: str) -> dict[str, bytes]:
    """Imitate either CIFAR: rows of pixels by channel, and the names of its classes."""
    labels = key.replace("label_names", "labels")
    batch = pickle.dumps({"data": COLOURS.transpose(0, 3, 1, 2).reshape(2, -1), labels: [0, 1]})
    return {f"{folder}/{meta}": pickle.dumps({key: ["a", "b"]})} | {f"{folder}/{name}": batch for name in batches}


def two_pictures(size: tuple[int, int], mode: str = "RGB") -> np.ndarray:
    return np.stack([np.asarray(picture(seed, size, mode)) for seed in range(2)])


GREYS = two_pictures((9, 8), "L")  # (2, H, W)
COLOURS = two_pictures((32, 32))  # (2, H, W, 3)
LARGE = two_pictures((96, 96))
STL10 = {"X": LARGE.transpose(0, 3, 2, 1).tobytes(), "y": bytes([1, 2])}  # columns before rows, labels from 1
SVHN = mat(X=COLOURS.transpose(1, 2, 3, 0), y=[[10], [1]])  # the digit 0 is called 10
MNIST = ("train", "t10k")
EMNIST = ("emnist-balanced-train", "emnist-balanced-test")
CIFAR10 = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
IMITATIONS: dict[str, tuple[dict[str, bytes], np.ndarray, list[str]]] = {
    "mnist": (idx_files("MNIST", MNIST, GREYS), GREYS, ["0", "1"]),
    "fashion_mnist": (idx_files("FashionMNIST", MNIST, GREYS), GREYS, ["T-shirt/top", "Trouser"]),
    "kmnist": (idx_files("KMNIST", MNIST, GREYS), GREYS, ["o", "ki"]),
    "emnist": (idx_files("EMNIST", EMNIST, GREYS.transpose(0, 2, 1)), GREYS, ["0", "1"]),  # lies on its side
    "cifar10": (cifar_files("cifar-10-batches-py", CIFAR10, "batches.meta", "label_names"), COLOURS, ["a", "b"]),
    "cifar100": (cifar_files("cifar-100-python", ["train", "test"], "meta", "fine_label_names"), COLOURS, ["a", "b"]),
    "svhn": ({"train_32x32.mat": SVHN, "test_32x32.mat": SVHN}, COLOURS, ["0", "1"]),
    "stl10": (
        {f"stl10_binary/{split}_{kind}.bin": data for split in ("train", "test") for kind, data in STL10.items()}
        | {"stl10_binary/unlabeled_X.bin": b"", "stl10_binary/class_names.txt": b"a\nb\n"},
        LARGE,
        ["a", "b"],
    ),
    "flowers102": (
        {f"flowers-102/jpg/image_{seed + 1:05}.jpg": encoded(picture(seed, (32, 32))) for seed in range(2)}
        | {
            "flowers-102/imagelabels.mat": mat(labels=[[1, 2]]),
            "flowers-102/setid.mat": mat(trnid=[[1, 2]], valid=[[1, 2]], tstid=[[1, 2]]),
        },
        COLOURS,
        ["pink primrose", "hard-leaved pocket orchid"],
    ),
}
"""By set: its unpacked files, with the same two pictures in each part, what these look like, and their classes."""


@pytest.fixture
def _unpinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the MD5s out of torchvision's lists of files: no imitation can have them. All else there stays as it is."""
    for known in (datasets.CIFAR10, datasets.CIFAR100, datasets.STL10):
        for name in ("train_list", "test_list"):
            monkeypatch.setattr(known, name, [[file, None] for file, _ in getattr(known, name)])
    for known in (datasets.CIFAR10, datasets.CIFAR100):
        monkeypatch.setattr(known, "meta", known.meta | {"md5": None})
    svhn, flowers, celeba = datasets.SVHN, datasets.Flowers102, datasets.CelebA
    monkeypatch.setattr(svhn, "split_list", {split: [*row[:2], None] for split, row in svhn.split_list.items()})
    monkeypatch.setattr(flowers, "_file_dict", {kind: (name, None) for kind, (name, _) in flowers._file_dict.items()})
    monkeypatch.setattr(celeba, "file_list", [(number, None, name) for number, _, name in celeba.file_list])


@pytest.mark.usefixtures("_unpinned")
@pytest.mark.parametrize("name", sorted(SETS))
def test_every_torchvision_set_joins_its_splits(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    files, pixels, class_names = IMITATIONS[name]
    monkeypatch.setitem(SETS, name, SETS[name]._replace(files=[]))  # unpacked below, as torchvision would have
    source = open_source(Place(name, None, tmp_path, tree(files, tmp_path / "scratch")))
    examples = examples_of(source)
    parts = {"cifar10": 6, "flowers102": 3}.get(name, 2)
    assert source.total == len(examples) == 2 * parts
    assert source.class_names[:2] == class_names and [example.label for example in examples] == [0, 1] * parts
    assert len({example.name for example in examples}) == 2 * parts
    images = [np.asarray(open_image(read_content(example.content))) for example in examples]
    assert np.array_equal(images, [*pixels] * parts)


@pytest.mark.usefixtures("_unpinned")
def test_cifar_is_unpacked_by_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cifar, (files, _, class_names) = datasets.CIFAR10, IMITATIONS["cifar10"]
    tar = archive(files, tmp_path / "c.tar.gz").rename(tmp_path / cifar.filename)
    md5 = hashlib.md5(tar.read_bytes()).hexdigest()
    monkeypatch.setattr(cifar, "tgz_md5", md5)
    monkeypatch.setitem(SETS, "cifar10", SETS["cifar10"]._replace(files=[(cifar.url, md5)]))
    source = open_source(Place("cifar10", None, tmp_path, tmp_path / "scratch"))
    assert source.class_names == class_names and len(examples_of(source)) == 12


def test_pets_are_told_apart_by_species(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lists = {  # breed and species, from 1
        "trainval": "Abyssinian_1 1 1 1\namerican_bulldog_10 2 2 1\nSphynx_2 3 1 2\n",
        "test": "american_bulldog_3 2 2 1\n",
    }
    pictures = ["Abyssinian_1", "american_bulldog_10", "Sphynx_2", "american_bulldog_3"]
    files = {f"annotations/{name}.txt": text.encode() for name, text in lists.items()}
    files |= {f"images/{name}.jpg": encoded(picture(seed), "JPEG") for seed, name in enumerate(pictures)}
    tree(files, tmp_path / "oxford-iiit-pet")
    monkeypatch.setattr(torchvision_sets, "_PETS", torchvision_sets._PETS._replace(files=[]))
    cats = open_source(Place("oxford_pets_cats", None, tmp_path, tmp_path))
    dogs = open_source(Place("oxford_pets_dogs", None, tmp_path, tmp_path))
    found = examples_of(cats)
    assert cats.class_names == ["Abyssinian", "Sphynx"] and [example.label for example in found] == [0, 1]
    assert all(open_image(read_content(example.content)).size == (12, 10) for example in found)
    assert dogs.class_names == ["American Bulldog"]
    assert [e.name for e in examples_of(dogs)] == ["american_bulldog_10.jpg", "american_bulldog_3.jpg"]


@pytest.mark.usefixtures("_unpinned")
def test_celeba_is_read_from_fetched_files(tmp_path: Path):
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
    source = open_source(Place("celeba", tmp_path, tmp_path / "raw", tmp_path))
    assert source.class_names == [] and [example.name for example in examples_of(source)] == names


def test_lsun_is_read_from_its_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lmdb = pytest.importorskip("lmdb")
    folder = tmp_path / "bedroom_train_lmdb"
    with lmdb.open(str(folder)) as database, database.begin(write=True) as transaction:
        for seed in range(3):
            transaction.put(f"key{seed}".encode(), encoded(picture(seed), "WEBP", lossless=True))
    (tmp_path / "scratch").mkdir()
    monkeypatch.chdir(tmp_path)
    source = open_source(Place("lsun_bedroom", Path(), tmp_path / "raw", tmp_path / "scratch"))
    examples = examples_of(source)
    assert [example.name for example in examples] == ["key0", "key1", "key2"] and source.total == 3
    assert isinstance(examples[0].content, bytes)
    with Image.open(io.BytesIO(examples[0].content)) as image:
        assert image.tobytes() == picture(0).tobytes()
    assert not list(tmp_path.glob("_cache_*"))  # torchvision's, which would lie in the repository
