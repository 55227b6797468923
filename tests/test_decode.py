"""One image: every mode, every fit, and what is wrong with those that cannot be taken."""

import contextlib
import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from ganlib.core.errors import UserError
from ganlib.core.packed import SPLITS, read_meta, read_split
from ganlib.core.schema import DataParams
from ganlib.datasets.decode import MAX_BYTES, RESIZES, Preparation, prepare_chunk, prepare_example
from ganlib.datasets.depth import UnusableError
from ganlib.datasets.examples import Example, Rejected
from stages import prepare
from tests.conftest import edit_params, small_params
from tests.pictures import PREPARATION, encoded, picture, png_header, prepared, tree

PNG = encoded(picture(0))
JPEG = encoded(picture(0, (64, 64)), "JPEG")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "RGBa"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_becomes_grey_or_colour(mode: str, channels: int):
    via = {"PA": "P", "RGBa": "RGBA"}.get(mode)
    image = picture(0, mode=via or mode)
    image = image.convert(mode) if via else image
    array = prepared(image, PREPARATION._replace(channels=channels))
    assert array.shape == (channels, 8, 8) and array.std() > 0


DEEP = [
    ([0, 65535], np.uint16, (0, 65535)),
    ([0, 40000], np.uint16, (0, 65535)),
    ([0, 4095], np.uint16, (0, 4095)),
    ([5, 900], np.uint16, (0, 1023)),
    ([0, 16000], np.uint16, (0, 16383)),
    ([0, 255], np.int32, (0, 255)),
    ([0, 65535], np.int32, (0, 65535)),
    ([0.0, 1.0], np.float32, (0, 1)),
    ([-0.02, 1.02], np.float32, (0, 1)),
    ([0.1, 0.4], np.float32, (0, 1)),
    ([-1.0, 1.01], np.float32, (-1, 1)),
    ([0.0, 255.0], np.float32, (0, 255)),
    ([-3.0, 261.0], np.float32, (0, 255)),
]
"""The extreme values of a set, and which of them are black and white."""


def deep_files(values: list[float], dtype: type) -> dict[str, bytes]:
    """Return TIFFs, no two alike, of which only the last goes from end to end."""
    low, high = values
    ramps = [np.linspace(low, low + (high - low) * share, 100).reshape(10, 10) for share in np.linspace(0.2, 1, 12)]
    return {
        f"{number:02}.tif": encoded(Image.fromarray(ramp.astype(dtype)), "TIFF") for number, ramp in enumerate(ramps)
    }


@pytest.mark.parametrize(("values", "dtype", "between"), DEEP)
def test_what_is_white_in_deep_images_is_decided_for_the_set(
    tmp_path: Path, values: list[float], dtype: type, between: tuple[float, float]
):
    files = deep_files(values, dtype)
    tree(files, tmp_path / "deep")
    prepare_here(tmp_path, {"data.path": "deep", "data.image_size": "10"})
    meta = read_meta(tmp_path / "data/prepared")
    assert list(meta["deep"].values()) == [list(between)]
    made = {image.tobytes() for name in SPLITS for image in read_split(tmp_path / "data/prepared", name).images}
    black, white = between
    wanted = [np.asarray(Image.open(io.BytesIO(content))).astype(float) for content in files.values()]
    greys = [np.rint((image - black) * 255 / (white - black)).clip(0, 255).astype(np.uint8) for image in wanted]
    assert made == {grey.tobytes() for grey in greys}


@pytest.mark.parametrize(
    ("values", "dtype", "words"),
    [
        ([0, 70000], np.int32, "integers from 0 to 70000"),
        ([-300, 2000], np.int32, "integers from -300 to 2000"),
        ([0.0, 12.5], np.float32, "floats from 0 to 12.5"),
        ([-200.0, 200.0], np.float32, "floats from -200 to 200"),
    ],
)
def test_what_is_white_is_asked_for_where_nobody_can_tell(tmp_path: Path, values: list[float], dtype: type, words: str):
    tree(deep_files(values, dtype), tmp_path / "deep")
    with pytest.raises(UserError, match=rf"data\.path = deep: {words}: set data\.deep_range"):
        prepare_here(tmp_path, {"data.path": "deep"})
    prepare_here(tmp_path, {"data.path": "deep", "data.deep_range": f"[{values[0]}, {values[1]}]"})
    images = read_split(tmp_path / "data/prepared", "train").images
    heldout = read_split(tmp_path / "data/prepared", "heldout").images
    assert max(images.max(), heldout.max()) == 255 and min(images.min(), heldout.min()) == 0


