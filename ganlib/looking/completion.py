"""Image completion with a trained GAN (Yeh et al. 2016, arXiv:1607.07539).

Of an image with a missing part, find the latent whose image fits what is known and looks real to D; take the missing
part from that image. Every loss is one image's own, so that no result depends on what else is in the batch.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ganlib.core.images import to_pixels, to_unit_range
from ganlib.core.packed import AnyImages
from ganlib.core.precision import has_bf16
from ganlib.core.schema import CompleteParams
from ganlib.datasets.masks import Mask, blend, observe
from ganlib.functional.latents import draw_classes, draw_latents, from_normal, split_latents, to_normal
from ganlib.metrics.likeness import BEST_PSNR, psnr
from ganlib.networks.families import Discriminator, Generator

TRIAL = 10
"""Every start is tried for the steps of a search over this; only the best one is searched from further."""
BATCH_SIZE, SEARCHED, SIZE = 500, 256, 64
"""Images drawn or compared at a time, latents optimised at a time, and up to which size: fewer of larger images."""
WINDOW = 7
"""Pixels, side of the square around a known pixel in which missing ones are counted, as in the paper."""


class Completion(NamedTuple):
    """(N, C, H, W) uint8 images under one mask; what is known is the original's in all of them."""

    masked: NDArray[np.uint8]
    """Missing pixels grey, blocks in one colour."""
    completed: NDArray[np.uint8]
    nearest: NDArray[np.uint8]
    """Completed from the training image that fits best."""
    mean: NDArray[np.uint8]
    """Completed from the mean of the training images."""


def context_weights(mask: Mask) -> Tensor:
    """Return how much each pixel counts, (H, W), 1 in all: a known one as much as of its 7x7 pixels are missing.

    Equation 3 of the paper: what lies far from the hole says little of what is in it. Blocks count alike.
    """
    weights = torch.ones(mask.hidden.shape, device=mask.hidden.device)
    if mask.block == 1:
        hidden = mask.hidden.float()[None, None]
        missing = avg_pool2d(hidden, WINDOW, stride=1, padding=WINDOW // 2, count_include_pad=False)[0, 0]
        weights = missing * ~mask.hidden
    return weights / weights.sum()


def context_losses(images: Tensor, known: Tensor, mask: Mask, weights: Tensor) -> Tensor:
    """Return the weighted L1 distance, (N,), of images (N, C, H, W) to what is known, in [0, 2]."""
    return ((observe(images, mask) - known).abs() * weights).sum((2, 3)).mean(1)


def nearest_of(known: Tensor, batches: Iterable[Tensor], mask: Mask, count: int = 1) -> Tensor:
    """Return which `count` of some images, given in batches (K, C, H, W), fit each known (N, C, H, W) best, (N, count).

    They are compared as `context_losses` does.
    """
    weights = context_weights(mask)
    wanted = (known * weights).flatten(1)
    distances = [torch.cdist(wanted, (observe(batch, mask) * weights).flatten(1), p=1) for batch in batches]
    return torch.cat(distances, 1).topk(count, largest=False).indices


def search_latents(
    generator: Generator,
    discriminator: Discriminator,
    known: Tensor,
    mask: Mask,
    starts: Tensor,
    labels: Tensor | None,
    prior: Callable[[Tensor], Tensor],
    settings: CompleteParams,
    steps: int,
    advance: Callable[[int], object] = lambda _: None,
) -> tuple[Tensor, Tensor]:
    """Return latents (N, latent_dim), found from starts of the same shape, and their losses (N,).

    A conditional model is asked for the labels (N,), which stay. `prior` returns of D's scores how unreal images are,
    both (N,); how unlikely a latent is, -log p(z) per dimension but for a constant, is added to it. `advance` is told N
    after each of the steps. A category among the latents stays, as labels do.

    Adam moves each number by itself and the networks are in evaluation mode, so images don't touch each other. Its
    learning rate falls to 0 in a straight line. Uniform latents are searched as normal ones, so that both have one
    prior and no number is stopped at the walls of the cube, in whose corners next to no latent is drawn. The networks
    compute in bfloat16 where the hardware does: half the time, and what is found is as good.
    """
    kind, weights, device = generator.latents, context_weights(mask), known.device

    def losses() -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=has_bf16(device)):
            images = generator(from_normal(normal, kind), labels)
            scores = discriminator(images, labels)
        unlikely = prior(scores.float()) + normal.square().mean(1) / 2
        return context_losses(images.float(), known, mask, weights) + settings.prior_weight * unlikely

    normal = to_normal(starts, kind).clone().requires_grad_()
    noise, category, numbers = split_latents(torch.ones_like(starts), kind)
    moves = torch.cat([noise, 0 * category, numbers], 1)
    optimizer = torch.optim.Adam([normal], settings.lr)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = settings.lr * (1 - step / steps)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(losses().sum(), normal)
        normal.grad = gradient * moves
        optimizer.step()
        advance(len(starts))
    return from_normal(normal.detach(), kind), losses().detach()


