# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write a bag with sqlite3 as its storage that can be read whatever ends the writing."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.rosbag2.metadata import parse_qos

from ubcn_ros.bags.errors import BagError, exists_error
from ubcn_ros.bags.messages import TYPES
from ubcn_ros.bags.storage.channels import QOS
from ubcn_ros.bags.storage.reader import open_bag
from ubcn_ros.bags.storage.records import Channel, Record
from ubcn_ros.bags.storage.storage_writer import FLUSH_SECONDS, StorageWriter

_URI = '?#%'  # rosbags puts the path into a URI as it is


class SqliteBagWriter(StorageWriter):
    """
    Writes records of standard types; topics are added as they come. A context manager.

    It is as `McapBagWriter`; what this storage cannot hold, the time of publishing, say, is left
    out.

    :param folder: to make.
    :raises BagError: it exists, or cannot be written; as all methods do.
    """

    failures = (WriterError, OSError, sqlite3.Error)

    def __init__(self, folder: Path | str):
        if any(sign in str(folder) for sign in _URI):
            raise BagError(f'bag {folder} cannot be written: sqlite3 bags cannot have one of '
                           f'{" ".join(_URI)} in their path; give another path, or mcap as '
                           'storage')
        super().__init__(folder)
        self._connections: dict[Channel, Connection] = {}
        self._flushed = time.monotonic()

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

    def _begin(self) -> None:
        try:
            self._writer = Writer(self.folder, version=9, storage_plugin=StoragePlugin.SQLITE3)
            self._writer.open()
        except WriterError as error:
            raise exists_error(self.folder) from error
        except self.failures:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self._made = True

    def _finish(self) -> None:
        if not self._connections:
            self._writer.min_timestamp = 0  # else an empty bag starts in the year 2262
        self._writer.close()

    def _abandon(self) -> None:
        storage = self._writer.storage if self._made else None
        if storage is not None:  # not closed already
            with suppress(*self.failures):
                storage.conn.close()
        if not self._is_readable():
            self.remove()

    def _is_readable(self) -> bool:
        try:
            with open_bag(self.folder) as reader:
                return any(connection.msgcount for connection in reader.connections)
        except BagError:
            return False
