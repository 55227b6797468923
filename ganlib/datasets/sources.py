"""Where images come from: one function for each value of data.dataset."""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from ganlib.core.errors import UserError
from ganlib.datasets.downloads import fetch
from ganlib.datasets.examples import Example, Place, Rejected, Source
from ganlib.datasets.torchvision_sets import SETS, celeba_source, lsun_source, pets_source, torchvision_source
from ganlib.datasets.trees import tree_source

STANFORD_DOGS = (
    "http://vision.stanford.edu/aditya86/ImageNetDogs/images.tar",
    "a443fc2f9a851aa1a7b8e4fa4af94b8459fce2c9f5a2f4dd4669cf9673a4ec58",
)


def open_source(place: Place, classes: list[str] | None = None) -> Source:
    """Open the images of a place, all or those of some classes."""
    source = SOURCES[place.dataset](place)
    return source if classes is None else choose_classes(source, classes)


def choose_classes(source: Source, wanted: list[str]) -> Source:
    """Keep the examples of some classes, in the source's order; raise UserError that names the known ones."""
    for name in wanted:
        if name not in source.class_names:
            raise UserError(f"data.classes: {_unknown_class(name, source)}")
    labels = [index for index, name in enumerate(source.class_names) if name in wanted]

    def examples() -> Iterator[Example | Rejected]:
        for item in source.examples:
            if isinstance(item, Rejected):
                yield item
            elif item.label in labels:
                yield item._replace(label=labels.index(item.label))

    return source._replace(class_names=[source.class_names[label] for label in labels], examples=examples())


def _unknown_class(name: str, source: Source) -> str:
    if not source.class_names:
        return f"the images of {source.origin} have no classes; set it to null"
    close = get_close_matches(name, source.class_names, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{source.origin} has no class {name!r}; {hint}known are {', '.join(source.class_names)}"


def digits_source(place: Place) -> Source:
    """Read 1,797 handwritten digits (Alpaydin & Kaynak 1998), 8x8 pixels of 17 greys, from scikit-learn's own files."""
    bunch: Any = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8)
    examples = (
        Example(f"{index:04}", int(label), Image.fromarray(image))
        for index, (image, label) in enumerate(zip(pixels, bunch.target, strict=True))
    )
    return Source("data.dataset = digits", [str(name) for name in bunch.target_names], len(pixels), examples)


def folder_source(place: Place) -> Source:
    assert place.path  # params.py asks for it
    return tree_source(place.path)


def url_source(place: Place) -> Source:
    assert place.url and place.sha256  # params.py asks for both
    return _fetched(place, place.url, place.sha256)


def stanford_dogs_source(place: Place) -> Source:
    """Read 20,580 photographs of 120 breeds (Khosla et al. 2011), 757 MB; sha256 as TensorFlow Datasets pins it."""
    return _fetched(place, *STANFORD_DOGS)


def _fetched(place: Place, url: str, sha256: str) -> Source:
    return tree_source(fetch(url, f"sha256:{sha256}", place.path or place.downloads, place.downloads / place.dataset))


SOURCES: dict[str, Callable[[Place], Source]] = {
    "digits": digits_source,
    "folder": folder_source,
    "url": url_source,
    "stanford_dogs": stanford_dogs_source,
    **dict.fromkeys(SETS, torchvision_source),
    "oxford_pets_cats": pets_source,
    "oxford_pets_dogs": pets_source,
    "celeba": celeba_source,
    "lsun_bedroom": lsun_source,
}
