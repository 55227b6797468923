"""Prepare the images: read, resize, drop duplicates, split, pack."""

from pathlib import Path
from typing import Annotated

import typer

from ganlib.console import run
from ganlib.params import load_params

SHOWN = 64
"""Images on the contact sheet."""


def main(
    out: Annotated[Path, typer.Option(help="Folder for the packed arrays, meta.json and the contact sheet.")],
    metrics: Annotated[Path, typer.Option(help="JSON file for the counts.")],
) -> None:
    """Pack the images that data.dataset names into uint8 arrays, split into train and held-out."""
    data = load_params().data
    import numpy as np

    from ganlib.datasets.pack import describe, pack
    from ganlib.datasets.packed import write_split
    from ganlib.datasets.sources import SOURCES
    from ganlib.files import whole_file, whole_folder, write_json
    from ganlib.images import grid_image

    source = SOURCES[data.dataset]()
    packed = pack(source, image_size=data.image_size, channels=data.channels, heldout=data.heldout)
    meta = describe(packed, source.class_names, data.dataset, data.image_size, data.channels)
    with whole_folder(out) as folder:
        for name, split in packed.splits.items():
            write_split(folder, name, split)
        write_json(folder / "meta.json", meta)
        shown = np.random.default_rng(0).permutation(meta["counts"]["train"])[:SHOWN]
        sheet = grid_image(packed.splits["train"].images[shown], columns=8, scale=max(1, 64 // data.image_size))
        with whole_file(folder / "contact_sheet.png") as partial:
            sheet.save(partial)
    counts = {f"{name}_images": count for name, count in meta["counts"].items()}
    write_json(metrics, {**counts, "classes": len(source.class_names), "duplicates_dropped": packed.duplicates})


if __name__ == "__main__":
    run(lambda: typer.run(main))
