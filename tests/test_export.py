"""A generator in onnxruntime draws what it draws in PyTorch."""

import json
import sys
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch

from ganlib.core.files import read_json, sha256_of
from ganlib.core.weights import save_network
from ganlib.functional.latents import draw_classes, draw_latents
from ganlib.looking.export import export_onnx
from ganlib.networks.families import build_generator, generator_config, load_generator
from tests.conftest import ROOT, run
from tests.test_training import settings

COUNTS = {"cat": 2, "dog": 1}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"latents": "uniform", "kernel_size": 5, "upsampling": "nearest", "g_activation": "elu"},
    {"g_norm": "instance", "kernel_size": 3, "g_activation": "leaky_relu"},
    {"conditional": "concat"},
    {"architecture": "mlp"},
    {"architecture": "mlp", "g_norm": "instance", "conditional": "projection"},
    {"architecture": "resnet"},
    {"architecture": "resnet", "conditional": "auxiliary", "latents": "uniform"},
]


def published(folder: Path, **changes: object) -> Path:
    """Save a generator whose batch norms have seen something."""
    config = generator_config(settings(width=8, **changes).model, 12, 3, COUNTS)
    generator = build_generator(**config)
    labels = torch.arange(32) % 2 if generator.class_names else None
    generator(torch.randn(32, generator.latent_dim), labels)
    with torch.no_grad():
        for weight in generator.parameters():  # away from the small start, so that images have contrast
            weight.mul_(3)
    save_network(folder, "generator", generator, config)
    return folder


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_onnxruntime_and_pytorch_agree(tmp_path: Path, changes: dict[str, Any]):
    generator = load_generator(published(tmp_path, **changes))
    export_onnx(tmp_path, tmp_path / "generator.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "generator.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 7):
        random = torch.Generator().manual_seed(count)
        inputs = {"latents": draw_latents(count, generator.latent_dim, random, generator.latents)}
        if generator.class_names:
            inputs["labels"] = draw_classes(count, generator.class_counts, random)
        (images,) = session.run(["images"], {name: tensor.numpy() for name, tensor in inputs.items()})
        with torch.no_grad():
            expected = generator(*inputs.values())
        assert images.shape == (count, 3, 12, 12) and expected.std() > 0.01
        torch.testing.assert_close(torch.from_numpy(images), expected, rtol=0, atol=1e-4)
    assert [node.name for node in session.get_inputs()] == list(inputs)


def test_the_file_carries_its_configuration_and_nothing_of_this_machine(tmp_path: Path):
    published(tmp_path, conditional="concat", latents="uniform")
    for name in ("one", "two"):
        export_onnx(tmp_path, tmp_path / f"{name}.onnx")
    assert sha256_of(tmp_path / "one.onnx") == sha256_of(tmp_path / "two.onnx")
    content = (tmp_path / "one.onnx").read_bytes()
    assert str(ROOT).encode() not in content and str(tmp_path).encode() not in content
    (entry,) = onnx.load(tmp_path / "one.onnx").metadata_props
    assert (entry.key, json.loads(entry.value)) == ("config", read_json(tmp_path / "generator.json"))


def test_the_command_needs_no_params_file_and_names_what_is_missing(tmp_path: Path):
    published(tmp_path)
    program = (
        f"import runpy, sys; sys.path.insert(0, {str(ROOT)!r}); runpy.run_module('stages.export', run_name='__main__')"
    )
    result = run([sys.executable, "-c", program, ".", "--out", "generator.onnx"], tmp_path)
    assert onnx.load(tmp_path / "generator.onnx").graph.input[0].name == "latents" and not result.stderr
    failed = run([sys.executable, "-c", program, "absent", "--out", "x.onnx"], tmp_path, check=False)
    assert failed.returncode == 1 and failed.stderr.startswith("error: absent/generator.json: No such file")
    assert not list(tmp_path.glob("x*"))