def prepare_here(folder: Path, changes: dict[str, str]) -> None:
    """Run the stage in a folder, in this process."""
    changes = {"data.dataset": "folder", "data.heldout": "0.4"} | changes
    (folder / "params.yaml").write_text(edit_params(small_params(), changes))
    with contextlib.chdir(folder):
        prepare.main(Path("data/prepared"), Path("metrics.json"), Path("data/raw"))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_floats_that_are_not_finite_are_refused(bad: float):
    with pytest.raises(UnusableError, match="values"):
        prepared(Image.fromarray(np.full((9, 9), bad, np.float32)))


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_tiff_of_which_white_is_zero_is_inverted(dtype: type):
    ramp = np.linspace(0, 65535 if dtype == np.uint16 else 1, 64).reshape(8, 8).astype(dtype)
    ifd = TiffImagePlugin.ImageFileDirectory_v2()
    ifd[262] = 0
    white_is_zero = encoded(Image.fromarray(ramp), "TIFF", tiffinfo=ifd)
    black_is_zero = encoded(Image.fromarray(ramp), "TIFF")
    both = [prepared(Image.open(io.BytesIO(content)))[0] for content in (black_is_zero, white_is_zero)]
    assert (both[0].astype(int) + both[1] == 255).all() and both[0].std() > 50


def test_the_transparent_grey_of_a_deep_png_is_laid_over_the_background():
    values = np.full((8, 8), 30000, np.uint16)
    values[:4] = 100
    content = encoded(Image.fromarray(values), transparency=100)
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == "I;16" and image.info["transparency"] == 100
        array = prepared(image, PREPARATION._replace(background=77))[0]
    assert (array[:4] == 77).all() and (array[4:] == round(30000 / 257)).all()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"notes\0\0" + zlib.compress(b"x" * (3 * 2**20))),
        chunk(b"iTXt", b"xmp\0\1\0\0\0" + zlib.compress(b"<x/>" * 2**19)),
        chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(2 * 2**20))),
        chunk(b"tEXt", b"notes\0" + b"x" * (2 * 2**20)),
        chunk(b"eXIf", b"nonsense"),
        chunk(b"eXIf", b"II*\0\xff\xff\xff\xff"),
        chunk(b"eXIf", b""),
        chunk(b"tEXt", b"Raw profile type exif\0not hexadecimal"),
    ],
    ids=["zTXt", "iTXt", "iCCP", "tEXt", "no exif", "exif to nowhere", "empty exif", "no raw profile"],
)
def test_what_is_only_noted_in_a_png_never_costs_the_picture(extra: bytes):
    content = PNG[:33] + extra + PNG[33:]  # after IHDR
    outcome = prepare_example(Example("a.png", None, content), PREPARATION)
    assert not isinstance(outcome, Rejected), outcome
    assert outcome.pixels == prepare_example(Example("a.png", None, PNG), PREPARATION).pixels


def test_heic_is_read_where_its_package_is(tmp_path: Path):
    heif = pytest.importorskip("pillow_heif", reason="needs the extra heif")
    image = picture(0, (64, 48)).resize((64, 48))
    heif.from_pillow(image).save(tmp_path / "a.heic", quality=90)
    outcome = prepare_example(Example("a.heic", None, tmp_path / "a.heic"), PREPARATION)
    assert not isinstance(outcome, Rejected), outcome
    assert (
        np.abs(np.frombuffer(outcome.pixels, np.uint8).astype(int) - prepared(image).transpose(1, 2, 0).ravel()).mean()
        < 12
    )


def test_sixteen_bit_files_keep_their_range():
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    for kind in ("PNG", "TIFF", "PPM"):
        with Image.open(io.BytesIO(encoded(Image.fromarray(ramp), kind))) as image:
            assert np.array_equal(prepared(image)[0], np.rint(ramp / 257))


@pytest.mark.parametrize("background", [0, 128, 255])
def test_what_is_transparent_shows_the_background(background: int):
    preparation = PREPARATION._replace(background=background)
    clear = Image.new("RGBA", (8, 8), (10, 20, 30, 0))
    assert (prepared(clear, preparation) == background).all()
    half = prepared(Image.new("LA", (8, 8), (0, 128)), preparation)
    assert abs(int(half[0, 0, 0]) - background * 127 / 255) <= 1
    palette = Image.new("RGB", (8, 8), "red").convert("P")
    with Image.open(io.BytesIO(encoded(palette, transparency=palette.getpixel((0, 0))))) as image:
        assert image.mode == "P"
        assert (prepared(image, preparation) == background).all()
    with Image.open(io.BytesIO(encoded(Image.new("RGB", (8, 8), (1, 2, 3)), transparency=(1, 2, 3)))) as image:
        assert (prepared(image, preparation) == background).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(kind: str):
    image = Image.fromarray(np.repeat(np.arange(8, dtype=np.uint8)[:, None] * 30, 8, 1))  # dark above, light below
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    options = {"lossless": True} if kind == "WEBP" else {}
    with Image.open(io.BytesIO(encoded(image, kind, exif=exif, **options))) as turned:
        array = prepared(turned)[0]
    assert array[0].mean() > 180 and array[-1].mean() < 30


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        with Image.open(io.BytesIO(data)) as image:
            red, green, blue = prepared(image).mean((1, 2))
        assert red > 240 and green < 15 and blue < 15


