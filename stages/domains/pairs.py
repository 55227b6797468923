"""Prepare pairs of images: those of domain B, and for each its partner in A."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer

from ganlib.core.console import progress, run
from ganlib.core.domains_schema import DomainsParams, GivenParams, PairsParams
from ganlib.core.errors import UserError
from ganlib.core.files import whole_folder, write_json
from ganlib.core.packed import read_split
from ganlib.core.params import given_path, load_domains_params
from ganlib.datasets.captions import pack_captioned, pack_texts, texts_beside, write_captions
from ganlib.datasets.decode import Preparation
from ganlib.datasets.derive import hidden_of
from ganlib.datasets.examples import Place, Source
from ganlib.datasets.pack import Packed, describe, pack
from ganlib.datasets.partners import (
    by_stem,
    check_colours,
    check_partners,
    exchange,
    meta_of_a,
    numbered,
    pack_derived,
    pack_partners,
    pack_rendered,
    unpair,
)
from ganlib.datasets.sources import choose_classes, open_source
from ganlib.datasets.trees import tree_source


def main(
    out: Annotated[Path, typer.Option(help="Folder for both domains, each packed as prepare packs images.")],
    metrics: Annotated[Path, typer.Option(help="JSON file for the counts.")],
    downloads: Annotated[Path, typer.Option(help="Folder where files of known checksum are downloaded and found.")],
) -> None:
    """Pack the images of B, and A: made of them, or those of another folder that have the same names."""
    params = load_domains_params()

    pairs = params.pairs
    with whole_folder(out) as folder:
        for side in ("a", "b"):
            (folder / side).mkdir()
        with TemporaryDirectory(dir=folder) as scratch:
            place = Place(pairs.b.dataset, given_path(pairs.b.path), downloads, Path(scratch))
            with in_keys_of_pairs():
                metas = packed_pairs(folder, params, place)
        for side, meta in metas.items():
            if "channels" in meta:
                check_colours(read_split(folder / side, "train").images, f"pairs.channels_{side}")
            write_json(folder / side / "meta.json", meta)
        if (hidden := hidden_of(pairs, params.seed)) is not None:
            np.save(folder / "hidden.npy", hidden)
    counts = {f"{split}_{side}": count for side in metas for split, count in metas[side]["counts"].items()}
    tallied = {name: metas["b"][name] for name in ("duplicates_dropped", "read", "rejected")}
    write_json(metrics, {"kind": pairs.kind, "paired": pairs.paired, **counts, **tallied})
    print(*(f"{name}: {count}" for name, count in (counts | tallied).items()), sep=", ")


@contextmanager
def in_keys_of_pairs() -> Iterator[None]:
    """Let errors about keys of params.yaml, `data.heldout`, name those that the pairs have, `pairs.heldout`."""

    def named(key: re.Match[str]) -> str:
        if key[1] in GivenParams.model_fields:
            return f"pairs.b.{key[1]}"
        return f"pairs.{key[1]}" if key[1] in PairsParams.model_fields else key[0]  # a file may be called data.zip

    try:
        yield
    except UserError as error:
        raise UserError(re.sub(r"\bdata\.([a-z_]+)", named, str(error))) from None


def packed_pairs(folder: Path, params: DomainsParams, place: Place) -> dict[str, dict[str, Any]]:
    """Pack A and B into `folder`/a and `folder`/b, B's images from a place; return meta.json of both."""
    pairs, smaller = params.pairs, params.pairs.factor if params.pairs.kind == "lowres" else 1
    given, made = (pairs.channels_b, pairs.channels_a) if pairs.made == "a" else (pairs.channels_a, pairs.channels_b)
    prepared_b = Preparation(pairs.image_size, given, pairs.resize, pairs.background)
    prepared_a = prepared_b._replace(image_size=pairs.image_size // smaller, channels=made)
    if pairs.kind == "folders" and not pairs.paired:
        return packed_apart(folder, pairs, place, {"a": prepared_a, "b": prepared_b})
    if pairs.kind == "captions":
        return packed_captions(folder, params, place, prepared_b)
    if pairs.kind == "folders":
        (_, a), (source, b) = by_stem(Path(pairs.a), "pairs.a"), by_stem(Path(pairs.b.path), "pairs.b.path")
        check_partners(a, b)
        packed = packed_into(folder / "b", numbered(source, b), prepared_b, pairs)
        hashes = pack_partners(packed, source, [(a[stem], b[stem]) for stem in b], folder, prepared_a)
    else:
        source = open_source(place, pairs.b.classes)
        packed = packed_into(folder / "b", source, prepared_b, pairs)
        if pairs.kind == "rendered":
            meta = describe(packed, source.class_names, place.dataset, prepared_b)
            return {"a": pack_rendered(folder, meta, params.seed, prepared_a), "b": meta}
        hashes = pack_derived(folder, pairs, params.seed, prepared_a)
    packed_a = packed if pairs.paired else unpair(packed, folder, hashes)
    metas = [describe(record, source.class_names, place.dataset, prepared_b) for record in (packed_a, packed)]
    both = {"a": meta_of_a(metas[0], prepared_a, hashes), "b": metas[1]}
    return both if pairs.made == "a" else exchange(folder, both)


def packed_captions(
    folder: Path, params: DomainsParams, place: Place, prepared: Preparation
) -> dict[str, dict[str, Any]]:
    """Pack images and their captions: of the text files beside those of a folder, else of templates, in colours."""
    pairs = params.pairs
    if pairs.b.dataset == "folder":
        path = Path(pairs.b.path)
        source, found = by_stem(path, "pairs.b.path")
        texts = texts_beside(path, [Path(str(example.content)) for example in found.values()], "pairs.b.path")
        packed = packed_into(folder / "b", numbered(source, found), prepared, pairs)
        captions = pack_texts(folder, packed, list(found.values()), texts, source.class_names)
        meta = describe(packed, source.class_names, place.dataset, prepared)
        return {"a": write_captions(folder / "a", captions, meta), "b": meta}
    source = open_source(place, pairs.b.classes)
    grey = prepared._replace(channels=1)
    if not source.class_names:
        raise UserError(f"pairs.b.dataset = {place.dataset}: it has no classes that captions could name")
    meta = describe(packed_into(folder / "b", source, grey, pairs), source.class_names, place.dataset, grey)
    return pack_captioned(folder, meta, params.seed, prepared)


def packed_apart(
    folder: Path, pairs: PairsParams, place: Place, prepared: dict[str, Preparation]
) -> dict[str, dict[str, Any]]:
    """Pack two folders whose images are no partners; return meta.json of both."""
    metas: dict[str, dict[str, Any]] = {}
    for side, key, path, classes in (
        ("a", "pairs.a", pairs.a, None),
        ("b", "pairs.b.path", pairs.b.path, pairs.b.classes),
    ):
        source = tree_source(Path(path), f"{key} = {path}")
        source = source if classes is None else choose_classes(source, classes)
        packed = packed_into(folder / side, source, prepared[side], pairs)
        metas[side] = describe(packed, source.class_names, place.dataset, prepared[side])
    return metas


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
