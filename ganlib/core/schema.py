"""The parameters of the pipeline: their types, ranges and meaning, in one place; params.schema.json is made of them.

Upper bounds lie far above what anybody has published: a slip of the finger is refused at once, not after hours or when
the memory is full.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from ganlib.core.fields import (
    Beta,
    Bool,
    ClassName,
    Float,
    ImageCount,
    Int,
    PathText,
    Section,
    StepCount,
    Weight,
)

MASKS = ("centre", "random", "left", "grid", "lowres")
"""Masks that `complete` knows by name."""

DCGAN_SIZES = sorted(size << doublings for size in range(4, 8) for doublings in range(1, 7) if size << doublings <= 256)
"""Image sizes that 4, 5, 6 or 7 pixels double up to: those of every family but mlp."""


def _refuse_unknown_mask(value: str) -> str:
    if value not in MASKS:
        raise ValueError(f"must be {', '.join(MASKS)}; a PNG of your own goes into complete.own_masks")
    return value


def _refuse_equal(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] == value[1]:
        raise ValueError("black and white must differ")
    return value


MaskName = Annotated[str, AfterValidator(_refuse_unknown_mask)]

NamedSet = Literal[
    "digits",
    "mnist",
    "fashion_mnist",
    "kmnist",
    "emnist",
    "cifar10",
    "cifar100",
    "svhn",
    "stl10",
    "flowers102",
    "oxford_pets_cats",
    "oxford_pets_dogs",
    "celeba",
    "lsun_bedroom",
    "stanford_dogs",
]
"""Sets that are known by name: where they come from is in `torchvision_sets`."""


class DataParams(Section):
    dataset: Literal[NamedSet, "folder", "url"]
    """Images to learn: `digits` ship inside scikit-learn, `folder` and `url` are your own, others are downloaded."""
    path: PathText
    """For `folder`, a folder or a zip or tar of images; for a named set, a folder that has its files; or data/none."""
    url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=500)] | None
    """Zip or tar of images, for `url`."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    """Its sha256, for `url`."""
    classes: Annotated[list[ClassName], Field(min_length=1, max_length=1000)] | None
    """Names of the classes to take; null takes all."""
    limit: Annotated[Int, Field(ge=2, le=10**9)] | None
    """Images to keep at most, chosen by content; null keeps all."""
    image_size: Annotated[Int, Field(ge=8, le=256)]
    """Height and width of the prepared images, in pixels."""
    channels: Literal[1, 3]
    """1 for grey, 3 for colour."""
    resize: Literal["crop", "squash", "pad"]
    """`crop` resizes the shorter side and cuts the centre out, `squash` gives up the aspect, `pad` adds borders."""
    background: Annotated[Int, Field(ge=0, le=255)]
    """Grey level that shows through transparent pixels, and that `pad` adds."""
    deep_range: Annotated[tuple[Float, Float], AfterValidator(_refuse_equal)] | None
    """Values that are black and white in pixels of over 8 bits; null decides it for the whole set."""
    heldout: Annotated[Float, Field(ge=0.05, le=0.8)]
    """Share of the images that training never sees; evaluation compares with them."""
    max_rejected: Annotated[Float, Field(ge=0, le=1)]
    """Share of images that may be damaged or unusable before prepare stops."""
    flip: Bool
    """Whether training mirrors half of the real images left to right."""


MaxWidth = Annotated[Int, Field(ge=4, le=16_384)]


class DcganParams(Section):
    max_width: MaxWidth
    """Most channels of a layer: `width` is doubled up to it, as in StyleGAN."""
    kernel_size: Literal[3, 4, 5]
    """Height and width of the kernels."""
    upsampling: Literal["transposed", "nearest"]
    """How the generator doubles sizes: transposed convolution, or nearest pixels and convolution."""


class MlpParams(Section):
    hidden_layers: Annotated[Int, Field(ge=1, le=16)]
    """Hidden layers of each network; two in Goodfellow 2014."""


class ResnetParams(Section):
    max_width: MaxWidth
    """Most channels of a layer: `width` is doubled up to it."""
    widths: Literal["doubled", "equal"]
    """Channels away from the image: `doubled` with each halving (SNGAN at 128 px), or `equal` (at 32 px)."""


class ModelParams(Section):
    architecture: Literal["dcgan", "mlp", "resnet"]
    """`dcgan`: convolutions (Radford 2015), doubling 4 to 7 pixels. `mlp`: dense layers (Goodfellow 2014).

    `resnet`: SNGAN's residual blocks (Miyato 2018), likewise doubling 4 to 7 pixels. Each has a section of what only it
    knows; all are checked, whichever is chosen.
    """
    latent_dim: Annotated[Int, Field(ge=1, le=4096)]
    """Length of the latent vector z."""
    latents: Literal["normal", "uniform"]
    """Distribution of z: N(0, 1), or uniform in [-1, 1]."""
    width: Annotated[Int, Field(ge=4, le=1024)]
    """Channels of the layer nearest the image, doubled in each deeper one; mlp has 16 times as many units."""
    g_activation: Literal["relu", "leaky_relu", "elu"]
    """Activation in the generator."""
    d_activation: Literal["relu", "leaky_relu", "elu"]
    """Activation in the discriminator."""
    g_norm: Literal["batch", "instance", "none"]
    """Normalisation in the generator, but for its output; mlp takes layer norm for `instance`."""
    d_norm: Literal["batch", "instance", "none"]
    """Normalisation in the discriminator, but for its input."""
    spectral_norm: Bool
    """Whether D's weights are divided by their spectral norm (Miyato 2018)."""
    conditional: Literal["none", "concat", "projection", "auxiliary"]
    """Whether images are asked for by class, which G is told beside z, and how D takes it.

    `concat` joins the class to D's image (CGAN, Mirza 2014), `projection` multiplies its embedding with D's features
    (Miyato & Koyama 2018), `auxiliary` lets D guess it (ACGAN, Odena 2017).
    """
    dcgan: DcganParams
    mlp: MlpParams
    resnet: ResnetParams


