# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far a fleet is: of each worker and of all, and what there is to say at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ubcn_ros.bags.fleet.run import Assignment, Bag, Fleet, progress
from ubcn_ros.bags.fleet.tasks import JoinPieces, PlanBag


@dataclass
class WorkerRow:
    """
    What a worker is at.

    `piece` is like '3/16', '' where there is none; `rate` frames per second, `left_s` seconds.
    """

    bag: Path
    piece: str
    worker: str
    frames: int
    rate: float | None
    left_s: float | None
    state: str


@dataclass
class Status:
    """
    Progress of a fleet: `bags` by state, `pieces` that wait; `share` is the part done, 0..1.

    `frames` are those of all outputs, also of earlier runs; `rate` (frames per second) is this
    run's, `left_s` seconds.
    """

    rows: list[WorkerRow]
    bags: Counter[str]
    pieces: int
    frames: int
    share: float
    rate: float
    left_s: float | None


def status(fleet: Fleet, begun_s: float, now_s: float) -> Status:
    """
    Say how far a fleet is, by the sidecars of what is at work.

    :param begun_s: when the run began, on the clock of `time.monotonic`.
    :param now_s: the present time, on the same clock.
    """
    rows, frames, images = [], 0, 0.0
    gained_frames, gained_images = fleet.gained_frames, fleet.gained_images
    for worker, assignment in sorted(fleet.running.items()):
        if isinstance(assignment.task, (PlanBag, JoinPieces)):
            state = 'planning' if isinstance(assignment.task, PlanBag) else 'joining'
            rows.append(WorkerRow(assignment.bag.out, '', worker, 0, None, None, state))
            continue
        there, share = progress(assignment.task.job)
        rows.append(_row(worker, assignment, there, share, now_s))
        frames += there
        if assignment.bag.error is None:  # else all of it counts below
            images += share * assignment.images
        gained_frames += there - assignment.frames
        gained_images += (share - assignment.share) * assignment.images
    for bag in fleet.bags:
        frames += sum(result.tally.frames for result in bag.results)
        images += bag.images * _behind(bag)
    whole = sum(bag.images for bag in fleet.bags)
    elapsed = max(now_s - begun_s, 1e-9)
    left = None
    if gained_images > 0:
        left = max(0.0, whole - images) * elapsed / gained_images
    return Status(rows, Counter(bag.state for bag in fleet.bags), fleet.waiting, frames,
                  min(1.0, images / whole) if whole else 0.0, gained_frames / elapsed, left)


def _behind(bag: Bag) -> float:
    """Return the share of a bag that no worker will be at again."""
    if bag.state in ('failed', 'finished'):
        return 1.0
    return len(bag.results) / max(1, len(bag.jobs))


def _row(worker: str, assignment: Assignment, frames: int, share: float, now: float) -> WorkerRow:
    elapsed = now - assignment.begun_s
    gained = share - assignment.share
    jobs = assignment.bag.jobs
    piece = f'{jobs.index(assignment.task.job) + 1}/{len(jobs)}'
    rate = (frames - assignment.frames) / elapsed if gained > 0 and elapsed > 0 else None
    left = (1 - share) * elapsed / gained if gained > 0 else None
    return WorkerRow(assignment.bag.out, piece, worker, frames, rate, left, 'processing')


def summary(fleet: Fleet, wall_s: float) -> dict[str, Any]:
    """
    Return what came of all bags, as plain values for JSON.

    Seconds of a bag are those of its workers together; bytes are those of its files.
    """
    bags = [_bag_summary(bag) for bag in fleet.bags]
    frames = sum(bag['frames'] for bag in bags)
    return {'finished': all(bag['state'] == 'finished' for bag in bags),
            'wall_s': round(wall_s, 3), 'frames': frames,
            'frames_of_this_run': fleet.gained_frames,
            'frames_per_s': round(fleet.gained_frames / max(wall_s, 1e-9), 3),
            'input_bytes': sum(bag['input_bytes'] for bag in bags),
            'output_bytes': sum(bag['output_bytes'] for bag in bags),
            'retries': sum(bag['retries'] for bag in bags), 'bags': bags}


def _bag_summary(bag: Bag) -> dict[str, Any]:
    results = bag.results if bag.result is None else [bag.result]
    return {'input': str(bag.source), 'output': str(bag.out), 'state': bag.state,
            'error': bag.error, 'pieces': len(bag.jobs), 'retries': bag.retries,
            'frames': sum(result.tally.frames for result in results),
            'malformed': sum(result.tally.malformed_count for result in results),
            'problems': [line for result in results for line in result.tally.problems],
            'worker_s': round(sum(result.tally.wall_s for result in results), 3),
            'input_bytes': _size(bag.source), 'output_bytes': _size(bag.out)}


def _size(bag: Path) -> int:
    """Return the bytes of a bag's files; 0 where they cannot be looked at."""
    try:
        files = bag.iterdir() if bag.is_dir() else [bag]
        return sum(file.stat().st_size for file in files if file.is_file())
    except OSError:
        return 0
