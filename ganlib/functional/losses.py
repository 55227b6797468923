"""Adversarial losses: pure functions of logits. D returns logits, so sigmoid and log are one stable softplus.

D's side takes (real_logits, fake_logits, real_labels, fake_labels), all (N,), and returns a scalar; labels are 1 and 0
but for smoothing and flips, and losses without labels leave them aside. G's side takes fake_logits (N,), or, of a
`relative` loss, by how much each lies above a real image's.

The prior is for a search among a trained generator's images (`completion`): it takes D's scores of these, (N,), and of
images drawn at random, (M,), and returns how unreal each is, (N,), in units that do not depend on the training.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from scipy.special import expit, logit, xlogy
from torch import Tensor
from torch.nn.functional import cross_entropy, relu, softplus


class Targets(NamedTuple):
    """What D's targets are drawn from: `draw_targets` draws them, and a loss's limits follow from them."""

    real_low: float
    real_high: float
    """Range of the labels of real images (one-sided label smoothing, Salimans 2016)."""
    flip: float
    """Share of images whose label D is given wrong: 0 for real ones, 1 for fakes."""

    @property
    def real_mean(self) -> float:
        return (self.real_low + self.real_high) / 2 * (1 - self.flip)

    @property
    def mean(self) -> float:
        """Mean over real and fake images, in equal numbers."""
        return (self.real_mean + self.flip) / 2


class Loss(NamedTuple):
    """One game: both sides, and what follows from D's for alarms and charts."""

    discriminator: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    prior: Callable[[Tensor, Tensor], Tensor]
    """Of an image that is searched for: D's scores (N,), and its scores of images drawn, to losses (N,)."""
    labelled: bool
    """Whether labels count, so that they can be smoothed and flipped."""
    smallest_d_loss: Callable[[Targets], float]
    """What D's loss can fall to on average."""
    undecided: Callable[[Targets], float | None]
    """D's best logit where it can't tell real from fake; None if any logit of a range is as good."""
    relative: bool = False
    """Whether only differences of real and fake logits count, in G's side as in D's."""


def cross_entropy_d_loss(real_logits: Tensor, fake_logits: Tensor, real_labels: Tensor, fake_labels: Tensor) -> Tensor:
    """Binary cross-entropy of D (Goodfellow 2014)."""

    def entropy(logits: Tensor, labels: Tensor) -> Tensor:
        return (labels * softplus(-logits) + (1 - labels) * softplus(logits)).mean()  # softplus(-x) = -log D(x)

    return entropy(real_logits, real_labels) + entropy(fake_logits, fake_labels)


def nonsaturating_g_loss(fake_logits: Tensor) -> Tensor:
    """-log D(G(z)): what Goodfellow 2014 proposes against vanishing gradients."""
    return softplus(-fake_logits).mean()


def minimax_g_loss(fake_logits: Tensor) -> Tensor:
    """log(1 - D(G(z))): the game of Goodfellow 2014's algorithm 1, which saturates when D is sure."""
    return -softplus(fake_logits).mean()


def boundary_g_loss(fake_logits: Tensor) -> Tensor:
    """Half the square of log D - log(1 - D), the logit: fakes are pulled to where D = 1/2, from either side.

    BGAN for continuous data (Hjelm et al. 2017, arXiv:1702.08431): G seeks D's decision boundary, and does not run past
    it. It is where labels put it: smoothed ones move it below D(x) = 1/2, and G's aim stays.
    """
    return 0.5 * fake_logits.square().mean()


def least_squares_d_loss(real_logits: Tensor, fake_logits: Tensor, real_labels: Tensor, fake_labels: Tensor) -> Tensor:
    """LSGAN (Mao et al. 2017): logits are pulled to the labels."""
    return 0.5 * ((real_logits - real_labels).square().mean() + (fake_logits - fake_labels).square().mean())


def least_squares_g_loss(fake_logits: Tensor) -> Tensor:
    """LSGAN's generator (Mao et al. 2017): fake logits are pulled to 1."""
    return 0.5 * (fake_logits - 1).square().mean()


def hinge_d_loss(real_logits: Tensor, fake_logits: Tensor, real_labels: Tensor, fake_labels: Tensor) -> Tensor:
    """Hinge loss (Lim & Ye 2017)."""
    return relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()


def wasserstein_d_loss(real_logits: Tensor, fake_logits: Tensor, real_labels: Tensor, fake_labels: Tensor) -> Tensor:
    """Negative Wasserstein estimate of the critic (Arjovsky et al. 2017)."""
    return fake_logits.mean() - real_logits.mean()


def relativistic_d_loss(real_logits: Tensor, fake_logits: Tensor, real_labels: Tensor, fake_labels: Tensor) -> Tensor:
    """-log sigmoid(D(x) - D(G(z))): each real image is to be more real than the fake beside it.

    Relativistic GAN (Jolicoeur-Martineau 2018, arXiv:1807.00734), in pairs; G's side is `nonsaturating_g_loss` of the
    opposite difference. With R1 and R2 it is the game of R3GAN (Huang et al. 2024, arXiv:2501.05441).
    """
    return softplus(fake_logits - real_logits).mean()


def mean_g_loss(fake_logits: Tensor) -> Tensor:
    """-D(G(z)): the generator's side of the hinge (Lim & Ye 2017) and Wasserstein losses."""
    return -fake_logits.mean()


