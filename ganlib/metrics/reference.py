"""The real side of an evaluation: everything that no generated image changes, computed once."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ganlib.core.errors import UserError
from ganlib.metrics.bins import bin_of, fit_bins
from ganlib.metrics.diversity import MIN_PER_CLASS, Labelled, class_sigmas
from ganlib.metrics.frechet import Gaussian, fit_gaussian
from ganlib.metrics.manifold import Neighbourhoods, compare, neighbour_distances


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
    spacing: float
    """Median distance between nearest training images."""
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
            "raise heldout or add images"
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
        spacing=float(np.median(distances[:, 0])),
        gaussian=fit_gaussian(train.features),
        centres=centres,
    )


def classes_by(reference: Reference) -> str:
    """Return what stands for classes, for the protocol: the judge, or so many bins of features."""
    return "judge" if reference.centres is None else f"{len(reference.centres)} bins"


def into_bins(images: Labelled, centres: NDArray[np.float64] | None) -> Labelled:
    """Replace the classes by the nearest bins, if there are any."""
    return images if centres is None else replace(images, classes=bin_of(images.features, centres))


def among_train(images: Labelled, reference: Reference) -> Neighbourhoods:
    """Place images among the training images."""
    radii = neighbour_distances(images.features, reference.neighbours)[:, -1]
    return compare(images.features, reference.train.features, radii, reference.radii)
