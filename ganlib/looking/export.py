"""A published generator as one ONNX file, for programs without PyTorch."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ganlib.core.errors import UserError
from ganlib.core.files import read_json, whole_file
from ganlib.networks.families import load_generator


def export_onnx(model: Path, out: Path) -> None:
    """Write the generator of a folder as ONNX.

    It maps `latents` (N, latent_dim) and, if it is conditional, `labels` (N,) int64 to `images` (N, channels, height,
    width) in [-1, 1], for any N. Its configuration is in the file's metadata as JSON, under `config`.
    Raise UserError without the onnx package.
    """
    generator = load_generator(model)
    inputs = {"latents": torch.zeros(2, generator.latent_dim)}
    if generator.class_names:
        inputs["labels"] = torch.zeros(2, dtype=torch.int64)
    write_onnx(generator, inputs, "images", read_json(model / "generator.json"), out)


def write_onnx(
    network: nn.Module, inputs: Mapping[str, torch.Tensor], output: str, config: dict[str, Any], out: Path
) -> None:
    """Write a network of inputs like these, by their names, whose first dimension is free; see `export_onnx`."""
    try:
        import onnx
    except ImportError:
        raise UserError("the onnx package is missing: pip install onnx") from None
    with whole_file(out) as partial:
        with warnings.catch_warnings():
            # This exporter is deprecated, and warns of what the tests hold it to. The new one needs two more packages.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                tuple(inputs.values()),
                partial,
                dynamo=False,
                input_names=list(inputs),
                output_names=[output],
                dynamic_axes={name: {0: "count"} for name in (*inputs, output)},
            )
        exported = onnx.load(partial)
        onnx.helper.set_model_props(exported, {"config": json.dumps(config)})
        onnx.checker.check_model(exported)
        onnx.save(exported, partial)
