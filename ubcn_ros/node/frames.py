# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An image on its way from the mailbox to the engine, and the deadline of a batch; ROS-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Arrival:
    """An image message and time.monotonic() when it arrived, seconds."""

    message: Any
    time: float


@dataclass(frozen=True)
class Job:
    """
    An image ready for the engine: (H, W, 3) uint8 RGB, and what is asked for.

    `deadline`, `started` (of the conversion) and `converted` are time.monotonic(), seconds. The
    deadline is that of the engine: `publishing`, the seconds it may take then, is taken off.
    """

    arrival: Arrival
    image: Any
    deadline: float | None
    confidence: bool
    started: float
    converted: float
    publishing: float = 0.0


def engine_deadline(jobs: Sequence[Job]) -> float | None:
    """
    Return when the engine has to be done with a batch for each of its frames to be out in time.

    :param jobs: in the order of publishing: each waits for those before it.
    :return: time.monotonic(), seconds; None without a deadline.
    """
    deadlines, before = [], 0.0
    for job in jobs:
        if job.deadline is not None:
            deadlines.append(job.deadline - before)
        before += job.publishing
    return min(deadlines, default=None)
