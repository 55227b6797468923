"""The packed set: what is kept, in which split, and that it is whole or absent."""

import io
import os
from pathlib import Path

import numpy as np
import pytest

from ganlib.core.errors import UserError
from ganlib.core.packed import SPLITS, ImageWriter, read_split
from ganlib.datasets.examples import Example, Rejected, Source
from ganlib.datasets.sources import choose_classes
from ganlib.datasets.trees import tree_source
from tests.pictures import encoded, packed_into, pets, picture, tree


def source_of(images: dict[str, bytes], class_names: tuple[str, ...] = ()) -> Source:
    label = 0 if class_names else None
    return Source("test", list(class_names), len(images), (Example(name, label, data) for name, data in images.items()))


def pictures(count: int) -> dict[str, bytes]:
    return {f"{seed:03}.png": encoded(picture(seed)) for seed in range(count)}


def kept(folder: Path) -> dict[str, list[bytes]]:
    return {name: [image.tobytes() for image in read_split(folder, name).images] for name in SPLITS}


def test_the_number_of_processes_changes_nothing(tmp_path: Path):
    images = pictures(100) | {"bad.png": b"x", "twin.png": encoded(picture(3))}
    results = [packed_into(tmp_path / str(workers), source_of(images), workers=workers) for workers in (1, 2, 3)]
    assert results[0] == results[1] == results[2]
    for path in (tmp_path / "1").iterdir():
        assert (
            path.read_bytes() == (tmp_path / "2" / path.name).read_bytes() == (tmp_path / "3" / path.name).read_bytes()
        )


def test_images_come_in_the_order_of_the_source(tmp_path: Path):
    packed_into(tmp_path / "out", source_of(pictures(80)), workers=2)
    with_order = source_of(pictures(80))
    packed_into(tmp_path / "again", with_order._replace(examples=iter(sorted(with_order.examples))))
    assert kept(tmp_path / "out") == kept(tmp_path / "again")


def test_what_is_written_is_what_numpy_would_write():
    images = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    file, expected = io.BytesIO(), io.BytesIO()
    writer = ImageWriter(file, (2, 2, 3))  # pyright: ignore[reportArgumentType]
    for image in images:
        writer.append(image.tobytes())
    writer.finish()
    np.save(expected, images)
    assert file.getvalue() == expected.getvalue()


@pytest.mark.parametrize("limit", [None, 20])
def test_images_are_read_as_they_went_in_channels_first(tmp_path: Path, limit: int | None):
    images = {f"{seed}.png": picture(seed, (8, 8)) for seed in range(30)}
    packed_into(tmp_path / "out", source_of({name: encoded(image) for name, image in images.items()}), limit=limit)
    splits = [read_split(tmp_path / "out", name).images for name in SPLITS]
    written = {np.asarray(image).transpose(2, 0, 1).tobytes() for image in images.values()}
    assert all(split.shape[1:] == (3, 8, 8) for split in splits)
    read = {image.tobytes() for split in splits for image in split}
    assert len(read) == (limit or 30) and read <= written


def test_an_exact_duplicate_is_dropped_and_counted(tmp_path: Path):
    images = pictures(20) | {f"copy {seed}.bmp": encoded(picture(seed), "BMP") for seed in range(5)}
    packed = packed_into(tmp_path / "out", source_of(images))
    assert packed.duplicates == 5 and packed.read == 25
    both = [image for images in kept(tmp_path / "out").values() for image in images]
    assert len(both) == len(set(both)) == 20


def test_adding_an_image_moves_no_other(tmp_path: Path):
    packed_into(tmp_path / "few", source_of(pictures(30)))
    packed_into(tmp_path / "more", source_of(pictures(31)))
    few, more = kept(tmp_path / "few"), kept(tmp_path / "more")
    assert sum(map(len, more.values())) == 31
    assert all(set(few[name]) <= set(more[name]) for name in SPLITS)


