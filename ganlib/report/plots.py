"""DVC's page of plots for machines without a network: Vega lies in it, where DVC writes only its address."""

import re

import vl_convert

SCRIPTS = re.compile(r'(\s*<script src="https?://[^"]*/vega[^"]*"></script>)+')
"""What DVC writes where the page is to load Vega, Vega-Lite and Vega-Embed."""
VERSION = "v5.21"
"""Of Vega-Lite: DVC's templates are of its fifth."""
BESIDE = (
    "<style>body > div { display: inline-block; vertical-align: top; margin: 4px } img { max-width: 560px }</style>"
)
"""Plots and pictures stand side by side where there is room, so the real images beside the generated ones."""


def inlined(page: str) -> str:
    """Return a page that DVC has written with Vega in it; raise ValueError if it loads none."""
    # The default snippet, which the package's types don't know, is what puts vegaEmbed where DVC's scripts look for it.
    bundle = vl_convert.javascript_bundle(vl_version=VERSION)  # pyright: ignore[reportCallIssue]
    found, count = SCRIPTS.subn(lambda _: f"\n<script>{bundle}</script>\n{BESIDE}", page)
    if count != 1:
        raise ValueError(f"{count} places, not 1, where DVC loads Vega")
    return found
