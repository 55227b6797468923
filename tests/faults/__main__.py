"""Try faults of one kind on the real thing: python -m tests.faults images --count 3000 --seed 1.

Every round is written to a CSV file: one that was stopped goes on where it was, until the code or the tests change, and
other seeds add to the same table. The exit code is 1 when a round did not hold.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from ganlib.core.files import read_table, write_table
from tests.faults import archives, checkpoints, disks, images, kills, params_files, together
from tests.faults.rounds import Round, state_of_tree

KINDS: dict[str, Callable[[int, int], Iterator[Round]]] = {
    "params": params_files.rounds,
    "images": images.rounds,
    "archives": archives.rounds,
    "checkpoints": checkpoints.rounds,
    "kills": kills.rounds,
    "disks": disks.rounds,
    "together": together.rounds,
}
"""Each draws rounds from a seed and their number."""
HELD = {"taken", "refused", "identical", "fitted", "missed", "skipped"}
"""Missed: what was to be killed had ended. Fitted: there was room enough."""
EVERY = 10
"""Seconds between two writings of the table."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS, help="what is broken")
    parser.add_argument("--count", type=int, default=1000, help="rounds")
    parser.add_argument("--seed", type=int, default=1, help="of the draw")
    parser.add_argument("--out", type=Path, default=Path("faults.csv"), help="what became of them")
    given = parser.parse_args()
    state, begin, due = state_of_tree(), time.process_time(), 0.0
    rows = read_table(given.out, "state", "case", "said").to_dict("records") if given.out.exists() else []
    tried = {(row["kind"], row["seed"], row["round"]) for row in rows if row["state"] == state}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for number, (case, attempt) in enumerate(KINDS[given.kind](given.seed, given.count)):
            if (given.kind, given.seed, number) not in tried:
                place = {"kind": given.kind, "seed": given.seed, "round": number, "case": case}
                rows.append(place | attempt(Path(folder))._asdict() | {"state": state})
            if time.monotonic() > due or number == given.count - 1:
                write_table(given.out, pd.DataFrame(rows))
                print(number + 1, f"{time.process_time() - begin:.0f} s", flush=True)
                due = time.monotonic() + EVERY
    table = pd.DataFrame([row for row in rows if (row["kind"], row["seed"]) == (given.kind, given.seed)])
    table = table[table["state"] == state]
    print(summary(table))
    sys.exit(int(not table["outcome"].isin(HELD).all()))


def summary(rows: pd.DataFrame) -> str:
    """Return a line for each sort of case, one for all, and what did not hold."""
    sort = rows["case"].str.partition(":")[0]
    counts = pd.crosstab(sort, rows["outcome"])
    most = rows.groupby(sort)[["seconds", "mib"]].max()
    lost = rows[~rows["outcome"].isin(HELD)]
    total = (
        f"{len(rows) - len(lost)} of {len(rows)} held, {rows['seconds'].max():.2f} s of processor time and "
        f"{rows['mib'].max()} MiB at most, {rows['said'].str.len().max():.0f} characters"
    )
    said = [
        f"{row['kind']} {row['seed']} {row['round']} {row['case']}: {row['outcome']}: {row['said']}"
        for _, row in lost.iterrows()
    ]
    return "\n".join([counts.join(most).to_string(), total, *said])


if __name__ == "__main__":
    main()
