"""Networks on disk: weights as safetensors with the configuration beside them, so that two files rebuild a network."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save
from torch import nn

from ganlib.core.errors import UserError
from ganlib.core.files import read_json, write_json

Network = TypeVar("Network", bound=nn.Module)


def save_network(folder: Path, name: str, network: nn.Module, config: dict[str, Any]) -> None:
    """Write `name`.safetensors and `name`.json into a folder."""
    save_weights(folder, name, network.state_dict(), config)


def save_weights(folder: Path, name: str, state: Mapping[str, torch.Tensor], config: dict[str, Any]) -> None:
    """Write what `save_network` writes of a network with this state."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    (folder / f"{name}.safetensors").write_bytes(save(tensors))  # save_file would let only its owner read it
    write_json(folder / f"{name}.json", config)


def load_network(folder: Path, name: str, build: Callable[..., Network]) -> Network:
    """Rebuild a network with `build(**config)`, in evaluation mode; raise UserError when it can't be."""
    config, path = folder / f"{name}.json", folder / f"{name}.safetensors"
    for file in (config, path):
        if not file.is_file():
            raise UserError(f"{file}: No such file: name a folder that holds a {name}, as data/model does")
    settings = read_json(config)
    try:
        network = build(**settings)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{config} does not describe a {name} ({error}): delete it and run dvc repro") from None
    load_weights(network, path)
    return network.eval()


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a network's weights from a file; raise UserError when they don't fit."""
    try:
        load_model(network, path)
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} does not hold these weights ({reason}): delete it and run dvc repro") from None
