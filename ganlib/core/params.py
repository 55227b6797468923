"""Read the params file of a pipeline, and refuse what it should not hold.

Nothing here imports torch, so that a typo is reported at once.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.nodes import Node, ScalarNode

from ganlib.core.document import read_document, shortened
from ganlib.core.domains_schema import OF_LATENTS, DomainsParams, PairsParams
from ganlib.core.errors import UserError
from ganlib.core.fields import NO_PATH
from ganlib.core.schema import DCGAN_SIZES, LabelledLoss, Params, Shared

PARAMS_FILE, DOMAINS_FILE = Path("params.yaml"), Path("domains/params.yaml")
PIPELINES = Path("dvc.yaml"), Path("domains/dvc.yaml")
MAX_FRAMES = 2000
"""Of the animated walk: all are in memory at once."""
ONE_UPDATE = {"loss.gradient_penalty": 0, "loss.weight_clip": 0, "train.d_steps": 1, "train.g_steps": 1}
NO_IMAGES = {"train.cutout": 0, "train.colour": 0, "train.instance_noise": 0}
OWN_UPDATE = ONE_UPDATE | {"loss.r2": 0}
UNREAD = {"infogan": OWN_UPDATE, "bigan": OWN_UPDATE, "aae": OWN_UPDATE | NO_IMAGES, "vision_aided": ONE_UPDATE}
"""By game: keys that it does not read, since it has one update a step, or an update of D's of its own, or since its D
sees no images, and what turns them off. `train.translation`, which is on as committed, is left aside."""
COMPARE = ("gan", "vision_aided")
"""Games in which D tells the images that G learns from apart from real ones, so that a loss may take the difference."""
STEERED = "the judge, who knows all labels, would steer game {}, which hides them: set it to warn"
MAX_REFUSAL, MAX_LINES = 380, 5
"""Characters and lines about mistakes: what follows from the first ones is no help."""
ONE_SIZE = ("edges", "grey", "negative", "worn", "turned", "rendered", "folders")
KINDS = {
    "pix2pix": ("edges", "grey", "masked", "negative", "worn", "turned", "folders"),
    "context_encoder": ("masked",),
    "srgan": ("lowres",),
    "cyclegan": ONE_SIZE,
    "dualgan": ONE_SIZE,
    "simgan": ONE_SIZE,
    "cogan": ONE_SIZE,
    "ccgan": ("masked",),
    "tpgan": ("turned", "folders"),
    "stackgan": ("captions",),
}
"""Of pairs, those that each game of two domains can learn from."""
NEED_PARTNERS = ("pix2pix", "context_encoder", "srgan", "ccgan", "tpgan", "stackgan")
"""Games that learn from partners; the others learn without."""
TWO_WAYS = ("cyclegan", "dualgan")
"""Games that learn the way back, too."""
SIZES = {"cogan": DCGAN_SIZES, "ccgan": DCGAN_SIZES, "stackgan": [size for size in DCGAN_SIZES if size >= 16]}
"""Image sizes of games whose networks double; StackGAN's stage I has at most half the size."""
ONE_IS_MADE = ("edges", "grey", "negative", "worn", "turned")
"""Kinds either side of which can be made of the other."""

Schema = TypeVar("Schema", bound=Shared)
PlayedParams = TypeVar("PlayedParams", Params, DomainsParams)


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read the root pipeline's parameters."""
    return read_params(path, Params, _check_together)


def load_domains_params(path: Path = DOMAINS_FILE) -> DomainsParams:
    """Read the parameters of the pipeline of two domains."""
    return read_params(path, DomainsParams, _check_domains)


def load_shared(path: Path) -> Shared:
    """Read the parameters of either pipeline: that of two domains has its file in a folder of that name."""
    return load_domains_params(path) if path.parent.name == DOMAINS_FILE.parent.name else load_params(path)


def read_params(path: Path, schema: type[Schema], check: Callable[[Schema], None]) -> Schema:
    """Read and check a whole params file; raise UserError with one line for each of the first mistakes.

    `check` raises ValueError for values that don't go together.
    """
    document, node = read_document(path)
    if not isinstance(document, dict) or not node:
        raise UserError(f"{path} must hold `key: value` lines")
    try:
        params = schema.model_validate(document)
        check(params)
    except ValidationError as error:
        raise UserError(_first(path, _describe(path, node, error, schema))) from None
    except ValueError as error:
        raise UserError(f"{path}: {shortened(str(error), MAX_REFUSAL)}") from None
    return params


def changed(params: PlayedParams, changes: Mapping[str, Any]) -> PlayedParams:
    """Return params of which the section of their own game has changes."""
    section = getattr(params.games, params.game).model_copy(update=dict(changes))
    return params.model_copy(update={"games": params.games.model_copy(update={params.game: section})})


