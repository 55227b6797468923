"""What a training starts from: prepared images, the judge that watches it, and the networks' configurations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ganlib.core.captions import Numbers
from ganlib.core.domains_schema import DomainsParams
from ganlib.core.errors import UserError
from ganlib.core.files import read_json, sha256_of
from ganlib.core.packed import SPLITS, labels_path, read_meta, read_split
from ganlib.core.params import given_path
from ganlib.core.schema import Params
from ganlib.core.weights import load_weights
from ganlib.features.eyes import Extractor, Eyes, load_eyes, open_eyes
from ganlib.features.judge import check_judge, load_judge
from ganlib.features.seen import Seen, load_seen
from ganlib.training.game import Game
from ganlib.training.images import held


@dataclass(frozen=True, kw_only=True)
class Inputs:
    data: dict[str, Any]
    """Training `images`, (N, C, H, W) uint8, of which batches are picked, and what else the game shows."""
    real: dict[str, NDArray[np.uint8]]
    """Images of both splits as they lie on disk; training never sees the held-out ones."""
    heldout_labels: NDArray[np.int64] | None = None
    """(M,), for figures that choose nothing; None where the images have none."""
    extractor: Extractor
    """Who watches the training; its judge may name the classes."""
    eyes: Eyes
    seen: dict[str, Seen]
    """What the judge stage has seen of both splits."""
    configs: dict[str, dict[str, Any]]
    """Of each network of the game."""
    given: NDArray[np.uint8] | None = None
    """Held-out images of domain A; None where images come of latents."""
    captions: Numbers | None = None
    """(M, L) of held-out captions, for generators that are told them; else None."""
    partners: bool = False
    """Whether they are partners of the real ones, in the same order."""
    frozen: dict[str, nn.Module] = field(default_factory=dict)
    """Networks in evaluation mode that the players have besides, and that no team moves."""
    start: Path | None = None
    """Folder of the networks whose weights training starts from."""
    digests: list[Any]
    """Hashes of all that was read."""

    @property
    def class_counts(self) -> list[int]:
        """Training images of each class, for a conditional model; else empty."""
        return self.configs["generator"].get("class_counts", [])


def load_inputs(prepared: Path, judge: Path, game: Game, params: Params, device: torch.device) -> Inputs:
    """Read prepared data and the judge; raise UserError where they do not fit each other or the params."""
    meta, train, heldout = read_meta(prepared), read_split(prepared, "train"), read_split(prepared, "heldout")
    configs, eyes = game.configs(params, meta), load_eyes(judge)
    check_judge(load_judge(judge), train.images.shape[1:], meta["class_names"])
    extractor = open_eyes(eyes.extractor, judge)
    digests = [meta["sha256"], sha256_of(judge / "judge.safetensors"), eyes, extractor.protocol]
    data: dict[str, Any] = {"images": held(train.images, device)}
    if train.labels is not None:
        data["labels"] = torch.tensor(train.labels)
        digests.append(sha256_of(labels_path(prepared, "train")))
    data = game.shown(data, params)
    if start := given_path(params.train.start):
        check_start(start, configs)
        digests.append([sha256_of(start / f"{name}.safetensors") for name in configs])
    return Inputs(
        data=data,
        real={"train": train.images, "heldout": heldout.images},
        heldout_labels=heldout.labels,
        extractor=extractor,
        eyes=eyes,
        seen={split: load_seen(judge, split) for split in SPLITS},
        configs=configs,
        start=start,
        digests=digests,
    )


def load_pairs(pairs: Path, judge: Path, game: Game, params: DomainsParams, device: torch.device) -> Inputs:
    """Read pairs, and the judge of domain B; raise UserError where they do not fit each other or the params."""
    metas: dict[str, Any] = {side: read_meta(pairs / side) for side in ("a", "b")}
    splits = {(side, name): read_split(pairs / side, name).images for side in metas for name in SPLITS}
    digests = [metas[side]["sha256"] for side in metas]
    if (hidden := pairs / "hidden.npy").is_file():
        metas["hidden"] = np.load(hidden)
        digests.append(sha256_of(hidden))
    configs, eyes, network = game.configs(params, metas), load_eyes(judge), load_judge(judge)
    check_judge(network, splits["b", "train"].shape[1:], metas["b"]["class_names"])
    extractor = open_eyes(eyes.extractor, judge)
    told = "vocabulary" in metas["a"]
    a = torch.from_numpy(splits["a", "train"].astype(np.int64)) if told else held(splits["a", "train"], device)
    data: dict[str, Any] = {"images": held(splits["b", "train"], device), "a": a}
    labels = {name: read_split(pairs / "b", name).labels for name in SPLITS}
    if labels["train"] is not None:
        data["labels"] = torch.tensor(labels["train"])
        digests.append(sha256_of(labels_path(pairs / "b", "train")))
    return Inputs(
        data=game.shown(data, params),
        real={name: splits["b", name] for name in SPLITS},
        heldout_labels=labels["heldout"],
        extractor=extractor,
        eyes=eyes,
        seen={split: load_seen(judge, split) for split in SPLITS},
        configs=configs,
        given=None if "latent_dim" in configs["generator"] else splits["a", "heldout"],
        captions=splits["a", "heldout"] if told else None,
        partners=params.partners,
        frozen={"judge": network.requires_grad_(False)},
        digests=[*digests, sha256_of(judge / "judge.safetensors"), eyes, extractor.protocol],
    )


OF_CLASSES = ("class_names", "class_counts")
"""Keys of a configuration that speak of the classes it was trained on: only how many there are is in its weights."""


def check_start(folder: Path, configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise UserError unless a folder holds networks of these shapes; which classes they were trained on is free."""
    for name, config in configs.items():
        path = folder / f"{name}.json"
        if not path.is_file():
            raise UserError(
                f"train.start = {folder}: there is no {path.name}; give a copy of a folder that publish made"
            )
        theirs = read_json(path)
        free = {"aspect"} | ({"classes"} if config.get("conditional") == "none" else set[str]())
        for key in sorted((config.keys() | theirs.keys()) - free):
            ours, other = config.get(key), theirs.get(key)
            alike = len(ours or []) == len(other or []) if key in OF_CLASSES else ours == other
            if not alike:
                raise UserError(f"train.start = {folder}: its {name} has {key} = {other}, and these params {ours}")


def load_start(folder: Path, networks: Mapping[str, nn.Module]) -> None:
    """Load weights of a folder that `check_start` has passed."""
    for name, network in networks.items():
        load_weights(network, folder / f"{name}.safetensors")
