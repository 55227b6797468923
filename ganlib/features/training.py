"""Train the judge."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from ganlib.core.errors import UserError
from ganlib.core.images import to_unit_range
from ganlib.core.packed import AnyImages, Split, gather
from ganlib.core.seeding import random_generator, seeded_weights
from ganlib.features.judge import ROTATIONS, Judge, turned
from ganlib.functional.augmentation import draw_shifts, translate

BATCH_SIZE = 64
LR = 2e-3
TRANSLATION = 0.06
"""Shifts of up to this share of the size, so that features depend less on exact position."""


def train_judge(
    judge: Judge,
    images: AnyImages,
    labels: NDArray[np.int64] | None,
    *,
    epochs: int,
    seed: int,
    device: torch.device,
    report: Callable[[dict[str, float]], None],
) -> None:
    """Train on (N, C, H, W) uint8 images and (N,) labels with Adam and a one-cycle learning rate; report each epoch.

    Without labels each image is there four times, and what is to be told is how far it was turned.
    """
    judge.to(device).train()
    order_random = random_generator(seed, "judge/order")
    augment_random = random_generator(seed, "judge/augment")
    count = len(images) * (len(ROTATIONS) if labels is None else 1)
    if count < 2:
        raise UserError("the judge can't learn from one training image; give more images")
    batch_size = min(BATCH_SIZE, count)
    batches_per_epoch = count // batch_size
    optimizer = torch.optim.Adam(judge.parameters(), LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=epochs * batches_per_epoch + 1)
    for _ in range(epochs):
        epoch_loss = 0.0
        order = torch.randperm(count, generator=order_random)
        for picked in order[: batches_per_epoch * batch_size].split(batch_size):
            pixels, wanted = batch_of(images, labels, picked)
            batch = to_unit_range(pixels.to(device))
            batch = translate(batch, draw_shifts(batch.shape, TRANSLATION, augment_random).to(device))
            loss = cross_entropy(judge(batch), wanted.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            epoch_loss += loss.item()
        report({"loss": epoch_loss / batches_per_epoch})
    judge.eval()


def trained_classifier(split: Split, class_names: list[str], *, epochs: int, seed: int, device: torch.device) -> Judge:
    """Return a judge of these labelled images, trained as the judge stage trains one."""
    assert split.labels is not None
    channels, image_size = split.images.shape[1:3]
    with seeded_weights(seed, "judge/weights"):
        judge = Judge(image_size=image_size, channels=channels, class_names=class_names)
    train_judge(judge, split.images, split.labels, epochs=epochs, seed=seed, device=device, report=lambda row: None)
    return judge


def batch_of(
    images: AnyImages, labels: NDArray[np.int64] | None, picked: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the picked (n,) images (n, C, H, W) and what is to be told of them, (n,).

    Without labels, pick N q + i is the i-th of N images, turned by q quarters.
    """
    pixels = gather(images, picked % len(images)).contiguous()
    if labels is not None:
        return pixels, torch.from_numpy(labels[picked.numpy()])
    quarters = picked // len(images)
    return turned(pixels, quarters), quarters
