"""One image: every mode, every fit, and what is wrong with those that cannot be taken."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlib.core.schema import DataParams
from ganlib.datasets.decode import MAX_BYTES, RESIZES, Preparation, UnusableError, prepare_chunk, prepare_example
from ganlib.datasets.examples import Example, Rejected
from tests.pictures import PREPARATION, encoded, picture, png_header, prepared

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


@pytest.mark.parametrize(
    ("values", "dtype", "grey"),
    [
        (65535, np.uint16, 255),
        (32768, np.uint16, 128),
        (0, np.uint16, 0),
        (65535, np.int32, 255),
        (0.5, np.float32, 128),
        (1.0, np.float32, 255),
        (200.0, np.float32, 200),
    ],
)
def test_deep_images_are_scaled_by_their_range(values: float, dtype: type, grey: int):
    array = prepared(Image.fromarray(np.full((9, 9), values, dtype)))
    assert (array == grey).all()


@pytest.mark.parametrize("values", [-1.0, 300.0, float("nan"), float("inf")])
def test_floats_outside_every_known_range_are_refused(values: float):
    with pytest.raises(UnusableError, match="values"):
        prepared(Image.fromarray(np.full((9, 9), values, np.float32)))


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
