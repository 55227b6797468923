"""Augmentation: of real images, and differentiably of all that D sees (DiffAugment, Zhao 2020, arXiv:2006.10738)."""

import torch


def flip(images: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Mirror each (C, H, W) image of a batch left to right with an even chance."""
    mirrored = (torch.rand(len(images), 1, 1, 1, generator=random) < 0.5).to(images.device)
    return torch.where(mirrored, images.flip(3), images)


def draw_shifts(shape: torch.Size, share: float, random: torch.Generator) -> torch.Tensor:
    """Draw how far each of N images is moved down and right, (2, N): whole pixels, up to a share of the size."""
    count, _, *sizes = shape
    reaches = [int(size * share + 0.5) for size in sizes]
    return torch.stack([torch.randint(-reach, reach + 1, (count,), generator=random) for reach in reaches])


def translate(images: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """Move each (C, H, W) image of a batch by its own whole number of pixels, (2, N) down and right.

    What moves in repeats the edge; the paper's zeros would be grey in [-1, 1]. Each axis is one product with a matrix
    that selects rows: exact in any precision, and its gradient is deterministic on every device.
    """
    height, width = images.shape[2:]
    rows, columns = _selection(height, shifts[0]).to(images), _selection(width, shifts[1]).to(images)
    return rows.unsqueeze(1) @ images @ columns.unsqueeze(1).mT  # (N, 1, H, H) (N, C, H, W) (N, 1, W, W)


def _selection(size: int, shifts: torch.Tensor) -> torch.Tensor:
    places = torch.arange(size, device=shifts.device)
    source = (places - shifts.unsqueeze(1)).clamp(0, size - 1)  # (N, size)
    return source.unsqueeze(2) == places  # (N, size, size)
