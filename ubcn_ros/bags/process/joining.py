# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Join the pieces of a bag: their files become the files of one bag."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from ubcn_ros.bags.errors import BagError, exists_error, write_error
from ubcn_ros.bags.process.checks import check_output, finished_tally, input_problems
from ubcn_ros.bags.process.job_reader import Position
from ubcn_ros.bags.process.jobs import pieces_folder
from ubcn_ros.bags.process.lock import locked
from ubcn_ros.bags.process.options import Job
from ubcn_ros.bags.process.resume import check_settings
from ubcn_ros.bags.process.run import Result
from ubcn_ros.bags.process.sidecar import (
    CameraTally,
    Tally,
    outcome,
    read_sidecar,
    read_tally,
    write_sidecar,
)
from ubcn_ros.bags.storage.metadata import read_metadata, write_metadata
from ubcn_ros.bags.storage.reader import open_bag


def join(jobs: Sequence[Job], out: Path) -> Result:
    """
    Make one bag of the pieces that jobs wrote, in their order; the pieces are removed.

    No message is copied where the file system has hard links. May be called again wherever it
    was interrupted.

    :param jobs: all of one bag, each finished.
    :param out: the bag, not there yet; `pieces_folder(out)` is where the jobs wrote.
    :raises BagError: a piece is not finished or was made with other settings than the first,
        or the bag cannot be written.
    :raises BagLocked: another process joins them.
    """
    pieces = pieces_folder(out)
    with locked(pieces) if pieces.is_dir() else nullcontext():  # they may have been joined
        return _join(jobs, out)


def _join(jobs: Sequence[Job], out: Path) -> Result:
    document = read_sidecar(out)
    if document is not None and document['finished']:
        tally = finished_tally(out, document)
        shutil.rmtree(pieces_folder(out), ignore_errors=True)
        return Result(tally, document['notes'])
    if os.path.lexists(out):
        raise exists_error(out)
    documents = [_finished(job) for job in jobs]
    for job, document in zip(jobs, documents, strict=True):
        check_settings(job.out, _common_settings(documents[0]), _common_settings(document))
    tally = merge_tallies([*map(read_tally, (job.out for job in jobs), documents)])
    with open_bag(jobs[0].source) as reader:
        found = reader.damage + input_problems(
            reader, jobs[0], (jobs[0].start_ns, jobs[-1].end_ns), tally.read)
        tally.problems = list(dict.fromkeys([*tally.problems, *found]))
        custom_data = reader.custom_data
    joined = pieces_folder(out) / 'joined'
    try:
        names = _link_files(jobs, joined, out.name)
        write_metadata(joined, names, custom_data)
        document = _merge(documents, jobs, tally)
        write_sidecar(joined, document)
        check_output(joined, tally.written)
        joined.rename(out)
    except OSError as error:
        raise write_error(out, error) from error
    shutil.rmtree(pieces_folder(out), ignore_errors=True)
    return Result(tally, document['notes'])


def merge_tallies(tallies: Sequence[Tally]) -> Tally:
    """Add up the tallies of the pieces of a bag; times are those of all machines together."""
    whole = Tally()
    images: Counter[str] = Counter()
    for tally in tallies:
        for name in ('read', 'written', 'engine_ms', 'busy_s'):
            getattr(whole, name).update(getattr(tally, name))
        for topic, camera in tally.cameras.items():
            _add(whole.cameras.setdefault(topic, CameraTally()), camera)
        for line in tally.malformed:
            whole.note_malformed(line)
        whole.malformed_infos += tally.malformed_infos
        whole.problems += [line for line in tally.problems if line not in whole.problems]
        whole.wall_s += tally.wall_s
        images.update(tally.position.images)
        whole.position = Position(*tally.position[:2], images)
    return whole


def _add(whole: CameraTally, part: CameraTally) -> None:
    for name, value in vars(part).items():
        before = getattr(whole, name)
        setattr(whole, name, list(dict.fromkeys(before + value)) if isinstance(value, list)
                else before + value)


def _finished(job: Job) -> dict[str, Any]:
    document = read_sidecar(job.out)
    if document is None or not document['finished']:
        raise BagError(f'{job.out}, a piece of {job.source}, is not finished: run its job again')
    return document


def _common_settings(document: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that all pieces of a bag have in common."""
    return {name: value for name, value in document['settings'].items()
            if name not in ('IN start_ns', 'IN end_ns')}


def _link_files(jobs: Sequence[Job], joined: Path, name: str) -> list[str]:
    """Give the files of the pieces the names that they have in one bag; return these."""
    shutil.rmtree(joined, ignore_errors=True)
    joined.mkdir(parents=True)
    names = []
    for job in jobs:
        metadata, notes = read_metadata(job.out)
        if metadata is None:
            raise BagError('; '.join(notes))
        for file in metadata.files:
            names.append(f'{name}_{len(names)}.mcap')
            with suppress(OSError):
                os.link(job.out / file, joined / names[-1])
                continue
            with (job.out / file).open('rb') as piece, (joined / names[-1]).open('wb') as copy:
                shutil.copyfileobj(piece, copy)
                copy.flush()
                os.fsync(copy.fileno())  # the piece is removed
    return names


def _merge(documents: Sequence[dict[str, Any]], jobs: Sequence[Job], tally: Tally
           ) -> dict[str, Any]:
    """Return the sidecar of the whole bag: the first piece's, with what is of all."""
    first, end = documents[0], jobs[-1].end_ns
    notes = list(dict.fromkeys(note for document in documents for note in document['notes']))
    settings = {**first['settings'], 'IN end_ns': end}
    found = outcome(tally, first['cameras'])
    del found['timings']['frames_per_s']  # of how many at a time nothing here says
    return {**first, **found, 'input': {**first['input'], 'end_ns': end}, 'notes': notes,
            'settings': settings, 'pieces': len(jobs)}
