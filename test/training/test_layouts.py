# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From data to masks: checked, trained on, evaluated and run, by the commands."""

import json

import cv2
import numpy as np
from command_line import ubcn

from ubcn_ros.images.files import write_image
from ubcn_ros.runtime import Engine

CLASSES = ('sky', 'building', 'road')
COLORS = ((70, 130, 180), (90, 60, 50), (128, 64, 128))
SIZE = (64, 96)
# bands from the top: class and first row
BANDS = ((0, 0), (1, 20), (2, 42))


def street(number):
    """Image and class ids of a sky over a building over a road, at heights of its own."""
    rng = np.random.default_rng(number)
    ids = np.zeros(SIZE, np.uint8)
    for i, row in BANDS[1:]:
        ids[row + rng.integers(-3, 4):] = i
    image = np.array([[205, 220, 235], [110, 60, 45], [60, 62, 70]], np.uint8)[ids]
    noise = cv2.resize(rng.integers(0, 40, (12, 18, 3), np.uint8), SIZE[::-1])
    return image + noise, ids


def streets():
    """Split, name, image and ids of four streets to train on and two to validate on."""
    for number in range(6):
        yield ('train', 'val')[number > 3], f'street_{number}', *street(number)


def make_streets(root):
    for split, name, image, ids in streets():
        write_image(root / 'images' / split / f'{name}.png', image)
        write_image(root / 'masks' / split / f'{name}.png', ids)
    (root / 'data.yaml').write_text(
        f'train: images/train\nval: images/val\nnames: {list(CLASSES)}\n'
        f'colors: {[list(color) for color in COLORS]}\n')


def output_of(*arguments):
    result = ubcn(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_from_data_to_masks_by_the_commands(tmp_path, write_recipe):
    root, out = tmp_path / 'streets', tmp_path / 'out'
    root.mkdir()
    make_streets(root)
    write_recipe(tmp_path / 'tiny.yaml', {'stages': {
        'derain': {'optimizer_steps': 1},
        'adapt': {'optimizer_steps': 50, 'batch': 4, 'adversarial_weight': 0,
                  'validate_every': 100, 'save_every': 100,
                  'samples': {'crop': list(SIZE), 'rain_probability': 0.5, 'renders': 8,
                              'reuse': 8}}}},
        ('derain', 'adapt'))
    assert '0 errors' in output_of('data', 'check', root)
    output_of('train', tmp_path / 'tiny.yaml', '--data', root, '--out', out, '--accelerator',
              'cpu', '--precision', '32-true', '--threads', 1, '--workers', 0)
    model = out / 'tiny.safetensors'
    output_of('evaluate', '--model', model, '--data', root, '--rates', '0', '--iterations', 1,
              '--device', 'cpu', '--allow-partial-model', '--json', tmp_path / 'found.json')
    found = json.loads((tmp_path / 'found.json').read_text())
    assert found['clean']['own']['miou'] > 50

    engine = Engine.load(model, device='cpu', precision='fp32', allow_partial=True)
    assert engine.label_set.classes == CLASSES and engine.label_set.colors == COLORS
    image, ids = street(9)
    assert (engine(image, iterations=1).labels == ids).mean() > 0.7
