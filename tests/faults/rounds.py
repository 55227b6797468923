"""One round of any kind of fault: what was broken, how it is tried, and what became of it."""

import hashlib
import random
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

BOMBS = 20
"""Rounds of which one is a bomb; the others are of damaged files."""
ROOT = Path(__file__).resolve().parents[2]


class Outcome(NamedTuple):
    outcome: str
    """What became of it: `taken`, `refused` and `identical` hold, a name of what went wrong does not."""
    seconds: float
    mib: int
    said: str


class Round(NamedTuple):
    case: str
    """The sort of fault, a colon, and more."""
    attempt: Callable[[Path], Outcome]
    """Tries it, in a folder of its own."""


def damaged_and_bombs(
    seed: int,
    count: int,
    whole: Sequence[str],
    damage: Callable[[str, random.Random], bytes],
    try_content: Callable[[bytes, Path], Outcome],
    bombs: Iterable[str],
    try_bomb: Callable[[str, Path], Outcome],
) -> Iterator[Round]:
    """Yield rounds of files that were whole and are damaged, and of every 20 one is a bomb."""
    kinds = list(bombs)
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        if number % BOMBS == BOMBS - 1:
            # In turn, so that a short form differs from seed to seed and a long one has them all.
            name = kinds[(number // BOMBS + seed) % len(kinds)]
            yield Round(f"bomb {name}: whole", partial(try_bomb, name))
        else:
            name = chance.choice(whole)
            content = damage(name, chance)
            yield Round(f"{name}: {len(content)} bytes", partial(try_content, content))


def state_of_tree() -> str:
    """Return a hash of the working tree's code."""
    names = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "ganlib", "stages", "tests"]
    digest = hashlib.sha256()
    for name in sorted(filter(None, subprocess.check_output(names, cwd=ROOT, text=True).split("\0"))):
        if (ROOT / name).is_file():
            digest.update(name.encode() + (ROOT / name).read_bytes())
    return digest.hexdigest()[:16]
