# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether all of a bag was found, and whether all that was written is there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ubcn_ros.bags.errors import BagError
from ubcn_ros.bags.process.options import Job
from ubcn_ros.bags.process.sidecar import Tally, read_tally
from ubcn_ros.bags.storage.reader import BagReader, open_bag


def whole_range(reader: BagReader) -> tuple[int, int]:
    """Return the range of recording times, ns, that holds all messages of a bag."""
    if reader.start_ns is None:
        return 0, 0
    return reader.start_ns, reader.end_ns + 1


def input_problems(reader: BagReader, job: Job, span: tuple[int, int], found: Counter[str]
                   ) -> list[str]:
    """
    Say where a bag announces another number of messages than were found, a line each.

    :param span: the range that was read; of a part of the bag nothing is announced.
    :param found: messages as `Tally.read` has them.
    """
    if span != whole_range(reader):
        return []
    return [line for connection in reader.connections if connection.topic in job.read
            for line in reader.count_problems(connection, found[' '.join(connection.kind)])]


def finished_tally(out: Path, document: dict[str, Any]) -> Tally:
    """
    Return the tally of a bag that is finished, and still there.

    :param document: its sidecar.
    :raises BagError: it is not what was written.
    """
    tally = read_tally(out, document)
    check_output(out, tally.written)
    return tally


def check_output(out: Path, written: Counter[str]) -> None:
    """
    Open a bag that was written, and compare its counts with what went into it.

    Messages are not read: damage inside of one is not found.

    :raises BagError: they differ, or opening it shows that it is damaged.
    """
    there: Counter[str] = Counter()
    try:
        with open_bag(out) as reader:
            for connection in reader.connections:
                there[connection.topic] += reader.stored(connection)
            problems = reader.damage
    except BagError as error:
        problems = [str(error)]
    problems += [f'{topic}: {written[topic]} messages were written, {there[topic]} are there'
                 for topic in written.keys() | there.keys() if written[topic] != there[topic]]
    if problems:
        raise BagError(f'{out} is not what was written: {"; ".join(sorted(problems))}; check its '
                       'disk, remove it, and write it again')
