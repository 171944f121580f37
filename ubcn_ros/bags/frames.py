# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The images of a bag, decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ubcn_ros.bags.errors import BagError, MalformedMessage
from ubcn_ros.bags.messages import decode_record, stamp_ns
from ubcn_ros.bags.storage.reader import open_bag
from ubcn_ros.bags.topics import image_connection


@dataclass(frozen=True)
class BagImage:
    """
    An image of a bag.

    ``header`` is the message's (``stamp.sec``, ``stamp.nanosec``, ``frame_id``); ``recorded_ns``
    the time it was recorded; ``image`` (H, W, 3) uint8 RGB.
    """

    topic: str
    header: Any
    recorded_ns: int
    image: np.ndarray

    @property
    def stamp_ns(self) -> int:
        """The header's stamp, nanoseconds."""
        return stamp_ns(self.header)


def read_images(path: Path | str, topic: str | None = None) -> Iterator[BagImage]:
    """
    Yield the images of a bag in the order of recording.

    :param topic: the image topic; None takes the only one that there is.
    :raises BagError: from open_bag and image_connection, an image is malformed, or, after all that
        could be read, fewer were found than the bag announces.
    """
    with open_bag(path) as reader:
        connection, number = image_connection(reader, topic), 0
        for number, record in enumerate(reader.records(reader.channels_of(connection)), 1):
            try:
                message, image = decode_record(record)
            except MalformedMessage as error:
                raise MalformedMessage(f'{path}, message {number} of {connection.topic}: {error}'
                                       ) from error
            yield BagImage(connection.topic, message.header, record.time_ns, image)
        if problems := reader.problems(connection, number):
            raise BagError('; '.join(problems))