LabelledLoss = Literal["nonsaturating", "minimax", "boundary", "least_squares"]
"""Losses that pull logits towards labels, which can be smoothed and flipped."""
CriticLoss = Literal["hinge", "wasserstein", "relativistic"]
"""Losses that know no labels."""


class LossParams(Section):
    name: Literal[LabelledLoss, CriticLoss]
    """`nonsaturating`, `minimax` (Goodfellow 2014), `boundary` (Hjelm 2017), `least_squares` (Mao 2017), `hinge` (Lim
    2017), `wasserstein`, `relativistic` (Jolicoeur-Martineau 2018, R3GAN's with `r1` and `r2`).
    """
    real_label_low: Annotated[Float, Field(gt=0.5, le=1)]
    """Lower end of D's targets for real images, drawn per image: one-sided label smoothing (Salimans 2016)."""
    real_label_high: Annotated[Float, Field(gt=0.5, le=1)]
    """Upper end of D's targets for real images."""
    label_flip: Annotated[Float, Field(ge=0, lt=0.5)]
    """Share of images whose label D is given wrong, real for fake and fake for real."""
    gradient_penalty: Weight
    """Weight of WGAN-GP's penalty (Gulrajani 2017), 10 in the paper; 0 turns it off."""
    weight_clip: Annotated[Float, Field(ge=0, le=1000)]
    """Largest weight of D (WGAN, Arjovsky 2017), 0.01 in the paper; 0 turns it off."""
    r1: Weight
    """Weight of the R1 gradient penalty on D at real images (Mescheder 2018), never in bf16; 0 turns it off."""
    r2: Weight
    """Weight of the same at fakes, R2, which R3GAN (Huang 2024) adds; 0 turns it off."""
    r1_every: Annotated[Int, Field(ge=1, le=10_000)]
    """Steps from one R1 and R2 penalty to the next, their weights multiplied by as many (Karras 2020)."""
    auxiliary: Annotated[Float, Field(gt=0, le=1e6)]
    """Weight of the class loss in D's and G's, for `model.conditional: auxiliary` (Odena 2017); in D's, for `semi`."""


