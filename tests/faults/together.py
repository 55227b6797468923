"""Two of the same at once, and trainings that diverge: one result, whole, or one line that says why not."""

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.conftest import edit_params
from tests.faults.pipeline import STAGES, before, command_of, environment, hashes, leftovers, set_seed, whole_run
from tests.faults.rounds import Outcome, Round

DIVERGING = (
    {"lr": "1.0"},
    {"lr": "0.9", "loss.r1": "0", "model.g_norm": "none", "model.d_norm": "none"},
    {"lr": "0.5", "train.on_collapse": "stop"},
    {"lr": "1.0", "train.on_collapse": "restore_best", "loss.r1": "1000"},
    {"lr": "0.3", "loss.name": "wasserstein", "loss.real_label_low": "1", "loss.real_label_high": "1"},
)


def rounds(seed: int, count: int) -> Iterator[Round]:
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        if number % 4 == 3:
            changes = chance.choice(DIVERGING)
            case = f"divergence: {', '.join(f'{key} {value}' for key, value in changes.items())}"
            yield Round(case, partial(diverge, changes))
        else:
            stage, by_dvc = STAGES[number % len(STAGES)], chance.random() < 0.5
            lead = round(chance.uniform(0, 4), 1)
            who = "dvc" if by_dvc else "stages"
            yield Round(f"two {who}: {stage}, {lead} s apart", partial(two_at_once, stage, by_dvc, lead))


def two_at_once(stage: str, by_dvc: bool, lead: float, folder: Path) -> Outcome:
    """Start a command, and the same again while it runs."""
    begin, whole, here = time.monotonic(), whole_run(folder), folder / "two"
    shutil.rmtree(here, ignore_errors=True)
    wanted = before(whole, here, stage)
    set_seed(here, "2")
    command = ["dvc", "repro", stage] if by_dvc else command_of(here, stage)
    settings = {"cwd": here, "env": environment(), "stdin": subprocess.DEVNULL}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    first = subprocess.Popen(command, **settings, **pipes)
    time.sleep(lead)
    second = subprocess.Popen(command, **settings, **pipes)
    said = [process.communicate() for process in (first, second)]
    codes = [first.returncode, second.returncode]
    told = " | ".join(f"{code}: {err.strip()[-150:]}" for code, (_, err) in zip(codes, said, strict=True))
    if 0 not in codes:
        outcome = "both failed"
    elif any("Traceback" in err for _, err in said):
        outcome = "traceback"
    elif left := leftovers(here):
        outcome, told = "half written", " ".join(left)
    else:
        outcome = "identical" if hashes(here, sorted(wanted)) == wanted else "differs"
    return Outcome(outcome, round(time.monotonic() - begin, 1), 0, told[:500])


def diverge(changes: dict[str, str], folder: Path) -> Outcome:
    """Train with what makes losses infinite: it ends in a line, or says in its alarms what happened."""
    begin, whole, here = time.monotonic(), whole_run(folder), folder / "diverging"
    shutil.rmtree(here, ignore_errors=True)
    before(whole, here, "train")
    params = here / "params.yaml"
    params.write_text(edit_params(params.read_text(), {"steps": "120", **changes}))
    done = subprocess.run(command_of(here, "train"), cwd=here, env=environment(), capture_output=True, text=True)
    told, whole_out = done.stderr.strip()[-200:], (here / "data/training/alarms.csv").is_file()
    if "Traceback" in done.stderr:
        outcome = "traceback"
    elif done.returncode == 0:
        outcome = "taken" if whole_out else "half written"
    else:
        outcome = "refused" if told.splitlines()[-1].startswith("error: ") and not whole_out else "wordy"
    return Outcome(outcome, round(time.monotonic() - begin, 1), 0, told)
