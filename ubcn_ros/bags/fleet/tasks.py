# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What workers do: plan a bag, process a piece of it, join its pieces; each may be done again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ubcn_ros.bags.errors import BagError, BagLocked, BagOutOfMemory, BagOutOfReach
from ubcn_ros.bags.process import Job, Options, Result, join, plan, run_job
from ubcn_ros.bags.process.jobs import pieces_folder, pieces_there

PAUSE_S = 10.0
"""Seconds until a bag that another process holds, or that is out of reach, is tried again."""


def check_new(out: Path) -> None:
    """
    Check that nothing is where a bag, or its pieces, are to be written.

    :raises BagError: something is.
    """
    if out.exists() or pieces_there(out) is not None:
        there = out if out.exists() else pieces_folder(out)
        raise BagError(f'bag {out} cannot be written: {there} exists already; go on with it '
                       '(--resume), or give another path')


@dataclass(frozen=True)
class PlanBag:
    """
    Cut a bag into jobs, as an interrupted run did where there is one.

    :param pieces: to cut it into; None chooses.
    """

    source: Path
    out: Path
    options: Options
    pieces: int | None
    resume: bool

    def __call__(self) -> list[Job]:
        """Return the jobs."""
        if not self.resume:
            check_new(self.out)
        before = 1 if self.out.exists() else pieces_there(self.out)
        if before is not None and self.pieces not in (before, None) and not self.out.exists():
            raise BagError(f'{pieces_folder(self.out)} cannot be continued: --pieces was '
                           f'{before} and is {self.pieces} now; give the same, or another path '
                           'for the outputs')
        jobs = plan(self.source, self.out, self.options, before or self.pieces)
        # they are of the number of pieces, which is not chosen any more
        return jobs if before is None else [replace(job, notes=()) for job in jobs]


@dataclass(frozen=True)
class RunPiece:
    """Process a piece of a bag, or go on with it."""

    job: Job
    resume: bool

    def __call__(self) -> Result:
        """Return what was done."""
        return run_job(self.job, self.resume)


@dataclass(frozen=True)
class JoinPieces:
    """Make a bag of its pieces."""

    jobs: tuple[Job, ...]
    out: Path

    def __call__(self) -> Result:
        """Return what was done with the whole bag."""
        return join(self.jobs, self.out)


class TaskOutcome(NamedTuple):
    """
    What became of a task: a value, or an error.

    `lost` is whether it may be tried again, after `pause_s` seconds: its worker ended, or what
    failed is not the bag's fault.
    """

    worker: str
    value: Any = None
    error: str = ''
    lost: bool = False
    pause_s: float = 0.0


def attempt(worker: str, task: Callable[[], Any]) -> TaskOutcome:
    """Run a task in this process."""
    try:
        return TaskOutcome(worker, task())
    # by a worker that was given up, and may end; for a while, or to this worker alone
    except (BagLocked, BagOutOfMemory, BagOutOfReach) as error:
        return TaskOutcome(worker, error=str(error), lost=True, pause_s=PAUSE_S)
    except ValueError as error:  # as this package raises for what is wrong with the input
        return TaskOutcome(worker, error=str(error))
    except Exception as error:  # of memory, disk or device: another process may fare better
        text = ' '.join(str(error).split())
        return TaskOutcome(worker, error=f'{type(error).__name__}: {text}', lost=True)
