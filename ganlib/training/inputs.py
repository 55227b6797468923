"""What a training starts from: prepared images, the judge that watches it, and the networks' configurations."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.core.files import sha256_of
from ganlib.core.packed import labels_path, read_meta, read_split
from ganlib.core.schema import Params
from ganlib.features.judge import Judge, check_judge, load_judge
from ganlib.training.game import Game


@dataclass(frozen=True, kw_only=True)
class Inputs:
    data: dict[str, torch.Tensor]
    """Training `images`, (N, C, H, W) uint8, channels_last, as they lie on disk, and `labels` (N,) if there are any."""
    heldout: NDArray[np.uint8]
    """(M, C, H, W) images that training never sees."""
    judge: Judge
    configs: dict[str, dict[str, Any]]
    """Of each network of the game."""
    digests: list[Any]
    """Hashes of all that was read."""

    @property
    def class_counts(self) -> list[int]:
        """Training images of each class, for a conditional model; else empty."""
        return self.configs["generator"].get("class_counts", [])


def load_inputs(prepared: Path, judge: Path, game: Game, params: Params) -> Inputs:
    """Read prepared data and the judge; raise UserError where they do not fit each other or the params."""
    meta, train, heldout = read_meta(prepared), read_split(prepared, "train"), read_split(prepared, "heldout")
    configs, network = game.configs(params, meta), load_judge(judge)
    check_judge(network, train.images.shape[1:], meta["class_names"])
    digests = [meta["sha256"], sha256_of(judge / "judge.safetensors")]
    data = {"images": torch.from_numpy(train.images.copy(order="K"))}
    if train.labels is not None:
        data["labels"] = torch.tensor(train.labels)
        digests.append(sha256_of(labels_path(prepared, "train")))
    return Inputs(data=data, heldout=heldout.images, judge=network, configs=configs, digests=digests)
