# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
An engine that takes a given time and no processor, as one on a GPU does to its host.

As a program it is the node, for which a stand-in's name is a model, too.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from ubcn_ros.labels import numbered_labels
from ubcn_ros.node.loading import Say, load_engine
from ubcn_ros.node.parameters import Settings

_PREFIX = 'stand-in:'
_CLASSES = 11


def stand_in_model(milliseconds: float) -> str:
    """Name the model that `load` makes a stand-in of."""
    return f'{_PREFIX}{milliseconds:g}'


def load(settings: Settings, progress: Say) -> Any:
    """Make a stand-in of a model's name as of `stand_in_model`, else load the engine."""
    if settings.model.startswith(_PREFIX):
        return StandIn(float(settings.model.removeprefix(_PREFIX)))
    return load_engine(settings, progress)


class _NoDevice:
    type = 'none'

    def __str__(self) -> str:
        return self.type


class StandIn:
    """
    Sleeps for each image of a batch, and returns the same arrays for every image of a size.

    With the fields and methods of Engine that the node uses. What it returns is random, and has
    nothing to do with the images.

    :param milliseconds: for an image, whatever its size and the iterations asked for.
    """

    estimates_rain = False
    precision, backend = 'none', 'stand-in'

    def __init__(self, milliseconds: float) -> None:
        self.label_set = numbered_labels(_CLASSES)
        self.info = SimpleNamespace(name=stand_in_model(milliseconds), sha256='',
                                    untrained_text=lambda: '', trained_short_side=None,
                                    trained_focal_length=None)
        self.device = _NoDevice()
        self._milliseconds = milliseconds

    def warm_up(self, height: int, width: int, **_: Any) -> None:
        """Prepare the results of a size."""
        _results_of(height, width)

    def release(self, height: int, width: int, *_: Any) -> None:
        """Keep the results: they are the same for every batch of a size."""

    def release_all(self) -> None:
        """Keep them, likewise."""

    def __call__(self, image: np.ndarray, **options: Any) -> SimpleNamespace:
        """Return a frame for one image."""
        return self.batch([image], **options)[0]

    def batch(self, images: Sequence[np.ndarray], iterations: int = 3, confidence: bool = False,
              derained: bool = True, labels: bool = True, **_: Any) -> list[SimpleNamespace]:
        """Return a frame for each image, (H, W, 3) uint8."""
        total = self._milliseconds * len(images)
        time.sleep(total / 1e3)
        frames = []
        for image in images:
            asked = {'derained': derained, 'labels': labels, 'confidence': confidence}
            frames.append(SimpleNamespace(
                **{name: values if asked[name] else None for name, values
                   in _results_of(*image.shape[:2]).items()},
                iterations=iterations, working_size=image.shape[:2], unlabeled=None, rain=None,
                timings={'engine': total, 'total': total}))
        return frames


@functools.cache
def _results_of(height: int, width: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {'derained': random.integers(0, 256, (height, width, 3), np.uint8),
            'labels': random.integers(0, _CLASSES, (height, width), np.uint8),
            'confidence': random.integers(0, 256, (height, width), np.uint8)}


if __name__ == '__main__':
    from ubcn_ros.node.main import main
    sys.exit(main(load=load))