def given_path(value: str) -> Path | None:
    """Return what a parameter names as a path, or None where it stands for no path."""
    return None if Path(value) == Path(NO_PATH) else Path(value)


def check_classes(params: Params, class_names: Sequence[str]) -> None:
    """Raise UserError when a conditional model meets images without labels, or more classes than `sample.count`."""
    if params.model.conditional == "none":
        return
    if not class_names:
        raise UserError(
            f"model.conditional = {params.model.conditional}: the prepared images have no labels; set it to none, or "
            "give images in a subfolder per class"
        )
    check_count(params.sample.count, len(class_names))


def check_count(count: int, classes: int) -> None:
    """Raise UserError when there are fewer samples than classes to ask for."""
    if count < classes:
        raise UserError(f"sample.count = {count}: a conditional model has {classes} classes; raise it to {classes}")


def _check_together(params: Params) -> None:
    size = params.data.image_size
    if params.model.architecture != "mlp" and size not in DCGAN_SIZES:
        sizes = ", ".join(map(str, DCGAN_SIZES))
        raise ValueError(f"data.image_size = {size}: {params.model.architecture} takes {sizes}")
    if params.model.dcgan.upsampling == "nearest" and params.model.dcgan.kernel_size == 4:
        raise ValueError("model.dcgan.kernel_size = 4: upsampling nearest needs a kernel with a centre, 3 or 5")
    if params.game != "gan" and params.model.conditional != "none":
        raise ValueError(f"model.conditional = {params.model.conditional}: game {params.game} takes no classes: none")
    for key, off in UNREAD.get(params.game, {}).items():
        if (value := attrgetter(key)(params)) != off:
            raise ValueError(f"{key} = {value}: game {params.game} does not read it: set it to {off}")
    if params.loss.name == "relativistic" and params.game not in COMPARE:
        raise ValueError(f"loss.name = relativistic: game {params.game} compares no images: set it to another")
    if params.game == "semi" and params.train.on_collapse != "warn":
        raise ValueError(f"train.on_collapse = {params.train.on_collapse}: {STEERED.format(params.game)}")
    if params.loss.gradient_penalty and params.model.d_norm == "batch":
        raise ValueError("loss.gradient_penalty looks at images one by one: set model.d_norm to instance or none")
    if params.loss.name not in get_args(LabelledLoss) and (params.loss.real_label_low < 1 or params.loss.label_flip):
        raise ValueError(
            f"loss.name = {params.loss.name} has no labels: set loss.real_label_low and real_label_high to 1, "
            "loss.label_flip to 0"
        )
    if params.loss.real_label_low > params.loss.real_label_high:
        low, high = params.loss.real_label_low, params.loss.real_label_high
        raise ValueError(f"loss.real_label_low = {low} is over loss.real_label_high = {high}")
    _check_processes(params)
    if params.explore.stops * params.explore.frames > MAX_FRAMES:
        raise ValueError(
            f"explore.frames = {params.explore.frames}: times explore.stops = {params.explore.stops} is over "
            f"{MAX_FRAMES} frames in all: lower one"
        )
    if params.complete.starts > params.complete.candidates:
        raise ValueError(f"complete.starts = {params.complete.starts} is over complete.candidates: lower it")
    if len(set(params.complete.masks)) < len(params.complete.masks):
        raise ValueError(f"complete.masks = {params.complete.masks}: one is named twice: leave it out")
    if given_path(params.complete.path) is None:
        raise ValueError(
            f"complete.path = {NO_PATH}: set it to data/prepared for held-out images, or to your own images"
        )
    if params.data.dataset == "folder" and given_path(params.data.path) is None:
        raise ValueError(
            f"data.path = {params.data.path}: data.dataset folder needs it: set it to a folder, zip or tar of images"
        )
    _check_inputs({"data.path": params.data.path, "train.start": params.train.start})
    if params.data.dataset == "digits" and given_path(params.data.path) is not None:
        raise ValueError(
            f"data.path = {params.data.path}: data.dataset digits reads no path: set data.dataset to folder, or "
            f"data.path to {NO_PATH}"
        )
    for key in ("url", "sha256"):
        if params.data.dataset == "url" and getattr(params.data, key) is None:
            raise ValueError(f"data.{key} is null: data.dataset url needs the archive's address and its sha256")


