"""The parameters of the pipeline of two domains: domains/params.schema.json is made of them; bounds as in `schema`."""

from typing import Annotated, Literal

from pydantic import Field

from ganlib.core.fields import Bool, ClassName, Float, Int, PathText, Section, Weight
from ganlib.core.schema import EvaluateParams, NamedSet, Shared, SharedTrainParams


class GivenParams(Section):
    """The images that pairs are made of; for kind `folders` those of domain B."""

    dataset: Literal[NamedSet, "folder"]
    """As `data.dataset` of the root pipeline: `digits` ship inside scikit-learn, `folder` is your own images."""
    path: PathText
    """For `folder`, a folder or a zip or tar of images; for a named set, a folder that has its files; or data/none."""
    classes: Annotated[list[ClassName], Field(min_length=1, max_length=1000)] | None
    """Names of the classes to take; null takes all."""
    limit: Annotated[Int, Field(ge=2, le=10**9)] | None
    """Images to keep at most, chosen by content; null keeps all."""


class PairsParams(Section):
    kind: Literal["edges", "grey", "lowres", "masked", "negative", "worn", "turned", "rendered", "captions", "folders"]
    """How the domains belong together: one is made of the other, as `ganlib/datasets/derive.py` says, A is digits that
    a font draws, A is captions, of templates or of a text file beside each image of a folder, or A is images of another
    folder, of the same names where they are paired."""
    made: Literal["a", "b"]
    """Which domain is made of the other, whose images are given; `a` unless the kind makes one of the other."""
    paired: Bool
    """Whether the partner of each training image of A is among those of B; held-out ones of made kinds always are."""

    a: PathText
    """For `folders`, a folder or a zip or tar of images of domain A; else data/none."""
    b: GivenParams
    image_size: Annotated[Int, Field(ge=8, le=256, multiple_of=4)]
    """Height and width of B, in pixels; networks halve them twice."""
    channels_a: Literal[1, 3]
    """1 for grey, 3 for colour."""
    channels_b: Literal[1, 3]
    """1 for grey, 3 for colour."""
    resize: Literal["crop", "squash", "pad"]
    """As `data.resize` of the root pipeline."""
    background: Annotated[Int, Field(ge=0, le=255)]
    """Grey level that shows through transparent pixels, and that `pad` adds."""
    heldout: Annotated[Float, Field(ge=0.05, le=0.8)]
    """Share of the images that training never sees; evaluation translates them."""
    max_rejected: Annotated[Float, Field(ge=0, le=1)]
    """Share of images that may be damaged or unusable before pairs stops."""
    flip: Bool
    """Whether training mirrors half of the pairs left to right."""
    factor: Literal[2, 4]
    """For `lowres`: how many times smaller A is."""
    mask: Literal["centre", "left", "random"]
    """For `masked`: what is hidden of A, in all images alike."""


class DomainsModelParams(Section):
    translator: Literal["unet", "residual"]
    """pix2pix's generator: a U-Net (Isola 2017), or residual blocks between two halvings (Johnson 2016)."""
    width: Annotated[Int, Field(ge=4, le=1024)]
    """Channels of the layer nearest the image, in all networks; 64 in the papers."""
    depth: Annotated[Int, Field(ge=1, le=8)]
    """Halvings of the U-Net and of the context encoder, as many as the size allows; 8 in Isola 2017 at 256 px."""
    blocks: Annotated[Int, Field(ge=1, le=64)]
    """Residual blocks of SRResNet, 16 in Ledig 2017, of the residual translator, 6 or 9 in Zhu 2017, of stage II."""
    patch_layers: Annotated[Int, Field(ge=1, le=5)]
    """Halvings of the PatchGAN: 3 see patches of 70 pixels (Isola 2017), 2 of 34, 1 of 16."""
    norm: Literal["batch", "instance", "none"]
    """Normalisation in all networks."""


class DomainsLossParams(Section):
    name: Literal["nonsaturating", "least_squares", "hinge", "wasserstein"]
    """As `loss.name` of the root pipeline, the mean taken over patches."""
    r1: Weight
    """Weight of the R1 gradient penalty on D (Mescheder 2018); 0 turns it off."""
    r1_every: Annotated[Int, Field(ge=1, le=10_000)]
    """Steps from one R1 penalty to the next, its weight multiplied by as many."""


class Pix2pixParams(Section):
    """What only game `pix2pix` reads (Isola 2017)."""

    l1: Weight
    """Weight of the distance to the truth, 100 in the paper."""
    adversary: Weight
    """Weight of D's judgement in the generator's loss, 1 in the paper; 0: L1 alone, without D."""


class ContextEncoderParams(Section):
    """What only game `context_encoder` reads (Pathak 2016)."""

    l2: Weight
    """Weight of the squared distance to the truth in the hole, 0.999 in the paper."""
    adversary: Weight
    """Weight of D's judgement in the generator's loss, 0.001 in the paper; 0: L2 alone, without D."""


class SrganParams(Section):
    """What only game `srgan` reads (Ledig 2017)."""

    l2: Weight
    """Weight of the squared distance to the truth; 1 for SRResNet in the paper."""
    features: Weight
    """Weight of the squared distance to the truth in what the judge's last convolution finds; 0.006 of VGG's there."""
    adversary: Weight
    """Weight of D's judgement in the generator's loss, 0.001 in the paper; 0: without D."""
    alone: Annotated[Float, Field(ge=0, le=1)]
    """Share of the steps, from the first, in which SRResNet learns by the distance between pixels alone."""


