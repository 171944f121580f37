# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
An engine that computes next to nothing, and the node around it as a process of its own.

`python fake_engine.py --ros-args ...` is the real node except for the engine; the model's name
says how it behaves: `fast`, `slow:0.2` (seconds per step), `broken` (cannot be loaded),
`loading:2` (seconds to load), `raises:3` (every third frame), `small` (memory for one step only),
`full` (memory for none), `lost` (an error that costs the GPU), `most:2` (memory to warm up for two
images at a time), `rain` (estimates the rain).
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from ubcn_ros.runtime.processing import working_size


class FakeLabels:
    """Three classes in pure colours."""

    classes = ('red', 'green', 'blue')
    num_classes = 3

    def colorize(self, labels: np.ndarray) -> np.ndarray:
        palette = np.zeros((256, 3), np.uint8)
        palette[:3] = np.eye(3, dtype=np.uint8) * 255
        return palette[labels]


class FakeDevice:
    """What is asked of a torch.device."""

    type = 'cpu'

    def __str__(self):
        return self.type


@dataclass
class FakeEngine:
    """
    Derained is the input plus `iterations`; the label is the strongest colour of a pixel, which is
    as sure as that is bright.
    """

    behaviour: str = 'fast'
    calls: list[dict] = field(default_factory=list)
    label_set = FakeLabels()
    device = FakeDevice()
    precision = 'fp32'
    backend = 'eager'
    info = SimpleNamespace(name='fake', sha256='0' * 64, untrained_text=lambda: '',
                           trained_short_side=None, trained_focal_length=None)

    @property
    def estimates_rain(self):
        return self.behaviour == 'rain'

    def warm_up(self, height, width, progress=None, count=1, processing_size=None):
        kind, _, value = self.behaviour.partition(':')
        if kind == 'most' and count > int(value):
            raise MemoryError(f'no memory for {count} images')
        if progress is not None:
            progress(f'warming up for {count} of {width} x {height}')

    def release(self, height, width, count=1, processing_size=None):
        pass

    def release_all(self):
        pass

    def __call__(self, image, iterations=3, deadline=None, confidence=False, processing_size=None,
                 min_confidence=0.0, convergence=0.0, derained=True, labels=True):
        self.calls.append({'shape': image.shape, 'iterations': iterations, 'deadline': deadline,
                           'confidence': confidence, 'processing_size': processing_size,
                           'min_confidence': min_confidence, 'convergence': convergence,
                           'derained': derained, 'labels': labels})
        kind, _, value = self.behaviour.partition(':')
        if kind == 'slow':
            time.sleep(float(value) * iterations)
        if kind == 'raises' and len(self.calls) % int(value) == 0:
            raise RuntimeError('injected failure')
        if kind == 'full' or kind == 'small' and iterations > 1:
            raise MemoryError(f'no memory for {iterations} steps')
        if kind == 'lost':
            raise RuntimeError('CUDA error: an illegal memory access was encountered')
        below = image.max(2) < 255 * min_confidence
        return SimpleNamespace(
            derained=np.minimum(image.astype(np.int16) + iterations, 255).astype(np.uint8)
            if derained else None,
            labels=np.where(below, 255, image.argmax(2)).astype(np.uint8) if labels else None,
            iterations=iterations,
            rain=SimpleNamespace(rate=12.5, visibility=800.25) if self.estimates_rain else None,
            unlabeled=below.mean() if min_confidence else None,
            working_size=self.working_size(image, processing_size),
            confidence=image.max(2) if confidence else None,
            timings={'upload': 0.1, 'derain': 1.0, 'total': 1.1})

    @staticmethod
    def working_size(image, processing_size):
        """Of an image; at its own size without PyTorch, whose import takes seconds."""
        asked = processing_size is not None and processing_size > 0  # -1: trained at no size
        return asked and working_size(*image.shape[:2], processing_size) or image.shape[:2]

    def batch(self, images, **options):
        self.calls.append({'batch': len(images)})
        kind, _, value = self.behaviour.partition(':')
        if kind == 'most' and len(images) > int(value):
            raise MemoryError(f'no memory for {len(images)} images')
        return [self(image, **options) for image in images]


def load(settings, progress):
    """Load a fake engine as the settings' model says."""
    if settings.model == 'broken':
        raise ValueError('broken.safetensors is\nnot a model file: train one')
    kind, _, seconds = settings.model.partition(':')
    if kind == 'loading':
        time.sleep(float(seconds))
    return FakeEngine(settings.model)


if __name__ == '__main__':
    from ubcn_ros.node.main import main
    sys.exit(main(load=load))
