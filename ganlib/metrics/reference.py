"""The real side of an evaluation: everything that no generated image changes, computed once and kept on disk."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganlib.core.errors import UserError
from ganlib.core.files import read_json, write_json
from ganlib.evaluation.repetition import NEAR
from ganlib.metrics.bins import bin_of, fit_bins
from ganlib.metrics.diversity import MIN_PER_CLASS, Labelled, class_sigmas
from ganlib.metrics.frechet import Gaussian, fit_gaussian
from ganlib.metrics.manifold import Neighbourhoods, compare, neighbour_distances

ARRAYS = "reference.npz"
NAMES = "reference.json"


@dataclass(frozen=True, kw_only=True)
class Reference:
    train: Labelled
    """The images that generated ones are compared with: M of them."""
    heldout: Labelled
    """Images that stand where the generator's best could be."""
    class_names: list[str]
    neighbours: int
    """k of the neighbourhoods."""
    radii: NDArray[np.float64]
    """(M,), distance of each training image to its k-th nearest other."""
    sigmas: NDArray[np.float64]
    """(K,), kernel width of each class."""
    near: float
    """Distance within which two images are near-duplicates."""
    gaussian: Gaussian
    """Fitted to the training images."""
    centres: NDArray[np.float64] | None
    """(K, d), centres of the bins that stand for classes; None where the judge names the classes."""


def build_reference(
    train: Labelled,
    heldout: Labelled,
    class_names: list[str],
    *,
    neighbours: int,
    bins: int,
    random: np.random.Generator,
) -> Reference:
    """Fit the statistics of the real side.

    Up to `bins` bins take the place of the classes where there are none, or none of 20 held-out images; of these a bin
    then has 40 on average.
    """
    if len(heldout.features) < MIN_PER_CLASS:
        raise UserError(
            f"{len(heldout.features)} held-out images are too few to judge diversity by; {MIN_PER_CLASS} are needed: "
            "raise data.heldout or add images"
        )
    distances = neighbour_distances(train.features, neighbours)
    centres = None
    if not class_names or np.bincount(heldout.classes).max() < MIN_PER_CLASS:
        bins = max(1, min(bins, len(heldout.features) // (2 * MIN_PER_CLASS)))
        centres = fit_bins(train.features, bins, random)
        class_names = [f"bin {index}" for index in range(len(centres))]
        train, heldout = into_bins(train, centres), into_bins(heldout, centres)
    return Reference(
        train=train,
        heldout=heldout,
        class_names=class_names,
        neighbours=neighbours,
        radii=distances[:, -1],
        sigmas=class_sigmas(train, len(class_names)),
        near=NEAR * float(np.median(distances[:, 0])),
        gaussian=fit_gaussian(train.features),
        centres=centres,
    )


def into_bins(images: Labelled, centres: NDArray[np.float64] | None) -> Labelled:
    """Replace the classes by the nearest bins, if there are any."""
    return images if centres is None else replace(images, classes=bin_of(images.features, centres))


def among_train(images: Labelled, reference: Reference) -> Neighbourhoods:
    """Place images among the training images."""
    radii = neighbour_distances(images.features, reference.neighbours)[:, -1]
    return compare(images.features, reference.train.features, radii, reference.radii)


def save_reference(folder: Path, reference: Reference) -> None:
    """Write a reference; features as the float32 that networks compute."""
    arrays: dict[str, Any] = {
        "radii": reference.radii,
        "sigmas": reference.sigmas,
        "mean": reference.gaussian.mean,
        "factor": reference.gaussian.factor,
    }
    for name, images in (("train", reference.train), ("heldout", reference.heldout)):
        arrays |= {f"{name}_features": images.features.astype(np.float32), f"{name}_classes": images.classes}
    if reference.centres is not None:
        arrays["centres"] = reference.centres
    np.savez(folder / ARRAYS, **arrays)
    names = {"class_names": reference.class_names, "neighbours": reference.neighbours, "near": reference.near}
    write_json(folder / NAMES, names)


def load_reference(folder: Path) -> Reference:
    """Read what `save_reference` wrote."""
    if not (folder / NAMES).is_file():
        raise UserError(f"{folder}: no reference there; run dvc repro reference")
    names: dict[str, Any] = read_json(folder / NAMES)
    with np.load(folder / ARRAYS) as arrays:
        splits = {
            name: Labelled(features=arrays[f"{name}_features"].astype(np.float64), classes=arrays[f"{name}_classes"])
            for name in ("train", "heldout")
        }
        return Reference(
            **splits,
            **names,
            radii=arrays["radii"],
            sigmas=arrays["sigmas"],
            gaussian=Gaussian(arrays["mean"], arrays["factor"]),
            centres=arrays.get("centres"),
        )
