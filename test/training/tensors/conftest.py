# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scenes from memory, and their samples as tensors."""

import itertools

import numpy as np
import pytest
import torch

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.scenes import CleanFrame, Scene, SceneList
from ubcn_ros.training.sample_config import SampleConfig
from ubcn_ros.training.tensors.samples import TensorSamples

_NUMBERS = itertools.count()


class MemoryScene(Scene):
    """A scene of arrays, of a name of its own."""

    def __init__(self, image, labels=None, depth=None, rainy=None):
        super().__init__(f'scene {next(_NUMBERS)}', None, None)
        labels = np.full(image.shape[:2], 255, np.uint8) if labels is None else labels
        object.__setattr__(self, 'frame', CleanFrame(image, labels, depth, rainy))

    labelled = True

    def read(self):
        return self.frame


@pytest.fixture(scope='session')
def street():
    """A picture of a street with texture, (96, 128, 3), and its labels."""
    rng = np.random.default_rng(0)
    labels = np.zeros((96, 128), np.uint8)  # Sky, Building, Road
    labels[30:], labels[60:] = 1, 3
    image = np.array([[200, 210, 220], [90, 70, 60], [0, 0, 0], [80, 80, 85]], np.uint8)[labels]
    texture = rng.integers(-20, 20, (12, 16, 1)).repeat(8, 0).repeat(8, 1)
    return np.clip(image + texture, 0, 255).astype(np.uint8), labels


@pytest.fixture
def scene_list():
    """Function that makes a list of scenes of arrays."""
    def made(*frames, label_set=CAMVID, groups=()):
        scenes = tuple(MemoryScene(*frame) for frame in frames)
        return SceneList('memory', label_set, scenes, groups)
    return made


@pytest.fixture
def samples(scene_list, street, monkeypatch):
    """Function that makes samples of frames, by default the street, from few layers."""
    def made(frames=None, seed=1, label_set=CAMVID, groups=(), variants=2, **config):
        monkeypatch.setattr('ubcn_ros.training.tensors.samples._VARIANTS', variants)
        for name in ('soft_streaks', 'lens_drops'):
            monkeypatch.setattr(f'ubcn_ros.training.tensors.{name}._PICTURES', 8)
        config = {'crop': (48, 64), 'on_device': True, **config}
        return TensorSamples(scene_list(*(frames or [street]), label_set=label_set,
                                        groups=groups),
                             SampleConfig(**config), seed, torch.device('cpu'))
    return made
