"""Pictures that somebody asks of a model: how many of which class, and into what they are written."""

import re
from collections.abc import Iterable, Iterator, Sequence
from math import isqrt
from pathlib import Path

import numpy as np

from ganlib.core.errors import UserError
from ganlib.core.files import whole_file, whole_folder
from ganlib.core.images import stretched
from ganlib.looking.pictures import Images, Named, grid, write_pngs, write_zip

SUFFIXES = {"png": "", "zip": ".zip", "npy": ".npy", "grid": ".png"}
"""How what is written ends; `png` is a folder of files."""
MOST = 60
"""Characters of a class's name that the name of a file repeats."""


def asked_classes(text: str, class_names: Sequence[str]) -> list[str]:
    """Return the class of each picture that `cat=5,dog=3` asks for, in that order; names may hold `=` and `,`."""
    known = "|".join(re.escape(name) for name in sorted(class_names, key=len, reverse=True))
    for name in filter(None, (known, "[^,= ][^,=]*")):  # unknown ones are read too, so that they can be named
        one = rf"({name})=([0-9]+)"
        if re.fullmatch(rf"{one}(?:, *{one})*", text):
            pairs = re.findall(rf"(?:^|, *?){one}(?=,|\Z)", text)
            return [name for name, count in pairs for _ in range(int(count))]
    raise UserError(f"--classes {text!r}: say how many of each, as in cat=5,dog=3")


def free_path(out: Path, form: str) -> Path:
    """Return where pictures of a form go, with its suffix; raise UserError when something is there."""
    if not out.name and SUFFIXES[form]:
        raise UserError(f"--out: {out} is a folder: name what is to be made in it")
    path = out if out.name.endswith(SUFFIXES[form]) else out.with_name(out.name + SUFFIXES[form])
    is_room = form == "png" and path.is_dir() and not any(path.iterdir()) and path.resolve() != Path.cwd()
    if path.exists() and not is_room:
        raise UserError(f"--out: {path} is there already, and nothing is overwritten: name another, or remove it")
    return path


def named_pictures(
    batches: Iterable[tuple[Images, Sequence[int]]], count: int, class_names: Sequence[str], aspect: float
) -> Iterator[Named]:
    """Yield the images (n, C, H, W) of batches one by one, stretched, each with the name of its file.

    It is a number from 0 and, with labels, the class; of its name, what files can't be called is left out.
    """
    words = [re.sub(r"[^\w.-]+", "_", name)[:MOST] for name in class_names]
    number, width = 0, len(str(count - 1))
    for images, labels in batches:
        for index, image in enumerate(stretched(images, aspect)):
            yield f"{number:0{width}}{f'-{words[labels[index]]}' if labels else ''}.png", image
            number += 1


def write_pictures(named: Iterable[Named], path: Path, form: str) -> None:
    """Write pictures as PNG files of a folder or zip, as one array (N, C, H, W), or as one picture, a square grid."""
    if form == "png":
        with whole_folder(path) as folder:
            return write_pngs(named, folder)
    with whole_file(path) as partial:
        if form == "zip":
            return write_zip(named, partial)
        images = np.stack([image for _, image in named])
        if form == "npy":
            return np.save(partial, images)
        grid(images, isqrt(len(images) - 1) + 1).save(partial)
