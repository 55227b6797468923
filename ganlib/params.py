"""The parameters of the pipeline: their types, ranges and meaning, in one place.

`load_params` reads params.yaml as YAML 1.2, in which `2e-4` and `1e-05` are numbers, and refuses what it does not know.
Nothing here imports torch, so that a typo is reported at once.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ganlib.errors import UserError

PARAMS_FILE = Path("params.yaml")


def _refuse_bool_and_text(value: Any) -> Any:
    # Pydantic would take `yes` for 1 and "2e-4" for a number; in a params file both are mistakes.
    if isinstance(value, (bool, str)):
        raise ValueError("must be a number")
    return value


Int = Annotated[int, BeforeValidator(_refuse_bool_and_text)]
Float = Annotated[float, BeforeValidator(_refuse_bool_and_text), Field(allow_inf_nan=False)]


class Section(BaseModel):
    """A group of parameters: every key is required, unknown ones are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class DataParams(Section):
    dataset: Literal["digits"]
    """Images to learn: `digits` are the 1,797 handwritten digits that ship inside scikit-learn."""
    image_size: Annotated[Int, Field(ge=8, le=256)]
    """Height and width of the prepared images, in pixels."""
    channels: Literal[1, 3]
    """1 for grey, 3 for colour."""
    heldout: Annotated[Float, Field(ge=0.05, le=0.8)]
    """Share of the images that training never sees; evaluation compares with them."""


class ModelParams(Section):
    architecture: Literal["dcgan"]
    """`dcgan`: Radford et al. 2015, for image sizes that are powers of two."""
    latent_dim: Annotated[Int, Field(ge=1, le=4096)]
    """Length of the latent vector z, drawn from a standard normal distribution."""
    width: Annotated[Int, Field(ge=4, le=1024)]
    """Channels of the layer nearest the image, in both nets; each deeper layer has twice as many."""


class LossParams(Section):
    name: Literal["nonsaturating", "hinge", "least_squares"]
    """`nonsaturating` (Goodfellow 2014), `hinge` (Lim & Ye 2017), `least_squares` (Mao 2017)."""
    real_label: Annotated[Float, Field(gt=0.5, le=1)]
    """One-sided label smoothing (Salimans 2016): D's target for real images under `nonsaturating`."""
    r1: Annotated[Float, Field(ge=0)]
    """Weight of the R1 gradient penalty on D (Mescheder 2018), in float32; 0 turns it off."""
    r1_every: Annotated[Int, Field(ge=1)]
    """Steps from one R1 penalty to the next, its weight multiplied by as many (Karras 2020)."""


class TrainParams(Section):
    precision: Literal["auto", "fp32", "bf16"]
    """Arithmetic of the networks; `auto` takes bf16 where the processor computes in it, else fp32."""
    lr_decay_start: Annotated[Float, Field(ge=0, le=1)]
    """Share of the steps after which both learning rates fall linearly to 0; 1 keeps them constant."""
    translation: Annotated[Float, Field(ge=0, le=0.5)]
    """DiffAugment (Zhao 2020): D sees images moved by up to this share of their size; 0 turns it off."""
    ema_halflife: Annotated[Int, Field(ge=0)]
    """Half-life of the generator's moving average, in images seen; 0 publishes the last weights themselves."""
    log_every: Annotated[Int, Field(ge=1)]
    """Steps between two rows of the history."""


class SampleParams(Section):
    count: Annotated[Int, Field(ge=100)]
    """Generated images to evaluate."""
    grid: Annotated[Int, Field(ge=2, le=32)]
    """Rows and columns of the sample grid."""


class EvaluateParams(Section):
    extractor: Literal["judge", "inception"]
    """Features that distances are measured in: the `judge`'s, offline, or `inception`'s, as in published FIDs."""
    inception_weights: str | None
    """File with the weights of pytorch-fid's Inception; null takes torch hub's cache, else a download."""
    judge_epochs: Annotated[Int, Field(ge=1)]
    """Epochs that the judge (the classifier that supplies the features) is trained for."""
    min_judge_accuracy: Annotated[Float, Field(ge=0, le=1)]
    """Held-out accuracy under which the judge's figures are marked as unreliable."""
    neighbours: Annotated[Int, Field(ge=1, le=100)]
    """k of the k-nearest-neighbour manifold: precision, recall, density, coverage, and which image is valid."""
    bins: Annotated[Int, Field(ge=1, le=1000)]
    """Bins of real features that take the place of classes when images have no labels."""
    draws: Annotated[Int, Field(ge=1)]
    """Random draws that the intra-class diversity is averaged over."""
    subsets: Annotated[Int, Field(ge=2)]
    """Random halves of the generated images that the intervals of the headline figures rest on."""


class Params(Section):
    seed: Annotated[Int, Field(ge=0, lt=2**32)]
    """Every random draw comes from this number and the name of what is drawn."""
    lr: Annotated[Float, Field(gt=0, le=1)]
    """Adam's learning rate, of both networks."""
    batch_size: Annotated[Int, Field(ge=2)]
    """Images per training step."""
    steps: Annotated[Int, Field(ge=1)]
    """Training steps: one update of each network."""
    threads: Annotated[Int, Field(ge=1, le=1024)]
    """Processor threads; pinned because another number of threads rounds differently."""
    device: Literal["auto", "cpu", "cuda"]
    """`auto` takes the GPU if there is one."""
    data: DataParams
    model: ModelParams
    loss: LossParams
    train: TrainParams
    sample: SampleParams
    evaluate: EvaluateParams


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check a whole params file; raise UserError with one line per mistake."""
    try:
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's root, or restore it with git") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {_flatten(error)}") from None
    if not isinstance(document, dict):
        raise UserError(f"{path} must hold `key: value` lines")
    try:
        params = Params.model_validate(document)
        _check_together(params)
    except ValidationError as error:
        raise UserError("\n".join(_describe(path, error))) from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    return params


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of params.yaml, for editors."""
    return Params.model_json_schema()


def _check_together(params: Params) -> None:
    size = params.data.image_size
    if params.model.architecture == "dcgan" and size & (size - 1):
        raise ValueError(
            f"data.image_size = {size}: model.architecture dcgan doubles 4 pixels up to the image, "
            "so it must be 8, 16, 32, 64, 128 or 256"
        )


def _describe(path: Path, error: ValidationError) -> Iterator[str]:
    for mistake in error.errors():
        key = ".".join(str(part) for part in mistake["loc"])
        if mistake["type"] == "extra_forbidden":
            yield f"{path}: unknown key {key}{_nearest(mistake['loc'])}"
        elif mistake["type"] == "missing":
            yield f"{path}: {key} is missing"
        else:
            allowed = mistake["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
            yield f"{path}: {key} = {mistake['input']!r}: {allowed}"


def _nearest(location: tuple[int | str, ...]) -> str:
    section: type[BaseModel] = Params
    for part in location[:-1]:
        section = section.model_fields[str(part)].annotation  # pyright: ignore[reportAssignmentType]
    names = list(section.model_fields)
    close = get_close_matches(str(location[-1]), names, n=1)
    prefix = ".".join(str(part) for part in location[:-1])
    if close:
        return f": did you mean {'.'.join(filter(None, [prefix, close[0]]))}?"
    return f": known are {', '.join(names)}"


def _flatten(error: Exception) -> str:
    return " ".join(str(error).split())
