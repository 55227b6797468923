"""Watching a training: how good and how diverse the generator is by now, and the same few images again and again."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ganlib.core.images import to_unit_range
from ganlib.core.packed import Split, evenly, rows_of
from ganlib.core.schema import Shared
from ganlib.core.seeding import random_generator
from ganlib.features.eyes import Extractor, class_names_for
from ganlib.features.judging import BATCH_SIZE, batches, judge_images
from ganlib.functional.latents import draw_classes, draw_latents
from ganlib.metrics.classes import class_table, diversity_figures
from ganlib.metrics.diversity import Labelled
from ganlib.metrics.frechet import Gaussian, fit_gaussian, gaussian_distance
from ganlib.metrics.likeness import mean_psnr
from ganlib.metrics.reference import Reference, among_train, build_reference, into_bins
from ganlib.networks.sampling import generate
from ganlib.training.inputs import Inputs

REAL_IMAGES = 5000
"""Most training images, and most held-out ones, that a training is watched with."""
PROGRESS_IMAGES = 32
"""Images of fixed latents that are kept of each evaluation."""
MEMORY_IMAGES = (100, 1000)
"""Fewest and most held-out images that D's memory is measured with."""
NEIGHBOURS = 5
BINS = 10

Images = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What the evaluations of one training have in common, so that only the generator differs."""

    extractor: Extractor
    reference: Reference
    heldout: Gaussian
    """Fitted to the held-out images: distances to what training never sees choose the best weights."""
    heldout_judged: Gaussian
    """The same in the judge's features, which have no say where another extractor watches."""
    latents: torch.Tensor
    """(count, latent_dim); for a game of two domains images of A, (count, C, H, W) in [-1, 1]."""
    labels: torch.Tensor | None
    """(count,), for a conditional generator; (count, L), word numbers of captions, for one that is told them."""
    seen: Images
    """(n, C, H, W), at most 1,000 training images."""
    unseen: Images
    """(m, C, H, W), as many held-out ones: a D that has memorised the others tells both apart."""
    truth: Images | None
    """Partners in B of the images of A, if they have any."""
    translates: bool
    """Whether images are made of images of A."""
    real: Split
    """All held-out images, for figures of the game's own."""
    seed: int
    device: torch.device
    protocol: dict[str, Any]
    """What the figures depend on, by key of metrics."""

    def figures_of(
        self, generator: nn.Module, discriminator: nn.Module | None = None
    ) -> tuple[dict[str, float], Images]:
        """Return the figures of a generator in evaluation mode, and its first images, (n, C, H, W).

        Of an unconditional discriminator, also how far it has memorised the training images.
        """
        images = generate(generator, self.latents, self.device, self.labels)
        fake = into_bins(self.extractor.describe(images, self.device), self.reference.centres)
        random = np.random.default_rng(random_generator(self.seed, "watch/draws").initial_seed())
        valid = among_train(fake, self.reference).valid
        diversity = diversity_figures(class_table(fake.take(valid), self.reference, 1, random), valid)
        likeness = {} if self.truth is None else {"psnr": mean_psnr(images, self.truth)}
        return self.distances_of(images, fake) | {
            "valid": float(valid.mean()),
            "diversity_score": diversity["diversity_score"],
            "classes_covered": diversity["classes_covered"],
            **likeness,
            **self.memorised_by(discriminator, images),
        }, images[:PROGRESS_IMAGES]

    @property
    def memory_absent(self) -> str:
        """Return why D's memory is not measured, or nothing where it is."""
        if self.translates:
            return "the discriminator judges patches, not images"
        if self.labels is not None:
            return "the discriminator is conditional"
        few = len(self.unseen) < MEMORY_IMAGES[0]
        return f"{len(self.unseen)} held-out images are under {MEMORY_IMAGES[0]}" if few else ""

    def memorised_by(self, discriminator: nn.Module | None, fakes: Images) -> dict[str, float]:
        """Return r_v of ADA, arXiv:2006.06676: 0 if D finds held-out images as real as training ones, 1 as generated.

        Nothing where `memory_absent` says so; NaN where D does not tell training images from generated ones.
        """
        if discriminator is None or self.memory_absent:
            return {}
        trained, heldout, made = (
            mean_logit(discriminator, side, self.device) for side in (self.seen, self.unseen, fakes[: MEMORY_IMAGES[1]])
        )
        return {"d_memorises": (trained - heldout) / (trained - made) if trained > made else np.nan}

    def distances_of(self, images: Images, fake: Labelled) -> dict[str, float]:
        """Return the distance to held-out images that chooses the best weights, and always the judge's as well."""
        distances = {distance_name(self.extractor): gaussian_distance(fit_gaussian(fake.features), self.heldout)}
        if self.extractor.features is not None and self.extractor.judge:
            judged = fit_gaussian(judge_images(self.extractor.judge, images, self.device).features)
            distances["domain_fid_to_heldout"] = gaussian_distance(judged, self.heldout_judged)
        return distances