class SharedTrainParams(Section):
    """What every pipeline's training reads."""

    precision: Literal["auto", "fp32", "bf16"]
    """Arithmetic of the networks; `auto` takes bf16 where the processor computes in it, else fp32 (TF32 on a GPU)."""
    lr_decay_start: Annotated[Float, Field(ge=0, le=1)]
    """Share of the steps after which both learning rates fall linearly to 0; 1 keeps them constant."""
    betas: tuple[Beta, Beta]
    """Adam's decay rates of both networks: 0.5 and 0.999 in Radford 2015, 0 and 0.9 in WGAN-GP and SNGAN."""
    d_lr_ratio: Annotated[Float, Field(gt=0, le=1000)]
    """D's learning rate over G's (two time-scales, Heusel 2017)."""
    ema_halflife: Annotated[Int, Field(ge=0, le=10**9)]
    """Half-life of the generator's moving average, in images seen; 0 takes the last weights themselves."""
    log_every: StepCount
    """Steps between two rows of the history."""
    checkpoint_every: StepCount
    """Steps between two checkpoints, from which a killed run goes on."""
    evaluate_every: StepCount
    """Steps between two evaluations of the moving average by the judge, from which the best weights are chosen."""
    evaluate_count: ImageCount
    """Images made for each of them; with fewer than 100 a class, their diversity is noise."""
    extend: Literal["always", "exact"]
    """When more steps go on from a finished training: always, or where that gives the bytes of one long run."""
    on_collapse: Literal["warn", "stop", "restore_best"]
    """At a collapse: go on, `stop`, or go back to the best weights with half the learning rate, up to three times."""
    distributed: Annotated[Int, Field(ge=1, le=4096)]
    """Processes that train together, each on its part of every batch; their number rounds differently."""


class TrainParams(SharedTrainParams):
    d_steps: Annotated[Int, Field(ge=1, le=100)]
    """Updates of D in a training step, each on a batch of its own."""
    g_steps: Annotated[Int, Field(ge=1, le=100)]
    """Updates of G in a training step, after D's, each with latents of its own."""
    instance_noise: Annotated[Float, Field(ge=0, le=100)]
    """Standard deviation of noise on what D sees, falling to 0 in a straight line over the run (Sonderby 2017)."""
    translation: Annotated[Float, Field(ge=0, le=0.5)]
    """DiffAugment (Zhao 2020): D sees images moved by up to this share of their size; 0 turns it off."""
    cutout: Annotated[Float, Field(ge=0, le=1)]
    """DiffAugment: D sees images with a square of this share of their size blanked (paper: 0.5); 0 turns it off."""
    colour: Annotated[Float, Field(ge=0, le=1)]
    """DiffAugment: D sees other brightness, saturation and contrast, 1 as strong as in the paper; 0 turns it off."""
    start: PathText
    """Folder of a published model whose weights training starts from."""


class PublishParams(Section):
    checkpoint: Literal["best", "final"]
    """Weights that are published: those of the lowest domain FID to held-out images, or the last."""
    ema: Bool
    """Whether the generator is the moving average of its weights, or these themselves."""


class SampleParams(Section):
    precision: Literal["fp32", "bf16"]
    """Arithmetic of the generator; `bf16` rounds pixels otherwise, by a level or two."""
    files: Literal["none", "png", "zip"]
    """Single images besides the packed array: `png` files in a folder, or in a `zip`."""
    count: ImageCount
    """Generated images to evaluate."""
    grid: Annotated[Int, Field(ge=2, le=32)]
    """Rows and columns of the sample grid."""


