"""The whole step as one CUDA graph, which a GPU repeats without waiting for Python."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from ganlib.training.step import Batch, Gan, Recipe, StepResult, train_step


class GraphedStep:
    """`train_step` on a GPU: the same kernels on the same numbers, so that both give the same bytes.

    A kind of step, with or without R1, is taken plainly the first time, which makes the optimisers' state and the
    libraries' work space; it is captured the second time and from then on replayed. The optimisers must be capturable.
    A result is overwritten by the next step of its kind.
    """

    def __init__(self, gan: Gan, device: torch.device):
        self.gan = gan
        self.stream = torch.cuda.Stream(device)
        self.rates = [torch.empty((), device=device) for _ in self._groups()]
        self.kinds: dict[Recipe, Captured | None] = {}

    def __call__(self, batches: Sequence[Batch], recipe: Recipe) -> StepResult:
        kind = replace(recipe, noise=float(recipe.noise > 0))  # noise is drawn with the batch
        with self._rates_on_device():
            if kind not in self.kinds:
                self.kinds[kind] = None
                return self._step_plainly(batches, recipe)
            captured = self.kinds[kind] or Captured(self.gan, batches, kind, self.stream)
        self.kinds[kind] = captured
        return captured.replay(batches)

    def _step_plainly(self, batches: Sequence[Batch], recipe: Recipe) -> StepResult:
        # On the stream that captures, so that backward finds its nodes there.
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            result = train_step(self.gan, batches, recipe)
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
        return [*self.gan.g_optimizer.param_groups, *self.gan.d_optimizer.param_groups]


class Captured:
    """One kind of step as a graph, with the buffers that it reads from and writes to."""

    def __init__(self, gan: Gan, batches: Sequence[Batch], recipe: Recipe, stream: torch.cuda.Stream):
        self.batches = [Batch(*(None if tensor is None else tensor.clone() for tensor in batch)) for batch in batches]  # pyright: ignore[reportArgumentType]
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=stream):
            self.result = train_step(gan, self.batches, recipe)
        parameters = (*gan.discriminator.parameters(), *gan.generator.parameters())
        self.gradients = [(parameter, parameter.grad) for parameter in parameters]

    def replay(self, batches: Sequence[Batch]) -> StepResult:
        for buffers, batch in zip(self.batches, batches, strict=True):
            for buffer, tensor in zip(buffers, batch, strict=True):
                if buffer is not None and tensor is not None:
                    buffer.copy_(tensor)
        self.graph.replay()
        for parameter, gradient in self.gradients:  # where this kind of step leaves them, for those who measure them
            parameter.grad = gradient
        return self.result
