# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write a bag of messages that are made here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ubcn_ros.bags.errors import exists_error
from ubcn_ros.bags.messages import TYPES
from ubcn_ros.bags.storage.channels import ros_channel
from ubcn_ros.bags.storage.mcap_writer import McapBagWriter
from ubcn_ros.bags.storage.records import Record


class BagWriter:
    """
    Writes messages of standard types; topics are added as they come. A context manager.

    The folder is made with the first message, or where none comes when it is closed, but not by
    an exception before. What is written is as whole as of `McapBagWriter`.

    :param path: folder to make.
    :raises BagError: the path exists.
    """

    def __init__(self, path: Path | str):
        if os.path.exists(path):  # unlike Path's it never raises
            raise exists_error(Path(path))
        self._made = False
        self._writer = McapBagWriter(path)

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
        if not isinstance(message, bytes | memoryview):
            message = TYPES.serialize_cdr(message, type_name)
        if not self._made:
            self._writer.__enter__()
            self._made = True
        self._writer.write(Record(ros_channel(topic, type_name), recorded_ns, recorded_ns, 0,
                                  message))

    def remove(self) -> None:
        """Remove the bag's folder, if this writer made it."""
        self._writer.remove()
