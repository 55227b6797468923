"""Augmentation: of real images, and differentiably of all that D sees (DiffAugment, Zhao 2020, arXiv:2006.10738)."""

import torch


def flip(images: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Mirror each (C, H, W) image of a batch left to right with an even chance."""
    mirrored = (torch.rand(len(images), 1, 1, 1, generator=random) < 0.5).to(images.device)
    return torch.where(mirrored, images.flip(3), images)


def translate(images: torch.Tensor, share: float, random: torch.Generator) -> torch.Tensor:
    """Move each (C, H, W) image of a batch by its own whole number of pixels, up to `share` of its size each way.

    What moves in repeats the edge; the paper's zeros would be grey in [-1, 1]. Each axis is one product with a matrix
    that selects rows: exact in any precision, and its gradient is deterministic on every device.
    """
    height, width = images.shape[2:]
    rows = _selection(len(images), height, share, random).to(images)
    columns = _selection(len(images), width, share, random).to(images)
    return rows.unsqueeze(1) @ images @ columns.unsqueeze(1).mT  # (N, 1, H, H) (N, C, H, W) (N, 1, W, W)


def _selection(count: int, size: int, share: float, random: torch.Generator) -> torch.Tensor:
    reach = int(size * share + 0.5)
    shift = torch.randint(-reach, reach + 1, (count, 1), generator=random)
    source = (torch.arange(size) + shift).clamp(0, size - 1)  # (N, size)
    return torch.nn.functional.one_hot(source, size)
