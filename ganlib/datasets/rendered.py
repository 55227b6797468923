"""Digits that a font draws: images whose classes are known because they were asked for."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

CLASS_NAMES = [str(digit) for digit in range(10)]
SCALE = 4
"""Times a digit is drawn larger than it is wanted, and then made smaller, so that its edges are smooth."""
SIZES, SLANT, TURN, PLACE, STROKES = (0.7, 1.0), 0.3, 12.0, 0.08, (0, 2)
"""Of an image's side, the font's size; shear; degrees; of the side, how far it lies from the centre; pixels added."""

Images = NDArray[np.uint8]


def rendered(count: int, side: int, channels: int, random: np.random.Generator) -> tuple[Images, NDArray[np.int64]]:
    """Return images (count, channels, side, side), white digits on black, and what each is, (count,).

    The font is the one inside Pillow, so that the pixels depend on Pillow alone. Chance decides of size, stroke, slant,
    tilt and place.
    """
    labels = random.integers(0, len(CLASS_NAMES), count)
    images = np.stack([drawn(CLASS_NAMES[label], side, random) for label in labels])
    return np.repeat(images[:, None], channels, 1), labels


def drawn(text: str, side: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return one image, (side, side)."""
    large = side * SCALE
    font = ImageFont.load_default(round(large * random.uniform(*SIZES)))
    stroke = int(random.integers(STROKES[0], STROKES[1] + 1)) * large // (16 * SCALE)
    slant, turn = random.uniform(-SLANT, SLANT), random.uniform(-TURN, TURN)
    centre = large / 2 + random.uniform(-PLACE, PLACE, 2) * large
    picture = Image.new("L", (large, large))
    draw = ImageDraw.Draw(picture)
    draw.text((large / 2, large / 2), text, fill=255, font=font, anchor="mm", stroke_width=stroke)
    away = large / 2 - centre
    shear = (1, slant, away[0] - slant * centre[1], 0, 1, away[1])
    picture = picture.transform(picture.size, Image.Transform.AFFINE, shear, Image.Resampling.BILINEAR)
    picture = picture.rotate(turn, Image.Resampling.BILINEAR)
    return np.asarray(picture.resize((side, side), Image.Resampling.BOX))
