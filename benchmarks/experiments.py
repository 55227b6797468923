"""Time what shows many experiments, on simulated ones in a clone of the last commit: python -m benchmarks.experiments.

Each is a commit as DVC makes it, with another learning rate and other figures, in params.yaml, dvc.lock and metrics/.
"""

import json
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COUNT, COMPARED = 200, 50
ROOT = Path(__file__).resolve().parents[1]
LR = re.compile(r"^( *lr: )[\d.e-]+", re.MULTILINE)


def git(folder: Path, *words: str, text: str | None = None) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True, input=text).stdout


def add_experiment(folder: Path, number: int, chance: random.Random) -> str:
    """Commit another learning rate and other figures on no branch, and name them as an experiment of HEAD."""
    head, name, lr = git(folder, "rev-parse", "HEAD").strip(), f"trial-{number}", f"{1e-4 * (1 + number / 100):.6g}"
    for path in ("params.yaml", "dvc.lock"):
        (folder / path).write_text(LR.sub(rf"\g<1>{lr}", git(folder, "show", f"HEAD:{path}")))
    for path in ("metrics/evaluate.json", "metrics/details.json"):
        figures = json.loads(git(folder, "show", f"HEAD:{path}"))
        moved = {key: value * chance.uniform(0.5, 2) for key, value in figures.items() if isinstance(value, float)}
        (folder / path).write_text(json.dumps(figures | moved, indent=2))
    git(folder, "add", "--update")
    commit = git(folder, "commit-tree", "-p", head, "-m", name, git(folder, "write-tree").strip()).strip()
    git(folder, "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}", commit)
    return name


def experiments(folder: Path, count: int) -> list[str]:
    """Clone the last commit into a folder, with so many experiments; return their names."""
    git(ROOT, "clone", "-q", str(ROOT), str(folder))
    for setting in (("user.name", "benchmark"), ("user.email", "benchmark@example.com")):
        git(folder, "config", *setting)
    chance = random.Random(0)
    names = [add_experiment(folder, number, chance) for number in range(count)]
    git(folder, "reset", "-q", "--hard")
    return names


def shown() -> list[str]:
    """Return the README's command that shows experiments."""
    (line,) = re.findall(r"^dvc exp show .*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    return [sys.executable, "-m", *shlex.split(line)]


def measure(what: str, command: list[str], folder: Path) -> None:
    """Print the seconds that a command takes, and those of a processor, which other programs hardly change."""
    start, before = time.perf_counter(), os.times()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"{what}: {wall:.1f} s, {processor:.1f} s of a processor", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "gan"
        names = experiments(clone, COUNT)
        for which in ("first", "again", "again"):
            measure(f"dvc exp show, {COUNT} experiments, {which}", shown(), clone)
        compare = [sys.executable, "-m", "stages.report", "compare", *names[:COMPARED]]
        measure(f"report compare, {COMPARED} experiments", compare, clone)


if __name__ == "__main__":
    main()
