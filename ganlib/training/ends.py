"""Which end of a training counts: the networks of the best evaluation, or of the last step."""

from pathlib import Path

from torch import nn

from ganlib.core.weights import load_network
from ganlib.training.game import Game
from ganlib.training.publish import AVERAGE


def end_of(game: Game) -> str:
    """Return `best`, or `final` where what chooses the best knows labels that the game hides."""
    return "final" if game.HIDES_LABELS else "best"


def load_average(training: Path, name: str, game: Game) -> nn.Module:
    """Return the moving average of a network at the end that counts."""
    return load_network(training / end_of(game), name + AVERAGE, game.BUILDERS[name])
