# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of chosen frames, read from a bag in one pass where their order allows it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

from ubcn_ros.bags import Record
from ubcn_ros.bags.headers import header_stamp_ns
from ubcn_ros.bags.messages import deserialize
from ubcn_ros.report.recording import FrameKey, OpenBag

MOST_KEPT = 1 << 29
"""Bytes of messages of a bag that are kept: of outputs that were recorded seconds later."""


class Reading:
    """
    One pass over a bag for chosen frames, in about the order of recording.

    Messages that are met before they are asked for are kept, ``most`` bytes of them; where frames
    are asked for in another order, as those of a bag whose clock was the same all the time, it is
    gone back to those that were dropped.

    :param topics: to read.
    :param keys: of the frames; of others nothing is kept.
    """

    def __init__(self, bag: OpenBag, topics: Iterable[str], keys: Collection[FrameKey],
                 most: int = MOST_KEPT) -> None:
        self._bag, self._topics, self._most = bag, {*topics}, most
        self._wanted = {(topic, key) for topic in self._topics for key in keys}
        self._keys: dict[tuple[str, int, int], list[FrameKey]] = {}  # by topic, stamp and time
        for topic in self._topics:
            for key, time in bag.frames.get(topic, {}).items():
                self._keys.setdefault((topic, key.stamp_ns, time), []).append(key)
        self._kept: dict[tuple[str, FrameKey], Record] = {}
        self.kept_bytes = 0
        self._start(None)

    def message(self, topic: str | None, key: FrameKey) -> Any | None:
        """
        Return a message, which is asked for once; None where the bag has none of this key.

        :raises MalformedMessage: the data are not of the topic's type.
        """
        time = self._bag.frames.get(topic, {}).get(key)
        if time is None:
            return None
        place = topic, key
        if place not in self._kept and (time < self._time or not self._found(place, time)):
            self._start(time)
            if not self._found(place, time):
                return None
        record = self._drop(place)
        self._wanted.discard(place)
        return deserialize(record.data, record.channel.msgtype)

    def _start(self, time_ns: int | None) -> None:
        """Read on from a time of recording; None from the beginning."""
        bag, self._time = self._bag, -math.inf
        self._counts: Counter[tuple[str, int, int]] = Counter()
        self._records = bag.reader.records(bag.reader.channels_of(
            *(c for c in bag.connections if c.topic in self._topics)), time_ns)

    def _found(self, place: tuple[str, FrameKey], time_ns: int) -> bool:
        """Read on to a message, or past its time; keep what is wanted."""
        for record in self._records:
            self._time = record.time_ns
            self._keep(record)
            if place in self._kept or record.time_ns > time_ns:
                break
        return place in self._kept

    def _keep(self, record: Record) -> None:
        try:
            of_time = record.channel.topic, header_stamp_ns(record.data), record.time_ns
        except ValueError:
            return
        number, keys = self._counts[of_time], self._keys.get(of_time, ())
        self._counts[of_time] += 1
        if number >= len(keys) or (place := (of_time[0], keys[number])) not in self._wanted:
            return
        if place in self._kept:
            self._drop(place)
        self._kept[place] = record
        self.kept_bytes += len(record.data)
        while len(self._kept) > 1 and self.kept_bytes > self._most:
            self._drop(next(iter(self._kept)))

    def _drop(self, place: tuple[str, FrameKey]) -> Record:
        record = self._kept.pop(place)
        self.kept_bytes -= len(record.data)
        return record
