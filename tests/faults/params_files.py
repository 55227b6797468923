"""Params files that nobody should write, drawn by hypothesis, and what the check that comes before every stage says.

None may end in a traceback, take over two seconds, or be refused in more than 500 characters.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from ganlib.core import params  # noqa: F401 - before the forks
from ganlib.core.console import run
from stages import check_params
from tests.faults.child import CRASHED, in_child
from tests.faults.rounds import ROOT, Outcome, Round

SECONDS, CHARACTERS = 2, 500
WHOLE = 50
"""Rounds of which one goes through `python -m stages.params check`; in the others a fork has its imports already."""

ODD_VALUES = [
    *("2024-02-30", "2024-13-45", "0001-01-01T00:00:00+23:59", "9" * 5000, "0x" + "f" * 6000, "!!int abc", "!!float x"),
    *(
        "!!bool 3",
        "!!timestamp x",
        "!!python/object:os.system x",
        "!!set {a, b}",
        "!!binary '%'",
        "!!null x",
        "!!omap [a]",
    ),
    *(
        ".inf",
        "-.inf",
        ".nan",
        "1e999",
        "-1e999",
        "1e-999",
        "1:30",
        "0o17",
        "017",
        "0b11",
        "1_000",
        "10" * 13,
        "-1",
        "0",
    ),
    *(
        "'off'",
        "off",
        "yes",
        "~",
        "null",
        "''",
        "'\\0'",
        '"\\0"',
        '"\\ud800"',
        '"\\u2028"',
        '"\\e[2J"',
        "=",
        "<<",
        "|\n  a",
    ),
    *(
        "[" * 3000,
        "[" * 200 + "]" * 200,
        "{a: " * 1800,
        "- " * 3000,
        "&a [*a]",
        "*nothing",
        "&a &b 1",
        "@",
        "%",
        "`",
        "\t",
    ),
    *(
        "[" + "left, " * 200_000 + "left]",
        "[" + "left, " * 2000 + "left]",
        "x" * 5_000_000,
        "x" * 60_000,
        "'" + "x" * 900 + "'",
    ),
    *(
        "1000000000",
        "1e9",
        "1" * 25,
        "{}",
        "[]",
        "[1, 2, 3]",
        "[[1], [2]]",
        "{<<: 3}",
        "{? [a] : b}",
        "2024-01-01",
        "true",
    ),
]
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12)
)
MERGES = "m0: &m0 {x0: 1}\n" + "".join(f"m{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}], x{n}: 1}}\n" for n in range(1, 40))
ADDED = [
    *(
        BOMB,
        MERGES,
        "<<: *a\n",
        "lr: 1\n",
        "---\nlr: 1\n",
        "...\n",
        "%YAML 1.1\n---\n",
        "%TAG ! a\n---\n",
        "\t- x\n",
        "? a\n",
    ),
    *("\ufeff", "\0", "\x1b[2J\n", "\x85", "'", '"', "- 1\n", "".join(f"key{number}: 1\n" for number in range(20_000))),
    *(
        "".join(f"k{number}: 1\n" for number in range(4000)),
        "x" * 100_000 + ": 1\n",
        "x" * 900 + ": 1\n",
        "# x\n" * 500_000,
    ),
    *(
        "".join(f"{'  ' * depth}a:\n" for depth in range(150)),
        "? " * 2000,
        "[1]: 2\n",
        "1: 2\n",
        "null: 2\n",
        "lrr: 1\n",
    ),
]
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
LINES = TEXT.splitlines(keepends=True)
VALUES = [index for index, line in enumerate(LINES) if re.match(r"\s*\w+: [^#\s]", line)]

numbers = st.one_of(st.integers(), st.floats(), st.integers(-(10**30), 10**30)).map(str)
odd = st.one_of(st.sampled_from(ODD_VALUES), st.sampled_from(ODD_VALUES), numbers, st.text(max_size=30))


@st.composite
def changed_values(draw: Callable) -> bytes:
    """One to four values of the file are others."""
    lines = list(LINES)
    for index in draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=4)):
        key = lines[index].partition(":")[0]
        lines[index] = f"{key}: {draw(odd)}\n"
    return "".join(lines).encode("utf-8", "surrogatepass")


@st.composite
def added_lines(draw: Callable) -> bytes:
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 2))):
        lines.insert(draw(st.sampled_from([0, len(LINES), *range(0, len(LINES), 7)])), draw(st.sampled_from(ADDED)))
    return "".join(lines).encode()


@st.composite
def lost_lines(draw: Callable) -> bytes:
    gone = draw(st.sets(st.integers(0, len(LINES) - 1), min_size=1, max_size=40))
    swapped = draw(st.booleans())
    kept = [line.lstrip() if swapped and index in gone else line for index, line in enumerate(LINES)]
    return "".join(line for index, line in enumerate(kept) if swapped or index not in gone).encode()


@st.composite
def damaged_bytes(draw: Callable) -> bytes:
    content = bytearray(TEXT.encode())
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(content)))
        content[start : start + draw(st.integers(0, 30))] = draw(st.binary(max_size=8))
    return bytes(content[: draw(st.sampled_from([None, None, 100, 3000]))])


def recoded() -> st.SearchStrategy[bytes]:
    codings = ["utf-16", "utf-32", "utf-8-sig", "cp037", "utf-7"]
    whole = [TEXT.encode(coding) for coding in codings]
    return st.sampled_from(
        [*whole, b"", b"\0" * 9000, b"\n", b"3", b"[]", b"{}", b"null", TEXT.encode() * 2, b"\xff\xfe"]
    )


yaml_like = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=40,
)
SORTS: dict[str, st.SearchStrategy[bytes]] = {
    "values": changed_values(),
    "added": added_lines(),
    "lost": lost_lines(),
    "bytes": damaged_bytes(),
    "recoded": recoded(),
    "anything": yaml_like.map(lambda value: str(value).encode("utf-8", "surrogatepass")),
}
SHARES = ["values"] * 5 + ["added"] * 3 + ["lost", "bytes", "bytes", "recoded", "anything"]


def rounds(seed: int, count: int) -> Iterator[Round]:
    for number, (sort, content) in enumerate(draw_files(seed, count)):
        yield Round(f"{sort}: {len(content)} bytes", partial(_attempt, content, number % WHOLE == 0))


def draw_files(seed: int, count: int) -> list[tuple[str, bytes]]:
    """Return files that depend on nothing but the seed and the count."""
    drawn: list[tuple[str, bytes]] = []
    sorts = st.sampled_from(SHARES).flatmap(lambda sort: st.tuples(st.just(sort), SORTS[sort]))

    @seeded(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(sorts)
    def collect(file: tuple[str, bytes]) -> None:
        drawn.append(file)

    collect()
    return drawn[:count]


def _attempt(content: bytes, whole: bool, folder: Path) -> Outcome:
    (folder / "params.yaml").write_bytes(content)
    code, said, seconds, mib = in_child(lambda: _check_whole(folder) if whole else _check(folder))
    return Outcome(_judge(code, said, seconds), round(seconds, 3), mib, said.strip())


def _check(folder: Path) -> None:
    os.chdir(folder)
    run(lambda: check_params("params.yaml"))


def _check_whole(folder: Path) -> None:
    os.chdir(folder)
    command = [sys.executable, "-m", "stages.params", "check"]
    os.execve(sys.executable, command, os.environ | {"PYTHONPATH": str(ROOT)})


def _judge(code: int, said: str, seconds: float) -> str:
    if code == CRASHED or "Traceback" in said or "Warning" in said:
        return "traceback"
    if code not in (0, 1):
        return "died"
    if seconds > SECONDS:
        return "slow"
    if code == 0:
        return "taken"
    plain = all(line.startswith("error: params.yaml") for line in said.splitlines())
    return "refused" if said and plain and len(said) <= CHARACTERS else "wordy"
