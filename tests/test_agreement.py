"""Our figures against those of other programs, on the same features."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from ganlib.evaluation.kernel import kernel_distance, mmd
from ganlib.metrics.diversity import vendi_score
from ganlib.metrics.frechet import frechet_distance
from ganlib.metrics.manifold import compare, coverage, density, neighbour_distances, precision, recall
from tests.digits import GENERATORS, describe

Features = NDArray[np.float64]


@pytest.fixture(scope="module", params=["digits", "2,048 dimensions"])
def features(request: pytest.FixtureRequest) -> tuple[Features, Features]:
    """Return features of real and of generated images."""
    if request.param == "digits":
        return describe(GENERATORS["held-out"]()).features, describe(GENERATORS["shifted by 3 px"]()).features
    random = np.random.default_rng(0)
    return random.gamma(1.0, 0.4, (300, 2048)), random.gamma(1.2, 0.4, (250, 2048))


def test_the_frechet_distance_is_that_of_pytorch_fid():
    from pytorch_fid.fid_score import calculate_frechet_distance

    random = np.random.default_rng(0)
    x, y = random.gamma(1.0, 0.4, (300, 64)), random.gamma(1.2, 0.4, (250, 64))
    theirs = calculate_frechet_distance(x.mean(0), np.cov(x.T), y.mean(0), np.cov(y.T))
    assert frechet_distance(x, y) == pytest.approx(theirs, rel=1e-6)


def test_the_kernel_distance_is_that_of_torchmetrics_and_torch_fidelity(features: tuple[Features, Features]):
    metric_kid = pytest.importorskip("torch_fidelity.metric_kid")
    kid = pytest.importorskip("torchmetrics.image.kid")
    real, fake = features
    random = np.random.default_rng(0)
    for _ in range(5):
        x, y = (side[random.choice(len(side), 200, replace=False)] for side in (real, fake))
        ours = mmd(x, y)
        assert ours == pytest.approx(float(kid.poly_mmd(torch.from_numpy(x), torch.from_numpy(y))), rel=1e-6)
        kernels = [a @ b.T / x.shape[1] + 1 for a, b in ((x, x), (x, y), (y, y))]
        assert ours == pytest.approx(metric_kid.mmd2(*(kernel**3 for kernel in kernels)), rel=1e-6)


def test_the_mean_over_subsets_is_that_of_torch_fidelity_for_subsets_of_all(features: tuple[Features, Features]):
    metric_kid = pytest.importorskip("torch_fidelity.metric_kid")
    size = min(map(len, features))
    x, y = (side[:size] for side in features)
    theirs = metric_kid.kid_features_to_metric(
        *(torch.from_numpy(side) for side in (x, y)), kid_subsets=3, kid_subset_size=size, verbose=False
    )
    ours = kernel_distance(x, y, np.random.default_rng(0))
    assert ours.mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)
    assert ours.std == pytest.approx(0, abs=1e-6)


def test_precision_recall_density_and_coverage_are_those_of_prdc(features: tuple[Features, Features]):
    prdc = pytest.importorskip("prdc")
    real, fake = features
    theirs = prdc.compute_prdc(real, fake, nearest_k=5)
    among = compare(fake, real, *(neighbour_distances(side, 5)[:, -1] for side in (fake, real)))
    ours = {"precision": precision(among), "recall": recall(among), "coverage": coverage(among)}
    assert ours == {name: theirs[name] for name in ours}
    assert density(among, 5) == pytest.approx(theirs["density"], rel=1e-12)


def test_the_vendi_score_is_that_of_vendi_score(features: tuple[Features, Features]):
    vendi = pytest.importorskip("vendi_score.vendi")
    x = features[0][:200]
    sigma = float(np.median(pdist(x))) / 2
    kernel = np.exp(-squareform(pdist(x, "sqeuclidean")) / (2 * sigma**2))
    assert vendi_score(x, sigma) == pytest.approx(vendi.score_K(kernel), rel=1e-9)
