# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What studies share that train networks."""

from __future__ import annotations

from ubcn_ros.training.config import TrainConfig


def check_last_counts(config: TrainConfig) -> None:
    """Raise ValueError where a recipe would choose a network by the split that is tested."""
    images = config.data.validation_images
    if images:
        raise ValueError(f'the recipe {config.name!r} has data.validation_images {images}, and so '
                         'the best network by the split val would count, which is the test: set '
                         'it to 0, and the last one counts')
