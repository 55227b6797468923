"""What a game promises: a figure of what it has trained, beside the baseline that it must beat.

A baseline is trained here too, by the same rules, or is what the same measurement says of plain pixels: never a number
from elsewhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ganlib.core.packed import Split
from ganlib.features.eyes import Extractor
from ganlib.features.judge import Judge

Images = NDArray[np.uint8]


class Claim(NamedTuple):
    name: str
    """What is measured, in a few words."""
    value: float
    baseline: str
    """What the value must beat."""
    baseline_value: float
    better: Literal["higher", "lower"]
    source: str
    """The paper that claims it."""

    @property
    def held(self) -> bool:
        """Whether the value is better than the baseline's; NaN is not."""
        return self.value > self.baseline_value if self.better == "higher" else self.value < self.baseline_value

    def described(self) -> dict[str, Any]:
        """Return what a JSON file holds of it, but for its name."""
        return {key: value for key, value in self._asdict().items() if key != "name"} | {"held": bool(self.held)}

    def verdict(self) -> str:
        """Say it in a line."""
        verdict = "held" if self.held else "NOT held"
        return f"{self.name}: {self.value:.4g} ({self.baseline}: {self.baseline_value:.4g}), {verdict}"


class Ablation(NamedTuple):
    """A baseline that is trained: the game itself, but for a part of it."""

    name: str
    changes: Mapping[str, Any]
    """Values by key of the game's own section of params."""


@dataclass(frozen=True, kw_only=True)
class Translated:
    """What a game of two domains has made, for figures of its own."""

    made: Mapping[str, Images]
    """Arrays that the translate stage wrote, by their names: `ours` and `baseline` of held-out A, and more."""
    a: Mapping[str, Split]
    b: Mapping[str, Split]
    """Both splits of each domain, by name."""
    judge: Judge
    """Of domain B."""
    class_names_a: list[str]
    """Of domain A; empty where its images have no labels."""
    vocabulary: list[str]
    """Words of the captions that A is; empty where it is images."""
    load: Callable[[str, str], Any]
    """Returns a network's moving average, by who trained it, `ours` or `baseline`, and by its name."""
    derive: Callable[[Images], Images] | None
    """Makes images of the domain that is made of those of the other; None where neither is."""
    device: torch.device


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a probe looks at."""

    networks: Mapping[str, Any]
    """The published ones by name, on the device, in evaluation mode."""
    configs: Mapping[str, dict[str, Any]]
    """What rebuilds them."""
    train: Split
    heldout: Split
    judge: Judge
    extractor: Extractor
    """Who watched the training."""
    class_names: list[str]
    """Empty where the images have no labels."""
    evaluations: pd.DataFrame
    """The training's, with the game's own figures of each."""
    device: torch.device


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a probe has found."""

    claims: list[Claim] = field(default_factory=list)
    absent: str = ""
    """Why there is no claim, where there is none."""
    pictures: Mapping[str, Mapping[str, Images]] = field(default_factory=dict)
    """By file name: rows of (N, C, H, W) images, all of one N, by what stands beside them."""
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """By file name; one with the columns step, series and value is shown as curves."""
