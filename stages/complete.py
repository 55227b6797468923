"""Complete images of which a part is missing."""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from ganlib.core.console import progress, run
from ganlib.core.files import rounded, whole_file, whole_folder, write_json
from ganlib.core.images import to_unit_range
from ganlib.core.memory import keep_freed_memory
from ganlib.core.packed import read_meta, read_split, rows_of
from ganlib.core.params import given_path, load_params
from ganlib.core.seeding import pin_arithmetic, random_generator, resolve_device
from ganlib.datasets.decode import Preparation
from ganlib.datasets.depth import Ranges
from ganlib.datasets.masks import make_mask, read_masks
from ganlib.datasets.plain import read_prepared_images
from ganlib.functional.losses import LOSSES
from ganlib.looking.completion import compare_completions, complete, completion_figures, steps_an_image
from ganlib.looking.pictures import labelled_rows, words
from ganlib.looking.served import unserved
from ganlib.networks.families import load_discriminator, load_generator

SHOWN = 10
"""Images in the picture."""
TURNED_OFF = "complete.masks and complete.own_masks name no mask"


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    chosen: Annotated[Path, typer.Argument(help="The judge's list of training images to compare with.")],
    model: Annotated[Path, typer.Argument(help="Folder that publish made.")],
    out: Annotated[Path, typer.Option(help="Folder for an .npz of images for each mask.")],
    metrics: Annotated[Path, typer.Option(help="JSON file for the figures.")],
    picture: Annotated[Path, typer.Option(help="PNG file for some of the images.")],
) -> None:
    """Hide parts of held-out images, or of your own, and let the generator complete them."""
    params = load_params()
    settings, own_masks = params.complete, given_path(params.complete.own_masks)
    absent = unserved("complete", params.game) or (None if settings.masks or own_masks else TURNED_OFF)
    if absent:
        print(f"No completion: {absent}", file=sys.stderr)
        return write_nothing(absent, out, metrics, picture)

    pin_arithmetic(params.threads)
    keep_freed_memory()
    device = resolve_device(params.device)
    meta, train = read_meta(prepared), rows_of(read_split(prepared, "train").images, np.load(chosen))
    preparation = Preparation(meta["image_size"], meta["channels"], params.data.resize, params.data.background)
    preparation = preparation._replace(
        ranges=Ranges(**{kind: tuple(between) for kind, between in meta["deep"].items()})
    )
    own = Path(settings.path).resolve() != prepared.resolve()
    masks = {
        name: make_mask(name, meta["image_size"], random_generator(params.seed, f"complete/mask/{name}"))
        for name in settings.masks
    }
    if own_masks:
        masks |= read_masks(own_masks, meta["image_size"], settings.masks)
    if own:
        pixels = read_prepared_images(Path(settings.path), preparation, settings.images)
    else:
        heldout = read_split(prepared, "heldout").images
        order = torch.randperm(len(heldout), generator=random_generator(params.seed, "complete/images"))
        pixels = heldout[order[: settings.images].numpy()]
    originals = to_unit_range(torch.from_numpy(pixels)).to(device)
    generator, discriminator = load_generator(model).to(device), load_discriminator(model).to(device)
    prior, figures, groups = LOSSES[params.loss.name].prior, {}, [{"original": pixels[:SHOWN]}]
    total = len(masks) * len(pixels) * steps_an_image(settings)
    with whole_folder(out) as folder, progress(total=total, desc="complete", unit="step") as bar:
        for name, mask in masks.items():
            bar.set_postfix(mask=name, refresh=False)
            mask = mask._replace(hidden=mask.hidden.to(device))
            random = random_generator(params.seed, "complete/candidates")
            generated = complete(generator, discriminator, originals, mask, prior, settings, random, bar.update)
            completion = compare_completions(generated, originals, train, mask)
            hidden, images = mask.hidden.cpu().numpy(), completion._asdict()
            np.savez(folder / f"{name}.npz", original=pixels, hidden=hidden, **images)
            figures[name] = rounded(completion_figures(completion, pixels, mask))
            shown = {f"mask {name}": completion.masked, "completed": completion.completed}
            shown["nearest"] = completion.nearest
            groups.append({label: images[:SHOWN] for label, images in shown.items()})
    source = "own images" if own else "held-out"
    write_json(metrics, {"images": len(pixels), "masks": figures, "source": source})
    with whole_file(picture) as partial:
        labelled_rows(groups).save(partial)


def write_nothing(absent: str, out: Path, metrics: Path, picture: Path) -> None:
    """Write what the pipeline expects of completion, and in it why there is none."""
    with whole_folder(out):
        pass
    write_json(metrics, {"absent": absent, "images": 0, "masks": {}})
    with whole_file(picture) as partial:
        words(absent).save(partial)


if __name__ == "__main__":
    run(lambda: typer.run(main))
