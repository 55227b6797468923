"""One round of any kind of fault: what was broken, how it is tried, and what became of it."""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Outcome(NamedTuple):
    outcome: str
    """`taken` or `refused`, which hold; else `traceback`, `died`, `slow`, `large` or `wordy`."""
    seconds: float
    mib: int
    said: str


class Round(NamedTuple):
    case: str
    """The sort of fault, a colon, and more."""
    attempt: Callable[[Path], Outcome]
    """Tries it, in a folder of its own."""


def state_of_tree() -> str:
    """Return a hash of the working tree's code."""
    names = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "ganlib", "stages", "tests"]
    digest = hashlib.sha256()
    for name in sorted(filter(None, subprocess.check_output(names, cwd=ROOT, text=True).split("\0"))):
        if (ROOT / name).is_file():
            digest.update(name.encode() + (ROOT / name).read_bytes())
    return digest.hexdigest()[:16]