class EvaluateParams(Section):
    extractor: Literal["auto", "judge", "lite0", "inception", "dinov2"]
    """Features that images are measured in: `auto` is `lite0` for colour and the `judge` for grey.

    `lite0`: EfficientNet-lite0, trained on ImageNet, offline. `judge`: those of the classifier of the judge stage. Both
    also watch the training. `inception`: as in published FIDs; `auto` then watches.
    """
    inception_weights: PathText
    """File with the weights of pytorch-fid's Inception; data/none takes torch hub's cache, else a download."""
    dinov2_weights: PathText
    """File with the weights of DINOv2, as Meta or timm publish them; `dinov2` needs one."""
    reference_images: ImageCount
    """Most real images of each split to train the judge on and to measure with: distances take the square of them.

    They are chosen by content, so that one more image displaces one at most.
    """
    judge_epochs: Annotated[Int, Field(ge=1, le=1000)]
    """Epochs that the judge (the classifier that supplies the features) is trained for."""
    min_judge_accuracy: Annotated[Float, Field(ge=0, le=1)]
    """Held-out accuracy under which the judge's figures are marked as unreliable."""
    neighbours: Annotated[Int, Field(ge=1, le=100)]
    """k of the k-nearest-neighbour manifold: precision, recall, density, coverage, and which image is valid."""
    bins: Annotated[Int, Field(ge=1, le=1000)]
    """Bins of real features that take the place of classes when images have no labels."""
    draws: Annotated[Int, Field(ge=1, le=1000)]
    """Random draws that the intra-class diversity is averaged over."""
    subsets: Annotated[Int, Field(ge=2, le=1000)]
    """Random halves of the generated images that the intervals of the headline figures rest on."""


class ExploreParams(Section):
    rows: Annotated[Int, Field(ge=1, le=32)]
    """Rows of images: pairs of latents to walk between, images whose neighbours are looked up, equations."""
    columns: Annotated[Int, Field(ge=2, le=32)]
    """Images from one latent to the next in a row, and along each side of the plane."""
    neighbours: Annotated[Int, Field(ge=1, le=32)]
    """Nearest training images shown beside each generated one."""
    pool: Annotated[Int, Field(ge=1, le=100_000)]
    """Latents in which the classes are looked for."""
    average: Annotated[Int, Field(ge=1, le=10_000)]
    """Latents of a class that its mean is taken of, those that the judge is surest of; 3 in Radford 2015."""
    stops: Annotated[Int, Field(ge=2, le=1000)]
    """Latents that the animated walk passes before it comes back."""
    frames: Annotated[Int, Field(ge=1, le=1000)]
    """Frames from one of them to the next."""
    frame_ms: Annotated[Int, Field(ge=10, le=60_000)]
    """Milliseconds that a frame is shown."""
    explorer: Annotated[Int, Field(ge=2, le=32)]
    """Images along each side of a plane to drag over, one for each class; between them the page blends."""


class CompleteParams(Section):
    path: PathText
    """Images to complete: a folder, zip or tar, or a .npy array of prepared ones; data/prepared: held-out ones."""
    images: Annotated[Int, Field(ge=1, le=10_000)]
    """Images to complete at most."""
    masks: Annotated[list[MaskName], Field(max_length=len(MASKS))]
    """What to hide: `centre`, `random` (80 %), `left`, `grid`, `lowres`; none, and no own ones, turn completion off."""
    own_masks: PathText
    """More masks: a PNG that is white where it hides, or a folder of such; data/none adds none."""
    candidates: Annotated[Int, Field(ge=1, le=100_000)]
    """Latents drawn, from which the best fitting are where the searches start."""
    starts: Annotated[Int, Field(ge=1, le=1000)]
    """Latents tried for each image, each for a tenth of `steps`; the search goes on from the best."""
    steps: Annotated[Int, Field(ge=0, le=100_000)]
    """Steps of a search."""
    lr: Annotated[Float, Field(gt=0, le=100)]
    """Adam's learning rate in a search, falling to 0."""
    prior_weight: Weight
    """Weight of the prior, how real D finds the image and how likely the latent is, against the L1 to what is known."""


