# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scenes of a small data set in CamVid's layout, no two of which look alike."""

import cv2
import numpy as np

from ubcn_ros.data.mixture import open_data
from ubcn_ros.images.files import write_image

SIZE = (48, 64)


def picture(seed, size=SIZE):
    """Clouds of colour, others for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def mask(size=SIZE):
    """Stripes of all eleven classes, and a line of unlabeled pixels."""
    ids = np.repeat((np.arange(size[1]) * 11 // size[1])[None], size[0], 0).astype(np.uint8)
    ids[0] = 255
    return ids


def add(root, split, name, image, ids=None):
    """Write a scene in CamVid's layout."""
    write_image(root / split / 'images' / f'{name}.png', image)
    write_image(root / split / 'labels' / f'{name}.png',
                mask(image.shape[:2]) if ids is None else ids)


def opened(*roots):
    return open_data(roots)
