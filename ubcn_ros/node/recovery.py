# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Go on, with fewer steps or without a frame, where the engine fails on it; ROS-free."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ubcn_ros.runtime.lost_gpu import gpu_lost
from ubcn_ros.runtime.out_of_memory import (
    bare,
    free_memory,
    infer_freeing_memory,
    out_of_memory,
)


def error_text(error: BaseException) -> str:
    """
    Return an error's text in one line, with its type where the text alone says little.

    Where the GPU is lost, it says first what helps.
    """
    text = ' '.join(str(error).split())
    if not (isinstance(error, ValueError) and text):
        text = f'{type(error).__name__}: {text}'
    return f'the GPU is lost to this process, which must be restarted: {text}' \
        if gpu_lost(error) else text


@dataclass(frozen=True)
class Outcome:
    """What came of an image: a frame, or an error."""

    frame: Any = None  # as the engine returns it
    retried: str = ''  # why it was tried again, with one step, for want of memory; else ''
    alone: str = ''  # why it ran by itself: what the batch failed by; else ''
    short: bool = False  # whether that was for want of memory
    error: BaseException | None = None  # instead of the frame; without what keeps memory


def infer(engine: Any, images: Sequence[Any], **options: Any) -> list[Outcome]:
    """
    Run the engine on images, together where there are several.

    Where it fails on several, each is tried by itself, so that one image cannot spoil the others'.
    Where memory does not suffice for one image, it is tried once more with a single step, without
    what the engine keeps for images of any size.

    :param images: of one size, as the engine takes them.
    :param options: as in ``Engine.batch``.
    :return: an outcome per image, in their order.
    """
    if len(images) == 1:
        return [_infer_one(engine, images[0], options)]
    try:
        return [Outcome(frame) for frame in engine.batch(images, **options)]
    except Exception as error:
        alone, short = error_text(error), out_of_memory(error)
    if short:  # outside the handler: the traceback kept what had been allocated
        free_memory()
    return [replace(_infer_one(engine, image, options), alone=alone, short=short)
            for image in images]


def fails_together(outcomes: Sequence[Outcome]) -> str:
    """
    Say why images failed as a batch where none of them is to blame; '' else.

    None is where memory did not suffice for the batch; else one that fails by itself, too, and
    not for want of memory.

    :param outcomes: of the batch, as `infer` returns them.
    """
    first = outcomes[0]
    if not first.short and any(outcome.error and not out_of_memory(outcome.error)
                               for outcome in outcomes):
        return ''
    return first.alone


def _infer_one(engine: Any, image: Any, options: dict[str, Any]) -> Outcome:
    try:
        frame, short = infer_freeing_memory(engine, image, options,
                                            {'iterations': 1, 'deadline': None})
    except Exception as error:
        return Outcome(error=bare(error))
    return Outcome(frame, '' if short is None else error_text(short))


class FailureStreak:
    """
    Counts failures in a row, and gives up at a limit; one success ends the streak. Thread-safe.

    :ivar count: failures since the last success.
    :ivar gave_up: why it gave up; '' where it did not. What came later does not change it.
    :ivar gpu_lost: the error after which no engine of this process works on a GPU; else ''.
    """

    def __init__(self) -> None:
        self.count = 0
        self.gave_up = ''
        self.gpu_lost = ''
        self._lock = threading.Lock()

    def failed(self, reason: str, limit: int) -> bool:
        """
        Count a failure.

        :param reason: what failed, in one line.
        :param limit: failures in a row at which to give up; 0: never.
        :return: whether it gives up now.
        """
        with self._lock:
            self.count += 1
            if self.gave_up or not 0 < limit <= self.count:
                return False
            self.gave_up = f'gave up after {self.count} failures in a row, the last: {reason}'
            return True

    def succeeded(self) -> None:
        """End the streak."""
        with self._lock:
            self.count = 0
