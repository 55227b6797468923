"""Turn a source into one checked, packed data set: free of duplicates, split by content, in constant memory."""

import hashlib
from array import array
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from ganlib.core.errors import UserError
from ganlib.core.files import write_table
from ganlib.core.packed import SPLITS, ImageWriter, image_writer, images_path, labels_path
from ganlib.datasets.decode import LONG, RESIZES, UPSCALED, Preparation, Prepared
from ganlib.datasets.depth import Extent, joined
from ganlib.datasets.examples import Rejected, Source
from ganlib.datasets.parallel import prepare_all


@dataclass(kw_only=True)
class Kept:
    """What is remembered of a split while its pixels go to disk."""

    digests: list[bytes] = field(default_factory=list)
    labels: "array[int]" = field(default_factory=lambda: array("q"))
    aspects: "array[float]" = field(default_factory=lambda: array("d"))
    sha256: str = ""
    """Of all pixels, in order."""


@dataclass(kw_only=True)
class Packed:
    splits: dict[str, Kept] = field(default_factory=lambda: {name: Kept() for name in SPLITS})
    rejected: list[Rejected] = field(default_factory=list)
    read: int = 0
    duplicates: int = 0
    """Images left out because the same pixels had come before."""
    repeated: list[tuple[str, str]] = field(default_factory=list)
    """Their names, and of which image each is a duplicate."""
    extents: list[Extent] = field(default_factory=list)
    """Of all pixels of over 8 bits, one of each kind."""
    noted: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: {UPSCALED: [], LONG: []})
    """Names of images that were taken, and what their owner should know of them, by how that begins."""
    source_sha256: str = ""
    """Of the names and sha256 of all files read, in order."""


def pack(
    source: Source,
    preparation: Preparation,
    folder: Path,
    *,
    heldout: float,
    limit: int | None = None,
    max_rejected: float = 1.0,
    workers: int | None = None,
) -> Packed:
    """Prepare every image of a source and write both splits and the list of rejected files into a folder.

    Raise UserError when too many files are rejected or a split stays empty.
    """
    packed = _collect(source, preparation, folder, heldout, workers)
    _check_rejected(packed, source.origin, max_rejected)
    if limit is not None:
        _limit(packed, folder, limit)
    for name, kept in packed.splits.items():
        if not kept.digests:
            count = sum(len(split.digests) for split in packed.splits.values())
            raise UserError(f"data.heldout = {heldout} leaves no image in the {name} split of {count} images")
        if source.class_names:
            np.save(labels_path(folder, name), np.array(kept.labels, np.int64))
    _write_rejected(folder / "rejected.csv", packed)
    return packed


def belongs_to_heldout(digest: bytes, share: float) -> bool:
    """Decide by content alone, so that adding an image moves no other, and equal images never end on both sides."""
    return int.from_bytes(digest[:8], "big") < share * 2**64


def describe(packed: Packed, class_names: list[str], dataset: str, preparation: Preparation) -> dict[str, Any]:
    """Return what a consumer of the packed data must know (meta.json)."""
    return {
        "aspect": usual_aspect(packed) if not RESIZES[preparation.resize].keeps_aspect else 1.0,
        "background": preparation.background,
        "channels": preparation.channels,
        "class_names": class_names,
        "counts": {name: len(kept.digests) for name, kept in packed.splits.items()},
        "counts_per_class": {name: count_per_class(kept.labels, class_names) for name, kept in packed.splits.items()},
        "dataset": dataset,
        "deep": {kind: list(getattr(preparation.ranges, kind)) for kind, _, _ in packed.extents},
        "duplicates_dropped": packed.duplicates,
        "image_size": preparation.image_size,
        "pixel_map": "x = pixel / 127.5 - 1",
        "far_from_square": len(packed.noted[LONG]),
        "made_larger": len(packed.noted[UPSCALED]),
        "read": packed.read,
        "rejected": len(packed.rejected),
        "resize": RESIZES[preparation.resize].protocol,
        "sha256": {name: kept.sha256 for name, kept in packed.splits.items()},
        "source_sha256": packed.source_sha256,
    }


def usual_aspect(packed: Packed) -> float:
    """Return the median width / height that the images had, to which squashed ones can be stretched back."""
    return round(median(aspect for kept in packed.splits.values() for aspect in kept.aspects), 6)


def count_per_class(labels: "array[int]", class_names: list[str]) -> dict[str, int]:
    counts = Counter(labels)
    return {name: counts[index] for index, name in enumerate(class_names)}