PoolSize = Annotated[Int, Field(ge=0, le=10**6)]


class CycleganParams(Section):
    """What only game `cyclegan` reads (Zhu 2017)."""

    cycle: Weight
    """Weight of the distance between an image and what comes back of it, 10 in the paper."""
    identity: Weight
    """Weight of what a translator changes of images of its own target, 5 in the paper for paintings; 0 turns it off."""
    pool: PoolSize
    """Translations kept of each domain, half of which stand in for the newest before D; 0: none."""


class DualganParams(Section):
    """What only game `dualgan` reads (Yi 2017)."""

    cycle: Weight
    """Weight of the distance between an image and what comes back of it, 20 to 1000 in the paper."""
    clip: Annotated[Float, Field(gt=0, le=1)]
    """Largest weight of the critics, 0.01 to 0.1 in the paper."""


class SimganParams(Section):
    """What only game `simgan` reads (Shrivastava 2017)."""

    l1: Weight
    """Weight of what the refiner changes of an image; 0 lets it change all."""
    pool: PoolSize
    """Images refined earlier, half of which stand in for the newest before D; 0: none."""


class CoganParams(Section):
    """What only game `cogan` reads (Liu & Tuzel 2016)."""

    latent_dim: Annotated[Int, Field(ge=1, le=4096)]
    """Length of the latent vector that a pair comes of."""
    tied: Bool
    """Whether both domains share all layers of G but the last, and all of D but the first; false: none."""


class CcganParams(Section):
    """What only game `ccgan` reads (Denton 2016)."""

    labels: Annotated[Int, Field(ge=1, le=10**6)]
    """Training images of each class whose label is known; all others are hidden."""
    told: Weight
    """Weight of the labelled images' class loss."""
    adversary: Weight
    """Weight of real and filled images in D's loss, and of D in the generator's; 0: labels alone."""


class TpganParams(Section):
    """What only game `tpgan` reads (after Huang 2017)."""

    l1: Weight
    """Weight of the distance to the truth."""
    symmetry: Weight
    """Weight of the distance to the mirror image, 0.3 of `l1` in the paper: for what is symmetric, like faces."""
    features: Weight
    """Weight of the squared distance to the truth in what the judge's last convolution finds."""
    variation: Weight
    """Weight of the distance between neighbouring pixels, 0.0001 of `l1` in the paper."""
    adversary: Weight
    """Weight of D's judgement in the generator's loss, 0.001 of `l1` in the paper."""


class StackganParams(Section):
    """What only game `stackgan` reads (Zhang 2017)."""

    latent_dim: Annotated[Int, Field(ge=1, le=4096)]
    """Length of the noise that stage I's images are drawn from, 100 in the paper."""
    condition_dim: Annotated[Int, Field(ge=1, le=4096)]
    """Length of what a stage is told of the caption, and of what D reads of it; 128 in the paper."""
    divergence: Weight
    """Weight of how far what G is told lies from standard normal noise, 1 in the paper."""
    mismatched: Bool
    """Whether D learns that real images beside other captions are wrong."""
    alone: Annotated[Float, Field(ge=0, le=1)]
    """Share of the steps, from the first, in which stage I learns; it is then kept, and stage II learns."""


class DomainsGamesParams(Section):
    pix2pix: Pix2pixParams
    context_encoder: ContextEncoderParams
    srgan: SrganParams
    cyclegan: CycleganParams
    dualgan: DualganParams
    simgan: SimganParams
    cogan: CoganParams
    ccgan: CcganParams
    tpgan: TpganParams
    stackgan: StackganParams


class TranslateParams(Section):
    path: PathText
    """Your own images to translate: a folder, zip or tar; data/none for none."""
    derive: Bool
    """Whether they are like B, and A is made of them as in training; false: they are like A."""
    back: Bool
    """Whether own images are of B, and images of A are made of them: for the games that learn both ways."""
    images: Annotated[Int, Field(ge=1, le=100_000)]
    """Of your own images, how many at most."""


OF_LATENTS = ("cogan", "stackgan")
"""Games that translate no images: they draw pairs, or images of captions, from latents."""


class DomainsParams(Shared):
    """The pipeline of two domains: images of B from images of A."""

    game: Literal[
        "pix2pix", "context_encoder", "srgan", "cyclegan", "dualgan", "simgan", "cogan", "ccgan", "tpgan", "stackgan"
    ]
    """Who plays: `pix2pix`, a U-Net against patches (Isola 2017).

    `context_encoder`: a hole is filled (Pathak 2016). `srgan`: more pixels (Ledig 2017). `ccgan`: few
    labels and holes (Denton 2016). `tpgan`: seen from the front (after Huang 2017). `stackgan`: captions become images
    (Zhang 2017). Without partners: `cyclegan`,
    there and back again (Zhu 2017), `dualgan`, the same with critics (Yi 2017), `simgan`, synthetic images refined
    (Shrivastava 2017), and `cogan`, pairs drawn from latents (Liu & Tuzel 2016).
    """
    pairs: PairsParams
    model: DomainsModelParams
    loss: DomainsLossParams
    games: DomainsGamesParams
    train: SharedTrainParams
    translate: TranslateParams
    evaluate: EvaluateParams

    @property
    def partners(self) -> bool:
        """Whether what is made of held-out images has partners among those of B, in the same order."""
        held = self.pairs.paired or self.pairs.kind not in ("folders", "rendered")
        return held and self.game not in OF_LATENTS
