# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames at another size than they were taken at."""

from __future__ import annotations

import cv2
import numpy as np

from ubcn_ros.data.scenes import CleanFrame


def resized(frame: CleanFrame, width: int, height: int) -> CleanFrame:
    """
    Resize a frame: pictures cubic where they grow, else averaged; labels and depth to nearest.

    :param width, height: pixels; another aspect than the frame's stretches it.
    """
    if frame.image.shape[:2] == (height, width):
        return frame
    grows = width * height > frame.image.shape[0] * frame.image.shape[1]

    def picture(image: np.ndarray | None) -> np.ndarray | None:
        return image if image is None else cv2.resize(
            image, (width, height), interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA)

    def exact(values: np.ndarray | None) -> np.ndarray | None:
        return values if values is None else cv2.resize(
            values, (width, height), interpolation=cv2.INTER_NEAREST)

    return CleanFrame(picture(frame.image), exact(frame.labels), exact(frame.depth),
                      picture(frame.rainy))
