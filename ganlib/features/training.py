"""Train the judge."""

from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from ganlib.core.images import to_unit_range
from ganlib.core.seeding import random_generator
from ganlib.features.judge import Judge
from ganlib.functional.augmentation import draw_shifts, translate

BATCH_SIZE = 64
LR = 2e-3
TRANSLATION = 0.06
"""Shifts of up to this share of the size, so that features depend less on exact position."""


def train_judge(
    judge: Judge,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    epochs: int,
    seed: int,
    device: torch.device,
    report: Callable[[dict[str, float]], None],
) -> None:
    """Train on (N, C, H, W) uint8 images and (N,) labels with Adam and a one-cycle learning rate; report each epoch."""
    judge.to(device).train()
    order_random = random_generator(seed, "judge/order")
    augment_random = random_generator(seed, "judge/augment")
    batch_size = min(BATCH_SIZE, len(images))
    batches_per_epoch = len(images) // batch_size
    optimizer = torch.optim.Adam(judge.parameters(), LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=epochs * batches_per_epoch + 1)
    for _ in range(epochs):
        epoch_loss = 0.0
        order = torch.randperm(len(images), generator=order_random)
        for picked in order[: batches_per_epoch * batch_size].split(batch_size):
            batch = to_unit_range(images[picked].to(device))
            batch = translate(batch, draw_shifts(batch.shape, TRANSLATION, augment_random).to(device))
            loss = cross_entropy(judge(batch), labels[picked].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            epoch_loss += loss.item()
        report({"loss": epoch_loss / batches_per_epoch})
    judge.eval()