class GanParams(Section):
    """What only game `gan` reads: nothing yet, since all games share `model`, `loss` and `train`."""


class SemiParams(Section):
    """What only game `semi` reads (Salimans 2016, Odena 2016)."""

    labels: Annotated[Int, Field(ge=1, le=10**6)]
    """Training images of each class whose label the game is told; those of the others are hidden from it."""
    feature_matching: Bool
    """Whether G matches the mean of D's features of real images, in the place of deceiving D."""


class AaeParams(Section):
    """What only game `aae` reads (Makhzani 2015)."""

    adversary: Weight
    """Weight of the adversary on the codes, which makes their distribution that of the latents; 0: an autoencoder."""


class BiganParams(Section):
    """What only game `bigan` reads (Donahue 2016): nothing yet."""


class InfoganParams(Section):
    """What only game `infogan` reads (Chen 2016)."""

    categories: Annotated[Int, Field(ge=2, le=100)]
    """Values of the code that is one of several, joined to z."""
    continuous: Annotated[Int, Field(ge=0, le=100)]
    """Codes that are numbers in [-1, 1], joined to z."""
    weight: Weight
    """Weight of the codes' mutual information with the images."""


class VisionAidedParams(Section):
    """What only game `vision_aided` reads (Kumari 2022)."""

    weight: Weight
    """Weight of the eye in G's loss, beside 1 of D."""


class GamesParams(Section):
    gan: GanParams
    semi: SemiParams
    aae: AaeParams
    bigan: BiganParams
    infogan: InfoganParams
    vision_aided: VisionAidedParams


ONLY_MLP_TAKES_ANY_SIZE = {
    "if": {"properties": {"model": {"properties": {"architecture": {"enum": ["dcgan", "resnet"]}}}}},
    "then": {"properties": {"data": {"properties": {"image_size": {"enum": DCGAN_SIZES}}}}},
}
"""For editors, in JSON schema; `params` checks it in words."""


class Shared(Section):
    """What every pipeline's parameters have, whatever it makes images from: all that the loop reads."""

    seed: Annotated[Int, Field(ge=0, lt=2**32)]
    """Every random draw comes from this number and the name of what is drawn."""
    lr: Annotated[Float, Field(gt=0, le=1)]
    """Adam's learning rate, of both networks."""
    batch_size: Annotated[Int, Field(ge=2, le=65_536)]
    """Images per training step."""
    steps: StepCount
    """Training steps: each updates both networks, once or as `train.d_steps` and `g_steps` say."""
    threads: Annotated[Int, Field(ge=1, le=1024)]
    """Processor threads; pinned because another number of threads rounds differently."""
    device: Literal["auto", "cpu", "cuda"]
    """`auto` takes the GPU if there is one."""
    if TYPE_CHECKING:  # each pipeline declares them itself, in its own order, which the report keeps
        game: Any
        train: Any
        evaluate: EvaluateParams


class Params(Shared):
    """The root pipeline: images from latents."""

    model_config = ConfigDict(json_schema_extra=ONLY_MLP_TAKES_ANY_SIZE)

    game: Literal["gan", "semi", "aae", "bigan", "infogan", "vision_aided"]
    """Who plays against whom: `gan`, a generator against a discriminator.

    `semi`: D also classifies, told a few labels (Salimans 2016). `aae`: an autoencoder whose codes an adversary makes
    latents of (Makhzani 2015). `bigan`: D sees images with their latents (Donahue 2016). `infogan`: codes that D can
    read from the image (Chen 2016). `vision_aided`: a second D sees with a net of photographs (Kumari 2022).
    """
    data: DataParams
    model: ModelParams
    loss: LossParams
    games: GamesParams
    train: TrainParams
    publish: PublishParams
    sample: SampleParams
    evaluate: EvaluateParams
    explore: ExploreParams
    complete: CompleteParams
