"""What a game is: who plays, what is drawn, how a step is taken, what is logged. All else is the loop's.

A game is a module of ganlib.games with the names of `Game`. All chance is in `draw`, from named streams, so that a step
is a pure function but for the players: it can be resumed bit for bit, captured as a graph and shared by processes.
"""

import copy
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import nn

from ganlib.core.domains_schema import DomainsParams
from ganlib.core.errors import UserError
from ganlib.core.packed import Split
from ganlib.core.schema import Params
from ganlib.core.seeding import random_generator, seeded_weights
from ganlib.networks.sync_norm import synchronise
from ganlib.training.claims import Ablation, Claim, Findings, Subject, Translated


@dataclass(frozen=True, kw_only=True)
class Players:
    """Everything that training changes."""

    networks: Mapping[str, Any]
    """Modules by name."""
    averages: Mapping[str, Any]
    """Moving averages of some of them, by the same names, in evaluation mode."""
    optimizers: Mapping[str, torch.optim.Optimizer]
    """By team."""

    def state(self) -> dict[str, Any]:
        """Return the state of networks, averages and optimisers; it changes with them."""
        return {kind: {name: part.state_dict() for name, part in parts.items()} for kind, parts in self._kinds()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a state, which stays as it is whatever is trained next."""
        for kind, parts in self._kinds():
            for name, part in parts.items():  # optimisers would keep the given tensors themselves, and change them
                part.load_state_dict(copy.deepcopy(state[kind][name]))

    def _kinds(self) -> list[tuple[str, Mapping[str, Any]]]:
        return [("networks", self.networks), ("averages", self.averages), ("optimizers", self.optimizers)]


class BatchOrder:
    """Indices of whole batches for ever, each epoch in a new random order; a short last batch is left out."""

    def __init__(self, count: int, batch_size: int, random: torch.Generator):
        if count < batch_size:
            raise UserError(f"batch_size = {batch_size}: there are only {count} training images")
        self.count, self.batch_size, self.random = count, batch_size, random
        self.epoch = torch.empty(0, dtype=torch.int64)
        self.position = 0
        self.epochs = 0
        """Orders drawn."""

    def next_batch(self) -> torch.Tensor:
        """Return (batch_size,) indices."""
        if self.position + self.batch_size > len(self.epoch):
            self.epoch, self.position = torch.randperm(self.count, generator=self.random), 0
            self.epochs += 1
        self.position += self.batch_size
        return self.epoch[self.position - self.batch_size : self.position]

    def coming(self, count: int) -> list[torch.Tensor]:
        """Return the next `count` batches, but for those of an order that is still to be drawn."""
        whole = self.epoch[self.position :].split(self.batch_size)[:count]
        return [batch for batch in whole if len(batch) == self.batch_size]


class Draws:
    """Where a training's chance comes from: streams by name, each made when it is first asked for."""

    def __init__(self, seed: int):
        self.seed = seed
        self.streams: dict[str, torch.Generator] = {}
        self.orders: dict[str, BatchOrder] = {}

    def stream(self, name: str) -> torch.Generator:
        if name not in self.streams:
            self.streams[name] = random_generator(self.seed, f"train/{name}")
        return self.streams[name]

    def order(self, count: int, batch_size: int, name: str = "order") -> BatchOrder:
        """Return the order in which `count` images are seen; each name has its own epochs."""
        if name not in self.orders:
            self.orders[name] = BatchOrder(count, batch_size, self.stream(name))
        return self.orders[name]

    def coming(self, count: int) -> list[torch.Tensor]:
        """Return the next `count` batches of each order, as far as they are drawn."""
        return [batch for order in self.orders.values() for batch in order.coming(count)]

    def epochs(self) -> float:
        """Return how many times the images have been seen, in the order that has come furthest."""
        whole = (order.epochs - 1 + order.position / order.count for order in self.orders.values() if order.epochs)
        return max(whole, default=0.0)

    def state(self) -> dict[str, Any]:
        orders = {name: (o.count, o.batch_size, o.epoch, o.position, o.epochs) for name, o in self.orders.items()}
        return {"streams": {name: random.get_state() for name, random in self.streams.items()}, "orders": orders}

    def load(self, state: Mapping[str, Any]) -> None:
        for name, bits in state["streams"].items():
            self.stream(name).set_state(bits)
        for name, (count, batch_size, epoch, position, epochs) in state["orders"].items():
            order = self.order(count, batch_size, name)
            order.epoch, order.position, order.epochs = epoch, position, epochs


class Limits(NamedTuple):
    """What a game's losses say by themselves; None where they say nothing."""

    smallest_d_loss: float | None = None
    """What D's loss can fall to."""
    undecided: float | None = None
    """D(x) where D can't tell real from fake."""


class Game(Protocol):
    """What the loop asks of a module of ganlib.games; pyright holds each of them to it. `params` are its pipeline's."""

    @property
    def BUILDERS(self) -> Mapping[str, Callable[..., nn.Module]]:  # noqa: N802
        """What builds each network of its configuration, in the order in which weights are drawn."""
        ...

    @property
    def TEAMS(self) -> Mapping[str, Sequence[str]]:  # noqa: N802
        """The networks that each optimiser moves, by team; a network may be in two. Team d has a learning rate."""
        ...

    @property
    def AVERAGED(self) -> Sequence[str]:  # noqa: N802
        """Networks that have a moving average. `generator` makes the images that are watched and published."""
        ...

    @property
    def DIMS(self) -> Mapping[str, int | None]:  # noqa: N802
        """Dimension of a batch's fields that counts images, where it is not the first; None: all processes need all."""
        ...

    @property
    def HIDES_LABELS(self) -> bool:  # noqa: N802
        """Whether labels that the judge knows are hidden from the game: what the judge says then chooses no weights."""
        ...

    def configs(self, params: Any, meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return what rebuilds each network, for data of this meta.json; raise UserError where they don't fit."""
        ...

    def shown(self, data: dict[str, Any], params: Any) -> dict[str, Any]:
        """Return what training may see of the training `images`, and `labels` (N,) if there are any: `images` at least.

        Of these `images[rows]` are (n, C, H, W) uint8 on the device, and `len(images)` is N.
        Raise UserError where the game can't play with them.
        """
        ...

    def recipe(self, params: Any, device: torch.device) -> Any:
        """Return how steps are taken, but for what changes from step to step."""
        ...

    def recipe_at(self, step: int, recipe: Any, params: Any) -> Any:
        """Return the recipe of one step."""
        ...

    def kind(self, recipe: Any) -> Hashable:
        """Return what tells steps of unlike kernels apart: a CUDA graph is captured of each kind."""
        ...

    def draw(self, data: Mapping[str, Any], draws: Draws, recipe: Any, params: Any) -> Sequence[Any]:
        """Return all batches of a step, NamedTuples of tensors or None.

        `data` is what `shown` has returned.
        """
        ...

    def step(self, players: Players, batches: Sequence[Any], recipe: Any) -> Any:
        """Update the players; return detached tensors. It draws nothing and waits for nothing."""
        ...

    def measure(self, result: Any) -> dict[str, torch.Tensor]:
        """Return scalars to log, `d_loss` and `g_loss` among them, which the alarms read."""
        ...

    def limits(self, params: Any) -> Limits: ...

    def figures(self, players: Players, heldout: Split, device: torch.device) -> dict[str, float]:
        """Return figures of the game's own at an evaluation, to be recorded beside the judge's; they choose nothing."""
        ...


class ProbedGame(Game, Protocol):
    """What the root pipeline asks besides."""

    def probe(self, subject: Subject, params: Any, random: torch.Generator) -> Findings:
        """Return the game's claims about what it has trained, beside their baselines, and what shows them."""
        ...


def game_of(params: Params) -> ProbedGame:
    """Return the module of the game that the parameters name."""
    return cast(ProbedGame, import_module(f"ganlib.games.{params.game}"))


class TranslatingGame(Game, Protocol):
    """What the pipeline of two domains asks besides; `configs` is given the meta.json of both, by `a` and `b`."""

    @property
    def BASELINE(self) -> Ablation:  # noqa: N802
        """What the game is compared with, trained by the same stage."""
        ...

    @property
    def TRANSLATED(self) -> Sequence[str]:  # noqa: N802
        """Splits of A that are translated, held-out images first."""
        ...

    def examine(self, found: Translated, params: Any) -> dict[str, dict[str, float]]:
        """Return figures of the game's own, by who made what they are of: `ours` and `baseline`."""
        ...

    def promises(self, figures: Mapping[str, Mapping[str, float]]) -> list[Claim]:
        """Return the game's claims, of the figures of `ours`, of the `baseline` and of what needs no training."""
        ...


def translating_game_of(params: DomainsParams) -> TranslatingGame:
    """Return the module of the game that the parameters name."""
    return cast(TranslatingGame, import_module(f"ganlib.games.{params.game}"))


def build_networks(game: Game, configs: Mapping[str, Mapping[str, Any]], seed: int) -> dict[str, nn.Module]:
    """Return the networks of these configurations, of the weights that a training of this seed starts with."""
    with seeded_weights(seed, "train/weights"):
        return {name: synchronise(build(**configs[name])) for name, build in game.BUILDERS.items()}


def build_players(
    networks: Mapping[str, nn.Module], game: Game, lr: float, betas: tuple[float, float], device: torch.device
) -> Players:
    """Put networks on the device, with Adam for each team and moving averages of some."""
    for network in networks.values():
        network.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    capturable = device.type == "cuda"  # by a graph
    return Players(
        networks=networks,
        averages={name: copy.deepcopy(networks[name]).requires_grad_(False).eval() for name in game.AVERAGED},
        optimizers={
            team: torch.optim.Adam(
                [weight for name in names for weight in networks[name].parameters()],
                lr,
                betas,
                fused=True,
                capturable=capturable,
            )
            for team, names in game.TEAMS.items()
        },
    )
