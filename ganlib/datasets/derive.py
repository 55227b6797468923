"""Images of domain A made of those of domain B: what a game of two domains learns to undo.

Each function takes images (N, C, H, W) uint8, and all that chance decides from a generator that is passed in.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, shift, sobel

from ganlib.core.domains_schema import PairsParams
from ganlib.core.images import to_picture
from ganlib.core.seeding import random_generator
from ganlib.datasets.masks import make_mask

EDGE = 60
"""Length of the grey levels' gradient, by Sobel's filter, from which there is an edge: a quarter of a full step's."""
SMOOTHING = 0.8
"""Standard deviation in pixels of the blur under which edges are looked for."""
FILL = 128
"""Grey level of what is hidden."""
WORN_BLUR, WORN_CONTRAST, WORN_NOISE = 1.0, 0.5, 16.0
"""Standard deviation of the blur in pixels; share of the contrast that is left; standard deviation in grey levels."""
TURN, DISTANCE = (25.0, 50.0), 2.0
"""Degrees, at least and at most; the camera's distance in half sides of the image."""

Images = NDArray[np.uint8]
Hidden = NDArray[np.bool_]
"""(H, W)"""


class Given(NamedTuple):
    """What an image is made with."""

    factor: int
    hidden: Hidden | None
    random: np.random.Generator


def given_for(pairs: PairsParams, seed: int, split: str) -> Given:
    """Return what A is made with, of the images of a split; what is hidden is the same in all splits."""
    random = np.random.default_rng(random_generator(seed, f"pairs/{split}").initial_seed())
    return Given(pairs.factor, hidden_of(pairs, seed), random)


def hidden_of(pairs: PairsParams, seed: int) -> Hidden | None:
    """Return what of A is hidden, or None where nothing is."""
    if pairs.kind != "masked":
        return None
    return make_mask(pairs.mask, pairs.image_size, random_generator(seed, "pairs/mask")).hidden.numpy()


def derive(images: Images, kind: str, channels: int, given: Given) -> Images:
    """Return A (N, channels, h, w) made of B, images (N, C, H, W); grey ones are repeated where colour is asked for."""
    derived = DERIVE[kind](images, given)
    derived = grey(derived) if derived.shape[1] > channels else derived
    return np.repeat(derived, channels // derived.shape[1], 1)


def grey(images: Images, given: Given | None = None) -> Images:
    """Return luminance (ITU-R 601), as Pillow rounds it, (N, 1, H, W)."""
    if images.shape[1] == 1:
        return images
    return np.stack([np.asarray(to_picture(image).convert("L"))[None] for image in images])


def edges(images: Images, given: Given) -> Images:
    """Return black lines on white, (N, 1, H, W): where the gradient is long, and longest across the line (Canny 1986).

    A simple Canny: one threshold, and four directions.
    """
    smooth = gaussian_filter(grey(images)[:, 0].astype(np.float32), (0, SMOOTHING, SMOOTHING), mode="nearest")
    down, right = (
        sobel(smooth, axis, mode="nearest") / 4 for axis in (1, 2)
    )  # grey levels from pixel to pixel but one
    length, eighth = np.hypot(down, right), np.rint(np.arctan2(down, right) / (np.pi / 4)).astype(int) % 4
    lines = np.zeros(length.shape, bool)
    for direction, (rows, columns) in enumerate([(0, 1), (1, 1), (1, 0), (1, -1)]):
        before, behind = (shift(length, (0, sign * rows, sign * columns), order=0) for sign in (1, -1))
        lines |= (eighth == direction) & (length >= before) & (length > behind)
    return np.where(lines & (length >= EDGE), 0, 255).astype(np.uint8)[:, None]


def lowres(images: Images, given: Given) -> Images:
    """Return images `factor` times smaller, by Pillow's bicubic filter, which smooths before it leaves pixels out."""
    return resized(images, images.shape[3] // given.factor)


def resized(images: Images, side: int) -> Images:
    """Return (N, C, side, side), by Pillow's bicubic filter."""
    pictures = (to_picture(image).resize((side, side), Image.Resampling.BICUBIC) for image in images)
    return np.stack([np.atleast_3d(np.asarray(picture)).transpose(2, 0, 1) for picture in pictures])


def masked(images: Images, given: Given) -> Images:
    """Return images of which a part is grey."""
    assert given.hidden is not None
    return np.where(given.hidden, np.uint8(FILL), images)


def negative(images: Images, given: Given) -> Images:
    """Return 255 - pixel."""
    return 255 - images


def worn(images: Images, given: Given) -> Images:
    """Return images that are blurred, of half the contrast, and noisy."""
    blurred = gaussian_filter(images.astype(np.float32), (0, 0, WORN_BLUR, WORN_BLUR), mode="nearest")
    noise = given.random.standard_normal(images.shape, np.float32) * WORN_NOISE
    return np.rint(FILL + WORN_CONTRAST * (blurred - FILL) + noise).clip(0, 255).astype(np.uint8)


def turned(images: Images, given: Given) -> Images:
    """Return images seen from the left or the right: turned about their vertical axis, by 25 to 50 degrees."""
    angles = np.radians(given.random.uniform(*TURN, len(images))) * given.random.choice((-1, 1), len(images))
    return np.stack([seen_from(image, angle) for image, angle in zip(images, angles, strict=True)])


def seen_from(image: NDArray[np.uint8], angle: float) -> NDArray[np.uint8]:
    """Return an image (C, H, H), turned by so many radians, as a camera sees it; around it is the mean of its border.

    Of the plane's point (x, y), in half sides from the centre, the camera at distance DISTANCE sees, at (u, v),
    x = u / cos(angle) / w and y = v / w, with w = 1 - u tan(angle) / DISTANCE.
    """
    side, half = image.shape[1], image.shape[1] / 2
    lean, wide = np.tan(angle) / DISTANCE, 1 / np.cos(angle)
    # In pixels: u = p / half - 1, and Pillow wants (a p + b q + c) / (g p + h q + 1).
    scale = 1 + lean
    a, c = wide - lean, half * (1 + lean) - half * wide
    coefficients = (a / scale, 0, c / scale, -lean / scale, 1 / scale, half * lean / scale, -lean / half / scale, 0)
    border = (image[:, [0, -1]].mean((1, 2)) + image[:, :, [0, -1]].mean((1, 2))) / 2
    fill = np.rint(border).astype(int).tolist()
    size, method = (side, side), Image.Transform.PERSPECTIVE
    picture = to_picture(image).transform(
        size, method, coefficients, Image.Resampling.BICUBIC, fillcolor=tuple(fill) if len(fill) > 1 else fill[0]
    )
    return np.atleast_3d(np.asarray(picture)).transpose(2, 0, 1)


DERIVE: dict[str, Callable[[Images, Given], Images]] = {
    "edges": edges,
    "grey": grey,
    "lowres": lowres,
    "masked": masked,
    "negative": negative,
    "worn": worn,
    "turned": turned,
}
