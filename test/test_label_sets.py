# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that shows labels follows the label set of the model file, however many classes."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import ubcn

import ubcn_ros
from ubcn_ros.bags import create, read_images
from ubcn_ros.data.scenes import CleanFrame, Scene, SceneList
from ubcn_ros.evaluation.measure import LoadedModel, measure_scenes
from ubcn_ros.evaluation.metrics import scene_metrics
from ubcn_ros.evaluation.report import scene_text
from ubcn_ros.images.contact_sheet import contact_sheet
from ubcn_ros.images.files import read_image, write_image
from ubcn_ros.images.overlay import overlay
from ubcn_ros.runtime import Engine, load_model


@pytest.fixture(params=[1, 2, 200])
def model(own_model, request):
    return own_model(request.param)


@pytest.fixture
def labels(model):
    return load_model(model)[1].config.label_set


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def engine_of(model):
    return Engine.load(model, device='cpu', precision='fp32')


def test_the_engine_labels_in_the_classes_of_the_file(model, labels, image):
    engine = engine_of(model)
    frame = engine(image, iterations=2, confidence=True)
    found = np.unique(frame.labels)
    assert engine.label_set == labels
    assert found.max() < labels.num_classes and len(found) > 1 or labels.num_classes == 1
    if labels.num_classes == 200:
        assert found.max() > 127
    colors = labels.colorize(frame.labels)
    for i in found:
        assert (colors[frame.labels == i] == labels.colors[i]).all()
    assert (overlay(image, frame.labels, labels, 1.0) == colors).all()


def test_every_class_is_in_the_legend_of_a_sheet(labels, image):
    sheet = contact_sheet([('', [image])], ['Input'], labels)
    assert set(labels.colors) <= {*map(tuple, np.unique(sheet.reshape(-1, 3), axis=0).tolist())}


def test_a_bag_and_an_image_are_coloured_by_the_file(model, labels, image, tmp_path):
    create([image], tmp_path / 'in')
    write_image(tmp_path / 'in.png', image)
    options = ['--model', model, '--device', 'cpu', '--precision', 'fp32', '--iterations', '1']
    for command in (['bag', 'process', tmp_path / 'in', tmp_path / 'out', '--pictures'],
                    ['derain', tmp_path / 'in.png', tmp_path / 'out.png', '--overlay',
                     tmp_path / 'overlay']):
        result = ubcn(*command, *options)
        assert result.exit_code == 0, result.output
    expected = engine_of(model)(image, iterations=1)
    colored = next(read_images(tmp_path / 'out', '/camera/labels/color')).image
    assert (colored == labels.colorize(expected.labels)).all()
    shown = read_image(tmp_path / 'overlay' / 'out.png')
    assert (shown == overlay(expected.derained, expected.labels, labels)).all()


class MadeUp(Scene):
    """A scene of random pixels and classes."""

    def read(self):
        rng = np.random.default_rng(0)
        return CleanFrame(rng.integers(0, 256, (48, 64, 3), np.uint8),
                          rng.integers(0, 200, (48, 64), np.uint8) % int(self.name))


def test_evaluation_reports_the_classes_of_the_file(model, labels):
    count = labels.num_classes
    scenes = SceneList('own/val', labels, (MadeUp(str(count), Path('a.png'), Path('b.png')),))
    results = measure_scenes(LoadedModel.load(model, 'cpu', 'fp32'), scenes, [0], [0], 1)
    assert list(results['clean']['own']['iou']) == list(labels.classes)
    text = scene_text(results, scene_metrics(results))
    assert {f'thing {i + 1}' for i in range(count)} <= set(re.findall(r'thing \d+', text))
    assert 0 <= results['clean']['own']['miou'] <= 100


def words(path):
    """Names, imports and texts of a source file, without comments and docstrings."""
    tree = ast.parse(path.read_text('utf-8'))
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        yield from (str(getattr(node, field)) for field in ('id', 'attr', 'name', 'module', 'arg')
                    if getattr(node, field, None))
        if isinstance(node, ast.Constant) and id(node) not in said:
            yield str(node.value)


def test_only_readers_know_data_sets_by_name():
    root = Path(ubcn_ros.__file__).parent
    # the first lists the readers; the other says which of the shipped files is the default
    known = {'data/datasets.py', 'runtime/installed.py'}
    names = re.compile(r'camvid|cityscapes|\bvoc', re.IGNORECASE)
    found = {(path.relative_to(root).as_posix(), word) for path in root.rglob('*.py')
             for word in words(path) if names.search(word)}
    assert any(place.startswith('data/formats/') for place, _ in found)
    assert {(place, word) for place, word in found
            if not place.startswith('data/formats/') and place not in known} == set()
