"""The headline figures, and which of them may be ranked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ganlib.core.files import read_json
from ganlib.evaluation.table import METRICS

Metrics = Mapping[str, Any]


class Kind(NamedTuple):
    """A figure that a reader looks for first: its name, and how it is shown (`Headline`).

    A distance falls with the number of images: beside its floor stands the one of as many. Shares do not move with it.
    """

    name: str
    title: str
    lower_is_better: bool
    form: str
    held_against: str


class Figure(NamedTuple):
    title: str
    value: str
    interval: str
    against: str


KINDS = (
    Kind("fid", "FID", True, ".2f", "fid_floor"),
    Kind("lite0_fid", "Lite0 FID", True, ".3f", "lite0_fid_floor"),
    Kind("domain_fid", "Domain FID", True, ".2f", "domain_fid_floor"),
    Kind("diversity_score", "Diversity score", False, ".2f", "at most 1; mode collapse is 1 minus this"),
    *(Kind(name, *metric.headline) for name, metric in METRICS.items() if metric.headline),
    Kind("classes_covered", "Classes covered", False, "d", "a class counts from a tenth of its real share"),
    Kind("class_agreement", "Class agreement", False, ".1%", "judge_accuracy"),
)
NO_INTERVAL: dict[str, str] = dict.fromkeys(("fid", "lite0_fid", "domain_fid"), "no interval: fewer than 4 images")


def figures_in(folder: Path) -> dict[str, Any]:
    """Return all figures that evaluate has left in a folder: the headline, and the details."""
    return read_json(folder / "evaluate.json") | read_json(folder / "details.json")


def headline(metrics: Metrics) -> list[Figure]:
    """Return the figures that were measured, each with its interval and what it is to be held against.

    An unfit judge's are none; of two distances, the one whose features the others rest on.
    """
    if metrics.get("protocol_extractor") == "judge" and not metrics.get("judge_reliable", True):
        return []
    return [
        Figure(kind.title, value_of(metrics, kind), interval_of(metrics, kind), _against(metrics, kind))
        for kind in KINDS
        if kind.name in metrics and not (kind.name == "domain_fid" and "domain_fid_floor" not in metrics)
    ]


def value_of(metrics: Metrics, kind: Kind) -> str:
    value = _text(metrics[kind.name], kind)
    return f"{value} of {metrics['classes']}" if kind.name == "classes_covered" else value


def interval_of(metrics: Metrics, kind: Kind) -> str:
    """Return the interval as text, empty for a figure that has none."""
    if f"{kind.name}_low" not in metrics:
        return NO_INTERVAL.get(kind.name, "")
    return " to ".join(_text(bound, kind) for bound in _bounds(metrics, kind))


def unlike_protocols(runs: Sequence[Metrics]) -> dict[str, list[Any]]:
    """Return those protocol keys, with each run's value, in which runs differ; None where a run lacks the key."""
    keys = sorted({key for run in runs for key in run if key.startswith("protocol_")})
    values = {key: [run.get(key) for run in runs] for key in keys}
    return {key: row for key, row in values.items() if any(value != row[0] for value in row)}


def protocol_groups(runs: Sequence[Metrics]) -> list[int]:
    """Return the number, from 0, of each run's protocol."""
    protocols = [{key: value for key, value in run.items() if key.startswith("protocol_")} for run in runs]
    first = [protocols.index(protocol) for protocol in protocols]
    return [sorted(set(first)).index(index) for index in first]


def best_of(runs: Sequence[Metrics], kind: Kind) -> set[int]:
    """Return which runs are best among those of their protocol, or can't be told from the best: their intervals meet.

    A run that is alone with its protocol is none of them. Intervals are over draws of images, not over trainings.
    """
    groups, best = protocol_groups(runs), set[int]()
    for group in set(groups):
        bounds = {
            index: _bounds(run, kind) for index, run in enumerate(runs) if groups[index] == group and kind.name in run
        }
        if len(bounds) > 1:
            choose = min if kind.lower_is_better else max
            low, high = bounds[choose(bounds, key=lambda index: runs[index][kind.name])]
            best |= {index for index, (its_low, its_high) in bounds.items() if its_low <= high and its_high >= low}
    return best


def _text(value: float, kind: Kind) -> str:
    return f"{value:{kind.form}}".replace("%", "\N{NO-BREAK SPACE}%")


def _bounds(metrics: Metrics, kind: Kind) -> tuple[float, float]:
    value = metrics[kind.name]
    return metrics.get(f"{kind.name}_low", value), metrics.get(f"{kind.name}_high", value)


def _against(metrics: Metrics, kind: Kind) -> str:
    real = metrics.get(kind.held_against)
    if kind.held_against.endswith("_floor"):
        return f"{_over_floor(metrics, kind)}; lower is better"
    return kind.held_against if real is None else f"real held-out images reach {_text(real, kind)}"


def _over_floor(metrics: Metrics, kind: Kind) -> str:
    """Hold a distance, which falls with the number of images, against held-out ones at the count that both have."""
    ratio = f"{kind.name}_over_floor"
    if ratio not in metrics:
        return "real held-out images reach 0"
    bounds = [metrics[name] for name in (f"{ratio}_low", f"{ratio}_high") if name in metrics]
    interval = f" ({' to '.join(f'{bound:.1f}' for bound in bounds)})" if bounds else ""
    ours, floor = (_text(metrics[name], kind) for name in (f"{kind.name}_matched", kind.held_against))
    count = f"with {metrics['matched_images']:,} images on each side {ours}"
    return f"{count}, {metrics[ratio]:.1f} times{interval} the {floor} of real held-out images"
