# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Work on fixed buffers, recorded once and repeated: as a CUDA graph, or as it is."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

Work = Callable[[], None]
"""Reads and writes tensors that stay where they are; what it allocates does not outlive it."""
Record = Callable[[Work], Work]
"""Turns work into what repeats it, on the same buffers; the work itself may run."""

WARM_UP = 3
"""Runs before a capture: libraries choose their algorithms and make their handles."""


def run_plainly(work: Work) -> Work:
    """Record nothing, as on a CPU: return the work, after one run of it."""
    work()
    return work


class GraphRecorder:
    """
    Captures work as CUDA graphs, to be used in the thread that records.

    All graphs alive share one memory pool. They may, in any order, because nothing of theirs
    lives in it from one to the next: results are copied to buffers outside.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream | None = None
        self._graphs: weakref.WeakSet[torch.cuda.CUDAGraph] = weakref.WeakSet()

    def record(self, work: Work) -> Work:
        """
        Return the replay of the captured work, which runs on the stream current then.

        :raises RuntimeError: the work cannot be captured: it waits for the device, say, or there
            is no memory for it.
        """
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device)
        side, current = self._stream, torch.cuda.current_stream(self._device)
        # a pool is given up with its last graph, so it is asked for, not kept
        pool = next((graph.pool() for graph in self._graphs), None)
        graph = torch.cuda.CUDAGraph()
        side.wait_stream(current)
        # a capture that fails leaves its stream as the current one: this one sets it back
        try:
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    work()
                _register(graph)
                # other threads' calls are no concern of this capture
                with _workspaces_of_the_pool(), torch.cuda.graph(
                        graph, pool=pool, stream=side, capture_error_mode='thread_local'):
                    work()
        finally:  # after a failure the buffers are freed, and work may still write to them
            current.wait_stream(side)
        self._graphs.add(graph)
        graph.replay()  # a capture runs nothing; the next work may need the results
        return graph.replay


def _register(graph: torch.cuda.CUDAGraph) -> None:
    """
    Leave captures outside inference mode possible, for others, before PyTorch 2.11.

    There the first of all graphs alive makes the tensors of the random numbers' seed, which each
    capture sets: of inference mode, they cannot be set outside it (pytorch #166792).
    """
    if torch.__version__ < (2, 11):
        with torch.inference_mode(False):
            graph.register_generator_state(
                torch.cuda.default_generators[torch.cuda.current_device()])


@contextmanager
def _workspaces_of_the_pool() -> Iterator[None]:
    """
    Have cuBLAS take the workspaces of what is captured within from the pool of its graph.

    PyTorch keeps one per stream, of which graphs hold the address, and from 2.12 on drops those
    of the stream that a graph was captured on with that graph, while others still need them. Made
    in a capture they are of the pool, which lasts as long as any of its graphs.
    """
    # not in PyTorch without CUDA, on which tests simulate it
    clear = getattr(torch._C, '_cuda_clearCublasWorkspaces', lambda: None)
    clear()  # those of the warm-up; a capture first gives unused memory back
    try:
        yield
    finally:
        clear()  # what runs on the stream later must not work in the pool
