"""Write the report."""

from pathlib import Path
from typing import Annotated

import typer

from ganlib.console import run
from ganlib.params import load_params


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    samples: Annotated[Path, typer.Argument(help="Folder that sample made.")],
    metrics: Annotated[Path, typer.Argument(help="JSON file that evaluate made.")],
    classes: Annotated[Path, typer.Argument(help="CSV file of the classes that evaluate made.")],
    history: Annotated[Path, typer.Argument(help="CSV file of the history that evaluate copied.")],
    out: Annotated[Path, typer.Option(help="HTML file to write.")],
) -> None:
    """Put grids, figures, curves and parameters on one page, and print the headline."""
    params = load_params()
    import numpy as np
    import pandas as pd

    from ganlib.datasets.packed import read_meta, read_split
    from ganlib.files import read_json, whole_file
    from ganlib.images import grid_image
    from ganlib.report import charts
    from ganlib.report.page import data_uri, flat, headline, render

    meta, figures = read_meta(prepared), read_json(metrics)
    curves, per_class = pd.read_csv(history), pd.read_csv(classes, dtype={"class": str})
    generated, train = np.load(samples / "grid_images.npy"), read_split(prepared, "train").images
    columns = params.sample.grid
    real = train[np.random.default_rng(params.seed).permutation(len(train))[: len(generated)]]
    page = render(
        meta=meta,
        metrics=figures,
        figures=headline(figures),
        generated_grid=data_uri(grid_image(generated, columns)),
        real_grid=data_uri(grid_image(real, columns)),
        shown=len(generated),
        charts={
            "losses": charts.losses(curves),
            "confidence": charts.confidence(curves),
            "class_histogram": charts.class_histogram(per_class),
        },
        per_class=per_class.to_dict("records"),
        params=params,
        params_rows=flat(params.model_dump()),
    )
    with whole_file(out) as partial:
        partial.write_text(page, encoding="utf-8")
    print(*(f"{figure.name}: {figure.value} ({figure.aside})" for figure in headline(figures)), sep="\n")
    print(f"Report: {out}")


if __name__ == "__main__":
    run(lambda: typer.run(main))