@torch.no_grad()
def mean_logit(discriminator: nn.Module, images: Images, device: torch.device) -> float:
    """Return D's mean logit of (N, C, H, W) uint8 images, in evaluation mode; D is left as it was."""
    training = discriminator.training
    discriminator.eval()
    logits = [discriminator(to_unit_range(batch)).flatten().double() for batch in batches(images, BATCH_SIZE, device)]
    discriminator.train(training)
    return float(torch.cat(logits).mean())


def distance_name(extractor: Extractor) -> str:
    """Return the name of the distance to held-out images that chooses the best weights."""
    return f"{extractor.prefix}fid_to_heldout"


def build_watch(inputs: Inputs, params: Shared, device: torch.device) -> Watch:
    """Choose up to 5,000 real images of each split, and draw latents, with labels if there are any."""
    extractor = inputs.extractor
    assert extractor.judge, "the judge stage trains one"
    random = np.random.default_rng(random_generator(params.seed, "watch/real").initial_seed())

    chosen, described = dict[str, NDArray[np.int64]](), dict[str, Labelled]()
    for name, seen in inputs.seen.items():
        chosen[name] = np.sort(random.permutation(len(seen.rows))[:REAL_IMAGES])
        described[name] = seen.described(extractor, rows_of(inputs.real[name], seen.rows), device).take(chosen[name])
    train, heldout = described["train"], described["heldout"]
    judged = inputs.seen["heldout"].judged[chosen["heldout"]]
    rows = {name: seen.rows[chosen[name]] for name, seen in inputs.seen.items()}
    remembered = {name: found[evenly(len(found), MEMORY_IMAGES[1])] for name, found in rows.items()}
    class_names = class_names_for(extractor, inputs.eyes)
    reference = build_reference(train, heldout, class_names, neighbours=NEIGHBOURS, bins=BINS, random=random)
    latent_random = random_generator(params.seed, "watch/latents")
    model, given = inputs.configs["generator"], inputs.given
    count, source = params.train.evaluate_count, inputs.captions if given is None else given
    asked = np.arange(count) if source is None else evenly(len(source), count)
    return Watch(
        extractor=extractor,
        reference=reference,
        heldout=fit_gaussian(heldout.features),
        heldout_judged=fit_gaussian(judged.astype(np.float64)),
        latents=(
            draw_latents(len(asked), model["latent_dim"], latent_random, model["latents"])
            if given is None
            else to_unit_range(torch.from_numpy(np.ascontiguousarray(given[asked])))
        ),
        labels=labels_of(inputs, asked, latent_random),
        seen=inputs.real["train"][remembered["train"]],
        unseen=inputs.real["heldout"][remembered["heldout"]],
        truth=inputs.real["heldout"][asked] if inputs.partners else None,
        translates=given is not None,
        real=Split(inputs.real["heldout"], inputs.heldout_labels),
        seed=params.seed,
        device=device,
        protocol={
            "protocol_train_extractor": inputs.eyes.extractor,
            "protocol_train_generated": len(asked),
            "protocol_train_heldout": len(heldout.features),
        },
    )


def labels_of(inputs: Inputs, asked: NDArray[np.int64], random: torch.Generator) -> torch.Tensor | None:
    """Return what a generator is told of each image, classes or the captions asked for; None where it is nothing."""
    if inputs.captions is not None:
        return torch.from_numpy(inputs.captions[asked].astype(np.int64))
    return draw_classes(len(asked), inputs.class_counts, random) if inputs.class_counts else None
