# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of labels for people."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ubcn_ros.labels import UNLABELED


def overlay(image: np.ndarray, labels: np.ndarray, label_set: Any, alpha: float = 0.5
            ) -> np.ndarray:
    """
    Blend the class colours over an image; unlabeled pixels (255) show the image alone.

    :param image: (H, W, 3) uint8 RGB.
    :param labels: (H, W) uint8 class ids.
    :param label_set: the LabelSet that the ids belong to.
    :param alpha: share of the colour, 0 (image) to 1 (colours).
    :return: (H, W, 3) uint8 RGB, new.
    :raises ValueError: alpha out of range, or labels of another size than the image.
    """
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f'alpha must be 0 to 1, got {alpha}')
    if image.shape[:2] != labels.shape:
        raise ValueError(f'labels of shape {labels.shape} do not fit an image of shape '
                         f'{image.shape}: both must be of one frame')
    blended = cv2.addWeighted(image, 1.0 - alpha, label_set.colorize(labels), alpha, 0.0)
    unlabeled = labels == UNLABELED
    if unlabeled.any():
        blended[unlabeled] = image[unlabeled]
    return blended
