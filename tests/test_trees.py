"""Folders and archives: what is found in them, under which class, and what is refused."""

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from ganlib.core.errors import UserError
from ganlib.core.packed import read_split
from ganlib.datasets.classes import find_classes
from ganlib.datasets.examples import Example, named_as_image
from ganlib.datasets.trees import tree_source
from tests.pictures import encoded, packed_into, pets, picture, reasons, tree

PNG = encoded(picture(0))
ARCHIVES = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]


def archive(files: dict[str, bytes], path: Path) -> Path:
    kind = path.name.split(".", 1)[1]
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as zipped:
            for name, content in files.items():
                zipped.writestr(name, content)
        return path
    mode = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}[kind]
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_gives_what_its_folder_gives(tmp_path: Path, kind: str):
    files = dict(sorted(pets().items()))
    sources = [tree_source(tree(files, tmp_path / "pets")), tree_source(archive(files, tmp_path / f"pets.{kind}"))]
    packed = [packed_into(tmp_path / str(index), source) for index, source in enumerate(sources)]
    assert sources[0].class_names == sources[1].class_names == ["cats", "dogs"]
    assert sources[0].total == sources[1].total == 12
    assert packed[0] == packed[1]
    for name in ("train_images.npy", "heldout_images.npy", "train_labels.npy", "rejected.csv"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "1" / name).read_bytes()


def test_order_does_not_depend_on_the_file_system(tmp_path: Path):
    files = pets()
    forwards = tree_source(tree(files, tmp_path / "a"))
    backwards = tree_source(tree(dict(reversed(files.items())), tmp_path / "b"))
    assert [item.name for item in forwards.examples] == [item.name for item in backwards.examples] == sorted(files)


@pytest.mark.parametrize(
    ("names", "classes", "label"),
    [
        (["b/1.png", "a/1.png"], ["a", "b"], {"a/1.png": 0, "b/1.png": 1}),
        (["1.png", "2.png"], [], {"1.png": None}),
        (["all/x/1.png", "all/y/2.png"], ["x", "y"], {"all/y/2.png": 1}),
        (["one/1.png", "one/2.png"], [], {"one/1.png": None}),
        (["deep/er/1.png"], [], {"deep/er/1.png": None}),
        (["train/x/1.png", "test/y/2.png"], ["x", "y"], {"train/x/1.png": 0, "test/y/2.png": 1}),
        (["x/1/1.png", "y/2/2.png"], ["x", "y"], {"x/1/1.png": 0}),
        (["x/1.png", "y/1.png", "odd.png"], ["x", "y"], {"odd.png": None}),
        (["Images/x/1.png", "Images/y/1.png", "README.md"], ["x", "y"], {"README.md": None, "Images/y/1.png": 1}),
        (["x/1.png", "y/1.png", "docs/a.txt"], ["x", "y"], {"docs/a.txt": None}),
        (["x/1", "y/2"], ["x", "y"], {"x/1": 0}),
        ([], [], {"a.png": None}),
    ],
)
def test_classes_are_the_first_folders_that_differ(names: list[str], classes: list[str], label: dict[str, int | None]):
    found = find_classes(name for name in names if named_as_image(name) or "." not in name)
    assert found.names == classes
    assert {name: found.label(name) for name in label} == label


def test_a_flat_folder_has_no_labels(tmp_path: Path):
    source = tree_source(tree({f"{seed}.png": encoded(picture(seed)) for seed in range(12)}, tmp_path / "flat"))
    packed_into(tmp_path / "out", source)
    assert source.class_names == [] and not list(tmp_path.glob("out/*_labels.npy"))
    assert read_split(tmp_path / "out", "train").labels is None


def test_an_image_beside_the_class_folders_is_rejected(tmp_path: Path):
    source = tree_source(tree(pets() | {"odd.png": PNG[:-1] + b"x"}, tmp_path / "pets"))
    packed = packed_into(tmp_path / "out", source)
    assert [item[:2] for item in packed.rejected] == [("odd.png", "lies in no class folder")]


def test_other_files_of_a_folder_are_listed_but_do_not_count(tmp_path: Path):
    root = tree(pets() | {"README.md": b"text", ".DS_Store": b"\0", "cats/Thumbs.db": b"\0"}, tmp_path / "pets")
    tree({"HEAD": b"x"}, root / ".git")
    packed = packed_into(tmp_path / "out", tree_source(root), max_rejected=0)
    assert {item.name: item.reason for item in packed.rejected} == {
        ".DS_Store": "hidden or system file",
        ".git": "hidden or system file",
        "README.md": "not an image that Pillow reads",
        "cats/Thumbs.db": "hidden or system file",
    }


