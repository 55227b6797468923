"""Pairs of images: those of A made of B's, or those of two folders whose files have the same names."""

import posixpath
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ganlib.core.domains_schema import PairsParams
from ganlib.core.errors import UserError
from ganlib.core.packed import SPLITS, image_writer, labels_path, read_split
from ganlib.core.seeding import random_generator
from ganlib.datasets.decode import Preparation
from ganlib.datasets.derive import Images, derive, given_for
from ganlib.datasets.examples import Example, Rejected, Source
from ganlib.datasets.pack import Kept, Packed, keep
from ganlib.datasets.parallel import prepare_all
from ganlib.datasets.rendered import CLASS_NAMES, rendered
from ganlib.datasets.trees import is_image, tree_source

NAMED = 5
"""Files without a partner that are named."""
AT_ONCE = 512
"""Images that A is made of at a time."""


def by_stem(path: Path, key: str) -> tuple[Source, dict[str, Example]]:
    """Return a folder's source and its images by their names without suffix; raise UserError where two are called so.

    Files that are no images are left aside.

    `key` names the folder in errors.
    """
    if not path.is_dir():
        raise UserError(f"{key} = {path}: its files are found by their names: unpack it, and name its folder")
    source, found = tree_source(path, f"{key} = {path}"), dict[str, Example]()
    for example in source.examples:
        if isinstance(example, Rejected):
            if example.counts:
                raise UserError(f"{key} = {path}: {example.name}: {example.reason}: replace or delete it")
            continue
        assert isinstance(example.content, Path), "path is a folder"
        if not is_image(example.content):
            continue
        if source.class_names and example.label is None:
            raise UserError(f"{key} = {path}: {example.name}: lies in no class folder, as others do: move it into one")
        stem = posixpath.splitext(example.name)[0]
        if stem in found:
            raise UserError(f"{key} = {path}: {found[stem].name} and {example.name} have one name: rename one")
        found[stem] = example
    return source, found


def check_partners(a: Mapping[str, Example], b: Mapping[str, Example]) -> None:
    """Raise UserError that names the first images without a partner."""
    alone = {"pairs.a": sorted(a.keys() - b.keys()), "pairs.b.path": sorted(b.keys() - a.keys())}
    if not any(alone.values()):
        return
    named = "; ".join(f"{key}: {', '.join(stems[:NAMED])}" for key, stems in alone.items() if stems)
    what = "no file of one has the name of one of the other" if not a.keys() & b.keys() else "some have no partner"
    raise UserError(f"pairs.a has {len(a)} images, pairs.b.path {len(b)}: {what} ({named}): name partners alike")


def numbered(source: Source, found: Mapping[str, Example]) -> Source:
    """Return a folder's images, the label of each its number, by which its partner is found when they are packed."""
    examples = (example._replace(label=number) for number, example in enumerate(found.values()))
    return source._replace(class_names=list(found), total=len(found), examples=examples)


def pack_partners(
    packed: Packed, source: Source, partners: list[tuple[Example, Example]], folder: Path, prepared: Preparation
) -> dict[str, str]:
    """Write A of B as it is packed in `folder`/b, `numbered`, beside it, and give B its own labels back.

    `partners` are of A and B, in the order of the numbers. Return the sha256 of A's pixels by split.
    """
    hashes: dict[str, str] = {}
    for split, kept in packed.splits.items():
        chosen = [partners[number] for number in kept.labels]
        hashes[split] = write_images(folder / "a", split, prepared, pixels_of([a for a, _ in chosen], prepared))
        own_labels(kept, [b for _, b in chosen], folder, split, source.class_names)
    return hashes


def own_labels(kept: Kept, chosen: Sequence[Example], folder: Path, split: str, class_names: Sequence[str]) -> None:
    """Give a split of B that was packed by numbers, `chosen`, its own labels back; A's are the same."""
    kept.labels = array("q", [-1 if example.label is None else example.label for example in chosen])
    labels_path(folder / "b", split).unlink()
    if class_names:
        for side in ("a", "b"):
            np.save(labels_path(folder / side, split), np.array(kept.labels, np.int64))


