"""DINOv2, for FD-DINOv2 (Stein et al. 2023, arXiv:2306.04675): timm's vision transformer with weights that a user has.

Weights are taken as published by Meta (dinov2_vitl14_pretrain.pth) or by timm (model.safetensors); what they hold says
which size of net they are of. FD-DINOv2 as reviewers ask for it is that of the large one.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import interpolate

from ganlib.core.distributed import together
from ganlib.core.errors import UserError
from ganlib.core.packed import AnyImages
from ganlib.features.judging import own_batches

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

NAMES = {
    384: "vit_small_patch14_dinov2",
    768: "vit_base_patch14_dinov2",
    1024: "vit_large_patch14_dinov2",
    1536: "vit_giant_patch14_dinov2",
}
"""timm's name of a net by how many features it makes."""
PUBLISHED = "dinov2_vitl14_pretrain.pth"
INPUT_SIZE = 224
RESIZE = f"bicubic to {INPUT_SIZE}, with antialiasing"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, by which colours in 0..1 are normalised."""
BATCH_SIZE = 32


def find_dinov2(given: Path | None) -> Path:
    """Return the given file; raise UserError when there is none."""
    if given is None or not given.is_file():
        said = f"{given}: no such weights file" if given else "the extractor dinov2 needs a file of weights"
        raise UserError(f"{said}; fetch {PUBLISHED} and name it in evaluate.dinov2_weights or --dinov2-weights")
    return given


def load_dinov2(path: Path) -> "VisionTransformer":
    """Build the net, in evaluation mode, with weights from a file; raise UserError when they don't fit."""
    import timm  # slow to load, and only this needs it
    from timm.models.vision_transformer import checkpoint_filter_fn

    try:
        safe = path.suffix == ".safetensors"
        state: Any = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
        name = NAMES[state["cls_token"].shape[-1]]
        network: Any = timm.create_model(name, num_classes=0, img_size=INPUT_SIZE)
        network.load_state_dict(checkpoint_filter_fn(state, network))
    except Exception as error:  # torch.load raises whatever the bytes lead to
        reason = (str(error) or type(error).__name__).splitlines()[0][:100]
        raise UserError(f"{path} does not hold the weights of DINOv2 ({reason}): use {PUBLISHED}") from None
    return network.eval()


@torch.inference_mode()
def dinov2_features(network: nn.Module, images: AnyImages, device: torch.device) -> NDArray[np.float64]:
    """Return the class token, (N, d), of (N, C, H, W) uint8 images, grey ones replicated to 3 channels.

    Each process takes its part of the images that all have, and all return the whole.
    """
    network.to(device)
    mean, std = (torch.tensor(value, device=device).view(3, 1, 1) for value in (MEAN, STD))
    found = list[torch.Tensor]()
    for batch in own_batches(images, BATCH_SIZE, device):
        pixels = batch.expand(-1, 3, -1, -1).float() / 255
        if pixels.shape[2:] != (INPUT_SIZE, INPUT_SIZE):
            pixels = interpolate(pixels, size=(INPUT_SIZE, INPUT_SIZE), mode="bicubic", antialias=True).clamp(0, 1)
        found.append(network((pixels - mean) / std).cpu())
    return together(torch.cat(found).double().numpy())
