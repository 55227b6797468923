"""Decode on all cores: order kept, memory bounded, nothing left behind when the parent dies."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from ganlib.core.errors import UserError
from ganlib.datasets.decode import Preparation, Prepared, prepare_chunk
from ganlib.datasets.examples import Example, Rejected

CHUNK_IMAGES = 32
CHUNK_BYTES = 4 * 2**20
"""A chunk that holds file contents is closed at this size."""
MAX_WAITING = 512 * 2**20
"""Bytes of contents that wait for a worker."""

Results = list[Prepared | Rejected]


def prepare_all(
    examples: Iterable[Example | Rejected], preparation: Preparation, workers: int | None = None
) -> Iterator[Prepared | Rejected]:
    """Prepare examples in as many processes as there are cores; the results and their order never depend on that."""
    workers = workers or available_cores()
    if workers == 1:
        for chunk in chunks(examples):
            yield from prepare_chunk(chunk, preparation)
            del chunk  # before the next one is read
        return
    with ProcessPoolExecutor(workers, initializer=_serve_parent) as pool:
        pending: deque[tuple[Future[Results], int]] = deque()
        try:
            for chunk in chunks(examples):
                pending.append((pool.submit(prepare_chunk, chunk, preparation), sum(map(_size, chunk))))
                while len(pending) > 2 * workers or sum(size for _, size in pending) > MAX_WAITING:
                    yield from pending.popleft()[0].result()
            while pending:
                yield from pending.popleft()[0].result()
        except BrokenProcessPool:
            raise UserError("a process that decodes images died: is the memory full?") from None


def chunks(examples: Iterable[Example | Rejected]) -> Iterator[list[Example | Rejected]]:
    chunk: list[Example | Rejected] = []
    size = 0
    for example in examples:
        chunk.append(example)
        size += _size(example)
        if len(chunk) == CHUNK_IMAGES or size > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _size(example: Example | Rejected) -> int:
    return len(example.content) if isinstance(example, Example) and isinstance(example.content, bytes) else 0


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _serve_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends the pool
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A killed parent cannot end its pool, and an idle worker would wait for ever.
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
