"""Captions: sentences that say what is to be seen, as words, and as numbers that a network reads."""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganlib.core.errors import UserError

COLOURS: Mapping[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "red": (220, 30, 30),
    "blue": (30, 60, 220),
    "yellow": (250, 220, 40),
}
"""Red, green and blue of the colours that templates name."""
TEMPLATES = (
    "a {figure} {what} on a {ground} ground",
    "a {ground} ground with a {figure} {what}",
    "{what} in {figure} on {ground}",
)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PADDING, UNKNOWN = 0, 1
"""Numbers of what stands behind a caption's last word, and of a word that training has not seen."""
FIRST = 2
"""Number of the vocabulary's first word."""
Numbers = NDArray[np.unsignedinteger[Any]]
"""Word numbers of captions, (N, L)."""


class Asked(NamedTuple):
    """Names of colours."""

    figure: str
    ground: str


def draw_caption(what: str, chance: random.Random) -> tuple[str, Asked]:
    """Return a sentence that asks for something in one colour on another, and which they are."""
    figure, ground = chance.sample(list(COLOURS), 2)
    what = DIGITS[int(what)] if what in map(str, range(len(DIGITS))) else what
    return chance.choice(TEMPLATES).format(figure=figure, ground=ground, what=what), Asked(figure, ground)


def asked_by(caption: str) -> Asked | None:
    """Return which colours a sentence asks for, or None where it is not of a template."""
    colour = "|".join(COLOURS)
    for template in TEMPLATES:
        pattern = template.format(figure=f"(?P<figure>{colour})", what=".+", ground=f"(?P<ground>{colour})")
        if found := re.fullmatch(pattern, caption):
            return Asked(found["figure"], found["ground"])
    return None


def words_of(caption: str) -> list[str]:
    """Return a sentence's words, in small letters."""
    return re.findall(r"[^\W_]+(?:['\u2019][^\W_]+)*", caption.lower())


def vocabulary_of(captions: Iterable[str]) -> list[str]:
    """Return all words of sentences, in order of the alphabet."""
    return sorted({word for caption in captions for word in words_of(caption)})


def encoded(captions: Sequence[str], vocabulary: Sequence[str], length: int) -> Numbers:
    """Return the numbers of words, (N, length), longer sentences cut."""
    known = {word: number for number, word in enumerate(vocabulary, FIRST)}
    numbers = np.full((len(captions), length), PADDING, np.uint16)
    for row, caption in zip(numbers, captions, strict=True):
        found = [known.get(word, UNKNOWN) for word in words_of(caption)[:length]]
        row[: len(found)] = found
    return numbers


def decoded(numbers: Numbers, vocabulary: Sequence[str]) -> list[str]:
    """Return sentences of numbers (N, length): their words, with spaces between."""
    words = ["", "…", *vocabulary]
    return [" ".join(words[number] for number in row if number != PADDING) for row in numbers]


def asked_for(captions: Sequence[str], vocabulary: Sequence[str], length: int) -> Numbers:
    """Return `encoded` sentences of a person; raise UserError that names the words that no training caption had."""
    for caption in captions:
        words = words_of(caption)
        unknown = [word for word in dict.fromkeys(words) if word not in vocabulary]
        if unknown:
            near = [close[0] for word in unknown if (close := get_close_matches(word, vocabulary, 1))]
            known = f"did you mean {', '.join(near)}?" if near else f"it knows {', '.join(vocabulary[:20])}"
            raise UserError(f"--caption {caption!r}: no training caption had {', '.join(unknown)}: {known}")
        if not 0 < len(words) <= length:
            raise UserError(f"--caption {caption!r}: has {len(words)} words: training captions had 1 to {length}")
    return encoded(captions, vocabulary, length)
