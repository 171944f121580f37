# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write a bag with sqlite3 as its storage that can be read whatever ends the writing."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.rosbag2.metadata import parse_qos

from ubcn_ros.bags.channels import QOS
from ubcn_ros.bags.errors import BagError, exists_error, write_error
from ubcn_ros.bags.mcap_writer import FLUSH_SECONDS
from ubcn_ros.bags.messages import TYPES
from ubcn_ros.bags.reader import open_bag
from ubcn_ros.bags.records import Channel, Record
from ubcn_ros.stopping import signals_held

_FAILURES = (WriterError, OSError, sqlite3.Error)
_URI = '?#%'  # rosbags puts the path into a URI as it is


class SqliteBagWriter:
    """
    Writes records of standard types; topics are added as they come. A context manager.

    It is as `McapBagWriter`; what this storage cannot hold, the time of publishing, say, is left
    out.

    :param folder: to make.
    :raises BagError: it exists, or cannot be written; as all methods do.
    """

    def __init__(self, folder: Path | str):
        if any(sign in str(folder) for sign in _URI):
            raise BagError(f'bag {folder} cannot be written: sqlite3 bags cannot have one of '
                           f'{" ".join(_URI)} in their path; give another path, or mcap as '
                           'storage')
        self.folder = Path(folder)
        self._connections: dict[Channel, Connection] = {}
        self._made, self._failure = False, None
        self._flushed = time.monotonic()

    def __enter__(self) -> SqliteBagWriter:
        try:
            with self._writing():
                self._make()
        except BaseException:  # a signal, too
            self._abandon()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with signals_held():
            try:
                if self._failure is not None:
                    raise self._failure
                if not self._connections:
                    self._writer.min_timestamp = 0  # else an empty bag starts in the year 2262
                self._writer.close()
            except _FAILURES as error:
                self._abandon()
                if kind is None:
                    raise write_error(self.folder, error) from error

    def write(self, record: Record) -> None:
        """Write a message, behind those before."""
        with self._writing():
            channel = record.channel
            if channel not in self._connections:
                self._connections[channel] = self._writer.add_connection(
                    channel.topic, channel.msgtype, typestore=TYPES,
                    offered_qos_profiles=parse_qos(dict(channel.metadata).get(QOS, '')))
            self._writer.write(self._connections[channel], record.time_ns, record.data)
            if time.monotonic() - self._flushed >= FLUSH_SECONDS:
                self._writer.storage.conn.commit()
                self._flushed = time.monotonic()

    def remove(self) -> None:
        """Remove the folder, if this writer made it."""
        if self._made:
            shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Finish what is being written before a signal stops it; keep the first failure."""
        with signals_held():
            try:
                yield
            except _FAILURES as error:
                self._failure = error
                raise write_error(self.folder, error) from error

    def _make(self) -> None:
        try:
            self._writer = Writer(self.folder, version=9, storage_plugin=StoragePlugin.SQLITE3)
            self._writer.open()
        except WriterError as error:
            raise exists_error(self.folder) from error
        except _FAILURES:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self._made = True

    def _abandon(self) -> None:
        """Close the file as it is; remove the bag where no message of it is whole."""
        storage = self._writer.storage if self._made else None
        if storage is not None:  # not closed already
            with suppress(*_FAILURES):
                storage.conn.close()
        if not self._is_readable():
            self.remove()

    def _is_readable(self) -> bool:
        try:
            with open_bag(self.folder) as reader:
                return any(connection.msgcount for connection in reader.connections)
        except BagError:
            return False