def _check_domains(params: DomainsParams) -> None:
    pairs, kinds = params.pairs, KINDS[params.game]
    if pairs.kind not in kinds:
        raise ValueError(f"pairs.kind = {pairs.kind}: game {params.game} learns from {', '.join(kinds)}")
    if pairs.paired != (params.game in NEED_PARTNERS):
        learns, value = ("without", "false") if pairs.paired else ("from", "true")
        raise ValueError(
            f"pairs.paired = {str(pairs.paired).lower()}: game {params.game} learns {learns} partners: set it to "
            f"{value}"
        )
    if pairs.made == "b" and pairs.kind not in ONE_IS_MADE:
        raise ValueError(f"pairs.made = b: kind {pairs.kind} does not make B of A: set it to a")
    by_name = (pairs.kind == "folders" and pairs.paired) or (pairs.kind == "captions" and pairs.b.dataset == "folder")
    if by_name and pairs.b.classes:
        raise ValueError(
            f"pairs.b.classes = {pairs.b.classes}: kind {pairs.kind} finds files by their names, and takes all: set it "
            "to null"
        )
    _check_channels(pairs)
    _check_game(params)
    if (params.game == "dualgan") != (params.loss.name == "wasserstein"):
        other = "wasserstein" if params.game == "dualgan" else "another: only dualgan clips what it needs"
        raise ValueError(f"loss.name = {params.loss.name}: game {params.game}: set it to {other}")
    if params.game == "dualgan" and params.loss.r1:
        raise ValueError(f"loss.r1 = {params.loss.r1}: game dualgan does not read it: set it to 0")
    if 0 < (pool := getattr(params.games, params.game).model_dump().get("pool", 0)) < params.batch_size:
        raise ValueError(
            f"games.{params.game}.pool = {pool}: is under batch_size = {params.batch_size}: raise it, or set it to 0"
        )
    if params.game == "ccgan" and params.train.on_collapse != "warn":
        raise ValueError(f"train.on_collapse = {params.train.on_collapse}: {STEERED.format(params.game)}")
    if params.game in OF_LATENTS and given_path(params.translate.path):
        raise ValueError(
            f"translate.path = {params.translate.path}: game {params.game} translates none: set it to {NO_PATH}"
        )
    if params.translate.back and params.game not in TWO_WAYS:
        raise ValueError(f"translate.back = true: game {params.game} learns no way back: set it to false")
    if pairs.kind == "lowres" and pairs.image_size < 4 * pairs.factor:
        raise ValueError(
            f"pairs.image_size = {pairs.image_size}: with pairs.factor {pairs.factor} it must be at least "
            f"{4 * pairs.factor}"
        )
    _check_processes(params)
    for key, path, needed, read in (
        ("pairs.b.path", pairs.b.path, pairs.b.dataset == "folder", pairs.b.dataset != "digits"),
        ("pairs.a", pairs.a, pairs.kind == "folders", pairs.kind == "folders"),
    ):
        if needed and given_path(path) is None:
            raise ValueError(f"{key} = {path}: kind {pairs.kind} needs it: set it to a folder, zip or tar of images")
        if not read and given_path(path):
            other = "pairs.b.dataset to folder" if key == "pairs.b.path" else "pairs.kind to folders"
            raise ValueError(f"{key} = {path}: nothing reads it: set {other}, or {key} to {NO_PATH}")
    if pairs.kind == "folders" and pairs.b.dataset != "folder":
        raise ValueError(f"pairs.b.dataset = {pairs.b.dataset}: kind folders pairs files by name: set it to folder")
    _check_inputs({"pairs.b.path": pairs.b.path, "pairs.a": pairs.a, "translate.path": params.translate.path})


def _check_game(params: DomainsParams) -> None:
    """Raise ValueError where a game can't take images of this size or these channels."""
    pairs, unlike = params.pairs, params.pairs.channels_a != params.pairs.channels_b
    sizes = SIZES.get(params.game, [pairs.image_size])
    if pairs.image_size not in sizes:
        raise ValueError(
            f"pairs.image_size = {pairs.image_size}: game {params.game} takes {', '.join(map(str, sizes))}"
        )
    if params.game == "simgan" and unlike:
        raise ValueError(
            f"pairs.channels_a = {pairs.channels_a}, channels_b = {pairs.channels_b}: game simgan compares refined "
            "images with those that they were: make them equal"
        )
    if params.game == "cyclegan" and params.games.cyclegan.identity and unlike:
        raise ValueError(
            f"games.cyclegan.identity = {params.games.cyclegan.identity:g}: A has {pairs.channels_a} channels and B "
            f"{pairs.channels_b}: set pairs.channels_a and channels_b alike, or it to 0"
        )


def _check_channels(pairs: PairsParams) -> None:
    channels = {"pairs.channels_a": pairs.channels_a, "pairs.channels_b": pairs.channels_b}
    made, given = channels if pairs.made == "a" else reversed(channels)
    if pairs.kind in ONE_IS_MADE and channels[made] > channels[given]:
        raise ValueError(f"{made} = 3: images are made of grey ones: set {given} to 3, or it to 1")
    if pairs.kind == "captions" and pairs.b.dataset != "folder" and pairs.channels_b == 1:
        raise ValueError("pairs.channels_b = 1: captions name colours: set it to 3")
    if pairs.kind == "grey" and channels[made] == channels[given]:
        raise ValueError(f"pairs.kind = grey: makes grey images of colour: set {made} to 1, {given} to 3")
    if pairs.kind in ("lowres", "masked") and pairs.channels_a != pairs.channels_b:
        raise ValueError(
            f"pairs.channels_a = {pairs.channels_a}, channels_b = {pairs.channels_b}: what kind {pairs.kind} leaves of "
            "an image is in its colours: make them equal"
        )