def test_links_are_followed_wherever_they_lead_but_not_in_circles(tmp_path: Path):
    root = tree(pets(), tmp_path / "pets")
    elsewhere = tree({"1.png": encoded(picture(98)), "2.png": encoded(picture(99))}, tmp_path / "elsewhere")
    (root / "cats/out.png").symlink_to(elsewhere / "1.png")  # as DVC's cache.type symlink makes of every file
    (root / "birds").symlink_to(elsewhere)
    (root / "cats/loop").symlink_to(root)
    (root / "cats/nothing.png").symlink_to(root / "absent.png")
    (root / "cats/same.png").symlink_to(root / "cats/0 猫.png")
    source = tree_source(root)
    packed = packed_into(tmp_path / "out", source, max_rejected=1)
    assert source.class_names == ["birds", "cats", "dogs"]
    assert packed.repeated == [
        ("cats/out.png", "duplicate of birds/1.png"),
        ("cats/same.png", "duplicate of cats/0 猫.png"),
    ]
    assert {item.name: item.reason for item in packed.rejected} == {
        "cats/loop": "a link to a folder above it",
        "cats/nothing.png": "a link to no file",
    }


def test_a_pipe_is_not_waited_for(tmp_path: Path):
    root = tree({"a.png": PNG}, tmp_path / "pets")
    os.mkfifo(root / "pipe.png")
    assert reasons(tree_source(root)) == {"pipe.png": "not a regular file"}


def test_a_folder_that_may_not_be_read_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = tree(pets(), tmp_path / "pets")
    scan = os.scandir

    def refuse(folder: Path):
        if folder.name == "more":
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert reasons(tree_source(root)) == {"dogs/more": "cannot be read: Permission denied"}


def test_a_name_that_is_not_unicode_is_listed_readably(tmp_path: Path):
    root = tree(pets(), tmp_path / "pets")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.png")).write_bytes(b"text")
    packed_into(tmp_path / "out", tree_source(root))
    listed = (tmp_path / "out/rejected.csv").read_text(encoding="utf-8")
    assert listed == "file,reason,taken\n\\udcff.png,not an image that Pillow reads,False\n"


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_names_that_lead_out_of_an_archive_are_rejected(tmp_path: Path, kind: str):
    bad = ["../up.png", "/etc/abs.png", "a/../../up.png", "C:\\win.png"]
    source = tree_source(archive(pets() | dict.fromkeys(bad, PNG) | {"__MACOSX/._a.png": b"x"}, tmp_path / f"a.{kind}"))
    found = reasons(source)
    assert found.pop("__MACOSX/._a.png") == "hidden or system file"
    assert set(found.values()) == {"a name that leads out of the archive"} and len(found) == len(bad)
    assert source.class_names == ["cats", "dogs"]


def test_links_out_of_archives_are_rejected(tmp_path: Path):
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        zipped.writestr(link, "/etc/passwd")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, kind in (
            ("link.png", tarfile.SYMTYPE),
            ("hard.png", tarfile.LNKTYPE),
            ("pipe.png", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    assert reasons(tree_source(tmp_path / "a.zip")) == {"link.png": "a link to no file"}
    links = dict.fromkeys(["link.png", "hard.png"], "a link to no file")
    assert reasons(tree_source(tmp_path / "a.tar")) == links | {"pipe.png": "not a regular file"}


def test_a_damaged_zip_member_is_rejected_and_the_others_are_taken(tmp_path: Path):
    path = archive(pets(), tmp_path / "pets.zip")
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 9] ^= 255
    path.write_bytes(data)
    found = reasons(tree_source(path))
    assert list(found) == ["cats/0 猫.png"] and "Bad CRC-32" in found["cats/0 猫.png"]


def test_an_encrypted_zip_member_is_rejected(tmp_path: Path):
    path = archive({"a.png": PNG}, tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    assert reasons(tree_source(path))["a.png"] == "has a password: unpack it, and name the folder"


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_that_is_cut_off_is_one_clear_error(tmp_path: Path, kind: str):
    path = archive(pets(), tmp_path / f"pets.{kind}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(
        UserError, match=r"data\.path = .*pets\.[a-z0-9.]+: (the archive is damaged|neither a folder)"
    ) as caught:
        list(tree_source(path).examples)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "message"), [("absent", "no such folder"), ("a.png", "neither a folder nor a zip")])
def test_a_path_that_is_no_tree_is_one_clear_error(tmp_path: Path, name: str, message: str):
    (tmp_path / "a.png").write_bytes(PNG)
    with pytest.raises(UserError, match=message):
        tree_source(tmp_path / name)


def test_nothing_of_an_archive_reaches_the_file_system(tmp_path: Path):
    path = archive(pets() | {"../evil.png": PNG}, tmp_path / "pets.tar.gz")
    before = sorted(tmp_path.parent.rglob("*"))
    assert sum(isinstance(item, Example) for item in tree_source(path).examples) == 12
    assert sorted(tmp_path.parent.rglob("*")) == before
