"""Inception with random weights: the published ones are not needed to compare one program with another."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from pytorch_fid import inception

PYTORCH_FID = """
import sys
import torch
from pytorch_fid import fid_score, inception

weights = sys.argv.pop(1)
inception.load_state_dict_from_url = lambda *_, **__: torch.load(weights, weights_only=True)
fid_score.main()
"""
"""pytorch-fid's own command, with its first argument the file that it would download."""


def write_random_weights(path: Path) -> None:
    """Write a state dict for pytorch-fid's network, of weights that keep activations at their size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(torchvision.models.Inception3, "load_state_dict", lambda *_: None)
        network = inception.fid_inception_v3()
    state: dict[str, Any] = network.state_dict()
    random = torch.Generator().manual_seed(0)
    for name, value in state.items():
        if name.endswith("conv.weight"):
            value.normal_(std=(2 / value[0].numel()) ** 0.5, generator=random)
    torch.save(state, path)


def run_pytorch_fid(weights: Path, real: Path, fake: Path) -> float:
    """Run pytorch-fid's command and return what it prints."""
    command = [sys.executable, "-c", PYTORCH_FID, weights, real, fake, "--device", "cpu", "--num-workers", "0"]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
    return float(result.stdout.split()[-1])
