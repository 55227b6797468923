"""The judge: a small classifier of real images whose last hidden layer is the feature space of the evaluation."""

from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import leaky_relu

from ganlib.networks.weights import load_network

FEATURES = 64
"""Length of the feature vector."""


class Judge(nn.Module):
    """Images (N, channels, image_size, image_size) in [-1, 1] to class logits (N, classes)."""

    def __init__(self, *, image_size: int, channels: int, classes: int):
        super().__init__()
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        for width in (32, 64, 128):
            self.convolutions.append(nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False))
            self.norms.append(nn.BatchNorm2d(width))
            channels, image_size = width, (image_size + 1) // 2
        self.hidden = nn.Linear(channels * image_size**2, FEATURES, bias=False)
        self.hidden_norm = nn.BatchNorm1d(FEATURES)
        self.to_logits = nn.Linear(FEATURES, classes)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the (N, 64) non-negative features that distances between images are measured in."""
        x = images
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = leaky_relu(norm(convolution(x)), 0.1)
        return torch.relu(self.hidden_norm(self.hidden(x.flatten(1))))  # (N, 64)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.to_logits(self.features(images))


def load_judge(folder: Path) -> Judge:
    """Rebuild the judge from judge.json and judge.safetensors, in evaluation mode."""
    return load_network(folder, "judge", Judge)
