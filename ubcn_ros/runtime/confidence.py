# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How sure a label is, and labels that are left out where it is not sure enough."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch

from ubcn_ros.runtime.checks import check_number


def check_min_confidence(value: float) -> None:
    """Raise ValueError unless the value is a probability."""
    check_number('min_confidence', value, 0, 1)


def confidence_of(logits: torch.Tensor, temperature: float, dim: int = 0) -> torch.Tensor:
    """
    Work out the probability of the likeliest class: max softmax(logits / temperature).

    The temperature, one for all classes (Guo et al., "On Calibration of Modern Neural Networks",
    2017), changes no label.

    :param logits: fp32, the classes along ``dim``.
    :param temperature: above 1 for a network that is surer than it is right, below 1 for one
        that is not as sure.
    :return: the same shape without ``dim``, 0..1.
    """
    if temperature != 1:
        logits = logits / temperature
    return torch.exp(logits.amax(dim) - logits.logsumexp(dim))


def least_step(least: float) -> int:
    """Return the least of the steps of 1/255, as confidences are rounded to, that reaches it."""
    # the rounding keeps 0.2, which is 51 steps, from becoming 52
    return math.ceil(round(255 * least, 6))


def leave_unlabeled(labels: np.ndarray, confidence: np.ndarray, least: float) -> float:
    """
    Set the labels of pixels whose confidence is below the least to 255, in place.

    :param labels: (H, W) uint8.
    :param confidence: (H, W) uint8, the probability times 255: compared in these steps.
    :param least: 0..1.
    :return: the share of those pixels, 0..1.
    """
    below = cv2.compare(confidence, least_step(least), cv2.CMP_LT)
    np.bitwise_or(labels, below, out=labels)  # 255 where it is below, else 0
    return cv2.countNonZero(below) / below.size