def _collect(source: Source, preparation: Preparation, folder: Path, heldout: float, workers: int | None) -> Packed:
    packed, digests, source_hash = Packed(), dict[bytes, str](), hashlib.sha256()
    shape = (preparation.image_size, preparation.image_size, preparation.channels)
    with ExitStack() as stack:
        writers = {name: stack.enter_context(image_writer(folder, name, shape)) for name in SPLITS}
        for outcome in prepare_all(source.examples, preparation, workers):
            packed.read += 1
            _update(source_hash, outcome)
            if isinstance(outcome, Prepared) and outcome.label is None and source.class_names:
                outcome = Rejected(outcome.name, "lies in no class folder")
            if isinstance(outcome, Rejected):
                packed.rejected.append(outcome)
                continue
            if outcome.extent:
                packed.extents = joined([*packed.extents, outcome.extent])
            if outcome.digest in digests:
                packed.duplicates += 1
                packed.repeated.append((outcome.name, f"duplicate of {digests[outcome.digest]}"))
            else:
                digests[outcome.digest] = outcome.name
                _keep(packed, outcome, writers, heldout)
    for name, writer in writers.items():
        packed.splits[name].sha256 = writer.sha256.hexdigest()
    packed.source_sha256 = source_hash.hexdigest()
    return packed


def _update(source_hash: "hashlib._Hash", outcome: Prepared | Rejected) -> None:
    content = outcome.reason.encode() if isinstance(outcome, Rejected) else outcome.content_digest
    source_hash.update(outcome.name.encode() + b"\0" + content)


def _keep(packed: Packed, outcome: Prepared, writers: dict[str, ImageWriter], heldout: float) -> None:
    name = "heldout" if belongs_to_heldout(outcome.digest, heldout) else "train"
    packed.splits[name].digests.append(outcome.digest)
    packed.splits[name].labels.append(-1 if outcome.label is None else outcome.label)
    packed.splits[name].aspects.append(outcome.aspect)
    writers[name].append(outcome.pixels)
    for begins, noted in packed.noted.items():
        if outcome.note.startswith(begins):
            noted.append((outcome.name, outcome.note))


def _check_rejected(packed: Packed, origin: str, max_rejected: float) -> None:
    broken = [item for item in packed.rejected if item.counts]
    images = packed.read - len(packed.rejected)
    counts = Counter(item.reason for item in broken or packed.rejected).most_common(3)
    reasons = ", ".join(f"{count} x {reason}" for reason, count in counts)
    if not images:
        raise UserError(f"{origin}: no image among {packed.read} files ({reasons or 'it is empty'})")
    if len(broken) > max_rejected * (len(broken) + images):
        raise UserError(
            f"{origin}: {len(broken)} of {len(broken) + images} images are rejected ({reasons}; the first is "
            f"{min(broken).name!r}): more than data.max_rejected = {max_rejected}; raise it to go on without them"
        )


def _limit(packed: Packed, folder: Path, limit: int) -> None:
    """Keep the `limit` images with the lowest hashes: adding an image to the source displaces at most one."""
    digests = [digest for kept in packed.splits.values() for digest in kept.digests]
    chosen = set(sorted(digests, key=lambda digest: digest[8:])[:limit])  # the first 8 bytes decide the split
    for name, kept in list(packed.splits.items()):
        keep(packed, folder, name, [digest in chosen for digest in kept.digests])


def keep(packed: Packed, folder: Path, name: str, stays: list[bool]) -> None:
    """Leave out those images of a split that do not stay; of labels what is remembered, not what is written."""
    kept, everything = packed.splits[name], images_path(folder, name).rename(folder / "everything.npy")
    images = np.load(everything, mmap_mode="r")
    with image_writer(folder, name, images.shape[1:]) as writer:
        for index in np.flatnonzero(stays):
            writer.append(images[index].tobytes())
    everything.unlink()
    packed.splits[name] = Kept(
        digests=list(compress(kept.digests, stays)),
        labels=array("q", compress(kept.labels, stays)),
        aspects=array("d", compress(kept.aspects, stays)),
        sha256=writer.sha256.hexdigest(),
    )


def _write_rejected(path: Path, packed: Packed) -> None:
    """List what was left out, and what of the rest is unlike the others: not what most images have in common."""
    rows = [(item.name, item.reason, False) for item in packed.rejected]
    rows += [(name, reason, False) for name, reason in packed.repeated]
    for noted in packed.noted.values():
        if 2 * len(noted) < packed.read:
            rows += [(name, reason, True) for name, reason in noted]
    write_table(path, pd.DataFrame(sorted(rows), columns=["file", "reason", "taken"]))
