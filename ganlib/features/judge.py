"""The judge: a small classifier of real images whose last hidden layer is the feature space of the evaluation."""

from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import leaky_relu

from ganlib.core.errors import UserError
from ganlib.core.weights import load_network

FEATURES = 64
"""Length of the feature vector."""
ROTATIONS = ["0 degrees", "90 degrees", "180 degrees", "270 degrees"]
"""Classes of a judge of images without labels: how far an image was turned (Gidaris et al. 2018, arXiv:1803.07728)."""


class Judge(nn.Module):
    """Images (N, channels, image_size, image_size) in [-1, 1] to class logits (N, classes)."""

    def __init__(self, *, image_size: int, channels: int, class_names: list[str]):
        super().__init__()
        self.image_shape, self.class_names = (channels, image_size, image_size), class_names
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        for width in (32, 64, 128):
            self.convolutions.append(nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False))
            self.norms.append(nn.BatchNorm2d(width))
            channels, image_size = width, (image_size + 1) // 2
        self.hidden = nn.Linear(channels * image_size**2, FEATURES, bias=False)
        self.hidden_norm = nn.BatchNorm1d(FEATURES)
        self.to_logits = nn.Linear(FEATURES, len(class_names))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the (N, 64) non-negative features that distances between images are measured in."""
        return torch.relu(self.hidden_norm(self.hidden(self.maps(images).flatten(1))))

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """Return what the last convolution finds and where, (N, 128, image_size / 8, image_size / 8)."""
        x = images
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = leaky_relu(norm(convolution(x)), 0.1)
        return x

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.to_logits(self.features(images))


def turned(images: torch.Tensor, quarters: torch.Tensor) -> torch.Tensor:
    """Return square images (N, C, H, H), each turned by so many quarters, (N,)."""
    pairs = zip(images, quarters.tolist(), strict=True)
    return torch.stack([torch.rot90(image, quarter, (1, 2)) for image, quarter in pairs])


def judged_classes(class_names: list[str]) -> list[str]:
    """Return what a judge of images of these classes tells apart: one class alone would teach it nothing."""
    return class_names if len(class_names) > 1 else ROTATIONS


def load_judge(folder: Path) -> Judge:
    """Rebuild the judge from judge.json and judge.safetensors, in evaluation mode."""
    if not (folder / "judge.json").is_file():
        raise UserError(f"{folder}: no judge there; run dvc repro judge, or name its folder with --judge")
    return load_network(folder, "judge", Judge)


def check_judge(judge: Judge, image_shape: tuple[int, ...], class_names: list[str] | None = None) -> None:
    """Raise UserError unless the judge was trained on images (C, H, W) of this shape and, if given, these classes."""
    if judge.image_shape != tuple(image_shape):
        raise UserError(
            f"the judge was trained on images of (channels, height, width) {judge.image_shape}, these have "
            f"{tuple(image_shape)}: run dvc repro judge on these, convert them, or use the inception extractor"
        )
    if class_names is not None and judge.class_names != judged_classes(class_names):
        raise UserError(
            f"the judge was trained on other classes ({', '.join(judge.class_names)}) than the data's "
            f"({', '.join(class_names) or 'no labels'}): run dvc repro judge"
        )
