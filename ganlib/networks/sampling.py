"""Draw images from a generator: of latents that are given, or so many of a seed."""

import operator
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from ganlib.core.console import QUIET, progress
from ganlib.core.distributed import part, rank, together
from ganlib.core.errors import UserError
from ganlib.core.images import stretched, to_picture, to_pixels
from ganlib.core.seeding import random_generator
from ganlib.functional.latents import draw_classes, draw_latents, shortened

BATCH_SIZE = 64
"""Few enough that a batch's feature maps stay in a processor's cache."""

Images = NDArray[np.uint8]


@torch.inference_mode()
def generate(
    generator: nn.Module,
    latents: torch.Tensor,
    device: torch.device,
    labels: torch.Tensor | None = None,
    bf16: bool = False,
) -> Images:
    """Return (N, C, H, W) uint8 images of latents (N, latent_dim), for a conditional generator with labels (N,).

    The generator must be in evaluation mode. Each process makes its part, and all return the whole.
    """
    generator.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    inputs = [part(latents)] if labels is None else [part(latents), part(labels)]
    batches = list(zip(*(tensor.to(device).split(BATCH_SIZE) for tensor in inputs), strict=True))
    shown = progress(batches, desc="images", unit="batch", leave=False, delay=QUIET, disable=rank() > 0)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        images = [to_pixels(generator(*batch)).cpu().numpy() for batch in shown]
    return together(np.concatenate(images))


class Generator(nn.Module):
    """What every family's generator says of what it is drawn from, and the pictures that come of it."""

    def __init__(
        self, latent_dim: int, latents: str, class_names: Sequence[str], class_counts: Sequence[int], aspect: float
    ):
        super().__init__()
        self.latent_dim, self.latents = latent_dim, latents
        self.class_names, self.class_counts = class_names, class_counts
        self.aspect = aspect  # width / height that images had before they were squashed

    def sample(
        self,
        count: int,
        seed: int = 1,
        labels: str | int | Sequence[str | int] | None = None,
        truncation: float = 1.0,
        stretch: bool = False,
    ) -> list[Image.Image]:
        """Return `count` pictures, grey or RGB; the same seed gives the same, and more of it begin with these.

        `labels` are names of classes, or indices into `class_names`, one a picture or one for all; without them classes
        are as frequent as in training. `truncation` shortens latents, but for codes: the lower, the more alike are the
        pictures, and often the better. `stretch` undoes `data.resize: squash`. Raise UserError for what can't be asked
        for.
        """
        device = next(self.parameters()).device
        batches = self.draw(count, seed, self.indices(labels, count), truncation, device)
        aspect = self.aspect if stretch else 1.0
        return [to_picture(image) for images, _ in batches for image in stretched(images, aspect)]

    def draw(
        self, count: int, seed: int, asked: Sequence[int] | None, truncation: float, device: torch.device
    ) -> Iterator[tuple[Images, list[int]]]:
        """Yield uint8 images (n, C, H, W) in batches, with their labels, none of an unconditional generator.

        Each has a random stream of its own, so that it is the same however many are drawn.
        """
        if count < 1:
            raise UserError(f"count = {count}: ask for 1 picture or more")
        if not 0 < truncation <= 1:  # over 1, uniform latents would leave their cube
            raise UserError(f"truncation = {truncation}: must be over 0 and at most 1, which changes nothing")
        for first in range(0, count, BATCH_SIZE):
            streams = [
                random_generator(seed, f"picture/{number}") for number in range(first, min(first + BATCH_SIZE, count))
            ]
            latents = torch.cat([draw_latents(1, self.latent_dim, stream, self.latents) for stream in streams])
            labels = self._labels(streams, None if asked is None else asked[first : first + BATCH_SIZE])
            yield (
                generate(self, shortened(latents, truncation, self.latents), device, labels),
                [] if labels is None else labels.tolist(),
            )

    def indices(self, labels: str | int | Sequence[str | int] | None, count: int) -> list[int] | None:
        """Return indices of classes that are given by their names or indices, one for each of `count` pictures."""
        if labels is None:
            return None
        if not self.class_names:
            raise UserError("the model is unconditional: it can't be asked for classes (model.conditional trains that)")
        given = [labels] * count if isinstance(labels, (str, int)) else list(labels)
        if len(given) != count:
            raise UserError(f"{len(given)} labels for {count} pictures: give one each, or one for all")
        indices = [self._index(label) for label in given]
        if unseen := sorted({self.class_names[index] for index in indices if not self.class_counts[index]}):
            raise UserError(f"the model was trained on no image of {', '.join(unseen)}: it would make noise")
        return indices

    def _index(self, label: str | int) -> int:
        names = list(self.class_names)
        if not isinstance(label, str):
            if not 0 <= operator.index(label) < len(names):
                raise UserError(f"class {label}: the model's classes are 0 to {len(names) - 1}")
            return operator.index(label)
        if label not in names:
            close = get_close_matches(label, names, 1)
            known = f"did you mean {close[0]!r}?" if close else f"the model has {', '.join(map(repr, names[:20]))}"
            raise UserError(f"no class {label!r}: {known}")
        return names.index(label)

    def _labels(self, streams: Sequence[torch.Generator], asked: Sequence[int] | None) -> torch.Tensor | None:
        if not self.class_names:
            return None
        if asked is not None:
            return torch.tensor(asked)
        return torch.cat([draw_classes(1, self.class_counts, stream) for stream in streams])
