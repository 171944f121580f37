# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Hold the newest frame of each camera, and hand them on in turn.

The camera that was served longest ago goes first, not the one whose frame is oldest: newer frames
replace older ones, so that a fast camera's are always the youngest, and it would starve. Nothing
is waited for to complete a batch: that only delays whoever is there, and where cameras take their
pictures at once, the next batch is complete while one is worked on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

Camera = TypeVar('Camera', bound=Hashable)
Frame = TypeVar('Frame')


class FrameQueue(Generic[Camera, Frame]):
    """
    One place for each camera, in which a newer frame replaces the older one. Thread-safe.

    A camera whose frame waits is served after as many batches, at most, as there are others.

    :ivar condition: notified when a frame comes, or when other cameras are served.
    """

    def __init__(self, batch_key: Callable[[Frame], Hashable]):
        """
        Serve no camera yet.

        :param batch_key: of a frame; frames of equal keys go together, those of None alone. It
            must be quick and not raise.
        """
        self.condition = threading.Condition()
        self._batch_key = batch_key
        self._most: int | None = None
        self._cameras: list[Camera] = []  # the one that is next first
        self._waiting: dict[Camera, Frame] = {}

    def serve(self, cameras: Sequence[Camera]) -> None:
        """Hand on the frames of these cameras from now on; others' wait."""
        with self.condition:
            self._cameras = list(cameras)
            self.condition.notify_all()

    def take_at_most(self, most: int | None) -> None:
        """Take so many frames together at most from now on; None: all that go together."""
        with self.condition:
            self._most = most

    def put(self, camera: Camera, frame: Frame) -> bool:
        """Let a frame wait; return whether it replaced one, which is dropped."""
        with self.condition:
            replaced = camera in self._waiting
            self._waiting[camera] = frame
            self.condition.notify_all()
            return replaced

    def discard(self, camera: Camera) -> bool:
        """Drop the frame of a camera; return whether there was one."""
        with self.condition:
            return self._waiting.pop(camera, None) is not None

    def take(self) -> list[tuple[Camera, Frame]]:
        """Take the next frame and what goes together with it; [] where nothing waits."""
        with self.condition:
            waiting = [camera for camera in self._cameras if camera in self._waiting]
            if not waiting:
                return []
            key = self._batch_key(self._waiting[waiting[0]])
            taken = waiting[:1]
            if key is not None:
                taken += [camera for camera in waiting[1:]
                          if self._batch_key(self._waiting[camera]) == key]
            taken = taken[:self._most]
            self._cameras = [camera for camera in self._cameras if camera not in taken] + taken
            return [(camera, self._waiting.pop(camera)) for camera in taken]
