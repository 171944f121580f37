# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files of tiny data sets."""

import cv2
import numpy as np
from PIL import Image

SIZE = (36, 40)


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)


def picture(value=0):
    """Image in BGR whose red is the value."""
    image = np.zeros((*SIZE, 3), np.uint8)
    image[..., 2] = value
    return image


def ids(*rows):
    """Mask whose first rows are these numbers, the last of them repeated to the end."""
    values = np.full(SIZE, rows[-1], np.uint8)
    values[:len(rows)] = np.array(rows)[:, None]
    return values


def write_palette_png(path, numbers, palette):
    """Palette PNG; OpenCV cannot write one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(numbers, 'L')
    image.putpalette(np.asarray(palette, np.uint8).tobytes())
    image.save(path, optimize=False)


def write_yaml(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def scene_names(listing):
    return [scene.name for scene in listing.scenes]


def knows_all_files(dataset, root):
    """Whether a data set is made of all files below a folder, and of no others."""
    return ({path for path in root.rglob('*') if path.is_file()}
            == {path for path in dataset.all_files() if path.is_file()})
