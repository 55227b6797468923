"""Sets that torchvision.datasets knows: their files are found or downloaded here, then unpacked and read by it.

torchvision's own downloads neither resume nor time out. It unpacks beside the files it is given, so it gets links in a
scratch folder, and a user's own folder stays as it is.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from torchvision import datasets

from ganlib.core.errors import UserError
from ganlib.datasets.downloads import fetch
from ganlib.datasets.examples import Example, Place, Source

DIGITS = [str(digit) for digit in range(10)]


class TorchvisionSet(NamedTuple):
    folder: str
    """Where under its root torchvision looks for the files."""
    files: list[tuple[str, str]]
    """URL and MD5, as torchvision pins them."""
    parts: Callable[[str], list[Any]]
    """Its published splits, of a root; prepare joins them and splits by content."""
    class_names: list[str] | None = None
    """None takes torchvision's."""


def _mnist_files(mnist: type[datasets.MNIST]) -> list[tuple[str, str]]:
    return [(mnist.mirrors[0] + name, md5) for name, md5 in mnist.resources]


def _train_and_test(make: Callable[..., Any], **options: Any) -> Callable[[str], list[Any]]:
    return lambda root: [make(root, train=train, download=True, **options) for train in (True, False)]


def _splits(make: Callable[..., Any], *splits: str, **options: Any) -> Callable[[str], list[Any]]:
    return lambda root: [make(root, split=split, download=True, **options) for split in splits]


def _upright(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.TRANSPOSE)  # EMNIST's files hold columns where others hold rows


_FLOWERS = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
_PETS = TorchvisionSet(
    "oxford-iiit-pet",
    list(datasets.OxfordIIITPet._RESOURCES),
    _splits(datasets.OxfordIIITPet, "trainval", "test"),
)
SETS = {
    "mnist": TorchvisionSet("MNIST/raw", _mnist_files(datasets.MNIST), _train_and_test(datasets.MNIST), DIGITS),
    "fashion_mnist": TorchvisionSet(
        "FashionMNIST/raw", _mnist_files(datasets.FashionMNIST), _train_and_test(datasets.FashionMNIST)
    ),
    "kmnist": TorchvisionSet("KMNIST/raw", _mnist_files(datasets.KMNIST), _train_and_test(datasets.KMNIST)),
    "emnist": TorchvisionSet(
        "EMNIST/raw",
        [(datasets.EMNIST.url, datasets.EMNIST.md5)],
        _train_and_test(datasets.EMNIST, split="balanced", transform=_upright),
    ),
    "cifar10": TorchvisionSet(
        "", [(datasets.CIFAR10.url, datasets.CIFAR10.tgz_md5)], _train_and_test(datasets.CIFAR10)
    ),
    "cifar100": TorchvisionSet(
        "", [(datasets.CIFAR100.url, datasets.CIFAR100.tgz_md5)], _train_and_test(datasets.CIFAR100)
    ),
    "svhn": TorchvisionSet(
        "",
        [(url, md5) for url, _, md5 in (datasets.SVHN.split_list[split] for split in ("train", "test"))],
        _splits(datasets.SVHN, "train", "test"),
        DIGITS,
    ),
    "stl10": TorchvisionSet(
        "", [(datasets.STL10.url, datasets.STL10.tgz_md5)], _splits(datasets.STL10, "train", "test")
    ),
    "flowers102": TorchvisionSet(
        "flowers-102",
        [(_FLOWERS + name, md5) for name, md5 in datasets.Flowers102._file_dict.values()],
        _splits(datasets.Flowers102, "train", "val", "test", loader=Path),  # decoded here, not there
    ),
}


def torchvision_source(place: Place) -> Source:
    """Open a set with labels and arrays or files that torchvision hands over one by one."""
    known = SETS[place.dataset]
    parts = _unpack(known, place)

    def examples() -> Iterator[Example]:
        for number, part in enumerate(parts):
            for index in range(len(part)):
                image, label = part[index]
                yield Example(f"{number}/{index:06}", int(label), image)

    class_names = known.class_names or [str(class_name) for class_name in parts[0].classes]
    return Source(f"data.dataset = {place.dataset}", class_names, sum(map(len, parts)), examples())


def pets_source(place: Place) -> Source:
    """Open one species of Oxford-IIIT Pet (Parkhi et al. 2012), labelled by breed."""
    species = ["oxford_pets_cats", "oxford_pets_dogs"].index(place.dataset)
    parts = _unpack(_PETS, place)
    pets = [
        (image, label)
        for part in parts
        for image, label, kind in zip(part._images, part._labels, part._bin_labels, strict=True)
        if kind == species
    ]
    breeds = sorted({label for _, label in pets})
    examples = (Example(image.name, breeds.index(label), image) for image, label in sorted(pets))
    return Source(f"data.dataset = {place.dataset}", [parts[0].classes[breed] for breed in breeds], len(pets), examples)


def celeba_source(place: Place) -> Source:
    """Open CelebA (Liu et al. 2015), without labels, from files that the user has fetched."""
    try:
        faces = datasets.CelebA(str(place.path), split="all") if place.path else None
    except RuntimeError:
        faces = None
    if not place.path or not faces:
        raise UserError(
            "data.dataset = celeba must be fetched by hand, since Google Drive refuses programs: from "
            "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html get img_align_celeba.zip, to unpack, and the five .txt "
            f"annotation files, into the subfolder celeba of {_own_folder(place)}; or take the zip alone, with "
            "data.dataset: folder"
        )
    folder = place.path / faces.base_folder / "img_align_celeba"
    examples = (Example(file, None, folder / file) for file in faces.filename)
    return Source(f"data.dataset = {place.dataset}", [], len(faces), examples)


def lsun_source(place: Place) -> Source:
    """Open the bedrooms of LSUN (Yu et al. 2015), without labels, from a database that the user has fetched."""
    database = "bedroom_train_lmdb/data.mdb"
    if not place.path or not (place.path / database).is_file():
        raise UserError(
            f"data.dataset = lsun_bedroom must be fetched by hand (43 GB): get bedroom_train_lmdb.zip from "
            f"http://dl.yf.io/lsun/scenes/ and unpack it into {_own_folder(place)}, so that it has {database}"
        )
    root = str(place.path.resolve())
    try:
        with contextlib.chdir(place.scratch):  # torchvision leaves a cache of the keys where it stands
            rooms = datasets.LSUN(root, classes=["bedroom_train"]).dbs[0]
    except ImportError:
        raise UserError("data.dataset = lsun_bedroom needs one more package: pip install lmdb") from None

    def examples() -> Iterator[Example]:
        with rooms.env.begin(buffers=False) as transaction:
            for key in rooms.keys:
                yield Example(key.decode(), None, transaction.get(key))

    return Source(f"data.dataset = {place.dataset}", [], len(rooms), examples())


def _own_folder(place: Place) -> str:
    """Say where files that bear no checksum belong: where DVC watches them."""
    return str(place.path or "a folder of yours that data.path names")


def _unpack(known: TorchvisionSet, place: Place) -> list[Any]:
    folder = place.scratch / known.folder
    folder.mkdir(parents=True, exist_ok=True)
    for url, md5 in known.files:
        file = fetch(url, f"md5:{md5}", place.path or place.downloads, place.downloads / place.dataset)
        try:
            (folder / Path(url).name).symlink_to(file.resolve())
        except OSError:  # Windows forbids links by default
            shutil.copyfile(file, folder / Path(url).name)
    return known.parts(str(place.scratch))
