"""Training images that stay on disk: a batch's are read when it is drawn, the next ones' beside the step."""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.core.packed import gather

GPU_SHARE = 0.25
"""Share of a GPU's memory that the images may take; under it they lie there whole."""


class ImagesOnDisk:
    """Images (N, C, H, W) uint8 in a memory map, of which `images[picked]` copies a batch to the device."""

    def __init__(self, images: NDArray[np.uint8], device: torch.device) -> None:
        self.images, self.device, self.shape = images, device, images.shape
        self.reader = ThreadPoolExecutor(1, "images")
        self.coming: dict[bytes, Future[torch.Tensor]] = {}

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, picked: torch.Tensor) -> torch.Tensor:
        """Return the picked images (n,), (n, C, H, W) uint8, on the device."""
        read = self.coming.pop(key_of(picked), None)
        return (read.result() if read else self.read(picked)).to(self.device, non_blocking=True)

    def fetch(self, batches: Iterable[torch.Tensor]) -> None:
        """Begin to read batches that will be picked soon, each (n,), and forget what was read and not picked."""
        self.coming = {key_of(picked): self.reader.submit(self.read, picked) for picked in batches}

    def read(self, picked: torch.Tensor) -> torch.Tensor:
        pixels = gather(self.images, picked)
        return pixels.pin_memory() if self.device.type == "cuda" else pixels


def key_of(picked: torch.Tensor) -> bytes:
    return picked.numpy().tobytes()


def held(images: NDArray[np.uint8], device: torch.device) -> torch.Tensor | ImagesOnDisk:
    """Return images (N, C, H, W) of which batches are picked: on a GPU with room for them a tensor there."""
    if device.type == "cuda" and images.nbytes < GPU_SHARE * torch.cuda.get_device_properties(device).total_memory:
        return torch.from_numpy(images.copy(order="K")).to(device)
    return ImagesOnDisk(images, device)
