# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Hold a frame on its way through the node: as it arrived, as the engine takes it; ROS-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ubcn_ros.images.formats import read_header
from ubcn_ros.images.messages import (
    MalformedImage,
    compressed_to_rgb,
    output_encoding,
    to_rgb,
)
from ubcn_ros.runtime.processing import TRAINED

_OTHER_CLOCK_SECONDS = 60.0


def of_one_clock(seconds: float) -> bool:
    """
    Say whether two times so far apart may be of one clock.

    Those of another, as when a bag is replayed, or in simulated time, mostly are further off.
    """
    return abs(seconds) < _OTHER_CLOCK_SECONDS


@dataclass(frozen=True)
class Arrival:
    """An image message as it arrived."""

    message: Any  # sensor_msgs Image or CompressedImage
    time: float  # time.monotonic(), seconds
    compressed: bool = False  # whether it is a CompressedImage
    processing_size: int = TRAINED  # as the engine is asked for it
    before: Mapping[str, float] = field(default_factory=dict)  # as `times_before` returns it
    info: Any = None  # keeps its camera info in the outputs while it lives

    def batch_key(self) -> tuple[int, int, int] | None:
        """Return what images have in common that the engine takes together; None: no image."""
        size = self.size()
        return size and (*size, self.processing_size)

    def size(self) -> tuple[int, int] | None:
        """Read the height and width that the message claims; None where it cannot be an image."""
        if not self.compressed:
            return self.message.height, self.message.width
        try:
            header = read_header(memoryview(self.message.data).cast('B'))
        except MalformedImage:
            return None
        return header.height, header.width

    def to_rgb(self) -> Any:
        """
        Convert the message for the engine.

        :return: (H, W, 3) uint8 RGB.
        :raises MalformedImage: the message holds no image.
        """
        return compressed_to_rgb(self.message) if self.compressed else to_rgb(self.message)

    def output_encoding(self) -> str:
        """Return the encoding in which the derained image keeps the order of the colours."""
        return output_encoding('rgb8' if self.compressed else self.message.encoding)


def times_before(info: Mapping[str, int], now_ns: int) -> dict[str, float]:
    """
    Tell what a message went through before its callback, milliseconds.

    :param info: rclpy's MessageInfo.
    :param now_ns: time.time_ns() in the callback.
    :return: `transport`, from its publishing by the publisher's clock until the middleware had it
        by ours, and `take`, from there to the callback; empty where the middleware does not say,
        or the clocks differ so much that one would be negative, or `transport` a minute or more.
    """
    sent, received = (info.get(key) or 0 for key in ('source_timestamp', 'received_timestamp'))
    if not 0 < sent <= received <= now_ns or not of_one_clock((received - sent) / 1e9):
        return {}
    return {'transport': (received - sent) / 1e6, 'take': (now_ns - received) / 1e6}


@dataclass(frozen=True)
class PendingFrame:
    """An image ready for the engine; times are time.monotonic(), seconds."""

    camera: Any
    arrival: Arrival
    image: Any  # (H, W, 3) uint8 RGB
    deadline: float | None  # of the engine: `publishing` is taken off
    needed: frozenset[str]  # of the engine's results: derained, labels, confidence
    started: float  # when its conversion began
    converted: float  # when that ended
    publishing: float = 0.0  # seconds that publishing may take


def engine_deadline(frames: Sequence[PendingFrame]) -> float | None:
    """
    Return when the engine has to be done with a batch for each of its frames to be out in time.

    :param frames: in the order of publishing: each waits for those before it.
    :return: time.monotonic(), seconds; None without a deadline.
    """
    deadlines, before = [], 0.0
    for frame in frames:
        if frame.deadline is not None:
            deadlines.append(frame.deadline - before)
        before += frame.publishing
    return min(deadlines, default=None)


@dataclass(frozen=True)
class FrameNumbers:
    """What is measured of one frame, times in milliseconds."""

    iterations: int  # steps it took
    working_size: tuple[int, int]  # height and width that its labels were worked out at
    processing_ms: float  # from the beginning of its conversion to its last publish
    latency_ms: float  # from its arrival to its last publish
    deadline_ms: float  # latency that was asked for; 0 where none was
    timings: dict[str, float]  # by stage
    unlabeled: float | None = None  # share of the pixels, 0..1; None without min_confidence
    rain: Any = None  # with `rate`, mm/hr, and `visibility`, m; None without an estimate

    @property
    def late(self) -> bool:
        """Whether the frame missed its deadline."""
        return bool(self.deadline_ms) and self.latency_ms > self.deadline_ms