def pixels_of(examples: list[Example], prepared: Preparation) -> Iterator[bytes]:
    """Yield the prepared pixels of images; raise UserError at one that can't be used, as its partner is packed."""
    for outcome in prepare_all(iter(examples), prepared, None):
        if isinstance(outcome, Rejected):
            raise UserError(f"pairs.a: {outcome.name}: {outcome.reason}: replace it, or delete it and its partner")
        if outcome.extent:
            raise UserError(f"pairs.a: {outcome.name}: has over 8 bits a channel: convert it to 8")
        yield outcome.pixels


def write_images(folder: Path, split: str, prepared: Preparation, pixels: Iterator[bytes]) -> str:
    """Write a split's images; return the sha256 of their pixels."""
    with image_writer(folder, split, (prepared.image_size, prepared.image_size, prepared.channels)) as writer:
        for each in pixels:
            writer.append(each)
    return writer.sha256.hexdigest()


def pack_derived(folder: Path, pairs: PairsParams, seed: int, prepared: Preparation) -> dict[str, str]:
    """Write A, made of B as it is packed in `folder`/b, beside it; return the sha256 of A's pixels by split."""
    hashes: dict[str, str] = {}
    for split in SPLITS:
        images, labels = read_split(folder / "b", split)
        given = given_for(pairs, seed, split)
        made = (
            image.transpose(1, 2, 0).tobytes()
            for first in range(0, len(images), AT_ONCE)
            for image in derive(images[first : first + AT_ONCE], pairs.kind, prepared.channels, given)
        )
        hashes[split] = write_images(folder / "a", split, prepared, made)
        if labels is not None:
            np.save(labels_path(folder / "a", split), labels)
    return hashes


def pack_rendered(folder: Path, meta: Mapping[str, Any], seed: int, prepared: Preparation) -> dict[str, Any]:
    """Write A, digits that a font draws, as many as there are of B in each split; return its meta.json, of B's."""
    hashes, per_class = dict[str, str](), dict[str, dict[str, int]]()
    for split, count in meta["counts"].items():
        random = np.random.default_rng(random_generator(seed, f"pairs/rendered/{split}").initial_seed())
        images, labels = rendered(count, prepared.image_size, prepared.channels, random)
        hashes[split] = write_images(
            folder / "a", split, prepared, (image.transpose(1, 2, 0).tobytes() for image in images)
        )
        np.save(labels_path(folder / "a", split), labels)
        found = np.bincount(labels, minlength=len(CLASS_NAMES)).tolist()
        per_class[split] = dict(zip(CLASS_NAMES, found, strict=True))
    described = {"class_names": CLASS_NAMES, "counts_per_class": per_class, "dataset": "rendered"}
    return meta_of_a(meta, prepared, hashes) | described


def exchange(folder: Path, metas: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Let what is packed in `folder` as A be B, and the other way round; return both meta.json so."""
    (folder / "a").rename(folder / "given")
    (folder / "b").rename(folder / "a")
    (folder / "given").rename(folder / "b")
    return {"a": metas["b"], "b": metas["a"]}


def unpair(packed: Packed, folder: Path, hashes: dict[str, str]) -> Packed:
    """Leave A of every other training image and B of those between, in `folder` and in `packed`; return A's record.

    Held-out images stay partners, so that what has learned without pairs can be measured with them.
    """
    of_a = replace(packed, splits=dict(packed.splits))
    rows = range(len(packed.splits["train"].labels))
    for side, record, rest in (("a", of_a, 0), ("b", packed, 1)):
        keep(record, folder / side, "train", [row % 2 == rest for row in rows])
        if (labels := labels_path(folder / side, "train")).is_file():
            np.save(labels, np.array(record.splits["train"].labels, np.int64))
    hashes["train"] = of_a.splits["train"].sha256
    return of_a


def check_colours(images: Images, key: str) -> None:
    """Raise UserError where images (N, 3, H, W) are all grey: a network would be told one thing three times."""
    if images.shape[1] == 3 and all((image == image[:1]).all() for image in islice(images, AT_ONCE)):
        raise UserError(f"{key} = 3: the images are grey: set it to 1")


def meta_of_a(meta: Mapping[str, Any], prepared: Preparation, hashes: Mapping[str, str]) -> dict[str, Any]:
    """Return A's meta.json: that of its partners, but for size, channels and hashes."""
    return {**meta, "image_size": prepared.image_size, "channels": prepared.channels, "sha256": dict(hashes)}
