"""Draw pictures from a model, as many as wanted; no stage of the pipeline, but a tool for its result."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from ganlib.core.console import progress, run
from ganlib.core.errors import UserError
from ganlib.core.seeding import pin_arithmetic, resolve_device
from ganlib.looking.generation import asked_classes, free_path, named_pictures, write_pictures
from ganlib.networks.families import load_generator


def main(
    model: Annotated[Path, typer.Argument(help="Folder that publish made.")],
    count: Annotated[int | None, typer.Option(help="Pictures; 20 if neither this nor --classes is given.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same pictures.")] = 1,
    classes: Annotated[
        str | None, typer.Option(help="How many of each class of a conditional model: cat=5,dog=3.")
    ] = None,
    truncation: Annotated[
        float, typer.Option(help="What latents are multiplied by, up to 1: less is more alike, and often better.")
    ] = 1.0,
    out: Annotated[Path, typer.Option(help="New folder or, of other forms, new file.")] = Path("pictures"),
    form: Annotated[
        Literal["png", "zip", "npy"],
        typer.Option("--format", help="PNG files, a zip of them, or an array (N, C, H, W)."),
    ] = "png",
    grid: Annotated[bool, typer.Option("--grid", help="One picture with all of them.")] = False,
    stretch: Annotated[bool, typer.Option("--stretch", help="Undo data.resize: squash.")] = False,
    threads: Annotated[int, typer.Option(help="Processor threads; another number rounds differently.")] = 1,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes the GPU if there is one.")] = "cpu",
) -> None:
    """Generate pictures; no params.yaml is needed, and nothing is trained."""
    if grid and form != "png":
        raise UserError(f"--grid is one PNG: leave --format {form} out")
    if count is not None and classes is not None:
        raise UserError("--classes says how many: leave --count out")
    if threads < 1:
        raise UserError(f"--threads {threads}: must be 1 or more")
    path, where = free_path(out, "grid" if grid else form), resolve_device(device)
    pin_arithmetic(threads)
    generator = load_generator(model)
    labels = None
    if classes is not None:
        names = asked_classes(classes, generator.class_names)
        count, labels = len(names), generator.indices(names, len(names))
    count = 20 if count is None else count
    if stretch and generator.aspect == 1:
        print("--stretch: the model's images were not squashed, they stay as they are", file=sys.stderr)
    batches = generator.draw(count, seed, labels, truncation, where)
    named = named_pictures(batches, count, generator.class_names, generator.aspect if stretch else 1.0)
    write_pictures(progress(named, desc="generate", total=count, unit="image"), path, "grid" if grid else form)
    print(f"{count} picture{'s' * (count != 1)}: {path}")


if __name__ == "__main__":
    run(lambda: typer.run(main))
