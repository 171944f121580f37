# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Read an sqlite3 storage file of rosbag2, also where pages of it are damaged or missing."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from ubcn_ros.bags.errors import BagError, reason
from ubcn_ros.bags.stored import StoredTopic

_ERRORS = (sqlite3.DatabaseError, MemoryError)  # a damaged length may ask for all memory
_LONGEST_GAP = 1_000_000  # rows that are tried one by one where no page lists them


class SqliteFile:
    """
    The topics of an sqlite3 file, and its messages row by row; a context manager.

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
        self._name, self._path, self._recovered = name, path, recover
        self._damage = ''  # the first that was met
        self._checked = self._told = False
        mode = 'mode=rw' if recover else 'mode=ro&immutable=1'
        self._database = sqlite3.connect(f'file:{quote(str(path.resolve()))}?{mode}', uri=True)
        try:
            # else a file that was cut off would not be opened at all
            self._database.execute('PRAGMA writable_schema=ON')
            topics = self._database.execute(
                'SELECT id, name, type, serialization_format FROM topics').fetchall()
            self._counted = self._counts()
        except _ERRORS as error:
            self._database.close()
            raise BagError(f'{name} cannot be read as the sqlite3 storage of a bag: '
                           f'{reason(error)}; take another copy of the file, or see what '
                           f'`sqlite3 {name} .recover` gets out of it') from error
        self.topics = {number: StoredTopic(topic, msgtype or '', encoding or '',
                                           self._counted[number])
                       for number, topic, msgtype, encoding in topics if topic}
        """By row."""
        unknown = sum(self._counted[key] for key in self._counted.keys() - self.topics.keys())
        if unknown:
            self._problems.append(f'{name}: {unknown} messages are of no known topic, as the row '
                                  'that names it is missing or damaged; take another copy of the '
                                  'file, if there is one')

    def __enter__(self) -> SqliteFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    @property
    def problems(self) -> list[str]:
        """What could not be read, and why; the first time, all pages are checked."""
        if not self._checked:
            self._checked = True
            self._note_damage(self._cut() or self._inconsistency())
        if self._damage and not self._told:
            self._told = True
            self._problems.insert(0, f'{self._name} is damaged ({self._damage}): what is whole '
                                  f'before and after was read{self._lost()}; take another copy of '
                                  'the file, if there is one')
        return self._problems

    def blocks(self, topics: set[int]) -> Iterator[tuple[int, int]]:
        """Yield the time, nanoseconds, and the key of each message of these topics."""
        for number, time, topic in self._rows(topics):
            if topic in topics and time is None:
                self._note_damage(f'message {number} has no timestamp')
            elif topic in topics:
                yield time, number

    def load(self, number: int, topics: set[int]) -> Iterator[tuple[int, int, bytes]]:
        """Yield time, topic and data of a message, if they can be read."""
        try:
            time, topic, data = self._database.execute(
                'SELECT CAST(timestamp AS INTEGER), topic_id, CAST(data AS BLOB) FROM messages '
                'WHERE id = ?', (number,)).fetchone()
        except (*_ERRORS, TypeError) as error:  # TypeError: no such row
            self._note_damage(reason(error))
        else:
            yield time, topic, data or b''

    def _counts(self) -> Counter[int]:
        try:
            return Counter(dict(self._database.execute(
                'SELECT topic_id, count(*) FROM messages GROUP BY topic_id')))
        except _ERRORS:
            return Counter(topic for _, _, topic in self._rows(None))

    def _rows(self, topics: set[int] | None) -> Iterable[tuple[int, int, int]]:
        """List id, time and topic of the messages; one by one where a page is damaged."""
        query = 'SELECT id, CAST(timestamp AS INTEGER), topic_id FROM messages'
        chosen = '' if topics is None else f' WHERE topic_id IN ({", ".join(map(str, topics))})'
        try:
            return self._database.execute(query + chosen).fetchall()
        except _ERRORS as error:
            self._note_damage(reason(error))
            rows = []
        for number in self._numbers():
            try:
                rows += self._database.execute(query + ' WHERE id = ?', (number,)).fetchall()
            except _ERRORS as error:
                self._note_damage(reason(error))
        return rows

    def _numbers(self) -> Iterable[int]:
        """List the ids of the messages: of the index, else of both ends and all in between."""
        with suppress(*_ERRORS):
            return [number for (number,) in self._database.execute(
                'SELECT id FROM messages INDEXED BY timestamp_idx ORDER BY timestamp')]
        ends: list[list[int]] = []
        for order in ('ASC', 'DESC'):
            ends.append([])
            with suppress(*_ERRORS):
                for (number,) in self._database.execute(
                        'SELECT id FROM messages NOT INDEXED WHERE id IS NOT NULL '
                        f'ORDER BY id {order}'):
                    ends[-1].append(number)
        first, last = ends[0][-1] if ends[0] else 0, ends[1][-1] if ends[1] else 0
        gap = range(first + 1, min(last, first + _LONGEST_GAP))
        return dict.fromkeys([*ends[0], *gap, *reversed(ends[1])])

    def _cut(self) -> str:
        """Return what pages are missing at the end of the file, where it says how many it has."""
        with self._path.open('rb') as file:
            header = file.read(100)
        size, change, pages, valid = (int.from_bytes(header[at:end]) for at, end in (
            (16, 18), (24, 28), (28, 32), (92, 96)))
        there = self._path.stat().st_size // (65536 if size == 1 else size)
        if self._recovered or change != valid or there >= pages:
            return ''
        return f'of its {pages} pages, {there} are there'

    def _inconsistency(self) -> str:
        """Return what does not fit together in the file: SQLite may leave out rows unsaid."""
        try:
            (text,) = self._database.execute('PRAGMA integrity_check(1)').fetchone()
        except _ERRORS as error:
            return reason(error)
        return '' if text == 'ok' else ' '.join(text.split())

    def _lost(self) -> str:
        """Say how many messages are missing, where the index tells."""
        try:
            ((listed,),) = self._database.execute(
                'SELECT count(*) FROM messages INDEXED BY timestamp_idx')
        except _ERRORS:
            return ''
        there = sum(self._counted.values())
        return f', {there} of {listed} messages' if listed > there else ''

    def _note_damage(self, why: str) -> None:
        self._damage = self._damage or why
