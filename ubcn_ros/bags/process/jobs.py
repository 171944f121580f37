# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plan the work on a bag: jobs, each a range of it, and the bag that they become together."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path

from ubcn_ros.bags.cameras import BagCamera, Skipped, find_cameras, no_camera
from ubcn_ros.bags.errors import BagError, check_bag_name
from ubcn_ros.bags.messages import CAMERA_INFO
from ubcn_ros.bags.process.checks import whole_range
from ubcn_ros.bags.process.options import Job, Options
from ubcn_ros.bags.process.outputs import check_free, find_prefixes, output_names
from ubcn_ros.bags.storage.mcap_writer import check_times
from ubcn_ros.bags.storage.reader import BagReader, open_bag
from ubcn_ros.bags.topics import choose_topics
from ubcn_ros.node.topics import DERAINED_INFO, camera_info_topic

PIECES = '.pieces'
"""Suffix of the folder beside a bag where its pieces are until they are joined."""
PIECE_IMAGES = 1000
"""Images of a piece, about, where the number of pieces is not given."""
MOST_PIECES = 64
"""Most pieces of a bag then: each is a file of the output."""
_NS = 1_000_000_000
_PAUSE_NS = 60 * _NS  # without a message, as where the clock was set: it is no work


def plan(source: Path, out: Path, options: Options, pieces: int | None = 1) -> list[Job]:
    """
    Make the jobs of a bag: nothing is written, and no model loaded.

    Of several pieces, each is a bag in the folder `pieces_folder(out)`, for `join`.

    :param source, out: input and output.
    :param pieces: ranges of equal time that the bag is cut into, not counting a minute or more
        without a message; None: one for every thousand images, and one where each would go
        through all of the bag: it has no index, or a file of it is compressed as a whole. Always
        one with `every`, which counts images from the beginning.
    :raises BagError: the bag cannot be read, has no camera, would be written to itself or
        under a name that is not UTF-8, or has topics with the names of outputs.
    """
    check_apart(source, out)
    check_bag_name(out)
    with open_bag(source) as reader:
        return _plan_bag(reader, Path(source), Path(out), options,
                         1 if options.every > 1 else pieces)


def pieces_folder(out: Path) -> Path:
    """Return where the pieces of a bag go before they are joined, also of '.' and the like."""
    named = out if out.name not in ('', '..') else out.resolve()
    return named.with_name(named.name + PIECES)


def pieces_there(out: Path) -> int | None:
    """Return how many pieces an interrupted run had cut a bag into; None where none is there."""
    numbers = [int(match[1]) for path in pieces_folder(out).glob('*')
               if (match := re.fullmatch(r'\d+-of-(\d+)', path.name))]
    return max(numbers, default=None)


def check_apart(source: Path, out: Path) -> None:
    """
    Check that neither of the bags that are read and written lies in the other.

    :raises BagError: one does.
    """
    real, target = Path(source).resolve(), Path(out).resolve()
    if target in real.parents:
        raise BagError(f'the bag {source} lies in {out}, which would be written: give another '
                       'path')
    if target == real or real in target.parents:
        raise BagError(f'the bag {source} would be written into itself, as {out}: give a path '
                       'outside of it')


def check_early(reader: BagReader, topics: Collection[str], start_ns: int | None = None) -> None:
    """
    Check that nothing of a bag was recorded before the earliest time that can be written.

    :param topics: that are read, from `start_ns` on.
    :raises BagError: something was.
    """
    channels = [channel for channel in reader.channels if channel.topic in topics]
    if (reader.start_ns or 0) < 0:
        for record in islice(reader.records(channels, start_ns, 0), 1):
            check_times(record)


def _plan_bag(reader: BagReader, source: Path, out: Path, options: Options,
              pieces: int | None) -> list[Job]:
    topics = choose_topics((c.topic for c in reader.connections), options.topics, options.exclude)
    in_order = tuple(dict.fromkeys(c.topic for c in reader.connections if c.topic in topics))
    cameras, skipped = find_cameras(reader, options.cameras, topics)
    if not cameras:
        raise no_camera(reader, in_order, skipped)
    prefixes = find_prefixes([camera.topic for camera in cameras])
    skipped += _infos_left_out(reader, topics, prefixes)
    first, end = _range(reader, options)
    begin = max(first, 0)  # before that nothing can be written
    end = max(end, begin + 1)
    parts = [] if pieces == 1 else reader.parts(_PAUSE_NS)
    within = [(max(start, begin), min(stop, end)) for start, stop in parts
              if start < end and stop > begin]
    pieces = pieces or _choose_pieces(reader, cameras, _length(within) / _length(parts))
    cuts = [begin, *_cuts(within or [(begin, end)], pieces), end]
    outs = [out] if pieces == 1 else [
        pieces_folder(out) / f'{n:04}-of-{pieces:04}' for n in range(pieces)]
    notes = () if pieces == 1 or reader.indexed else (
        f'each of the {pieces} pieces of {source} goes through all of it, as it has no index, has '
        'a journal, or is compressed as a whole: leave out --pieces, or convert it first '
        '(`ros2 bag convert`)',)
    jobs = [Job(source, place, options, begin, start, stop, in_order, tuple(cameras),
                tuple(skipped), pieces > 1, notes)
            for place, (start, stop) in zip(outs, pairwise(cuts), strict=True)
            if start < stop]
    check_free((topic for camera in cameras
                for topic in output_names(camera, prefixes[camera.topic], options).values()),
               () if options.outputs_only else in_order)  # also images that --drop-inputs leaves
    check_early(reader, jobs[0].read, first)
    return jobs


def _infos_left_out(reader: BagReader, topics: Collection[str], prefixes: dict[str, str]
                    ) -> list[Skipped]:
    """Name the calibrations that `topics` have not, and what is not written for want of them."""
    there = {c.topic for c in reader.connections if c.msgtype == CAMERA_INFO and c.msgcount}
    return [Skipped(info, CAMERA_INFO, '--topics or --exclude leave it out, so that '
                    f'{prefix}{DERAINED_INFO} is not written; let these have it to get that')
            for camera, prefix in prefixes.items()
            if (info := camera_info_topic(camera)) in there and info not in topics]


def _choose_pieces(reader: BagReader, cameras: Sequence[BagCamera], share: float) -> int:
    """Choose by the bag alone, so that another number of workers can go on with it."""
    if not reader.indexed:
        return 1
    images = sum(camera.messages for camera in cameras) * share
    return min(MOST_PIECES, max(1, round(images / PIECE_IMAGES)))


def _cuts(parts: Sequence[tuple[int, int]], pieces: int) -> Iterator[int]:
    """Yield the times between pieces of equal time, of which pauses between parts are none."""
    for piece in range(1, pieces):
        left = _length(parts) * piece // pieces
        for start, stop in parts:
            if left < stop - start:
                yield start + left
                break
            left -= stop - start


def _length(parts: Sequence[tuple[int, int]]) -> int:
    return sum(stop - start for start, stop in parts)


def _range(reader: BagReader, options: Options) -> tuple[int, int]:
    """Return where to begin and to end, ns."""
    first, end = whole_range(reader)
    begin = first + round(options.start_s * _NS)
    if begin >= end:
        raise BagError(f'--start is {options.start_s:g} s, but {reader.path} ends '
                       f'{(end - 1 - first) / _NS:g} s after its beginning')
    if options.duration_s is not None:
        end = min(end, begin + max(1, round(options.duration_s * _NS)))
    return begin, end
