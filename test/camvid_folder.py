# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tiny data sets in CamVid's layout: ROOT/SPLIT/{images,labels}/NAME.png."""

import numpy as np
from random_images import clouds

from ubcn_ros.images.files import write_image


def stripes(*ids, height=48, width=64):
    """Return a mask of these class ids from the top, each as high as the others."""
    return np.repeat(np.array(ids, np.uint8)[np.arange(height) * len(ids) // height][:, None],
                     width, 1)


def write_scene(root, split, name, image, labels):
    """Write an image, (H, W, 3) RGB, and the class ids of its pixels."""
    write_image(root / split / 'images' / f'{name}.png', image)
    write_image(root / split / 'labels' / f'{name}.png', labels)


def write_scenes(root, split, *names, labels=None, seed=0):
    """Write smooth images from a seed on; all have this mask, or sky, building and road."""
    labels = stripes(0, 1, 3) if labels is None else labels
    for number, name in enumerate(names, seed):
        write_scene(root, split, name, clouds(number, *labels.shape, 40, 200), labels)
    return root
