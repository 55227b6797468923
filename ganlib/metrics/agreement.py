"""How far two ways of sorting the same images into kinds agree, whatever each calls its kinds."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.special import xlogy

Kinds = NDArray[np.int64]
"""(N,), from 0."""


def counts_of(rows: Kinds, columns: Kinds, kinds: tuple[int, int]) -> NDArray[np.int64]:
    """Return how many images each pair of kinds has, an array of the shape `kinds`."""
    table = np.zeros(kinds, np.int64)
    np.add.at(table, (rows, columns), 1)
    return table


def mutual_information(table: NDArray[np.int64]) -> float:
    """Return the mutual information of rows and columns over the mean of their entropies, 0 to 1.

    Normalised as in Strehl & Ghosh 2002, but by the arithmetic mean. 0 where one of them has one kind alone.
    """
    shares = table / table.sum()
    rows, columns = shares.sum(1), shares.sum(0)
    entropies = [-xlogy(share, share).sum() for share in (rows, columns)]
    joint = -xlogy(shares, shares).sum()
    return float((sum(entropies) - joint) / np.mean(entropies)) if min(entropies) > 0 else 0.0


def matched_error(table: NDArray[np.int64]) -> float:
    """Return the share of images outside the one-to-one matching of rows and columns that fits most of them.

    Kinds without a partner are all wrong (Hungarian method, Kuhn 1955).
    """
    return float(1 - table[linear_sum_assignment(table, maximize=True)].sum() / table.sum())
