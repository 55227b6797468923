"""Class by class: what of the real classes the generator reproduces, and how diversely."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganlib.metrics.diversity import (
    COVERED,
    Labelled,
    class_overlap,
    classes_covered,
    diversity_score,
    intra_class_diversity,
    mean_diversity,
)
from ganlib.metrics.reference import Reference


def class_table(valid: Labelled, reference: Reference, draws: int, random: np.random.Generator) -> pd.DataFrame:
    """Return a row per class; the diversity of one that too few held-out images show is empty, and `judged` false."""
    names, heldout = reference.class_names, reference.heldout
    spread = intra_class_diversity(valid, heldout, reference.sigmas, draws=draws, random=random)
    real, generated = reference.train.shares(len(names)), valid.shares(len(names))
    counts = np.bincount(heldout.classes, minlength=len(names))
    return pd.DataFrame(
        {
            "class": names,
            "real": real,
            "generated": generated,
            "covered": generated >= COVERED * real,
            "diversity": spread,
            "heldout_images": counts,
            "judged": ~np.isnan(spread),
        }
    )


def diversity_figures(per_class: pd.DataFrame, valid: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the diversity score and what it is made of."""
    real, generated, spread, judged = (
        per_class[name].to_numpy() for name in ("real", "generated", "diversity", "judged")
    )
    overlap, mean_spread = class_overlap(generated, real), mean_diversity(spread, real)
    score = diversity_score(overlap, mean_spread, float(valid.mean()))
    return {
        "class_overlap": overlap,
        "classes": int(np.count_nonzero(real)),
        "classes_covered": classes_covered(generated, real),
        "classes_judged": int(np.count_nonzero(judged)),
        "diversity_score": score,
        "intra_class_diversity": mean_spread,
        "mode_collapse": 1 - score,
    }
