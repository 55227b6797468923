"""Prepare the images: read, check, resize, drop duplicates, split, pack."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer

from ganlib.core.console import progress, run
from ganlib.core.errors import UserError
from ganlib.core.files import whole_file, whole_folder, write_json
from ganlib.core.images import grid_image
from ganlib.core.packed import read_split
from ganlib.core.params import given_path, load_params
from ganlib.core.schema import DataParams
from ganlib.datasets.decode import Preparation
from ganlib.datasets.depth import Ranges, UnusableError, decide_ranges
from ganlib.datasets.examples import Place, Source
from ganlib.datasets.pack import Packed, describe, pack
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
    if data.deep_range:
        preparation = preparation._replace(ranges=Ranges(data.deep_range, data.deep_range))
    with whole_folder(out) as folder:
        with TemporaryDirectory(dir=folder) as scratch:
            place = Place(data.dataset, given_path(data.path), downloads, Path(scratch), data.url, data.sha256)
            source = open_source(place, data.classes)
            for line in source.told:
                print(f"{source.origin}: {line}", flush=True)
            packed = packed_into(folder, source, preparation, data)
            decided = preparation if data.deep_range else decided_by(packed, preparation, source.origin)
            if decided != preparation:  # which takes having seen them all
                preparation = decided
                packed = packed_into(folder, open_source(place, data.classes), preparation, data)
        meta = describe(packed, source.class_names, data.dataset, preparation)
        write_json(folder / "meta.json", meta)
        shown = np.random.default_rng(0).permutation(meta["counts"]["train"])[:SHOWN]
        sheet = grid_image(read_split(folder, "train").images[shown], columns=8, scale=max(1, 64 // data.image_size))
        with whole_file(folder / "contact_sheet.png") as partial:
            sheet.save(partial)
    for kind, (black, white) in meta["deep"].items():
        print(f"Deep images: of {kind} {black:g} is black and {white:g} white; data.deep_range sets it otherwise")
    counts = {f"{name}_images": count for name, count in meta["counts"].items()}
    tallied = {name: meta[name] for name in ("duplicates_dropped", "read", "rejected")}
    write_json(metrics, {**counts, **tallied, "classes": len(source.class_names)})
    print(*(f"{name}: {count}" for name, count in (counts | tallied).items()), sep=", ")
    if empty := [name for name, count in meta["counts_per_class"]["train"].items() if not count]:
        told = "a conditional model can't make it, and no grid shows it: add images, or lower data.heldout"
        print(f"WARNING: no training image of {', '.join(empty)}: {told}", file=sys.stderr)
    if packed.rejected or packed.repeated:
        print(f"Files left out or unlike the others, with reasons: {out / 'rejected.csv'}")


def packed_into(folder: Path, source: Source, preparation: Preparation, data: DataParams) -> Packed:
    """Pack all images of a source, and show how far it is."""
    with progress(source.examples, desc="prepare", total=source.total, unit="image") as examples:
        return pack(
            source._replace(examples=iter(examples)),
            preparation,
            folder,
            heldout=data.heldout,
            limit=data.limit,
            max_rejected=data.max_rejected,
        )


def decided_by(packed: Packed, preparation: Preparation, origin: str) -> Preparation:
    """Decide what is black and white in deep images; raise UserError where a person has to say it."""
    try:
        return preparation._replace(ranges=decide_ranges(packed.extents))
    except UnusableError as error:
        raise UserError(
            f"{origin}: {error}: set data.deep_range to what is black and what is white, as [0, 4095]"
        ) from None


if __name__ == "__main__":
    run(lambda: typer.run(main))
