# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A folder in CamVid's layout, one of pairs, and a model that changes nothing."""

import numpy as np
import pytest
from camvid_folder import stripes, write_scenes
from random_images import clouds

from ubcn_ros.images.files import write_image


@pytest.fixture(scope='session')
def camvid_folder(tmp_path_factory):
    """Three frames of drive A and one of B: sky, building, road, and an unlabeled corner."""
    labels = stripes(0, 1, 3)
    labels[-4:, -4:] = 255
    return write_scenes(tmp_path_factory.mktemp('camvid'), 'val', 'A_0', 'A_1', 'A_2', 'B_0',
                        labels=labels)


@pytest.fixture
def pairs_folder(tmp_path):
    """Two pairs; the inputs are 10 and 20 grey levels brighter."""
    root = tmp_path / 'drops'
    for number, name in enumerate(('001', '002'), 1):
        clean = clouds(number, low=40, high=200)
        write_image(root / 'target' / f'{name}.png', clean)
        write_image(root / 'input' / f'{name}.png', clean + np.uint8(10 * number))
    return root


@pytest.fixture(scope='session')
def identity_model(tmp_path_factory):
    """Path of a model whose every step leaves the image as it is."""
    import torch

    from ubcn_ros.data.formats.camvid import CAMVID
    from ubcn_ros.network import IDMConfig, SAMConfig, UBCNConfig, build
    from ubcn_ros.runtime import save_model
    torch.manual_seed(1)
    network = build(UBCNConfig(CAMVID, IDMConfig(8, 2, 2), SAMConfig(8, 2, 2, form='trunk'),
                               'ddrnet23_slim', {'width': 4}))
    for module in (network.derain, network.attention):
        torch.nn.init.zeros_(module.tail[1].weight)
        torch.nn.init.zeros_(module.tail[1].bias)
    path = tmp_path_factory.mktemp('identity') / 'identity.safetensors'
    save_model(path, network, {})
    return path