def test_a_limit_takes_a_subset_that_does_not_depend_on_order_and_spares_both_splits(tmp_path: Path):
    images = pictures(60)
    packed = packed_into(tmp_path / "a", source_of(images, ("only",)), limit=25)
    packed_into(tmp_path / "b", source_of(dict(reversed(images.items()))), limit=25)
    packed_into(tmp_path / "more", source_of(pictures(61)), limit=25)
    first, other, more = (kept(tmp_path / name) for name in ("a", "b", "more"))
    assert sum(map(len, first.values())) == 25 and min(map(len, first.values())) >= 5
    assert all(set(first[name]) == set(other[name]) for name in SPLITS)
    assert sum(len(set(first[name]) & set(more[name])) for name in SPLITS) >= 24
    for name in SPLITS:
        assert len(first[name]) == len(packed.splits[name].labels) == len(read_split(tmp_path / "a", name).images)
    assert not (tmp_path / "a/everything.npy").exists()


def test_a_choice_of_classes_keeps_only_those(tmp_path: Path):
    root = tree(pets(), tmp_path / "pets")
    chosen = choose_classes(tree_source(root), ["dogs"])
    assert chosen.class_names == ["dogs"]
    assert {(item.name[:4], item.label) for item in chosen.examples if isinstance(item, Example)} == {("dogs", 0)}


def test_an_unknown_class_is_answered_with_the_nearest(tmp_path: Path):
    source = tree_source(tree(pets(), tmp_path / "pets"))
    with pytest.raises(UserError, match=r"no class 'dog'; did you mean 'dogs'\? known are cats, dogs"):
        choose_classes(source, ["dog"])
    with pytest.raises(UserError, match="have no classes; set it to null"):
        choose_classes(source_of(pictures(2)), ["dog"])


def test_too_many_rejected_images_are_one_clear_error(tmp_path: Path):
    images = pictures(9) | {"a.png": b"x", "notes.txt": b"x", "b.png": b""}
    with pytest.raises(UserError) as caught:
        packed_into(tmp_path / "out", source_of(images), max_rejected=0.1)
    assert str(caught.value) == (
        "test: 2 of 11 images are rejected (1 x not an image that Pillow reads, 1 x empty file; the first is 'a.png'): "
        "more than data.max_rejected = 0.1; raise it to go on without them"
    )
    packed_into(tmp_path / "out", source_of(images), max_rejected=0.2)


def test_rejected_files_are_listed_sorted(tmp_path: Path):
    images = {'z, "z".png': b"", "a.png": b"x"} | pictures(20)
    packed_into(tmp_path / "out", source_of(images))
    lines = (tmp_path / "out/rejected.csv").read_text().splitlines()
    assert lines == [
        "file,reason,taken",
        "a.png,not an image that Pillow reads,False",
        '"z, ""z"".png",empty file,False',
    ]


@pytest.mark.parametrize(("images", "message"), [({}, "it is empty"), ({"a.txt": b"x"}, "1 x not an image")])
def test_no_image_at_all_is_one_clear_error(tmp_path: Path, images: dict[str, bytes], message: str):
    with pytest.raises(UserError, match=rf"test: no image among {len(images)} files .*{message}"):
        packed_into(tmp_path / "out", source_of(images))


def test_a_split_without_images_is_one_clear_error(tmp_path: Path):
    with pytest.raises(UserError, match=r"data\.heldout = 0\.4 leaves no image in the \w+ split of 1 images"):
        packed_into(tmp_path / "out", source_of(pictures(1)))


def die(*arguments: object) -> None:
    os._exit(1)


def test_a_process_that_dies_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ganlib.datasets.parallel.prepare_chunk", die)
    with pytest.raises(UserError, match="a process that decodes images died"):
        packed_into(tmp_path / "out", source_of(pictures(3)), workers=2)


def test_the_source_hash_follows_names_and_contents(tmp_path: Path):
    images = pictures(20)
    renamed = {name.replace("019", "x"): data for name, data in images.items()}
    edited = images | {"019.png": encoded(picture(99))}
    hashes = [
        packed_into(tmp_path / "a", source_of(files)).source_sha256 for files in (images, renamed, edited, images)
    ]
    assert len(set(hashes)) == 3 and hashes[0] == hashes[3]


def test_rejections_pass_through_in_their_place(tmp_path: Path):
    images: list[Example | Rejected] = [Example(name, None, data) for name, data in pictures(20).items()]
    source = Source("test", [], 21, iter([Rejected("first", "why"), *images]))
    assert packed_into(tmp_path / "out", source).rejected == [Rejected("first", "why")]
