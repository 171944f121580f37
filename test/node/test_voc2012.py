# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A model of PASCAL VOC's classes: trained by its recipe, measured, and run by the real node."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip('rclpy')
pytest.importorskip('lightning')
from command_line import ubcn  # noqa: E402
from ros_client import image_message, picture, wait_until  # noqa: E402

from ubcn_ros import Engine  # noqa: E402
from ubcn_ros.data.formats.voc2012 import VOC2012  # noqa: E402
from ubcn_ros.images.messages import to_rgb  # noqa: E402

RECIPE = Path(__file__).parents[2] / 'config' / 'train' / 'voc2012.yaml'


@pytest.fixture(scope='module')
def model(voc_root, tmp_path_factory, one_thread):
    """Path of the file that the recipe trains, all of it but for its sizes."""
    folder = tmp_path_factory.mktemp('voc2012')
    recipe = yaml.safe_load(RECIPE.read_text())
    recipe['model']['overrides'] = {
        **{part: {**recipe['model']['overrides'].get(part, {}), 'channels': 4, 'blocks': 1}
           for part in ('derain', 'attention')}, 'veil': None,
        'segmentation': 'small_segmentation:SmallSegmentation'}
    for name, stage in recipe['stages'].items():
        side = 96 if name == 'adapt' else 32  # as the discriminator needs
        stage |= {'optimizer_steps': 1, 'batch': 2}
        stage['samples'] = {**stage['samples'], 'crop': [side, side], 'renders': 2}
    (folder / 'voc2012.yaml').write_text(yaml.safe_dump(recipe))
    done = ubcn('train', folder / 'voc2012.yaml', '--data', voc_root, '--out', folder / 'run',
                '--accelerator', 'cpu', '--precision', '32-true', '--workers', 0)
    assert done.exit_code == 0, done.output
    return folder / 'run' / 'voc2012.safetensors'


def test_it_is_measured_in_the_rain_that_it_was_trained_in(model, voc_root, tmp_path):
    found = {}
    for rain in ('painted', 'rendered'):
        done = ubcn('evaluate', '--model', model, '--data', voc_root, '--rain', rain, '--rates',
                    '0,150', '--iterations', 2, '--device', 'cpu', '--json',
                    tmp_path / 'found.json')
        assert done.exit_code == 0, done.output
        found[rain] = json.loads((tmp_path / 'found.json').read_text())
        assert found[rain]['data']['rain'] == rain
    painted, rendered = (found[rain]['rates'] for rain in ('painted', 'rendered'))
    assert painted['0'] == rendered['0'] and painted['150']['input'] != rendered['150']['input']
    assert painted['0']['steps'][0]['iou'].keys() == {*VOC2012.classes}


@pytest.mark.integration
def test_the_node_publishes_its_labels_and_colours(model, start, client):
    engine = Engine.load(model, device='cpu', precision='fp32')
    assert [len(group) for group in engine.label_set.paths] == [1, 20], 'background, foreground'
    node = start(model=str(model), device='cpu', precision='fp32', iterations=2,
                 warm_up_width=64, warm_up_height=48)
    node.wait_for_log('active: waiting for images on /image')
    labels, colours = (client.record(f'/labels/{name}') for name in ('image_raw', 'color'))
    client.wait_for_subscriber('/image')
    image = np.ascontiguousarray(picture()[::-1])

    def answered():
        client.publisher('/image').publish(image_message(1, image))
        time.sleep(0.1)
        return labels and colours

    wait_until(answered, 'labels and their colours', 120.0)
    ids = np.frombuffer(labels[0].data, np.uint8).reshape(48, 64)
    assert np.array_equal(ids, engine(image, iterations=2).labels)
    assert len(np.unique(ids)) > 1 and ids.max() < 21
    assert np.array_equal(to_rgb(colours[0]), np.uint8(VOC2012.colors)[ids])
    assert node.stop() == 0 and 'Traceback' not in node.output