def _check_processes(params: Shared) -> None:
    if params.batch_size % params.train.distributed:
        raise ValueError(
            f"batch_size = {params.batch_size}: train.distributed = {params.train.distributed} must divide it"
        )


def _check_inputs(paths: Mapping[str, str]) -> None:
    """Raise ValueError where a path that is read, by its key, holds what a pipeline makes of it."""
    for key, path in ((key, given_path(value)) for key, value in paths.items()):
        for out in _outputs() if path else ():
            if path and _overlap(path, out):
                raise ValueError(f"{key} = {path}: holds {out}, which the pipeline makes of it: name another folder")


def _outputs() -> list[Path]:
    """Return what the stages of the pipelines make, of those that are here."""
    read = YAML(typ="safe", pure=True).load
    stages = [stage for file in PIPELINES if file.is_file() for stage in read(file)["stages"].values()]
    outs = [out for stage in stages for out in stage.get("outs", ())]
    return [Path(next(iter(out)) if isinstance(out, dict) else out) for out in outs]


def _overlap(one: Path, other: Path) -> bool:
    one, other = one.resolve(), other.resolve()
    return one == other or one in other.parents or other in one.parents


def _first(path: Path, lines: Iterator[str]) -> str:
    """Return as many lines as a reader takes in."""
    told = [shortened(next(lines), MAX_REFUSAL)]
    for line in lines:
        if len(told) == MAX_LINES or sum(map(len, told)) + len(line) > MAX_REFUSAL:
            return "\n".join([*told, f"{path}: there are more mistakes"])
        told.append(line)
    return "\n".join(told)


def _describe(path: Path, root: Node, error: ValidationError, schema: type[BaseModel]) -> Iterator[str]:
    mistakes = error.errors(include_url=False)
    unknown = [mistake["loc"] for mistake in mistakes if mistake["type"] == "extra_forbidden"]
    meant = {_nearest(location, schema) for location in unknown[:50]}
    for mistake in mistakes:
        key = ".".join(shortened(str(part)) for part in mistake["loc"])
        given = shortened(repr(mistake["input"]))
        if mistake["type"] == "extra_forbidden":
            yield f"{path}: unknown key {key}: {_nearest(mistake['loc'], schema)}"
        elif mistake["type"] == "missing":
            if f"did you mean {key}?" not in meant:  # a misspelt key is one mistake, not two
                yield f"{path}: {key} is missing: write it as in the committed file"
        elif mistake["type"] == "string_type" and (written := _written(root, mistake["loc"])):
            yield f"{path}: {key} = {given}: must be text; quote it: {written}"
        else:
            allowed = mistake["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
            yield f"{path}: {key} = {given}: {allowed}{_nearest_choice(mistake)}"


def _written(node: Node | None, location: Sequence[int | str]) -> str | None:
    """Return what a file says at a place, in quotes; None where that is no single value, or null outside a list."""
    for part in location:
        assert node
        named = enumerate(node.value) if isinstance(part, int) else ((key.value, child) for key, child in node.value)
        node = next((child for name, child in named if name == part), None)
        if node is None:
            return None  # merged from elsewhere
    if not isinstance(node, ScalarNode):
        return None
    quoted = json.dumps(node.value, ensure_ascii=False)
    if isinstance(location[-1], int):
        return f"[{quoted}]"
    return None if node.tag.endswith(":null") else quoted


def _nearest(location: tuple[int | str, ...], section: type[BaseModel]) -> str:
    for part in location[:-1]:
        section = section.model_fields[str(part)].annotation  # pyright: ignore[reportAssignmentType]
    names = list(section.model_fields)
    close = get_close_matches(shortened(str(location[-1])), names, n=1)
    prefix = ".".join(str(part) for part in location[:-1])
    if close:
        return f"did you mean {'.'.join(filter(None, [prefix, close[0]]))}?"
    return f"known are {', '.join(names)}" if names else f"{prefix} has no keys"


def _nearest_choice(mistake: Mapping[str, Any]) -> str:
    choices = re.findall(r"'([^']*)'", mistake["msg"]) if mistake["type"] == "literal_error" else []
    close = get_close_matches(shortened(str(mistake["input"])).lower(), choices, n=1)
    return f"; did you mean {close[0]}?" if close else ""
