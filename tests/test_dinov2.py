"""The extractor dinov2: timm's net with a file of weights, against a plain transformer, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention

from ganlib.core.errors import UserError
from ganlib.evaluation.dinov2 import dinov2_features, find_dinov2, load_dinov2
from ganlib.evaluation.extractors import load_extractor
from tests.conftest import ROOT, run

WIDTH, DEPTH, HEADS, PATCH = 384, 12, 6, 14
TRAINED = 37
"""Patches a side that Meta's weights were trained with, at 518 px; images here have 16, at 224."""
CPU = torch.device("cpu")


def random_weights(path: Path, width: int = WIDTH) -> dict[str, Tensor]:
    """Write weights of the small net under the names of Meta's files."""
    random = torch.Generator().manual_seed(0)

    def some(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random) / shape[-1] ** 0.5

    state = {
        "cls_token": some(1, 1, width),
        "mask_token": some(1, width),
        "pos_embed": some(1, 1, width).repeat(1, 1 + TRAINED**2, 1),  # alike everywhere: resampling leaves them
        "patch_embed.proj.weight": some(width, 3, PATCH, PATCH),
        "patch_embed.proj.bias": some(width),
        "norm.weight": 1 + some(width),
        "norm.bias": some(width),
    }
    for block in range(DEPTH):
        shapes = {
            "attn.qkv": (3 * width, width),
            "attn.proj": (width, width),
            "mlp.fc1": (4 * width, width),
            "mlp.fc2": (width, 4 * width),
        }
        for name, shape in shapes.items():
            state |= {f"blocks.{block}.{name}.weight": some(*shape), f"blocks.{block}.{name}.bias": some(shape[0])}
        for name in ("norm1", "norm2"):
            state |= {f"blocks.{block}.{name}.weight": 1 + some(width), f"blocks.{block}.{name}.bias": some(width)}
        for name in ("ls1", "ls2"):
            state[f"blocks.{block}.{name}.gamma"] = 0.1 + some(width)
    torch.save(state, path)
    return state


def plain_features(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """Return DINOv2's class token of normalised images (N, 3, 224, 224), in float64."""
    weights = {name: value.double() for name, value in state.items()}

    def part(x: Tensor, name: str) -> Tensor:
        return linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x: Tensor, name: str) -> Tensor:
        return layer_norm(x, (WIDTH,), weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6)

    patches = torch.nn.functional.conv2d(
        images, weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"], stride=PATCH
    )
    x = torch.cat([weights["cls_token"].expand(len(images), -1, -1), patches.flatten(2).mT], 1)
    x = x + weights["pos_embed"][:, :1]
    for block in range(DEPTH):
        name = f"blocks.{block}"
        qkv = part(norm(x, f"{name}.norm1"), f"{name}.attn.qkv").unflatten(2, (3, HEADS, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # (N, heads, tokens, width / heads) each
        mixed = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + weights[f"{name}.ls1.gamma"] * part(mixed, f"{name}.attn.proj")
        hidden = gelu(part(norm(x, f"{name}.norm2"), f"{name}.mlp.fc1"))
        x = x + weights[f"{name}.ls2.gamma"] * part(hidden, f"{name}.mlp.fc2")
    return norm(x, "norm")[:, 0]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    path = tmp_path_factory.mktemp("dinov2") / "dinov2_vits14_pretrain.pth"
    return path, random_weights(path)


def test_features_are_those_of_a_plain_transformer(weights: tuple[Path, dict[str, Tensor]]):
    state, network = weights[1], load_dinov2(weights[0])
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 224, 224), np.uint8)
    colours = torch.from_numpy(images).double() / 255
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).double()[..., None, None]
    expected = plain_features(state, (colours - mean) / std).numpy()
    found = dinov2_features(network, images, CPU)
    assert np.abs(found - expected).max() < 2e-3 and expected.std(0).max() > 0.05
    grey = images[:, :1]
    replicated = dinov2_features(network, grey.repeat(3, axis=1), CPU)
    assert np.array_equal(dinov2_features(network, grey, CPU), replicated)


def test_small_images_are_enlarged_as_pillow_does(weights: tuple[Path, dict[str, Tensor]]):
    path, _ = weights
    small = np.random.default_rng(1).integers(0, 256, (2, 3, 64, 64), np.uint8)
    pillow = [Image.fromarray(image.transpose(1, 2, 0)).resize((224, 224), Image.Resampling.BICUBIC) for image in small]
    large = np.stack([np.asarray(image).transpose(2, 0, 1) for image in pillow])
    network = load_dinov2(path)
    found, expected = dinov2_features(network, small, CPU), dinov2_features(network, large, CPU)
    assert np.abs(found - expected).max() < 0.05 * np.abs(found[0] - found[1]).max()


def test_folders_are_compared_in_a_space_of_its_own(tmp_path: Path, weights: tuple[Path, dict[str, Tensor]]):
    for name, seed in (("real", 0), ("fake", 1)):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(seed).integers(0, 256, (12, 3, 16, 16), np.uint8))
    given = ["real.npy", "fake.npy", "--extractor", "dinov2", "--dinov2-weights", str(weights[0]), "--threads", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        lines = run(["python", "-m", "stages.evaluate", "folders", *given], tmp_path).stdout.splitlines()
    printed = dict(line.split(": ", 1) for line in lines)
    assert "dinov2_fid" in printed and "fid" not in printed
    assert printed["protocol_extractor"] == "dinov2" and printed["protocol_feature_dim"] == str(WIDTH)


def test_weights_that_are_not_there_or_of_another_net_are_named(tmp_path: Path):
    files = {"inception": None, "dinov2": None}
    with pytest.raises(UserError, match=r"needs a file of weights; fetch dinov2_vitl14.*evaluate\.dinov2_weights"):
        load_extractor("dinov2", None, files)
    with pytest.raises(UserError, match=r"nowhere\.pth: no such weights file; fetch"):
        find_dinov2(tmp_path / "nowhere.pth")
    for name, content in (("empty.pth", b""), ("text.safetensors", b"hello"), ("text.pth", b"hello")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"{name} does not hold the weights of DINOv2 \(.*\): use dinov2_vitl14"):
            load_dinov2(tmp_path / name)
    random_weights(tmp_path / "narrow.pth", width=100)
    torch.save(torch.load(tmp_path / "narrow.pth") | {"cls_token": torch.zeros(1, 1, WIDTH)}, tmp_path / "mixed.pth")
    for name in ("narrow.pth", "mixed.pth"):
        with pytest.raises(UserError, match=r"does not hold the weights of DINOv2"):
            load_dinov2(tmp_path / name)
