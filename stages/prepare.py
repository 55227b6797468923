"""Prepare the images: read, check, resize, drop duplicates, split, pack."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer

from ganlib.core.console import progress, run
from ganlib.core.files import whole_file, whole_folder, write_json
from ganlib.core.images import grid_image
from ganlib.core.packed import read_split
from ganlib.core.params import given_path, load_params
from ganlib.datasets.decode import Preparation
from ganlib.datasets.examples import Place
from ganlib.datasets.pack import describe, pack
from ganlib.datasets.sources import open_source

SHOWN = 64
"""Images on the contact sheet."""


def main(
    out: Annotated[Path, typer.Option(help="Folder for the packed arrays, meta.json and the contact sheet.")],
    metrics: Annotated[Path, typer.Option(help="JSON file for the counts.")],
    downloads: Annotated[Path, typer.Option(help="Folder where files of known checksum are downloaded and found.")],
) -> None:
    """Pack the images that data.dataset names into uint8 arrays, split into train and held-out."""
    data = load_params().data

    preparation = Preparation(data.image_size, data.channels, data.resize, data.background)
    with whole_folder(out) as folder:
        with TemporaryDirectory(dir=folder) as scratch:
            place = Place(data.dataset, given_path(data.path), downloads, Path(scratch), data.url, data.sha256)
            source = open_source(place, data.classes)
            with progress(source.examples, desc="prepare", total=source.total, unit="image") as examples:
                packed = pack(
                    source._replace(examples=iter(examples)),
                    preparation,
                    folder,
                    heldout=data.heldout,
                    limit=data.limit,
                    max_rejected=data.max_rejected,
                )
        meta = describe(packed, source.class_names, data.dataset, preparation)
        write_json(folder / "meta.json", meta)
        shown = np.random.default_rng(0).permutation(meta["counts"]["train"])[:SHOWN]
        sheet = grid_image(read_split(folder, "train").images[shown], columns=8, scale=max(1, 64 // data.image_size))
        with whole_file(folder / "contact_sheet.png") as partial:
            sheet.save(partial)
    counts = {f"{name}_images": count for name, count in meta["counts"].items()}
    tallied = {name: meta[name] for name in ("duplicates_dropped", "read", "rejected")}
    write_json(metrics, {**counts, **tallied, "classes": len(source.class_names)})
    print(*(f"{name}: {count}" for name, count in (counts | tallied).items()), sep=", ")
    if packed.rejected:
        print(f"Rejected files, with reasons: {out / 'rejected.csv'}")


if __name__ == "__main__":
    run(lambda: typer.run(main))
