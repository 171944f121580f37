# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pair the images of a camera with its CameraInfo, by stamp."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

T = TypeVar('T')

WINDOW_NS = 2_000_000_000
"""How far apart image and CameraInfo of one stamp may have been recorded."""
LOOKBACK_NS = 2 * WINDOW_NS
"""What was recorded earlier than this before a record changes none of its pairs."""


class _Waiting(NamedTuple):
    time_ns: int
    stamp: int
    image: object


class Pairing(Generic[T]):
    """
    Finds the CameraInfo of each image of one camera, in whichever order the two were recorded.

    Images and infos are given in the order of recording. What waits is forgotten after WINDOW_NS,
    so that any part of a bag can be worked out from the `LOOKBACK_NS` before it. Of several infos
    of one stamp the latest counts.

    :param by_stamp: whether image and info have equal stamps; else the latest info goes with an
        image, and none waits.
    """

    def __init__(self, by_stamp: bool = True):
        self._by_stamp = by_stamp
        self._infos: dict[int, tuple[int, bytes]] = {}  # time and data by stamp, latest last
        self._waiting: list[_Waiting] = []

    def image(self, stamp: int, time_ns: int, image: T) -> bytes | None:
        """
        Return the serialized CameraInfo of an image; None where it has to wait for one.

        :param stamp: of its header, ns.
        :param time_ns: when it was recorded.
        :param image: what `info` is to return if the image waits.
        """
        if not self._by_stamp:
            return next((data for _, data in self._infos.values()), None)
        self._forget(time_ns)
        if stamp in self._infos:
            return self._infos[stamp][1]
        self._waiting.append(_Waiting(time_ns, stamp, image))
        return None

    def info(self, stamp: int, time_ns: int, data: bytes) -> list[T]:
        """Take a serialized CameraInfo; return the images that waited for it."""
        if not self._by_stamp:
            self._infos = {stamp: (time_ns, data)}
            return []
        self._forget(time_ns)
        self._infos.pop(stamp, None)
        self._infos[stamp] = time_ns, data
        found = [waiting.image for waiting in self._waiting if waiting.stamp == stamp]
        if found:
            self._waiting = [waiting for waiting in self._waiting if waiting.stamp != stamp]
        return found

    def _forget(self, time_ns: int) -> None:
        oldest = time_ns - WINDOW_NS
        while self._infos and (first := next(iter(self._infos.items())))[1][0] < oldest:
            del self._infos[first[0]]
        while self._waiting and self._waiting[0].time_ns < oldest:
            del self._waiting[0]