def smallest_cross_entropy(targets: Targets) -> float:
    """Return the entropies of both sides' mean labels: cross-entropy where D(x) is the mean label."""
    labels = targets.real_mean, targets.flip
    return sum(float(-xlogy(label, label) - xlogy(1 - label, 1 - label)) for label in labels)


def smallest_least_squares(targets: Targets) -> float:
    """Return half the variances of both sides' labels, which are what no logit can explain."""
    low, high, flip = targets
    mean_square = (low**2 + low * high + high**2) / 3 * (1 - flip)
    return 0.5 * (mean_square - targets.real_mean**2 + flip * (1 - flip))


def cross_entropy_prior(scores: Tensor, drawn: Tensor) -> Tensor:
    """log(1 - D(x)), as Yeh et al. 2016 have it (arXiv:1607.07539)."""
    return -softplus(scores)


def least_squares_prior(scores: Tensor, drawn: Tensor) -> Tensor:
    """Half the squared distance to 1, the label of real images, as in the generator's loss."""
    return 0.5 * (scores - 1).square()


def hinge_prior(scores: Tensor, drawn: Tensor) -> Tensor:
    """max(0, 1 - D(x)): D's own loss of a real image, which asks for no more than the margin of 1.

    -D(x), as in the generator's loss, would go on paying for a score that training never told from one of 1.
    """
    return relu(1 - scores)


def wasserstein_prior(scores: Tensor, drawn: Tensor) -> Tensor:
    """-D(x) in standard deviations of the drawn images' scores, from their mean.

    Nothing fixes a critic's zero, and its unit is that of its Lipschitz constant, which a clipped critic has anywhere:
    so both are taken from what it says of the generator's own images. Where it says the same of all, it has no say.
    """
    spread = drawn.std(correction=0)
    measurable = spread > 1e-6 * drawn.abs().max()  # else it is rounding
    return (drawn.mean() - scores) / torch.where(measurable, spread, torch.inf)


def relativistic_prior(scores: Tensor, drawn: Tensor) -> Tensor:
    """-log sigmoid of how far D(x) lies above the scores of drawn images, in the mean: G's loss, with these for x."""
    return softplus(drawn - scores[:, None]).mean(1)


CROSS_ENTROPY = Loss(
    cross_entropy_d_loss,
    nonsaturating_g_loss,
    cross_entropy_prior,
    labelled=True,
    smallest_d_loss=smallest_cross_entropy,
    undecided=lambda targets: float(logit(targets.mean)),
)
LOSSES = {
    "nonsaturating": CROSS_ENTROPY,
    "minimax": CROSS_ENTROPY._replace(generator=minimax_g_loss),
    "boundary": CROSS_ENTROPY._replace(generator=boundary_g_loss),
    "least_squares": Loss(
        least_squares_d_loss,
        least_squares_g_loss,
        least_squares_prior,
        labelled=True,
        smallest_d_loss=smallest_least_squares,
        undecided=lambda targets: targets.mean,
    ),
    "hinge": Loss(
        hinge_d_loss,
        mean_g_loss,
        hinge_prior,
        labelled=False,
        smallest_d_loss=lambda _: 0.0,
        undecided=lambda _: None,
    ),
    "wasserstein": Loss(
        wasserstein_d_loss,
        mean_g_loss,
        wasserstein_prior,
        labelled=False,
        smallest_d_loss=lambda _: -math.inf,
        undecided=lambda _: None,
    ),
    "relativistic": Loss(
        relativistic_d_loss,
        nonsaturating_g_loss,
        relativistic_prior,
        labelled=False,
        smallest_d_loss=lambda _: 0.0,
        undecided=lambda _: None,
        relative=True,
    ),
}


def undecided_probability(name: str, targets: Targets) -> float | None:
    """Return D(x) where D can't tell real from fake, 0.5 without smoothing; None where the loss fixes no level."""
    at = LOSSES[name].undecided(targets)
    return None if at is None else float(expit(at))


def class_loss(class_logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of class logits (N, classes) and labels (N,): ACGAN (Odena 2017, arXiv:1610.09585).

    In D's loss of real and of fake images, in G's of fake ones: both networks want classes to be told.
    """
    return cross_entropy(class_logits, labels)


def zero_centred_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Return half the mean squared norm of D's gradient at images: R1 at real ones, R2 at fakes.

    R1 keeps D from telling the few real images apart by detail that no generator can match (Mescheder 2018,
    arXiv:1801.04406, which names both). `images` (N, C, H, W) must require a gradient and have led to `logits` (N,).
    """
    return 0.5 * _squared_gradient(logits, images).mean()


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor], real_images: Tensor, fake_images: Tensor, shares: Tensor
) -> Tensor:
    """Return the mean squared distance from 1 of the norm of D's gradient between real and fake images.

    WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028), at one point between each pair of (N, C, H, W) images: at
    `shares` (N, 1, 1, 1) of the way to the real one, drawn from 0 to 1.
    """
    between = (shares * real_images + (1 - shares) * fake_images.float()).detach().requires_grad_()
    norm = (_squared_gradient(discriminator(between).float(), between) + 1e-12).sqrt()
    return (norm - 1).square().mean()


def _squared_gradient(logits: Tensor, images: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum((1, 2, 3))  # (N,)
