"""A training while it runs: lines, and a page that refreshes itself, beside the same curves as files.

No output depends on it.
"""

import sys
import time
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from ganlib.core.console import progress
from ganlib.core.distributed import rank
from ganlib.core.files import whole_file, write_table
from ganlib.core.images import grid_image, to_pixels
from ganlib.report.parts import Absent, render
from ganlib.report.starved import Starvation
from ganlib.report.training import distance_title, evaluation_charts, film_of, history_charts
from ganlib.training.checkpoint import save_checkpoint
from ganlib.training.results import tables_of
from ganlib.training.state import Training
from ganlib.training.watch import Watch

Images = NDArray[np.uint8]

SECONDS = 15
"""Between two pages, but for evaluations, and between refreshes of the one that is open."""
SHARE = 0.02
"""Of a training's time that its pages may take."""
COLUMNS = 8
"""And rows, of the grid."""


class Reporter:
    """What a training tells on the terminal and its page, and keeps; of several processes only the first does."""

    def __init__(self, folder: Path, steps: int, watch: Watch):
        self.folder, self.live, self.writes = folder, Live(folder / "live", steps, watch), rank() == 0
        self.starvation = Starvation(torch.get_num_threads())
        self.bar = progress(total=steps, desc="train", unit="step", disable=not self.writes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def start(self, training: Training) -> None:
        """Say where a training begins, what is not measured of it, and where its page lies."""
        if absent := self.live.watch.memory_absent:
            self.say(f"Whether D memorises is not measured: {absent}")
        if training.step:
            self.bar.update(training.step)
            self.bar.unpause()  # the rate is that of new steps
            self.say(f"resumed at step {training.step}")
        if self.writes:
            self.live.write(training)
        self.say(f"How it goes: {self.live.folder / 'index.html'}")

    def say(self, message: str) -> None:
        if self.writes:
            self.bar.write(message, file=sys.stderr)

    def show(self, training: Training) -> None:
        """Show the last row of the history."""
        row = training.history[-1]
        self.bar.set_postfix({name: row[name] for name in ("epoch", "d_loss", "g_loss")}, refresh=False)
        self.bar.update(int(row["step"]) - self.bar.n)
        if word := self.starvation.word():
            self.say(word)
        if self.writes:
            self.live.show(training)

    def save(self, training: Training) -> None:
        if self.writes:
            save_checkpoint(self.folder, training.step, training.state())

    def end(self, training: Training) -> None:
        self.live.write(training, ended=True)


class Live:
    """The page of a training: when it is due, and how it is written."""

    def __init__(self, folder: Path, steps: int, watch: Watch):
        self.folder, self.steps, self.watch = folder, steps, watch
        self.due, self.affordable, self.evaluations = 0.0, 0.0, 0

    def show(self, training: Training) -> None:
        """Write the page if it is due: after 15 seconds, or an evaluation, and never so often that it costs much."""
        start, evaluated = time.monotonic(), len(training.evaluations) > self.evaluations
        if start < self.affordable or (start < self.due and not evaluated):
            return
        self.write(training)
        took = time.monotonic() - start
        self.due, self.affordable = start + SECONDS, start + took / SHARE
        self.evaluations = len(training.evaluations)

    def write(self, training: Training, ended: bool = False) -> None:
        """Write index.html, grid.png and the curves as CSV, each whole or not at all."""
        tables, images = tables_of(training), self.draw(training.players.averages["generator"])
        for name, table in tables.items():
            write_table(self.folder / f"{name}.csv", table)
        with whole_file(self.folder / "grid.png") as partial:
            grid_image(images, COLUMNS).save(partial)
        with whole_file(self.folder / "index.html") as partial:
            partial.write_text(render("live.html.jinja", self.sections(training, tables, ended)), encoding="utf-8")

    @torch.inference_mode()
    def draw(self, average: nn.Module) -> Images:
        """Return what the moving average makes of the watch's first latents; this process alone draws."""
        labels = () if self.watch.labels is None else (self.watch.labels[: COLUMNS**2].to(self.watch.device),)
        return to_pixels(average(self.watch.latents[: COLUMNS**2].to(self.watch.device), *labels)).cpu().numpy()

    def sections(self, training: Training, tables: dict[str, pd.DataFrame], ended: bool) -> dict[str, Any]:
        """Gather what the template shows."""
        evaluations = tables["evaluations"] if len(training.evaluations) else Absent("none has been made yet")
        history = tables["history"] if len(training.history) else Absent("no step has been logged yet")
        film, epochs, alarms = Absent("none has been made yet"), training.draws.epochs(), tables["alarms"]
        if not isinstance(evaluations, Absent):
            film = film_of(torch.stack(list(training.progress.values())).numpy(), list(training.progress))
        return {
            "ended": ended,
            "seconds": SECONDS,
            "steps": (training.step, self.steps),
            "epochs": (epochs, epochs / max(1, training.step) * self.steps),
            "distance": "Distance" if isinstance(evaluations, Absent) else distance_title(evaluations),
            "charts": history_charts(history, alarms) | evaluation_charts(evaluations, alarms, None),
            "alarms": alarms.to_dict("records"),
            "film": film,
        }
