"""Games that a way of looking can't serve, and why: its stage then leaves an empty result that carries the reason."""

from collections.abc import Mapping

UNSERVED: Mapping[str, Mapping[str, str]] = {
    "complete": {
        "aae": "the discriminator of game aae judges codes, and nobody how real an image is",
        "bigan": "the discriminator of game bigan judges images beside their codes, which a search has none of",
    },
    "explore": {},
}
"""By stage and game: the reason, to be read after "Absent: "."""


def unserved(stage: str, game: str) -> str | None:
    """Return why a stage can't serve a game; None where it can."""
    return UNSERVED[stage].get(game)
