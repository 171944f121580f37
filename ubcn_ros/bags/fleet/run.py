# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Share the pieces of many bags out among workers, again where one ends, and join them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ubcn_ros.bags.errors import BagError, about
from ubcn_ros.bags.fleet.pool import Pool
from ubcn_ros.bags.fleet.tasks import JoinPieces, PlanBag, RunPiece, TaskOutcome
from ubcn_ros.bags.process import Job, Options, Result, read_sidecar, read_tally
from ubcn_ros.text_table import counted

RETRIES = 3
"""How often a task is begun again without having come further."""
_WAIT_S = 1.0


@dataclass
class Assignment:
    """
    A task of a bag, which waits or which a worker has.

    `frames` and `share`, of its range of time, say how far it was when the worker began, at
    `begun_s` of `time.monotonic`. `losses` is how often it was lost and came no further; it is
    not begun again before `due_s`.
    """

    bag: Bag
    task: PlanBag | RunPiece | JoinPieces
    frames: int = 0
    share: float = 0.0
    begun_s: float = 0.0
    losses: int = 0
    due_s: float = 0.0

    @property
    def images(self) -> float:
        """How many the piece may have: the bag's, shared out evenly."""
        return self.bag.images / max(1, len(self.bag.jobs))


@dataclass
class Bag:
    """
    A bag of a fleet: `jobs` once it is planned, `results` of its pieces, `result` once joined.

    `error` says why it has none.
    """

    source: Path
    out: Path
    jobs: list[Job] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    result: Result | None = None
    error: str | None = None
    retries: int = 0

    @property
    def state(self) -> str:
        """'waiting', 'running', 'finished' or 'failed'."""
        if self.error is not None:
            return 'failed'
        if self.result is not None:
            return 'finished'
        return 'running' if self.jobs else 'waiting'

    @property
    def images(self) -> int:
        """How many the bag announces, of all cameras."""
        return sum(camera.messages for camera in self.jobs[0].cameras) if self.jobs else 0


