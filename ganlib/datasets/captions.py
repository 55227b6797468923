"""Captions as domain A: of templates, whose colours the images of B are given, or of text files beside images."""

from array import array
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganlib.core.captions import COLOURS, FIRST, Asked, Numbers, draw_caption, encoded, vocabulary_of, words_of
from ganlib.core.errors import UserError
from ganlib.core.packed import SPLITS, captions_path, images_path, labels_path, read_split
from ganlib.core.seeding import random_generator
from ganlib.datasets.decode import Preparation
from ganlib.datasets.examples import Example
from ganlib.datasets.pack import Packed
from ganlib.datasets.partners import NAMED, own_labels, write_images

MOST_WORDS = 64
"""Of a caption: a net that sees five words at a time reads no page."""
MOST_KNOWN = 2**16 - FIRST
"""Of all captions, as their numbers are 16 bits long."""

Images = NDArray[np.uint8]


def coloured(images: Images, asked: Sequence[Asked]) -> Images:
    """Return grey images (N, 1, H, W) in colours, (N, 3, H, W): what was black is the ground, white the figure."""
    figures, grounds = (
        np.array([COLOURS[colour] for colour in side], np.float64)[:, :, None, None]
        for side in zip(*asked, strict=True)
    )
    return np.rint(grounds + images / 255 * (figures - grounds)).astype(np.uint8)


def pack_captioned(folder: Path, meta: Mapping[str, Any], seed: int, prepared: Preparation) -> dict[str, Any]:
    """Give the grey images in `folder`/b colours, and write captions that name them; return meta.json of both."""
    captions, hashes = dict[str, list[str]](), dict[str, str]()
    for split in SPLITS:
        images, labels = read_split(folder / "b", split)
        assert labels is not None
        chance = Random(random_generator(seed, f"pairs/captions/{split}").initial_seed())
        drawn = [draw_caption(meta["class_names"][label], chance) for label in labels]
        captions[split] = [caption for caption, _ in drawn]
        colours = (coloured(image[None], [asked])[0] for image, (_, asked) in zip(images, drawn, strict=True))
        pixels = (image.transpose(1, 2, 0).tobytes() for image in colours)
        hashes[split] = write_images(folder / "a", split, prepared, pixels)
        images_path(folder / "a", split).replace(images_path(folder / "b", split))
        np.save(labels_path(folder / "a", split), labels)
    meta = {**meta, "channels": prepared.channels, "sha256": hashes}
    return {"a": write_captions(folder / "a", captions, meta), "b": meta}


def write_captions(folder: Path, captions: Mapping[str, Sequence[str]], meta: Mapping[str, Any]) -> dict[str, Any]:
    """Write the numbers of the captions of both splits; return meta.json, of B's: words are those of training."""
    vocabulary = vocabulary_of(captions["train"])
    if len(vocabulary) > MOST_KNOWN:
        raise UserError(f"training captions have {len(vocabulary)} different words: {MOST_KNOWN} is the most")
    length = max(len(words_of(caption)) for caption in captions["train"])
    hashes: dict[str, str] = {}
    for split, sentences in captions.items():
        numbers: Numbers = encoded(sentences, vocabulary, length)
        np.save(captions_path(folder, split), numbers)
        hashes[split] = sha256(numbers.tobytes()).hexdigest()
    same = {key: meta[key] for key in ("class_names", "counts", "counts_per_class", "dataset")}
    return {**same, "length": length, "sha256": hashes, "vocabulary": vocabulary}


def texts_beside(folder: Path, images: Sequence[Path], key: str) -> list[str]:
    """Return what the text files say that are called as images of a folder; `key` names it in errors.

    Raise UserError where one is missing, empty, too long or no UTF-8.
    """
    files = [image.with_suffix(".txt") for image in images]
    missing = [file.relative_to(folder).as_posix() for file in files if not file.is_file()]
    if missing:
        named = ", ".join(missing[:NAMED])
        raise UserError(
            f"{key} = {folder}: {len(missing)} of {len(files)} images have no caption beside them ({named})"
        )
    texts: list[str] = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            raise UserError(f"{file}: cannot be read as UTF-8: save it so") from None
        texts.append(text)
        if not 0 < (count := len(words_of(text))) <= MOST_WORDS:
            raise UserError(f"{file}: has {count} words: a caption has 1 to {MOST_WORDS}")
    return texts


def pack_texts(
    folder: Path, packed: Packed, examples: Sequence[Example], texts: Sequence[str], class_names: Sequence[str]
) -> dict[str, list[str]]:
    """Give B as it is packed in `folder`/b, `numbered`, its own labels back; return its captions by split."""
    captions: dict[str, list[str]] = {}
    for split, kept in packed.splits.items():
        numbers = array("q", kept.labels)
        captions[split] = [texts[number] for number in numbers]
        own_labels(kept, [examples[number] for number in numbers], folder, split, class_names)
    return captions
