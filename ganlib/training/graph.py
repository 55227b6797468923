"""The whole step as one CUDA graph, which a GPU repeats without waiting for Python."""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ganlib.training.game import Game, Players


class GraphedStep:
    """A game's step on a GPU: the same kernels on the same numbers, so that both give the same bytes.

    A kind of step, with or without R1, is taken plainly the first time, which makes the optimisers' state and the
    libraries' work space; it is captured the second time and from then on replayed. The optimisers must be capturable.
    A result is overwritten by the next step of its kind. Of several processes, each on its GPU, all capture at the same
    step, since kinds come in one order, and the graph holds NCCL's sums over them too: gradients and batch norms'.
    """

    def __init__(self, game: Game, players: Players, device: torch.device):
        self.game, self.players = game, players
        self.stream = torch.cuda.Stream(device)
        self.rates = [torch.empty((), device=device) for _ in self._groups()]
        self.kinds: dict[Hashable, Captured | None] = {}

    def __call__(self, batches: Sequence[Any], recipe: Any) -> Any:
        kind = self.game.kind(recipe)
        with self._rates_on_device():
            if kind not in self.kinds:
                self.kinds[kind] = None
                return self._step_plainly(batches, recipe)
            captured = self.kinds[kind] or Captured(self.game, self.players, batches, recipe, self.stream)
        self.kinds[kind] = captured
        return captured.replay(batches)

    def _step_plainly(self, batches: Sequence[Any], recipe: Any) -> Any:
        # On the stream that captures, so that backward finds its nodes there.
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            result = self.game.step(self.players, batches, recipe)
        torch.cuda.current_stream().wait_stream(self.stream)
        return result

    @contextmanager
    def _rates_on_device(self) -> Iterator[None]:
        """Let the optimisers read their learning rates from the device, where a graph finds what they are by then."""
        numbers = [group["lr"] for group in self._groups()]
        for group, rate, number in zip(self._groups(), self.rates, numbers, strict=True):
            group["lr"] = rate.fill_(number)
        yield
        for group, number in zip(self._groups(), numbers, strict=True):
            group["lr"] = number

    def _groups(self) -> list[dict[str, float | torch.Tensor]]:
        return [group for optimizer in self.players.optimizers.values() for group in optimizer.param_groups]


class Captured:
    """One kind of step as a graph, with the buffers that it reads from and writes to."""

    def __init__(self, game: Game, players: Players, batches: Sequence[Any], recipe: Any, stream: torch.cuda.Stream):
        self.batches = [
            type(batch)(*(None if tensor is None else tensor.clone() for tensor in batch)) for batch in batches
        ]
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=stream):
            self.result = game.step(players, self.batches, recipe)
        parameters = [parameter for network in players.networks.values() for parameter in network.parameters()]
        self.gradients = [(parameter, parameter.grad) for parameter in parameters]

    def replay(self, batches: Sequence[Any]) -> Any:
        for buffers, batch in zip(self.batches, batches, strict=True):
            for buffer, tensor in zip(buffers, batch, strict=True):
                if buffer is not None and tensor is not None:
                    buffer.copy_(tensor)
        self.graph.replay()
        for parameter, gradient in self.gradients:  # where this kind of step leaves them, for those who measure them
            parameter.grad = gradient
        return self.result
