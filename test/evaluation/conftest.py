# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A folder in CamVid's layout, one of pairs, and a model that changes nothing."""

import cv2
import numpy as np
import pytest

HEIGHT, WIDTH = 48, 64


def picture(seed):
    """Smooth (H, W, 3) uint8 RGB."""
    coarse = np.random.default_rng(seed).integers(40, 200, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


@pytest.fixture(scope='session')
def camvid_folder(tmp_path_factory):
    """Three frames of drive A and one of B: sky, building, road, and an unlabeled corner."""
    root = tmp_path_factory.mktemp('camvid')
    for kind in ('images', 'labels'):
        (root / 'val' / kind).mkdir(parents=True)
    labels = np.full((HEIGHT, WIDTH), 1, np.uint8)
    labels[:16], labels[32:], labels[-4:, -4:] = 0, 3, 255
    for seed, name in enumerate(('A_0', 'A_1', 'A_2', 'B_0')):
        cv2.imwrite(str(root / 'val' / 'images' / f'{name}.png'), picture(seed))
        cv2.imwrite(str(root / 'val' / 'labels' / f'{name}.png'), labels)
    return root


@pytest.fixture
def pairs_folder(tmp_path):
    """Two pairs; the inputs are 10 and 20 grey levels brighter."""
    root = tmp_path / 'drops'
    for kind in ('input', 'target'):
        (root / kind).mkdir(parents=True)
    for number, name in enumerate(('001', '002'), 1):
        clean = picture(number)
        cv2.imwrite(str(root / 'target' / f'{name}.png'), clean)
        cv2.imwrite(str(root / 'input' / f'{name}.png'), clean + np.uint8(10 * number))
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
