"""What can be done with latents: walks, arithmetic, neighbours, completion."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ganlib.core.files import read_json
from ganlib.report.parts import SHARP, Absent, Picture, found, framed, tiled

COMPLETED = 8
"""Completed images that are shown of each mask."""

Section = dict[str, Any]


def latent_section(folder: Path) -> Section:
    """Show what the explore stage made; arrays are (rows, columns, C, H, W)."""
    notes = found(folder / "explore.json", read_json, "explore")
    told: Mapping[str, Any] = {} if isinstance(notes, Absent) else notes
    if "absent" in told:
        return {"absent": Absent(told["absent"])}

    def picture(name: str, alt: str, keep: slice = slice(None)) -> Picture | Absent:
        array = found(folder / f"{name}.npy", np.load, "explore")
        if isinstance(array, Absent):
            return array
        array = array[:, keep]
        return tiled(array.reshape(-1, *array.shape[2:]), array.shape[1], alt.format(*array.shape))

    walk = found(folder / "walk.webp", Path.read_bytes, "explore")
    return {
        "interpolation": picture("interpolation", "{0} rows of {1} images, each from one latent to another"),
        "plane": picture("plane", "{0} by {1} images on a plane through latent space"),
        "truncation": picture("truncation", "{1} latents, shrunk by {0} factors, a row each"),
        "factors": told.get("truncation", []),
        "made": picture("neighbours", "{0} generated images", slice(0, 1)),
        "neighbours": picture("neighbours", "the {1} nearest training images of each", slice(1, None)),
        "arithmetic": notes if isinstance(notes, Absent) else _equations(folder, notes),
        "planes": found(folder / "planes", lambda path: _planes(path, told), "explore"),
        "walk": walk if isinstance(walk, Absent) else framed(walk, "webp", "Images that change as their latents walk"),
    }


def _planes(folder: Path, notes: Mapping[str, Any]) -> Section:
    """Return what the explorer drags over: a sprite of `count` by `count` images for each name."""
    sprites = [framed((folder / f"{number}.webp").read_bytes(), "webp", "") for number in range(len(notes["planes"]))]
    return {
        "names": notes["planes"],
        "count": notes["explorer"],
        "sharp": sprites[0].width <= SHARP * notes["explorer"],
        "first": sprites[0].uri,
        "sprites": [sprite.uri for sprite in sprites],
    }


def _equations(folder: Path, notes: Mapping[str, Any]) -> list[list[tuple[str, Picture]]] | Absent:
    """Return rows of A, B, C and A - B + C, each with its class."""
    if "arithmetic" not in notes:
        return Absent(notes.get("arithmetic_absent", "the explore stage names none"))
    images, meanings = np.load(folder / "arithmetic.npy"), ("mean of class {}",) * 3 + ("result, judged as {}",)
    return [
        [
            (name, tiled(image[None], 1, meaning.format(name)))
            for name, image, meaning in zip(names, row, meanings, strict=True)
        ]
        for names, row in zip(notes["arithmetic"], images, strict=True)
    ]


def completion_section(folder: Path, metrics: Path) -> Section | Absent:
    """Show, for each mask, originals, what was left of them, what was made of that, and the figures."""
    figures = found(metrics / "complete.json", read_json, "complete")
    if isinstance(figures, Absent):
        return figures
    if "absent" in figures:
        return Absent(figures["absent"])
    return {
        "images": figures["images"],
        "source": figures["source"],
        "masks": [
            {"name": name, "figures": row, "picture": _completed(folder / f"{name}.npz")}
            for name, row in figures["masks"].items()
        ],
    }


def _completed(path: Path) -> Picture | Absent:
    arrays = found(path, np.load, "complete")
    if isinstance(arrays, Absent):
        return arrays
    rows = np.concatenate([arrays[name][:COMPLETED] for name in ("original", "masked", "completed", "nearest")])
    return tiled(rows, len(rows) // 4, f"{len(rows) // 4} images: original, masked, completed, nearest training image")
