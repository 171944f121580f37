# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settle what a camera's images are processed at; ROS-free."""

from __future__ import annotations

import math
from typing import Any

from ubcn_ros.runtime.processing import TRAINED, short_side

FOCAL_LENGTH_SECONDS = 1.0
"""How long after the first image a camera info is waited for."""


class CameraProcessing:
    """
    Resolves `processing_size` for one camera.

    The focal length that counts is the newest of the time until the first image that is processed
    by it, and no longer than for a moment after the first image of all, whatever size is asked for
    then: one that changed while images come would cost a warm-up. As drivers publish an image
    before its camera info, images that go by focal length are dropped for that moment.

    :ivar asked: the parameter's value for this camera; may be set at any time.
    """

    def __init__(self, info: Any):
        """
        Begin without a focal length.

        :param info: of the model; None where it says nothing of its training.
        """
        self.asked = TRAINED
        self._info = info
        self._focal_length: float | None = None
        self._settled = self._told = False
        self._first: float | None = None  # when the first image came

    def restart(self) -> None:
        """Wait anew, as the camera is opened, for what is not settled yet."""
        self._first = None

    def size(self, asked: int | None = None) -> int:
        """
        Return what the engine is asked for: -1, 0 or a short side in pixels.

        :param asked: a value of the parameter; None for the present one.
        """
        asked = self.asked if asked is None else asked
        if self._focal_length is None:
            return asked
        return short_side(asked, self._info, self._focal_length)

    def waits(self, now: float) -> bool:
        """
        Say whether an image is to be dropped, as the focal length may be about to come.

        :param now: seconds, of any clock that goes on.
        """
        if self._first is None:
            self._first = now
        self._settled |= now - self._first >= FOCAL_LENGTH_SECONDS
        return not self._settled and self._focal_length is None and self.asked == TRAINED \
            and self._goes_by_focal_length

    @property
    def _goes_by_focal_length(self) -> bool:
        return getattr(self._info, 'trained_focal_length', None) is not None

    def begin(self) -> int:
        """Return the size for an image that came; by focal length, that is settled with it."""
        self._settled |= self.asked == TRAINED
        return self.size()

    def take(self, camera_info: Any) -> str:
        """
        Take the focal length of a camera info, where it comes in time and says one.

        :param camera_info: sensor_msgs/CameraInfo.
        :return: what there is to say of it, once; else ''.
        """
        length = focal_length(camera_info)
        if length is None or not self._goes_by_focal_length:
            return ''
        if not self._settled:
            known, self._focal_length = self._focal_length, length
            if length == known or self.asked != TRAINED:
                return ''
            return (f'a focal length of {length:.2f} short sides: images are processed at a short '
                    f'side of {self.size()}')
        if self._told or self.asked != TRAINED or (self._focal_length is not None
                          and math.isclose(length, self._focal_length, rel_tol=0.01)):
            return ''
        self._told = True
        return (f'camera info with a focal length of {length:.2f} short sides came after the '
                'first images: it changes no processing size until the node is configured again')


def focal_length(camera_info: Any) -> float | None:
    """Return the focal length as a share of the image's short side; None: not calibrated."""
    pixels, side = camera_info.k[4] / max(camera_info.binning_y, 1), min(image_size(camera_info))
    return pixels / side if side and 0 < pixels < math.inf else None


def image_size(camera_info: Any) -> tuple[int, int]:
    """Return height and width of the images that a camera info is of; 0 where it does not say."""
    region = camera_info.roi
    if not (region.height and region.width):  # the whole sensor, by sensor_msgs/CameraInfo
        region = camera_info
    return (region.height // max(camera_info.binning_y, 1),
            region.width // max(camera_info.binning_x, 1))
