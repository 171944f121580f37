# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What studies share that train networks."""

from __future__ import annotations

from ubcn_ros.training.config import TrainConfig
from ubcn_ros.training.run import Run


def check_last_counts(config: TrainConfig) -> None:
    """Raise ValueError where a recipe would choose a network by the split that is tested."""
    images = config.data.validation_images
    if images:
        raise ValueError(f'the recipe {config.name!r} has data.validation_images {images}, and so '
                         'the best network by the split val would count, which is the test: set '
                         'it to 0, and the last one counts')


def left_to_train(run: Run) -> list[str]:
    """
    Return the stages of a study's network that are not trained to their end yet.

    :raises ValueError: what lies there was begun with something else, or is damaged.
    """
    try:
        return run.plan(resume=True)
    except ValueError as error:  # whose remedy is that of `ubcn train`
        raise ValueError(f'{error}. That is for `ubcn train`; for a study choose another --out, '
                         f'or remove {run.out}') from error
