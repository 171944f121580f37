# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The size at which images are labelled: what ``processing_size`` stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ubcn_ros.images.malformed import MIN_SIDE
from ubcn_ros.runtime.checks import check_number

if TYPE_CHECKING:
    from ubcn_ros.runtime.model_info import ModelInfo

NATIVE, TRAINED = 0, -1
"""Values of ``processing_size``: the image's own size; what the model was trained for."""
LARGEST = 8192
"""Largest short side that may be asked for, pixels."""
LARGEST_FACTOR = 2
"""Most that an image is enlarged to be labelled, as in training: beyond it is only blurred."""


def check_processing_size(value: int) -> None:
    """Raise ValueError unless the value is -1, 0 or a short side in pixels."""
    check_number('processing_size', value, MIN_SIDE, LARGEST, (TRAINED, NATIVE), whole=True)


def short_side(processing_size: int, info: ModelInfo, focal_length: float | None = None) -> int:
    """
    Resolve -1: work out the short side that a camera's images are to be processed at.

    What the model was trained for is a short side, at which things appear as large as in
    training. Where the focal lengths of both cameras are known it is scaled by them: a wide lens
    shows the same car smaller, so that its images are to stay larger.

    :param processing_size: -1, 0 or a short side.
    :param info: of the model.
    :param focal_length: of the camera, as a share of its images' short side.
    :return: 0 for the images' own size, or the short side in pixels.
    """
    if processing_size != TRAINED:
        return processing_size
    side = info.trained_short_side
    if side is None:
        return NATIVE
    if focal_length and info.trained_focal_length:
        # of a focal length near 0 it is infinite; cameras of one type have one size, rounded as by
        # working_size
        from ubcn_ros.network.blocks import ALIGNMENT  # imports PyTorch
        side = min(side * info.trained_focal_length / focal_length, LARGEST)
        side = round(side / ALIGNMENT) * ALIGNMENT
    return min(max(side, MIN_SIDE), LARGEST)


def working_size(height: int, width: int, side: int) -> tuple[int, int] | None:
    """
    Return the height and width that images of a size are processed at.

    Both sides are the nearest multiples of ``network.blocks.ALIGNMENT``, which changes the aspect
    by as little, but not above the image's own unless it is enlarged, and not below ``MIN_SIDE``.

    :param side: the short side, pixels; 0 for the image's own. It is enlarged at most
        ``LARGEST_FACTOR`` times.
    :return: None for the image's own size.
    """
    from ubcn_ros.network.blocks import ALIGNMENT, aligned  # imports PyTorch
    least = min(height, width)
    side = min(side, LARGEST_FACTOR * least) or least
    # multiplied first, or 540 of 1070 would be a little less than 540, and another multiple
    size = tuple(max(round(length * side / least / ALIGNMENT) * ALIGNMENT, MIN_SIDE)
                 for length in (height, width))
    if side <= least:
        size = tuple(map(min, size, aligned(height, width)))
    return None if size == (height, width) else size
