"""Prepare pairs of images: those of domain B, and for each its partner in A."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer

from ganlib.core.console import progress, run
from ganlib.core.errors import UserError
from ganlib.core.files import whole_folder, write_json
from ganlib.core.packed import read_split
from ganlib.core.params import given_path, load_domains_params
from ganlib.core.schema import PairsParams
from ganlib.datasets.decode import Preparation
from ganlib.datasets.derive import hidden_of
from ganlib.datasets.examples import Place, Source
from ganlib.datasets.pack import Packed, describe, pack
from ganlib.datasets.partners import (
    by_stem,
    check_colours,
    check_partners,
    meta_of_a,
    numbered,
    pack_derived,
    pack_partners,
)
from ganlib.datasets.sources import open_source


def main(
    out: Annotated[Path, typer.Option(help="Folder for both domains, each packed as prepare packs images.")],
    metrics: Annotated[Path, typer.Option(help="JSON file for the counts.")],
    downloads: Annotated[Path, typer.Option(help="Folder where files of known checksum are downloaded and found.")],
) -> None:
    """Pack the images of B, and A: made of them, or those of another folder that have the same names."""
    params = load_domains_params()

    pairs, given = params.pairs, params.pairs.b
    b_prepared = Preparation(pairs.image_size, pairs.channels_b, pairs.resize, pairs.background)
    smaller = pairs.factor if pairs.kind == "lowres" else 1
    a_prepared = b_prepared._replace(image_size=pairs.image_size // smaller, channels=pairs.channels_a)
    with whole_folder(out) as folder:
        for side in ("a", "b"):
            (folder / side).mkdir()
        with TemporaryDirectory(dir=folder) as scratch:
            if pairs.kind == "folders":
                (_, a), (source, b) = by_stem(Path(pairs.a), "pairs.a"), by_stem(Path(given.path), "pairs.b.path")
                check_partners(a, b)
                packed = packed_into(folder / "b", numbered(source, b), b_prepared, pairs)
                hashes = pack_partners(packed, source, [(a[stem], b[stem]) for stem in b], folder, a_prepared)
            else:
                source = open_source(
                    Place(given.dataset, given_path(given.path), downloads, Path(scratch)), given.classes
                )
                packed = packed_into(folder / "b", source, b_prepared, pairs)
                hashes = pack_derived(folder, pairs, params.seed, a_prepared)
        for side in ("a", "b"):
            check_colours(read_split(folder / side, "train").images, f"pairs.channels_{side}")
        meta = describe(packed, source.class_names, given.dataset, b_prepared)
        write_json(folder / "b/meta.json", meta)
        write_json(folder / "a/meta.json", meta_of_a(meta, a_prepared, hashes))
        if (hidden := hidden_of(pairs, params.seed)) is not None:
            np.save(folder / "hidden.npy", hidden)
    counts = {f"{split}_pairs": count for split, count in meta["counts"].items()}
    tallied = {name: meta[name] for name in ("duplicates_dropped", "read", "rejected")}
    write_json(metrics, {"kind": pairs.kind, **counts, **tallied})
    print(*(f"{name}: {count}" for name, count in (counts | tallied).items()), sep=", ")


def packed_into(folder: Path, source: Source, preparation: Preparation, pairs: PairsParams) -> Packed:
    """Pack all images of a source, and show how far it is; raise UserError at images of over 8 bits."""
    given = {"heldout": pairs.heldout, "limit": pairs.b.limit, "max_rejected": pairs.max_rejected}
    with progress(source.examples, desc="pairs", total=source.total, unit="image") as examples:
        packed = pack(source._replace(examples=iter(examples)), preparation, folder, **given)
    if packed.extents:
        raise UserError(f"{source.origin}: holds images of over 8 bits a channel: convert them to 8")
    return packed


if __name__ == "__main__":
    run(lambda: typer.run(main))
