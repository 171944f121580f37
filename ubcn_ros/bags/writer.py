# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write a bag that can be read whatever ends the writing."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError

from ubcn_ros.bags.errors import BagError, reason
from ubcn_ros.bags.messages import TYPES
from ubcn_ros.bags.reader import open_bag
from ubcn_ros.bags.storage import SUFFIXES
from ubcn_ros.stopping import signals_held

STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
"""Storage formats that can be written; both are read."""
FLUSH_SECONDS = 1.0
"""How often what is written goes to the file, so that a kill does not lose more."""

_FAILURES = (WriterError, OSError, sqlite3.Error)
_TIMES = {'mcap': (0, 2**64), 'sqlite3': (-2**63, 2**63)}  # ns that a storage can hold
_SQLITE_URI = '?#%'  # rosbags puts the path into a URI as it is


class BagWriter:
    """
    Writes a bag; topics are added as they come. A context manager.

    The folder is made with the first message, or where none comes when it is closed, but not by
    an exception before. The bag is complete also when an exception or a signal closes it; what was
    written up to a kill or a full disk is readable. A folder in which nothing is is removed.

    :param path: folder to make.
    :param storage: one of STORAGES.
    :raises BagError: the path exists, or the storage is not known.
    """

    def __init__(self, path: Path | str, storage: str = 'mcap'):
        self.path = Path(path)
        if storage not in STORAGES:
            raise BagError(f"unknown storage '{storage}': choose one of {', '.join(STORAGES)}")
        if storage == 'sqlite3' and any(c in str(self.path) for c in _SQLITE_URI):
            raise BagError(f'bag {path} cannot be written: sqlite3 bags cannot have one of '
                           f'{" ".join(_SQLITE_URI)} in their path; give another path, or mcap as '
                           'storage')
        self._storage = storage
        self._connections: dict[str, Connection] = {}
        self._made, self._failure = False, None
        self._flushed = 0.0
        try:
            self._writer = Writer(self.path, version=9, storage_plugin=STORAGES[storage])
        except _FAILURES as error:
            raise self._error(error) from error

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with signals_held():
            try:
                if self._failure is not None:
                    raise self._failure
                if not self._made:
                    if kind is not None:
                        return
                    self._make()
                    self._writer.min_timestamp = 0  # else an empty bag starts in the year 2262
                self._writer.close()
            except _FAILURES as error:
                self._abandon()
                if not self._is_readable():
                    self.remove()
                if kind is None:
                    raise self._error(error) from error

    def write(self, topic: str, type_name: str, message: Any, recorded_ns: int) -> None:
        """
        Write one message.

        :param type_name: like 'sensor_msgs/msg/Image'.
        :param message: as rosbags has it, or serialized (CDR) bytes.
        :param recorded_ns: the time that it counts as recorded at.
        :raises BagError: it cannot be written.
        """
        first, end = _TIMES[self._storage]
        if not first <= recorded_ns < end:
            other = next((name for name, (low, high) in _TIMES.items()
                          if low <= recorded_ns < high), None)
            raise BagError(f'a message of {topic} was recorded at {recorded_ns} ns, which '
                           f'{self._storage} cannot hold: '
                           + (f'use {other} as storage (on the command line, --storage)' if other
                              else 'correct the time in its source'))
        if not isinstance(message, bytes | memoryview):
            message = TYPES.serialize_cdr(message, type_name)
        with signals_held():
            try:
                if not self._made:
                    self._make()
                if topic not in self._connections:
                    self._connections[topic] = self._writer.add_connection(topic, type_name,
                                                                           typestore=TYPES)
                self._writer.write(self._connections[topic], recorded_ns, message)
                if time.monotonic() - self._flushed >= FLUSH_SECONDS:
                    self._flush()
            except _FAILURES as error:
                self._failure = error
                raise self._error(error) from error

    def remove(self) -> None:
        """Remove the bag's folder, if this writer made it."""
        if self._made:
            shutil.rmtree(self.path, ignore_errors=True)

    def _make(self) -> None:
        try:
            self._writer.open()
        except WriterError:  # another made it meanwhile
            raise
        except _FAILURES:
            shutil.rmtree(self.path, ignore_errors=True)
            raise
        self._made = True

    def _flush(self) -> None:
        storage = self._writer.storage
        if self._writer.storage_plugin == StoragePlugin.MCAP:
            if storage.chunk.bio.tell():
                storage.close_chunk()
            storage.bio.flush()
        else:
            storage.conn.commit()
        self._flushed = time.monotonic()

    def _abandon(self) -> None:
        """Close the file as it is."""
        storage = self._writer.storage
        if storage is None:  # not opened, or closed already
            return
        file = storage.bio if self._writer.storage_plugin == StoragePlugin.MCAP else storage.conn
        with suppress(*_FAILURES):
            file.close()

    def _is_readable(self) -> bool:
        try:
            with open_bag(self.path) as reader:
                return any(connection.msgcount for connection in reader.connections)
        except BagError:
            return False

    def _error(self, error: Exception) -> BagError:
        if not self._made and os.path.exists(self.path):  # unlike Path's it never raises
            return _exists(self.path)
        text, number = reason(error), getattr(error, 'errno', None)
        if isinstance(error, sqlite3.Error) and 'full' in text:
            text, number = os.strerror(errno.ENOSPC), errno.ENOSPC
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or text == 'disk I/O error':
            remedy = 'make room on its disk, or give a path on another'
        else:
            remedy = 'give a path in a folder that you may write to'
        return BagError(f'bag {self.path} cannot be written: {text}; {remedy}')


def _exists(path: Path) -> BagError:
    if path.is_dir() and not (path / 'metadata.yaml').exists() and any(
            file.suffix in SUFFIXES for file in path.iterdir()):
        return BagError(f'bag {path} cannot be written: it exists already, and has no '
                        'metadata.yaml, as a command that was killed leaves it; remove it, or '
                        'give a path that does not exist yet')
    return BagError(f'bag {path} cannot be written: it exists already; give a path that does '
                    'not exist yet')
