"""From images to features, in batches."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ganlib.core.distributed import together
from ganlib.core.errors import UserError
from ganlib.core.files import sha256_of
from ganlib.core.order import content_order
from ganlib.core.packed import AnyImages, Rows
from ganlib.core.params import given_path
from ganlib.core.schema import EvaluateParams
from ganlib.evaluation.dinov2 import RESIZE as DINOV2_RESIZE
from ganlib.evaluation.dinov2 import dinov2_features, find_dinov2, load_dinov2
from ganlib.evaluation.inception import FEATURES as INCEPTION_FEATURES
from ganlib.evaluation.inception import RESIZE as INCEPTION_RESIZE
from ganlib.evaluation.inception import find_weights, load_inception
from ganlib.features.eyes import Extractor, Eyes, extractor_protocol, open_eyes
from ganlib.features.judge import load_judge
from ganlib.features.judging import own_batches
from ganlib.metrics.diversity import Labelled

INCEPTION_BATCH_SIZE = 50


def check_images(images: NDArray[np.generic] | Rows, name: str) -> None:
    """Raise UserError, with the set's name, unless images are 2 or more of uint8 (N, 1 or 3, H, W), not all flat."""
    if images.dtype.kind == "f" and not np.isfinite(images[:]).all():
        raise UserError(f"{name}: holds NaN or infinite pixels: the generator has failed, train with a lower lr")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise UserError(f"{name}: holds {images.dtype} {images.shape}, not uint8 images of 1 or 3 channels: convert it")
    if len(images) < 2:
        raise UserError(f"{name}: holds {len(images)} images; at least 2 are needed: give more")
    if all((image == image[:, :1, :1]).all() for image in images):
        raise UserError(f"{name}: every image is one flat colour: the generator has failed, or this is the wrong file")


def load_extractor(name: str, judge_folder: Path | None, weights: Mapping[str, Path | None]) -> Extractor:
    """Load what a resolved name stands for; the judge, if there is one, names the classes whose features these are not.

    `weights` are the files of Inception and DINOv2, by extractor.
    """
    if name in ("judge", "lite0"):
        return open_eyes(name, judge_folder)
    judge = load_judge(judge_folder) if judge_folder else None
    if name == "dinov2":
        path = find_dinov2(weights[name])
        network = load_dinov2(path)
        protocol = extractor_protocol(name, sha256_of(path), network.num_features, DINOV2_RESIZE)
        return Extractor(judge, partial(dinov2_features, network), "dinov2_", protocol)
    found = find_weights(weights[name])
    protocol = extractor_protocol(name, found.sha256, INCEPTION_FEATURES, INCEPTION_RESIZE)
    published = {"protocol_extractor_published": found.published}
    return Extractor(judge, partial(inception_features, load_inception(found.path)), "", protocol | published)


def weights_files(settings: EvaluateParams) -> dict[str, Path | None]:
    """Return the files of `load_extractor` that params name."""
    return {"inception": given_path(settings.inception_weights), "dinov2": given_path(settings.dinov2_weights)}


def notes_on(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Return marks to set beside figures of this protocol, and warn on stderr of what makes them incomparable."""
    if protocol["protocol_extractor"] != "inception":
        return {}
    if not protocol["protocol_extractor_published"]:
        print("WARNING: not the published Inception weights: compare with no published figure", file=sys.stderr)
    count = min(protocol["protocol_generated"], protocol["protocol_reference"])
    if count < INCEPTION_FEATURES:
        print(
            f"WARNING: {count} images are under {INCEPTION_FEATURES}: FID is dominated by the number", file=sys.stderr
        )
    return {"undersampled": count < INCEPTION_FEATURES}


def notes_on_judge(eyes: Eyes, extractor: str, bar: float) -> dict[str, Any]:
    """Return marks of a judge that is unfit, or under `evaluate.min_judge_accuracy`; warn on stderr if its figures are.

    Only features of its own make figures its own, so that a word of what to take instead is said then.
    """
    reliable = eyes.judge_fit and eyes.judge_accuracy >= bar
    if not reliable and extractor == "judge":
        told = f"{eyes.judge_accuracy:.3f} on held-out images, under evaluate.min_judge_accuracy = {bar}"
        unfit = f"the judge is unfit: {eyes.judge_unfit_because}"
        reason = f"the judge's accuracy is {told}" if eyes.judge_fit else unfit
        print(f"WARNING: {reason}: do not rely on these figures", file=sys.stderr)
        print("Set evaluate.extractor to lite0, raise evaluate.judge_epochs, or give more images", file=sys.stderr)
    return {
        "judge_accuracy": eyes.judge_accuracy,
        "judge_reliable": reliable,
        "judge_tells_apart": eyes.judge_tells_apart,
        "judge_unfit_because": eyes.judge_unfit_because,
    }


def check_protocol(ours: Mapping[str, Any], theirs: Mapping[str, Any], folder: Path) -> None:
    """Raise UserError unless the reference in a folder was made by this extractor."""
    unlike = [key for key, value in ours.items() if theirs.get(key) != value]
    if unlike:
        raise UserError(f"{folder}: made with another extractor ({', '.join(unlike)} differ): run dvc repro reference")


def check_same_shape(x: AnyImages, y: AnyImages, names: str) -> None:
    """Raise UserError unless two sets hold images of one size and as many channels."""
    if x.shape[1:] != y.shape[1:]:
        raise UserError(
            f"{names}: unlike (channels, height, width), {x.shape[1:]} and {y.shape[1:]}: convert one like the other"
        )


def describe_images(images: AnyImages, extractor: Extractor, device: torch.device) -> Labelled:
    """Return what `Extractor.describe` does of (N, C, H, W) images, in order of content."""
    return extractor.describe(images, device).take(content_order(images))


@torch.no_grad()
def inception_features(network: nn.Module, images: AnyImages, device: torch.device) -> NDArray[np.float64]:
    """Return pytorch-fid's features (N, 2048) of (N, C, H, W) uint8 images, grey ones replicated to 3 channels.

    Each process takes its part of the images that all have, and all return the whole.
    """
    network.to(device)
    own = own_batches(images, INCEPTION_BATCH_SIZE, device)
    ready = (batch.expand(-1, 3, -1, -1).float() / 255 for batch in own)
    features = [network(batch)[0].mean((2, 3)).cpu() for batch in ready]  # (50, 2048, 1, 1) each
    return together(torch.cat(features).double().numpy())
