# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Load the engine and warm it up for the cameras; ROS-free."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ubcn_ros.node.parameters import Settings
from ubcn_ros.node.recovery import error_text
from ubcn_ros.runtime.out_of_memory import free_memory, out_of_memory

Say = Callable[[str], None]
Load = Callable[[Settings, Say], Any]

LARGEST_BATCH = 4
"""Images at a time, at most: each waits for the whole batch, and each count is warmed up."""
_GAIN = 0.05  # of the time of an image, by which a larger batch must be faster
_TRIALS = 3


def load_engine(settings: Settings, progress: Say) -> Any:
    """Load the engine that the settings name; lines of text say what takes long."""
    from ubcn_ros.runtime import Engine  # takes seconds: not before it is needed
    return Engine.load(settings.model, device=settings.device, precision=settings.precision,
                       backend=settings.backend, fused=settings.fused,
                       autotune=settings.autotune, progress=progress,
                       allow_partial=settings.allow_partial_model)


def load_and_warm_up(load: Load, settings: Settings, say: Say) -> tuple[Any, int]:
    """
    Load an engine and warm it up for every batch that the cameras can form.

    :param load: makes the engine of the settings, as `load_engine` does.
    :param say: takes a line of text about what takes long.
    :return: the engine, and how many images it takes at a time, at most: 1 without a warm-up, as
        nothing says then that more suffice, or pay.
    """
    engine = load(settings, say)
    height, width = settings.warm_up_height, settings.warm_up_width
    if not (height and width):
        return engine, 1
    sizes = settings.for_cameras('processing_size')
    return engine, warm_up(engine, [(height, width, size) for size in sizes], say)


def warm_up(engine: Any, sizes: Sequence[tuple[int, int, int]], say: Say) -> int:
    """
    Warm up for every batch that images of these sizes can form.

    :param sizes: height, width and processing size of each camera's images.
    :return: how many images the engine takes at a time, at most: as memory suffices, and as
        each takes less time than in a smaller batch, for all of a batch wait for the last.
    """
    most, largest = min(len(sizes), LARGEST_BATCH), {}
    for size, count in Counter(sizes).items():
        height, width, processing_size = size
        started = time.monotonic()
        wanted = min(count, LARGEST_BATCH)
        found = largest[size] = _warm_up(engine, (height, width), processing_size, wanted, say)
        if found < wanted:
            most = min(most, found)
            _release(engine, size, [found + 1])
        say(f'warmed up for {width} x {height} in {time.monotonic() - started:.1f} s')
    for size, found in largest.items():
        _release(engine, size, range(most + 1, found + 1))
    return most


def warm_up_again(engine: Any, sizes: Sequence[tuple[int, int, int]], say: Say) -> int:
    """Warm up, as ``warm_up``; where memory is short, without what is kept for sizes of before."""
    try:
        return warm_up(engine, sizes, say)
    except Exception as error:
        if not out_of_memory(error):
            raise
    engine.release_all()
    free_memory()
    return warm_up(engine, sizes, say)


def _release(engine: Any, size: tuple[int, int, int], counts: Iterable[int]) -> None:
    """Give back the memory of batches that are not to come."""
    height, width, processing_size = size
    for count in counts:
        engine.release(height, width, count, processing_size)
        free_memory()


def _warm_up(engine: Any, size: tuple[int, int], processing_size: int, most: int, say: Say
             ) -> int:
    """Warm up for one image, two, ... up to the most; return the largest batch that pays."""
    best = float('inf')  # milliseconds for an image
    for count in range(1, most + 1):
        try:
            engine.warm_up(*size, progress=say, count=count, processing_size=processing_size)
            each = _time(engine, size, processing_size, count) if most > 1 else 0.0
            if each > (1 - _GAIN) * best:
                say(f'images are taken {count - 1} at a time: each takes {best:.1f} ms, and in '
                    f'batches of {count} {each:.1f} ms, which is not {100 * _GAIN:.0f} % less')
                return count - 1
            best = each
            continue
        except Exception as error:
            if count == 1 or not out_of_memory(error):
                raise
            reason = error_text(error)
        say(f'memory suffices for {count - 1} of the cameras at a time: {reason}')
        return count - 1
    return most


def _time(engine: Any, size: tuple[int, int], processing_size: int, count: int) -> float:
    """Measure a step; return the milliseconds for an image of a batch."""
    batch = [np.zeros((*size, 3), np.uint8)] * count
    return min(engine.batch(batch, iterations=1, processing_size=processing_size, convergence=0
                            )[0].timings['total'] for _ in range(_TRIALS)) / count
