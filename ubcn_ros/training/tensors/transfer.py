# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small arrays of numbers on their way to the device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch


def to_device(values: Any, device: torch.device, dtype: torch.dtype = torch.float32
              ) -> torch.Tensor:
    """
    Make a tensor on a device without waiting for what the device has yet to do.

    :param values: numbers, or a sequence of numbers or arrays.
    """
    tensor = torch.from_numpy(np.array(values)).to(dtype)
    if device.type == 'cuda':  # from other memory the copy would wait
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def per_image(values: Sequence[Any], device: torch.device) -> torch.Tensor:
    """Take a number, or C numbers, of each of N images as ``to_device`` does: (N, C, 1, 1)."""
    return to_device(values, device).view(len(values), -1, 1, 1)


def stacked(arrays: Iterable[np.ndarray], device: torch.device) -> torch.Tensor:
    """Stack arrays of one shape on a device, each taken there as it comes."""
    return torch.stack([torch.from_numpy(array).to(device) for array in arrays])
