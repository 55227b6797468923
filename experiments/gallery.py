"""Pictures of a run for docs/gallery.md, each within a weight that a page of many can carry."""

from pathlib import Path

import numpy as np
from PIL import Image

from ganlib.core.errors import UserError
from ganlib.looking.pictures import grid
from ganlib.looking.sprites import QUALITIES, walk_animation

GALLERY = Path("docs/gallery")
MOST_BYTES = 300_000
SHOWN, COLUMNS = 60, 12
"""Generated images, and how many stand in a row."""
WALKS, FRAME_MS = 4, 140
SAMPLES, WALK, COMPLETION = Path("data/samples/images.npy"), Path("data/explore/walk.npy"), Path("metrics/complete.png")


def write_gallery(name: str) -> None:
    """Write the grid, the walk and the completion of the run that lies in the workspace."""
    for path in (SAMPLES, WALK, COMPLETION):
        if not path.is_file():
            raise UserError(f"{path} is not there: dvc repro, or dvc checkout, makes it")
    GALLERY.mkdir(parents=True, exist_ok=True)
    samples = np.load(SAMPLES, mmap_mode="r")
    every = len(samples) // SHOWN  # those of a conditional model lie class by class
    save(grid(samples[::every][:SHOWN], COLUMNS), f"{name}_grid")
    frames = np.load(WALK)[::2, :WALKS]  # at half the pace of the page: whole images weigh more than a smooth walk
    (GALLERY / f"{name}_walk.webp").write_bytes(walk_animation(frames, WALKS, FRAME_MS, MOST_BYTES))
    with Image.open(COMPLETION) as picture:
        save(picture, f"{name}_completion")


def save(picture: Image.Image, name: str) -> None:
    """Write a picture as WebP, of the first quality that is light enough."""
    path = GALLERY / f"{name}.webp"
    for quality in QUALITIES:
        picture.convert("RGB").save(path, quality=quality, method=6)
        if path.stat().st_size <= MOST_BYTES:
            break
