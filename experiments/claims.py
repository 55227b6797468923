"""Claims, and when they hold."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML, YAMLError
from scipy.stats import chi2, t

from experiments.runs import FOLDER, Run, figure_of, kin
from ganlib.core.errors import UserError

CONFIDENCE = 0.95
Verdict = Literal["holds", "does not hold", "can't tell at this budget"]
CANT_TELL: Verdict = "can't tell at this budget"


def _whole_line(line: str) -> str:
    words = shlex.split(line)
    if words[:4] != ["dvc", "exp", "run", "--queue"] or words[4] != "-n" or words[-1] != "evaluate":
        raise ValueError("must be dvc exp run --queue -n SIDE -S seed=1,2,3 ... evaluate")
    return line


class Comparison(BaseModel):
    """A figure of one side against another's or a number, or how it scatters over seeds."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    figure: str
    of: str
    sense: Annotated[Literal["lower", "higher", "scattered"], Field(alias="is")]
    than: str | float | None = None

    @property
    def sides(self) -> list[str]:
        return [self.of, *([self.than] if isinstance(self.than, str) else [])]


class Claim(BaseModel):
    """A file of this folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    number: int
    claim: str
    source: str
    hypothesis: str
    budget: str
    lines: list[Annotated[str, AfterValidator(_whole_line)]]
    """What queues each side's runs, all seeds at once."""
    tests: list[Comparison]
    seen: str = ""
    """What one sees in the pictures, in a person's words."""

    @property
    def sides(self) -> list[str]:
        return [shlex.split(line)[5] for line in self.lines]


class Outcome(NamedTuple):
    """What a test found: the mean over seeds of what is tested, its interval, and the verdict."""

    mean: float
    low: float
    high: float
    seeds: int
    verdict: Verdict


def load_claims() -> dict[str, Claim]:
    """Read all claims, by name, in the order of their numbers; raise UserError where one can't be read."""
    claims = {path.stem: load_claim(path) for path in sorted(FOLDER.glob("*.yaml"))}
    return dict(sorted(claims.items(), key=lambda item: item[1].number))


def load_claim(path: Path) -> Claim:
    try:
        return Claim.model_validate(YAML(typ="safe", pure=True).load(path))
    except (YAMLError, ValidationError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from None


def outcome_of(test: Comparison, runs: Mapping[str, Sequence[Run]]) -> Outcome:
    """Comparison by the runs of each side; those of two sides are paired by seed, and measured by one protocol."""
    if test.sense == "scattered":
        return scatter(test, runs[test.of])
    if isinstance(test.than, str):
        pairs = pairs_of(runs[test.of], runs[test.than])
        for one, other in pairs:
            kin(one, other, test.figure)
        values = [figure_of(one, test.figure) - figure_of(other, test.figure) for one, other in pairs]
    else:
        values = [figure_of(run, test.figure) - (test.than or 0) for run in runs[test.of]]
    return judged(np.array(values), 1 if test.sense == "higher" else -1)


def pairs_of(ours: Sequence[Run], theirs: Sequence[Run]) -> list[tuple[Run, Run]]:
    """Return the runs of two sides that share a seed."""
    others = {run.seed: run for run in theirs}
    return [(run, others[run.seed]) for run in ours if run.seed in others]


def judged(values: np.ndarray, sign: int) -> Outcome:
    """Judge whether the mean of values (seeds,), of this sign, is over 0: by Student's interval, of two or more."""
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return Outcome(mean, np.nan, np.nan, count, CANT_TELL)
    half = float(t.ppf((1 + CONFIDENCE) / 2, count - 1) * values.std(ddof=1) / np.sqrt(count))
    low, high = mean - half, mean + half
    if min(sign * low, sign * high) > 0:
        return Outcome(mean, low, high, count, "holds")
    opposite = max(sign * low, sign * high) < 0
    return Outcome(mean, low, high, count, "does not hold" if opposite else CANT_TELL)


def scatter(test: Comparison, runs: Sequence[Run]) -> Outcome:
    """Judge whether a figure's standard deviation over seeds is over what each run's own interval explains.

    The ratio of the two is returned; its interval rests on the chi-squared distribution of the variance.
    """
    values = np.array([figure_of(run, test.figure) for run in runs])
    bounds = np.array([[figure_of(run, f"{test.figure}_{end}") for end in ("low", "high")] for run in runs])
    within = np.sqrt(np.square((bounds[:, 1] - bounds[:, 0]) / 2 / 1.96).mean())
    free, ratio = len(values) - 1, float(values.std(ddof=1) / within) if len(values) > 1 else np.nan
    if not free:
        return Outcome(ratio, np.nan, np.nan, 1, CANT_TELL)
    low, high = (ratio * float(np.sqrt(free / chi2.ppf(share, free))) for share in (0.975, 0.025))
    verdict: Verdict = "holds" if low > 1 else "does not hold" if high < 1 else CANT_TELL
    return Outcome(ratio, low, high, len(values), verdict)


def together(outcomes: Sequence[Outcome]) -> Verdict:
    """Return the verdict on a claim: it holds if all of it does, and does not if one part does not."""
    verdicts = {outcome.verdict for outcome in outcomes}
    for verdict in ("does not hold", CANT_TELL):
        if verdict in verdicts:
            return verdict
    return "holds"
