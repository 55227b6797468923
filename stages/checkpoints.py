"""List the checkpoints of trainings, remove them, or publish a training that was stopped."""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from ganlib.core.console import run
from ganlib.core.errors import UserError
from ganlib.core.files import read_json, whole_folder
from ganlib.core.schema import Params
from ganlib.training.checkpoint import RUN, checkpoint_folder, checkpoints_in, load_checkpoint, step_of
from ganlib.training.game import game_of
from ganlib.training.publish import describe, publish_end
from ganlib.training.results import best_evaluation, save_end

app = typer.Typer(help=__doc__)
Folder = Annotated[Path, typer.Option(help="Folder of all checkpoints.", envvar="GAN_CHECKPOINTS")]
DAY = 86400
PAIRS = "pairs"
"""Section of params that only trainings of two domains have."""


@app.command("list")
def show(checkpoints: Folder = Path("checkpoints")) -> None:
    """List trainings, the latest last: key, step, days since, MB, and what was trained."""
    for folder in trainings(checkpoints):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
        kept, params = checkpoints_in(folder), read_json(folder / RUN)["params"]
        step = f"step {step_of(kept[-1]):>7,}" if kept else "no step yet "
        told = f"{params['game']} {what_of(params)}, lr {params['lr']}"
        print(f"{folder.name}  {step}  {age_of(folder) / DAY:5.1f} days  {size:7.1f} MB  {told}")


@app.command()
def remove(
    keys: Annotated[list[str] | None, typer.Argument(help="Trainings to remove, by key.")] = None,
    older: Annotated[float | None, typer.Option(min=0, help="Remove those not written to for so many days.")] = None,
    checkpoints: Folder = Path("checkpoints"),
) -> None:
    """Remove trainings by key, or all of an age; one that runs is refused."""
    known = {folder.name: folder for folder in trainings(checkpoints)}
    if not keys and older is None:
        raise UserError("name the keys to remove, or an age: --older 30")
    if unknown := [key for key in keys or () if key not in known]:
        raise UserError(f"{checkpoints} has no training {', '.join(unknown)}: python -m stages.checkpoints list")
    old = [name for name, folder in known.items() if older is not None and age_of(folder) >= older * DAY]
    for name in dict.fromkeys([*(keys or ()), *old]):
        with checkpoint_folder(known[name]):
            pass  # nobody else holds it
        shutil.rmtree(known[name])
        print(f"removed {known[name]}")


@app.command()
def publish(
    key: Annotated[str, typer.Argument(help="The training, by key.")],
    out: Annotated[Path, typer.Option(help="New folder for the generator and its discriminator.")],
    best: Annotated[bool, typer.Option(help="Its best weights by now, or its last ones.")] = True,
    ema: Annotated[bool, typer.Option(help="The moving average of the generator, or the weights themselves.")] = True,
    checkpoints: Folder = Path("checkpoints"),
) -> None:
    """Publish what a training that was stopped has reached."""
    if out.exists():
        raise UserError(f"{out} is there: name a new folder with --out; data/model is the pipeline's own")
    folder = checkpoints / key
    kept = checkpoints_in(folder)
    state = next((state for path in reversed(kept) if (state := load_checkpoint(path))), None)
    if state is None:
        raise UserError(f"{folder} has no whole checkpoint: python -m stages.checkpoints list")
    players, step, played = state["players"], state["step"], read_json(folder / RUN)
    if PAIRS in played["params"]:
        raise UserError(f"{folder} is of two domains: only a training of params.yaml is published before its end")
    hides = game_of(Params.model_construct(game=played["params"]["game"])).HIDES_LABELS
    if best and state["best"] is not None and not hides:
        players, step = state["best"], int(best_evaluation(state["evaluations"])["step"])
    with TemporaryDirectory() as scratch, whole_folder(out) as model:
        save_end(Path(scratch) / "end", players, played["configs"])
        publish_end(Path(scratch) / "end", model, ema)
        end = "best" if players is state["best"] else "stopped"
        describe(model, {"published": end, "published_ema": ema, "published_step": step}, {})
    print(f"Published: {out}, step {step:,}")


def what_of(params: Mapping[str, Any]) -> str:
    """Say in a few words what networks a training has, and of which images."""
    if PAIRS in params:
        pairs = params[PAIRS]
        return f"{pairs['kind']} {pairs['b']['dataset']} {pairs['image_size']} px"
    data = params["data"]
    return f"{params['model']['architecture']} {data['dataset']} {data['image_size']} px"


def trainings(checkpoints: Path) -> list[Path]:
    """Return the folders of trainings, the latest last."""
    found = [path.parent for path in checkpoints.glob(f"*/{RUN}")]
    return sorted(found, key=lambda folder: (-age_of(folder), folder.name))


def age_of(folder: Path) -> float:
    """Return the seconds since a training was last written to."""
    written = [path.stat().st_mtime for path in (folder / RUN, *checkpoints_in(folder))]
    return time.time() - max(written)


if __name__ == "__main__":
    run(app)
