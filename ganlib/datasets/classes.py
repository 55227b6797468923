"""Which classes a tree of images has: what its folders say, or a dataset.json beside them."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

SPLIT = re.compile(r"(train|training|test|testing|val|valid|validation|eval)[ _.-]?(set|data|images|imgs|split|\d+)?")
"""Names of folders of splits, which are looked through for the classes: prepare splits by content."""
SHARD = re.compile(r"\d{4,}")
LABELS_FILE = "dataset.json"
"""Names of images with their labels, as StyleGAN's dataset tool writes them at the top of an archive."""
NAMED = 10
"""Classes whose counts are told one by one."""

Label = Callable[[str], int | None]


class Classes(NamedTuple):
    names: list[str]
    """Empty for images without labels."""
    label: Label
    """Index of a file's class, by its name; None where it lies in none."""
    told: tuple[str, ...] = ()
    """What else was understood of the folders."""


def find_classes(names: Iterable[str]) -> Classes:
    """Return the classes of images of these names, with forward slashes.

    They are the first folders that differ, whatever lies beside them. Folders above that hold everything, or are named
    as splits, are looked through, and so are numbered shards. One folder alone is no class.
    """
    paths = [normal(name).split("/") for name in names]
    depth, told = 0, list[str]()
    while True:
        folders = {parts[depth] for parts in paths if len(parts) > depth + 1}
        splits = len(folders) > 1 and all(SPLIT.fullmatch(name.lower()) for name in folders)
        if splits:
            told.append(f"{_listed(sorted(folders))} are taken for splits and merged: prepare splits by content")
        if not (splits or len(folders) == 1):
            break
        depth += 1
    if folders and _are_shards([parts for parts in paths if len(parts) > depth + 1], depth):
        told.append(f"{len(folders)} numbered folders are taken for parts of one set, not for classes")
        folders = set[str]()
    class_names = sorted(folders)
    if not class_names:
        return Classes([], lambda _: None, tuple(told))
    index = {name: label for label, name in enumerate(class_names)}

    def label(name: str) -> int | None:
        parts = normal(name).split("/")
        return index.get(parts[depth]) if len(parts) > depth + 1 else None

    return Classes(class_names, label, tuple(told))


def labelled_by(content: bytes, above: str) -> Classes | None:
    """Return the classes that a dataset.json in a folder gives to what lies in it; None if it is another's file."""
    try:
        document: Any = json.loads(content)
        pairs = document["labels"]
        labels = {normal(above + name): label for name, label in pairs or ()}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not labels or not all(type(label) is int for label in labels.values()):
        return Classes([], lambda _: None, (f"{LABELS_FILE} gives no classes",))
    classes = sorted(set(labels.values()))
    index = {label: position for position, label in enumerate(classes)}
    label_of: Mapping[str, int] = {name: index[label] for name, label in labels.items()}
    told = f"classes are those of {LABELS_FILE}"
    return Classes([str(label) for label in classes], lambda name: label_of.get(normal(name)), (told,))


def told_of(classes: Classes, images: Sequence[str], left_out: Mapping[str, int]) -> tuple[str, ...]:
    """Say in two lines what was understood: the classes with counts, and what was merged or left out, and why."""
    counts = Counter(classes.label(name) for name in images)
    loose = counts.pop(None, 0) if classes.names else 0
    if classes.names:
        shares = [f"{name} {counts[label]}" for label, name in enumerate(classes.names)]
        more = f", and {len(shares) - NAMED} more" if len(shares) > NAMED else ""
        first = f"{sum(counts.values())} files in {len(shares)} classes: {', '.join(shares[:NAMED])}{more}"
    else:
        first = f"{len(images)} files without classes"
    reasons = {"in no class folder": loose} | dict(left_out)
    out = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
    second = "; ".join([*classes.told, *([f"left out: {out}"] if out else [])])
    return (first, second) if second else (first,)


def normal(name: str) -> str:
    """Return a name in the one spelling that all systems agree on: macOS writes é as two characters."""
    return unicodedata.normalize("NFC", name)


def _are_shards(paths: Sequence[Sequence[str]], depth: int) -> bool:
    """Tell whether numbered folders only number their images on: 00001/img00001234.png, or 01000/01234.png."""
    for parts in paths:
        folder, number = parts[depth], re.search(r"(\d+)\D*$", parts[-1].rpartition(".")[0] or parts[-1])
        if not SHARD.fullmatch(folder) or not number:
            return False
        digits = number[1]
        thousands = len(digits) == len(folder) and int(digits) // 1000 * 1000 == int(folder)
        if not (thousands or (len(digits) > len(folder) and digits.startswith(folder))):
            return False
    return True


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}"