def at_a_time(count: int, images: Tensor) -> int:
    """Return how many images of the size of (N, C, H, W), `count` at most, take the memory of `count` of 64 pixels."""
    return max(1, min(count, count * SIZE**2 // images[0, 0].numel()))


def steps_an_image(settings: CompleteParams) -> int:
    """Return how many steps `complete` takes for an image, those of all starts added up."""
    return settings.starts * (settings.steps // TRIAL) + settings.steps


def complete(
    generator: Generator,
    discriminator: Discriminator,
    originals: Tensor,
    mask: Mask,
    prior: Callable[[Tensor, Tensor], Tensor],
    settings: CompleteParams,
    random: torch.Generator,
    advance: Callable[[int], object] = lambda _: None,
) -> Tensor:
    """Return generated images (N, C, H, W) in [-1, 1] for what is known of the originals, likewise; not yet blended.

    Of `candidates` latents those whose images fit best are the `starts`; all are tried for a few steps, and the search
    goes on from the best of them (successive halving, Jamieson & Talwalkar 2016, arXiv:1502.07943, in one round).
    `prior` is that of the loss that D was trained with; both networks must be in evaluation mode. `advance` is told of
    steps, of which there are `steps_an_image` for each.
    """
    device, count = originals.device, settings.starts
    latents = draw_latents(settings.candidates, generator.latent_dim, random, generator.latents).to(device)
    classes = None
    if generator.class_names:
        classes = draw_classes(settings.candidates, generator.class_counts, random).to(device)
    known, found, trial = observe(originals, mask), [], settings.steps // TRIAL

    def labels_of(rows: Tensor) -> Tensor | None:
        return None if classes is None else classes[rows]

    def drawn() -> Iterator[tuple[Tensor, Tensor | None]]:
        for rows in torch.arange(settings.candidates).split(at_a_time(BATCH_SIZE, originals)):
            labels = labels_of(rows)
            yield generator(latents[rows], labels), labels

    def realism(found_scores: Tensor) -> Tensor:
        return prior(found_scores, drawn_scores)

    def search(known: Tensor, starts: Tensor, rows: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        labels = labels_of(rows)
        return search_latents(generator, discriminator, known, mask, starts, labels, realism, settings, steps, advance)

    with torch.no_grad():
        fitting = nearest_of(known, (images for images, _ in drawn()), mask, count)  # (N, starts)
        drawn_scores = torch.cat([discriminator(*batch) for batch in drawn()])  # (candidates,)
        for rows in torch.arange(len(originals)).split(max(1, at_a_time(SEARCHED, originals) // count)):
            chosen = fitting[rows].flatten()  # (n * starts,)
            ends, losses = search(known[rows].repeat_interleave(count, 0), latents[chosen], chosen, trial)
            best = losses.view(-1, count).argmin(1) + torch.arange(len(rows), device=device) * count
            ends, _ = search(known[rows], ends[best], chosen[best], settings.steps)
            found.append(generator(ends, labels_of(chosen[best])))
    return torch.cat(found)


def compare_completions(generated: Tensor, originals: Tensor, train: AnyImages, mask: Mask) -> Completion:
    """Blend generated images (N, C, H, W), and the two baselines, with what is known of the originals, likewise.

    The nearest training image is that of the pixels. Nearest in lite0's features of images under the same mask fills
    cat faces worse, 11.7 dB instead of 14.8 in the centre and 11.3 instead of 13.2 on the left, and looks less like the
    original in these features, too.
    """

    def batches() -> Iterable[Tensor]:
        step = at_a_time(BATCH_SIZE, originals)
        for start in range(0, len(train), step):
            yield to_unit_range(torch.from_numpy(np.array(train[start : start + step]))).to(originals.device)

    mean = torch.stack([batch.double().sum(0) for batch in batches()]).sum(0) / len(train)  # (C, H, W)
    nearest = nearest_of(observe(originals, mask), batches(), mask)[:, 0].cpu().numpy()

    def blended(images: Tensor) -> NDArray[np.uint8]:
        return to_pixels(blend(images.to(originals), originals, mask)).cpu().numpy()

    return Completion(
        masked=to_pixels(observe(originals, mask)).cpu().numpy(),
        completed=blended(generated),
        nearest=blended(to_unit_range(torch.from_numpy(train[nearest]))),
        mean=blended(mean.expand_as(originals)),
    )


def completion_figures(completion: Completion, originals: NDArray[np.uint8], mask: Mask) -> dict[str, float]:
    """Return PSNR in dB and L1 in 0..1 on the hidden pixels, means over images, beside those of the baselines."""
    hidden = mask.hidden.cpu().numpy()
    found = {
        name: hidden_psnr(getattr(completion, name), originals, hidden) for name in ("completed", "nearest", "mean")
    }
    l1 = {name: hidden_l1(getattr(completion, name), originals, hidden) for name in found}
    return {
        "l1": float(l1["completed"].mean()),
        "l1_mean_fill": float(l1["mean"].mean()),
        "l1_nearest": float(l1["nearest"].mean()),
        "psnr": float(found["completed"].mean()),
        "psnr_mean_fill": float(found["mean"].mean()),
        "psnr_nearest": float(found["nearest"].mean()),
        "beats_nearest": float((found["completed"] > found["nearest"]).mean()),
    }


def hidden_psnr(
    images: NDArray[np.uint8], originals: NDArray[np.uint8], hidden: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return each image's peak signal-to-noise ratio on its hidden pixels, (N,), in dB, at most 60."""
    return np.minimum(psnr(images, originals, hidden), BEST_PSNR)


def hidden_l1(
    images: NDArray[np.uint8], originals: NDArray[np.uint8], hidden: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return each image's mean absolute error on its hidden pixels, (N,), in 0..1."""
    return np.abs((images.astype(np.float64) - originals)[..., hidden] / 255).mean((1, 2))
