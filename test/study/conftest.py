# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What tests of figures share: a few scenes, and the folder of a study of baselines."""

from dataclasses import replace

import cv2
import numpy as np
import pytest


@pytest.fixture(scope='session')
def street(tmp_path_factory):
    """Folder in CamVid's layout: three scenes of 96x64 in the split val."""
    root = tmp_path_factory.mktemp('street') / 'camvid'
    for kind in ('images', 'labels'):
        (root / 'val' / kind).mkdir(parents=True)
    for i in range(3):
        coarse = np.random.default_rng(i).integers(40, 200, (8, 12, 3)).astype(np.uint8)
        labels = np.repeat(np.array([0, 1, 3, 255], np.uint8), 16)[:, None].repeat(96, 1)
        for kind, array in (('images', cv2.resize(coarse, (96, 64))), ('labels', labels)):
            assert cv2.imwrite(str(root / 'val' / kind / f'A_{i}.png'), array)
    return root


@pytest.fixture(scope='session')
def some_baselines(tiny_model, tmp_path_factory):
    """Folder of a study that has trained two of the baselines for as many samples as IDM."""
    import torch

    from ubcn_ros.network import build
    from ubcn_ros.network.baselines import BaselineConfig
    from ubcn_ros.runtime import load_model, save_model
    folder = tmp_path_factory.mktemp('study-baselines')
    network, info = load_model(tiny_model)
    for name in ('ddn', 'rescan'):
        torch.manual_seed(3)
        baseline = build(replace(info.config, derain=BaselineConfig(name)))
        baseline.segmentation.load_state_dict(network.segmentation.state_dict())
        place = folder / 'samples' / name
        place.mkdir(parents=True)
        save_model(place / f'baselines-{name}.safetensors', baseline,
                   {'trained': ['derain', 'segmentation']})
    return folder
