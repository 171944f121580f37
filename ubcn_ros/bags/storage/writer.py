# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write a bag of messages that are made here, in either storage format."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from ubcn_ros.bags.errors import BagError, exists_error
from ubcn_ros.bags.messages import TYPES
from ubcn_ros.bags.storage.channels import ros_channel
from ubcn_ros.bags.storage.mcap_writer import McapBagWriter
from ubcn_ros.bags.storage.records import Record
from ubcn_ros.bags.storage.sqlite_writer import SqliteBagWriter

STORAGES = {'mcap': McapBagWriter, 'sqlite3': SqliteBagWriter}
"""Storage formats that can be written; both are read."""
_TIMES = {'mcap': range(2**64), 'sqlite3': range(-2**63, 2**63)}  # ns that a storage can hold


class BagWriter:
    """
    Writes messages of standard types; topics are added as they come. A context manager.

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
        if os.path.exists(path):  # unlike Path's it never raises
            raise exists_error(self.path)
        self._storage, self._made = storage, False
        self._writer = STORAGES[storage](self.path)
        self._channel = cache(ros_channel)

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if not self._made:
            if kind is not None:
                return
            self._writer.__enter__()
        self._writer.__exit__(kind, *rest)

    def write(self, topic: str, type_name: str, message: Any, recorded_ns: int) -> None:
        """
        Write one message.

        :param type_name: like 'sensor_msgs/msg/Image'.
        :param message: as rosbags has it, or serialized (CDR) bytes.
        :param recorded_ns: the time that it counts as recorded and published at.
        :raises BagError: it cannot be written.
        """
        if recorded_ns not in _TIMES[self._storage]:
            other = next((name for name, times in _TIMES.items() if recorded_ns in times), None)
            raise BagError(f'a message of {topic} was recorded at {recorded_ns} ns, which '
                           f'{self._storage} cannot hold: '
                           + (f'use {other} as storage (on the command line, --storage)' if other
                              else 'correct the time in its source'))
        if not isinstance(message, bytes | memoryview):
            message = TYPES.serialize_cdr(message, type_name)
        if not self._made:
            self._writer.__enter__()
            self._made = True
        self._writer.write(Record(self._channel(topic, type_name), recorded_ns, recorded_ns, 0,
                                  message))

    def remove(self) -> None:
        """Remove the bag's folder, if this writer made it."""
        self._writer.remove()
