# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Read an sqlite3 storage file of rosbag2, also where pages of it are damaged or missing."""

from __future__ import annotations

import math
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from itertools import chain
from pathlib import Path
from time import monotonic
from urllib.parse import quote

from ubcn_ros.bags.errors import BagError, BagOutOfReach, reason
from ubcn_ros.bags.storage.channels import HASH, QOS
from ubcn_ros.bags.storage.reach import check_in_reach, check_readable
from ubcn_ros.bags.storage.records import Channel, Record, Storage

_ERRORS = (sqlite3.DatabaseError, MemoryError)  # a damaged length may ask for all memory
# SQLite keeps a value of any class in any column: text and blobs, which sort last, are no times
_TIMED = "typeof(timestamp) IN ('integer', 'real')"
_TIMES = (-2**63, 2**63 - 1)  # of a message, ns
_PAUSE_S = 1.0  # after which damage is looked at again, whether it is the disk that is gone
_LONGEST_GAP = 1_000_000  # rows that are tried one by one where no page lists them


class SqliteFile(Storage):
    """
    The channels of an sqlite3 file, and its records row by row; a context manager.

    :param path: the file.
    :param name: for texts.
    :param recover: let SQLite write to the file to take its journal back; it is a copy.
    :raises BagError: the topics cannot be read.
    """

    complete = False
    """Whether the file was closed by its writer: an sqlite3 file does not say."""

    def __init__(self, path: Path, name: str, recover: bool = False):
        self._problems: list[str] = []
        self.notes = [f'{name} was not closed, as its journal is still there: it is read as far '
                      'as it had been committed'] if recover else []
        self._name, self._recovered = name, recover
        self.indexed = not recover
        self._damage = self._lost = ''  # the first that was met; a line on what is missing
        self._checked = False
        self._file = path.open('rb')  # of which SQLite's errors say less
        self._suspicion, self._suspect_s = '', 0.0
        mode = 'mode=rw' if recover else 'mode=ro&immutable=1'
        # one thread at a time, but not always the same
        self._database = sqlite3.connect(f'file:{quote(bytes(path.resolve()))}?{mode}', uri=True,
                                         check_same_thread=False)
        self._database.text_factory = lambda text: text.decode(errors='replace')
        try:
            # else a file that was cut off would not be opened at all
            self._database.execute('PRAGMA writable_schema=ON')
            self.channels = self._read_channels()
            """By id in the table of topics."""
            self._counted = self._counts()
        except BagOutOfReach:
            self._close()
            raise
        except _ERRORS as error:
            self._close()
            raise BagError(f'{name} cannot be read as the sqlite3 storage of a bag: '
                           f'{reason(error)}; give another copy of the file, or see what '
                           f'`sqlite3 {name} .recover` gets out of it') from error
        self.counts = {number: self._counted[number] for number in self.channels}
        """Messages by channel."""
        unknown = sum(self._counted[key] for key in self._counted.keys() - self.channels.keys())
        if unknown:
            self._problems.append(f'{name}: {unknown} messages are of no known topic, as the row '
                                  'that names it is missing or damaged; give another copy of the '
                                  'file, if there is one')

    def __enter__(self) -> SqliteFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def problems(self) -> list[str]:
        """What could not be read so far, and why."""
        damaged = [f'{self._name} is damaged ({self._damage}): what is whole before and after was '
                   'read; give another copy of the file, if there is one']
        # two lines, of which the first is as it was before the check: an interrupted run told it
        return damaged * bool(self._damage) + [self._lost] * bool(self._lost) + self._problems

    def check(self) -> None:
        """Check all pages, once: SQLite may leave out rows unsaid."""
        if not self._checked:
            self._note_damage(self._cut() or self._inconsistency())
            self._checked = True
        if self._damage:
            self._lost = self._lost or self._count_lost()

    @cached_property
    def span(self) -> tuple[int, int] | None:
        """Times of the first and last message, ns; None where there is none."""
        end = ('(SELECT CAST(timestamp AS INTEGER) FROM messages '
               f'WHERE {_TIMED} ORDER BY timestamp {{}} LIMIT 1)')
        try:
            first, last = next(self._query(f'SELECT {end.format("ASC")}, {end.format("DESC")}'))
        except _ERRORS:
            times = [time for _, time, _ in self._rows(None) if time is not None]
            return (times[0], times[-1]) if times else None
        return None if first is None else (first, last)

    def spans(self) -> Iterable[tuple[int, int]]:
        """Return times of the first and last message in each ten seconds, ns."""
        time = 'CAST(timestamp AS INTEGER)'
        try:
            return list(self._query(f'SELECT min({time}), max({time}) FROM messages '
                                    f'WHERE {_TIMED} GROUP BY {time} / 10000000000'))
        except _ERRORS:
            return super().spans()

    def records(self, channels: set[int], start: float, end: float) -> Iterator[Record]:
        """Yield the records of these channels with start <= time < end (ns), by time."""
        for number, time, topic in self._rows(channels, start, end):
            if time is None:
                self._note_damage(f'message {number} has no timestamp')
                continue
            try:
                (data,) = next(self._query(
                    'SELECT CAST(data AS BLOB) FROM messages WHERE id = ?', (number,)))
            except StopIteration:
                self._note_damage(f'message {number} is not in its table')
            except _ERRORS as error:
                self._note_damage(reason(error))
            else:
                yield Record(self.channels[topic], time, time, 0, data or b'')

    def _query(self, query: str, values: Iterable[int] = ()) -> Iterator[tuple]:
        """
        Yield the rows of a query.

        :raises BagOutOfReach: the disk is gone, of which SQLite tells as of damage.
        """
        try:
            yield from self._database.execute(query, values)
        except sqlite3.DatabaseError as error:
            # others of this kind are of what an older version has not
            if not isinstance(error, sqlite3.OperationalError) or 'disk I/O' in str(error):
                self._suspicion = reason(error)
                if monotonic() >= self._suspect_s:  # of many damaged rows, not each
                    self._check_readable()
            raise

    def _check_readable(self) -> None:
        """Raise BagOutOfReach where what looks like damage is of a disk that is gone."""
        if self._suspicion:
            check_readable(self._file.fileno(), self._name, self._suspicion)
            self._suspicion, self._suspect_s = '', monotonic() + _PAUSE_S

    def _close(self) -> None:
        self._database.close()
        self._file.close()

    def _read_channels(self) -> dict[int, Channel]:
        """Read topics, as later versions of rosbag2 have them with QoS, hash and definition."""
        definitions: dict[str, tuple[str, bytes]] = {}
        with suppress(*_ERRORS):  # a table of its own since Iron; a type may be read without it
            for name, encoding, definition in self._query(
                    'SELECT CAST(topic_type AS TEXT), CAST(encoding AS TEXT), '
                    'CAST(encoded_message_definition AS BLOB) FROM message_definitions'):
                definitions[name] = (encoding or '', definition or b'')
        there = {row[1] for row in self._query('PRAGMA table_info(topics)')}
        columns = [f'CAST({name} AS TEXT)' if name in there else "''" for name in (
            'name', 'type', 'serialization_format', 'offered_qos_profiles',
            'type_description_hash')]
        channels = {}
        for number, topic, msgtype, encoding, qos, digest in self._query(
                f'SELECT id, {", ".join(columns)} FROM topics'):
            metadata = ((QOS, qos), (HASH, digest))
            if topic:
                schema = ((msgtype, *definitions[msgtype]) if msgtype in definitions
                          else ('', '', b''))
                channels[number] = Channel(topic, msgtype or '', encoding or '', *schema,
                                           tuple(entry for entry in metadata if entry[1]))
        return channels

    def _counts(self) -> Counter[int]:
        try:
            return Counter(dict(self._query(
                'SELECT topic_id, count(*) FROM messages GROUP BY topic_id')))
        except _ERRORS:
            return Counter(topic for _, _, topic in self._rows(None))

    def _rows(self, topics: Iterable[int] | None, start: float = -math.inf,
              end: float = math.inf) -> Iterator[tuple[int, int | None, int]]:
        """Yield id, time and topic of messages by time; read one by one past a damaged page."""
        query = (f'SELECT id, CASE WHEN {_TIMED} THEN CAST(timestamp AS INTEGER) END, topic_id '
                 'FROM messages')
        chosen = ['1' if topics is None else f'topic_id IN ({", ".join(map(str, topics))})']
        if start > _TIMES[0]:
            chosen.append(f'timestamp >= {min(start, _TIMES[1])}')
        if end <= _TIMES[1]:
            chosen.append(f'timestamp < {max(end, _TIMES[0])}')
        order = ' ORDER BY 2, 1'  # SQLite sorts on disk; before the first row all have been read
        try:
            rows = self._query(f'{query} WHERE {" AND ".join(chosen)}{order}')
            first = next(rows, None)
        except _ERRORS as error:
            if 'disk is full' in str(error):
                raise BagError(f'no room to sort the messages of {self._name} ({error}): set '
                               'SQLITE_TMPDIR to a folder on another disk') from error
            self._note_damage(reason(error))
            first, rows = None, self._rows_one_by_one(query)
        for number, time, topic in rows if first is None else chain([first], rows):
            if (topics is None or topic in topics) and (time is None or start <= time < end):
                yield number, time, topic
        self._check_readable()

    def _rows_one_by_one(self, query: str) -> list[tuple[int, int | None, int]]:
        rows = []
        for number in self._numbers():
            try:
                rows += self._query(query + ' WHERE id = ?', (number,))
            except _ERRORS as error:
                self._note_damage(reason(error))
        return sorted(rows, key=lambda row: (row[1] or 0, row[0]))

    def _numbers(self) -> Iterable[int]:
        """List the ids of the messages: of the index, else of both ends and all in between."""
        with suppress(*_ERRORS):
            return [number for (number,) in self._query(
                'SELECT id FROM messages INDEXED BY timestamp_idx ORDER BY timestamp')]
        ends: list[list[int]] = []
        for order in ('ASC', 'DESC'):
            ends.append([])
            with suppress(*_ERRORS):
                for (number,) in self._query(
                        'SELECT id FROM messages NOT INDEXED WHERE id IS NOT NULL '
                        f'ORDER BY id {order}'):
                    ends[-1].append(number)
        first, last = ends[0][-1] if ends[0] else 0, ends[1][-1] if ends[1] else 0
        gap = range(first + 1, min(last, first + _LONGEST_GAP))
        return dict.fromkeys([*ends[0], *gap, *reversed(ends[1])])

    def _cut(self) -> str:
        """Return what pages are missing at the end of the file, where it says how many it has."""
        file = self._file.fileno()
        try:
            header, length = os.pread(file, 100, 0), os.fstat(file).st_size
        except OSError as error:
            check_in_reach(file, self._name, error)
            return reason(error)
        size, change, pages, valid = (int.from_bytes(header[at:end], 'big') for at, end in (
            (16, 18), (24, 28), (28, 32), (92, 96)))
        there = length // (65536 if size == 1 else size)
        if self._recovered or change != valid or there >= pages:
            return ''
        return f'of its {pages} pages, {there} are there'

    def _inconsistency(self) -> str:
        """Return what does not fit together in the file."""
        try:
            (text,) = next(self._query('PRAGMA integrity_check(1)'))
        except _ERRORS as error:
            return reason(error)
        if text == 'ok':
            return ''
        self._suspicion = ' '.join(text.split())  # also of pages that cannot be read
        self._check_readable()
        return ' '.join(text.split())

    def _count_lost(self) -> str:
        """Say how many messages are missing, where the index tells."""
        try:
            (listed,) = next(self._query(
                'SELECT count(*) FROM messages INDEXED BY timestamp_idx'))
        except _ERRORS:
            return ''
        there = sum(self._counted.values())
        return f'{self._name}: {there} of {listed} messages are left' if listed > there else ''

    def _note_damage(self, why: str) -> None:
        self._damage = self._damage or why
