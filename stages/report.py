"""Write the report, or compare several runs."""

import subprocess
from pathlib import Path
from typing import Annotated

import typer

from ganlib.core.console import run
from ganlib.core.files import whole_file
from ganlib.core.images import grid_image
from ganlib.core.params import load_params
from ganlib.report.comparison import comparison_sections
from ganlib.report.page import page_sections
from ganlib.report.parts import render
from ganlib.report.plots import inlined
from ganlib.report.revisions import read_run

app = typer.Typer(help=__doc__)

SHOWN = 64
"""Pixels that small images of the grid of real ones are enlarged to, as in the grid of generated ones."""


@app.command()
def page(
    prepared: Annotated[Path, typer.Argument(help="Folder that prepare made.")],
    training: Annotated[Path, typer.Argument(help="Folder that train made; its images of progress may be missing.")],
    model: Annotated[Path, typer.Argument(help="Folder that publish made.")],
    samples: Annotated[Path, typer.Argument(help="Folder that sample made.")],
    exploration: Annotated[Path, typer.Argument(help="Folder that explore made; it may be missing.")],
    completion: Annotated[Path, typer.Argument(help="Folder that complete made; it may be missing.")],
    metrics: Annotated[Path, typer.Argument(help="Folder of figures and curves; any may be missing.")],
    out: Annotated[Path, typer.Option(help="HTML file to write.")],
    markdown: Annotated[Path, typer.Option(help="Markdown file to write, for pull requests.")],
    real: Annotated[Path, typer.Option(help="PNG file for the real images that stand beside the generated ones.")],
    lock: Annotated[Path, typer.Option(help="DVC's lock file, which knows the hashes of the inputs.")],
) -> None:
    """Put images, figures, curves and parameters on one page, and print the headline."""
    params = load_params()

    sections = page_sections(
        params,
        prepared=prepared,
        training=training,
        model=model,
        samples=samples,
        exploration=exploration,
        completion=completion,
        metrics=metrics,
        lock=lock,
    )
    for path, template in ((out, "page.html.jinja"), (markdown, "report.md.jinja")):
        with whole_file(path) as partial:
            partial.write_text(render(template, sections), encoding="utf-8")
    pixels = sections["real_images"]
    with whole_file(real) as partial:
        grid_image(pixels, params.sample.grid, max(1, SHOWN // pixels.shape[2])).save(partial)
    for figure in sections["headline"]:
        print(f"{figure.title}: {figure.value} ({'; '.join(filter(None, [figure.interval, figure.against]))})")
    print(f"Report: {out}")


@app.command()
def compare(
    revisions: Annotated[list[str], typer.Argument(help="Commits, branches, tags, experiments, or `workspace`.")],
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report/compare.html"),
) -> None:
    """Set several runs side by side; only figures of one protocol are ranked."""
    sections = comparison_sections([read_run(name) for name in dict.fromkeys(revisions)])
    with whole_file(out) as partial:
        partial.write_text(render("compare.html.jinja", sections), encoding="utf-8")
    if sections["unlike"]:
        print(f"Ranked only among like protocols; these differ: {', '.join(sections['unlike'])}")
    print(f"Comparison: {out}")


@app.command()
def plots(
    revisions: Annotated[list[str] | None, typer.Argument(help="Commits, branches, tags, experiments to draw.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the page, and the pictures beside it.")] = Path("dvc_plots"),
) -> None:
    """Write DVC's page of plots so that it needs no network: of the workspace, or of several revisions."""
    what = ["diff", *revisions] if revisions else ["show"]
    if (done := subprocess.run(["dvc", "plots", *what, "--out", str(out)])).returncode:
        raise SystemExit(done.returncode)
    page = out / "index.html"
    with whole_file(page) as partial:
        partial.write_text(inlined(page.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"Needs no network: {page}")


if __name__ == "__main__":
    run(app)
