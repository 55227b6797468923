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
    that selects rows, in the images' own precision whatever autocast says: exact, but on a GPU, where float32 products
    round to TF32's 11 bits. Its gradient is deterministic on every device.
    """
    height, width = images.shape[2:]
    rows, columns = _selection(height, shifts[0]).to(images), _selection(width, shifts[1]).to(images)
    with torch.autocast(images.device.type, enabled=False):
        return rows.unsqueeze(1) @ images @ columns.unsqueeze(1).mT  # (N, 1, H, H) (N, C, H, W) (N, 1, W, W)


def draw_colours(count: int, random: torch.Generator) -> torch.Tensor:
    """Draw how brightness, saturation and contrast of each of N images change, (3, N) in [-1, 1]."""
    return torch.rand(3, count, generator=random) * 2 - 1


def recolour(images: torch.Tensor, strength: float, changes: torch.Tensor) -> torch.Tensor:
    """Change each image's brightness, saturation and contrast, (3, N); grey has no saturation.

    At strength 1, the paper's, brightness moves by up to 0.5 in [-1, 1], colours go from grey to twice as strong,
    contrast from half to 1.5.
    """
    brightness, saturation, contrast = strength * changes[:, :, None, None, None].to(images)
    images = images + brightness / 2
    if images.shape[1] == 3:
        images = _stretch(images, images.mean(1, keepdim=True), 1 + saturation)
    return _stretch(images, images.mean((1, 2, 3), keepdim=True), 1 + contrast / 2)


def draw_corners(shape: torch.Size, share: float, random: torch.Generator) -> torch.Tensor:
    """Draw the upper left corner of a square of `share` of the size in each of N images, (2, N); it may lie outside."""
    count, _, *sizes = shape
    lengths = [int(size * share + 0.5) for size in sizes]
    return torch.stack(
        [
            torch.randint(0, size + 1 - length % 2, (count,), generator=random) - length // 2
            for size, length in zip(sizes, lengths, strict=True)
        ]
    )


def cut_out(images: torch.Tensor, share: float, corners: torch.Tensor) -> torch.Tensor:
    """Blank a square of `share` of the size in each image, at its own corner (2, N), to 0 (mid-grey)."""
    rows, columns = (_stripe(size, share, first) for size, first in zip(images.shape[2:], corners, strict=True))
    kept = ~(rows[:, None, :, None] & columns[:, None, None, :])  # (N, 1, H, W)
    return images * kept.to(images)


def _stretch(images: torch.Tensor, centre: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return (images - centre) * factor + centre


def _stripe(size: int, share: float, first: torch.Tensor) -> torch.Tensor:
    """Return (N, size), true on a stripe of `share` of the size from a pixel (N,) on."""
    length, place = int(size * share + 0.5), torch.arange(size, device=first.device)
    return (place >= first[:, None]) & (place < first[:, None] + length)


def _selection(size: int, shifts: torch.Tensor) -> torch.Tensor:
    places = torch.arange(size, device=shifts.device)
    source = (places - shifts.unsqueeze(1)).clamp(0, size - 1)  # (N, size)
    return source.unsqueeze(2) == places  # (N, size, size)
