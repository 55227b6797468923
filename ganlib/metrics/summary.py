"""All figures of one evaluation, from features to a flat table."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ganlib.metrics.diversity import (
    Labelled,
    class_overlap,
    classes_covered,
    diversity_score,
    intra_class_diversity,
)
from ganlib.metrics.frechet import frechet_distance
from ganlib.metrics.manifold import inside_manifold, neighbour_radii


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    metrics: dict[str, Any]
    """Figure by name."""
    per_class: pd.DataFrame
    """A row per class: class, real and generated share, diversity."""


def evaluate(
    fake: Labelled,
    train: Labelled,
    heldout: Labelled,
    class_names: list[str],
    *,
    neighbours: int,
    draws: int,
    seed: int,
) -> Evaluation:
    """Compare generated with real images in one feature space.

    The training images are the reference; held-out images in the place of the generated ones give the floors.
    """
    radii = neighbour_radii(train.features, neighbours)
    is_valid = inside_manifold(fake.features, train.features, radii)
    valid_fake = Labelled(features=fake.features[is_valid], classes=fake.classes[is_valid])
    real_shares, fake_shares = train.shares(len(class_names)), valid_fake.shares(len(class_names))
    spread = intra_class_diversity(
        valid_fake, train, heldout, classes=len(class_names), draws=draws, random=np.random.default_rng(seed)
    )
    valid, overlap = float(is_valid.mean()), class_overlap(fake_shares, real_shares)
    mean_spread = float(real_shares @ spread)
    score = diversity_score(overlap, mean_spread, valid)
    fid, floor = (frechet_distance(features, train.features) for features in (fake.features, heldout.features))
    metrics = {
        "class_overlap": overlap,
        "classes": int((real_shares > 0).sum()),
        "classes_covered": classes_covered(fake_shares, real_shares),
        "diversity_score": score,
        "domain_fid": fid,
        "domain_fid_floor": floor,
        "domain_fid_over_floor": fid / floor,
        "intra_class_diversity": mean_spread,
        "mode_collapse": 1 - score,
        "valid": valid,
        "valid_heldout": float(inside_manifold(heldout.features, train.features, radii).mean()),
    }
    per_class = pd.DataFrame({"class": class_names, "real": real_shares, "generated": fake_shares, "diversity": spread})
    return Evaluation(metrics=metrics, per_class=per_class)