def striped(size: tuple[int, int]) -> Image.Image:
    """Return black, with white left and right, or upper and lower, thirds."""
    image = Image.new("L", size, 0)
    width, height = size
    boxes = [(0, 0, width // 3, height), (width - width // 3, 0, width, height)]
    if height > width:
        boxes = [(0, 0, width, height // 3), (0, height - height // 3, width, height)]
    for box in boxes:
        image.paste(255, box)
    return image


@pytest.mark.parametrize("size", [(90, 30), (30, 90)])
def test_crop_keeps_the_centre_squash_keeps_all_and_pad_adds_borders(size: tuple[int, int]):
    results = {name: prepared(striped(size), Preparation(12, 1, name, 128))[0] for name in RESIZES}
    if size[1] > size[0]:
        results = {name: array.T for name, array in results.items()}
    assert results["crop"].mean() < 10
    assert results["squash"][:, [0, -1]].min() > 240 and results["squash"][:, 6].max() < 10
    assert (results["pad"][[0, -1]] == 128).all() and results["pad"][6, 0] > 240


def test_resizing_is_antialiased():
    checks = Image.fromarray((np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8))
    assert np.ptp(prepared(checks).astype(int)) <= 2


def test_the_protocols_are_those_that_params_offer():
    assert set(RESIZES) == set(DataParams.model_json_schema()["properties"]["resize"]["enum"])


@pytest.mark.parametrize("size", [8, 17, 256])
def test_any_size_can_be_asked_for(size: int):
    assert prepared(picture(0, (1000, 8)), PREPARATION._replace(image_size=size)).shape == (3, size, size)


def bad_files() -> Iterator[tuple[str, bytes, str, bool]]:
    """Yield name, content, reason, and whether it counts as a damaged image."""
    yield "truncated.jpg", JPEG[: len(JPEG) // 2], "damaged: image file is truncated", True
    yield "truncated.png", PNG[: len(PNG) // 2], "damaged: ", True
    yield "flipped.png", PNG[:60] + bytes([PNG[60] ^ 255]) + PNG[61:], "damaged: ", True
    yield "header only.gif", encoded(picture(0), "GIF")[:20], "", True
    yield "empty.jpg", b"", "empty file", True
    yield "empty", b"", "empty file", False
    yield "text.jpg", b"this is text", "not an image", True
    yield "notes.txt", b"this is text", "not an image", False
    yield ".DS_Store", b"\0\0\0\1Bud1", "not an image", False
    yield "drawing.eps", encoded(picture(0), "EPS"), "not an image", False
    yield "bomb.png", png_header(60000, 60000), "decompression bomb: more than 89 megapixels", True
    yield "large.png", png_header(10000, 10000), "decompression bomb: more than 89 megapixels", True
    yield "dot.png", encoded(picture(0, (1, 1))), "1x1 pixels: a side is shorter than 4", True
    yield "line.png", encoded(picture(0, (1000, 1))), "1000x1 pixels: a side is shorter than 4", True


@pytest.mark.parametrize(("name", "content", "reason", "counts"), list(bad_files()), ids=lambda value: str(value)[:20])
def test_a_file_that_cannot_be_taken_gets_a_reason(name: str, content: bytes, reason: str, counts: bool):
    (outcome,) = prepare_chunk([Example(name, None, content)], PREPARATION)
    assert isinstance(outcome, Rejected)
    assert outcome.name == name and outcome.counts == counts
    assert outcome.reason.startswith(reason) and " at 0x" not in outcome.reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "JPEG2000"])
def test_a_file_cut_anywhere_is_rejected(kind: str):
    content = encoded(picture(0, (64, 64)), kind)
    for cut in range(0, len(content) * 9 // 10, 97):
        (outcome,) = prepare_chunk([Example("cut.jpg", None, content[:cut])], PREPARATION)
        assert isinstance(outcome, Rejected) and outcome.reason, cut


def test_a_wrong_extension_does_not_matter():
    assert not isinstance(prepare_example(Example("really a png.jpg", None, PNG), PREPARATION), Rejected)
    assert not isinstance(prepare_example(Example("no extension", None, PNG), PREPARATION), Rejected)


def test_a_thin_image_is_taken():
    assert not isinstance(
        prepare_example(Example("a.png", None, encoded(picture(0, (1000, 8)))), PREPARATION), Rejected
    )


def test_a_file_that_may_not_be_read_is_rejected(tmp_path: Path):
    file = tmp_path / "secret.png"
    file.write_bytes(PNG)
    file.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)  # root may read everything
        outcome = prepare_example(Example(file.name, None, file), PREPARATION)
    finally:
        os.seteuid(user)
    assert outcome == Rejected(file.name, "cannot be read: Permission denied")


def test_a_huge_file_is_rejected_unread(tmp_path: Path):
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    outcome = prepare_example(Example("huge.png", None, tmp_path / "huge.png"), PREPARATION)
    assert outcome == Rejected("huge.png", "larger than 256 MiB")