class Fleet:
    """
    Bags that workers process together.

    A worker that ends loses nothing: another goes on with its piece. A bag that cannot be
    processed does not stop the others; its other pieces are left for `resume`.

    :param pairs: bags and outputs.
    :param options: for all bags.
    :param pieces: to cut each bag into; None chooses.
    :param resume: go on with what an interrupted run left.
    :param tell: called with a line for what a user should know.
    """

    def __init__(self, pairs: Sequence[tuple[Path, Path]], options: Options,
                 pieces: int | None = None, resume: bool = False,
                 tell: Callable[[str], None] = lambda line: None):
        self.bags = [Bag(source.absolute(), out.absolute()) for source, out in pairs]
        self.running: dict[str, Assignment] = {}
        """By worker."""
        self.gained_frames, self.gained_images = 0, 0.0
        """Of the tasks that ended: frames written, and images done of those that bags announce."""
        self._resume, self._tell = resume, tell
        # by kind of task: room first, then what there is to do
        self._waiting: dict[type, deque[Assignment]] = {
            JoinPieces: deque(), PlanBag: deque(), RunPiece: deque()}
        for bag in self.bags:
            self._add(bag, PlanBag(bag.source, bag.out, options, pieces, resume))

    @property
    def waiting(self) -> int:
        """The number of pieces that no worker has yet."""
        return len(self._waiting[RunPiece])

    def run(self, pool: Pool, show: Callable[[Fleet], None] = lambda fleet: None) -> None:
        """
        Process all bags.

        :param pool: of workers, entered.
        :param show: called about once a second.
        :raises BagError: there are no workers to be had.
        """
        while any(self._waiting.values()) or self.running:
            for worker in pool.idle():
                assignment = _take_due(self._waiting.values())
                if assignment is not None:
                    self._start(pool, worker, assignment)
            show(self)
            for outcome in pool.wait(_WAIT_S):
                self._take(self.running.pop(outcome.worker), outcome)
        show(self)

    def _add(self, bag: Bag, task: PlanBag | RunPiece | JoinPieces) -> None:
        self._waiting[type(task)].append(Assignment(bag, task))

    def _start(self, pool: Pool, worker: str, assignment: Assignment) -> None:
        if isinstance(assignment.task, RunPiece):
            assignment.frames, assignment.share = progress(assignment.task.job)
        assignment.begun_s = time.monotonic()
        self.running[worker] = assignment
        pool.start(worker, assignment.task)

    def _take(self, assignment: Assignment, outcome: TaskOutcome) -> None:
        further = self._gain(assignment)
        if outcome.lost:
            assignment.due_s = time.monotonic() + outcome.pause_s
            self._again(assignment, outcome.error, further)
        elif outcome.error:
            self._fail(assignment.bag, outcome.error)
        else:
            self._go_on(assignment, outcome.value)

    def _go_on(self, assignment: Assignment, value: list[Job] | Result) -> None:
        """Queue what comes behind a task."""
        bag = assignment.bag
        if isinstance(assignment.task, PlanBag):
            bag.jobs = value
            first = bag.jobs[0]
            self._tell_of(bag, [*first.notes, *(skipped.text for skipped in first.skipped)])
            for job in bag.jobs:
                self._add(bag, RunPiece(job, self._resume))
        elif isinstance(assignment.task, RunPiece):
            told = {note for result in bag.results for note in result.notes}
            self._tell_of(bag, [note for note in value.notes if note not in told])
            bag.results.append(value)
            if len(bag.results) == len(bag.jobs):
                self._add(bag, JoinPieces(tuple(bag.jobs), bag.out))
        else:
            bag.result = value
            self._tell(f'{counted(value.tally.frames, "image")} of {bag.source} written to '
                       f'{bag.out}')

    def _tell_of(self, bag: Bag, lines: Sequence[str]) -> None:
        for line in lines:
            self._tell(about(bag.source, line))

    def _gain(self, assignment: Assignment) -> bool:
        """Count what came of a piece; return whether it came further."""
        if not isinstance(assignment.task, RunPiece):
            return False
        frames, share = progress(assignment.task.job)
        self.gained_frames += frames - assignment.frames
        self.gained_images += (share - assignment.share) * assignment.images
        return (frames, share) > (assignment.frames, assignment.share)

    def _again(self, assignment: Assignment, error: str, further: bool) -> None:
        """Begin a task again that was lost, unless it was too often at the same place."""
        assignment.losses = 1 if further else assignment.losses + 1
        bag, where = assignment.bag, assignment.bag.out
        if bag.error is not None:
            return
        if isinstance(assignment.task, RunPiece):
            assignment.task = replace(assignment.task, resume=True)
            where = assignment.task.job.out
        if assignment.losses > RETRIES:
            self._fail(bag, f'{where}: given up after {assignment.losses} attempts that came no '
                            f'further, the last: {error}; --resume tries again')
            return
        bag.retries += 1
        self._tell(f'{where}: {error}; another worker goes on with it, attempt '
                   f'{assignment.losses + 1} of {RETRIES + 1}')
        self._waiting[type(assignment.task)].appendleft(assignment)

    def _fail(self, bag: Bag, error: str) -> None:
        """Give a bag up, once: what waits of it is not begun, other errors of it are not told."""
        if bag.error is not None:
            return
        bag.error = error
        self._tell(f'{bag.out} failed: {error}')
        for kind, queue in self._waiting.items():
            self._waiting[kind] = deque(each for each in queue if each.bag is not bag)


def _take_due(queues: Iterable[deque[Assignment]]) -> Assignment | None:
    """Take the first task that may begin now out of its queue."""
    now = time.monotonic()
    for queue in queues:
        for place, assignment in enumerate(queue):
            if assignment.due_s <= now:
                del queue[place]
                return assignment
    return None


def progress(job: Job) -> tuple[int, float]:
    """Return how many frames of a piece are written, and the share of its time that is done."""
    try:
        document = read_sidecar(job.out)
        if document is None:
            return 0, 0.0
        tally = read_tally(job.out, document)
    except BagError:  # which the worker will say
        return 0, 0.0
    if document['finished']:
        return tally.frames, 1.0
    if tally.position is None:
        return 0, 0.0
    behind = (tally.position.time_ns - job.start_ns) / (job.end_ns - job.start_ns)
    return tally.frames, max(0.0, behind)
