# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Label sets: sizes, colours, and paths that share the classes out."""

import json

import numpy as np
import pytest

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.formats.cityscapes import CITYSCAPES
from ubcn_ros.data.formats.voc2012 import VOC2012
from ubcn_ros.labels import (
    UNLABELED,
    LabelSet,
    distinct_colors,
    dominant_paths,
    numbered_labels,
)

SETS = (CAMVID, CITYSCAPES, VOC2012)


@pytest.mark.parametrize('labels, classes, paths', [
    (CAMVID, 11, 7), (CITYSCAPES, 19, 10), (VOC2012, 21, 2)], ids=lambda v: getattr(v, 'name', v))
def test_sizes_are_those_of_the_data_set_and_the_paper(labels, classes, paths):
    assert labels.num_classes == classes
    assert len(labels.paths) == paths
    assert sum(len(group) > 1 for group in labels.paths) == 1


@pytest.mark.parametrize('labels', SETS, ids=lambda s: s.name)
def test_every_class_is_on_one_path_and_has_a_colour_of_its_own(labels):
    assert sorted(i for path in labels.paths for i in path) == list(range(labels.num_classes))
    assert len(set(labels.colors)) == len(set(labels.classes)) == labels.num_classes


@pytest.mark.parametrize('labels', SETS, ids=lambda s: s.name)
def test_colours_there_and_back(labels):
    ids = np.arange(labels.num_classes, dtype=np.uint8).reshape(1, -1)
    colors = labels.colorize(ids)
    assert colors.shape == (1, labels.num_classes, 3) and colors.dtype == np.uint8
    assert [labels.colors.index(tuple(map(int, c))) for c in colors[0]] == ids[0].tolist()


def test_unlabeled_and_unknown_ids_are_black():
    ids = np.array([[UNLABELED, 11, 200]], np.uint8)
    assert not CAMVID.colorize(ids).any()
    assert CAMVID.palette().shape == (256, 3)


@pytest.mark.parametrize('labels', SETS, ids=lambda s: s.name)
def test_a_label_set_there_and_back_through_json(labels):
    plain = json.loads(json.dumps(labels.to_dict()))
    assert plain['ignore'] == UNLABELED
    assert LabelSet.from_dict(plain) == labels


@pytest.mark.parametrize('values', [
    'camvid', None, {}, {'name': 'a', 'classes': ['x'], 'colors': [1], 'paths': [[0]]},
    {'name': 'a', 'classes': 3, 'colors': [], 'paths': []},
    {'name': 'a', 'classes': ['x'], 'colors': [[1, 2]], 'paths': [[0]]},
    {'name': 'a', 'classes': ['x'], 'colors': [[1, 2, 300]], 'paths': [[0]]},
    {'name': 'a', 'classes': ['x'], 'colors': [[1, 2, float('inf')]], 'paths': [[0]]},
    {'name': 'a', 'classes': ['x'], 'colors': [[1, 2, 1.7]], 'paths': [[0]]},
    {'name': 'a', 'classes': ['x'], 'colors': [[1, 2, 3]], 'paths': [[0.7]]},
    {'name': 'a', 'classes': ['x', 'x'], 'colors': [[1, 2, 3]] * 2, 'paths': [[0, 1]]},
    {'name': 'a', 'classes': [], 'colors': [], 'paths': []}])
def test_what_is_no_label_set_is_refused(values):
    with pytest.raises(ValueError, match='label set'):
        LabelSet.from_dict(values)


def test_the_classes_with_most_pixels_have_paths_of_their_own():
    assert dominant_paths([2, 9, 5, 5, 8, 7, 6, 4, 3, 2, 1]) == (
        (1,), (4,), (5,), (6,), (2,), (3,), (7,), (8,), (0,), (9, 10))
    assert dominant_paths([3, 1]) == ((0,), (1,))
    assert len(dominant_paths(range(19))) == 10


@pytest.mark.parametrize('count', [1, 8, 19, 200])
def test_colours_that_are_made_up_differ_and_are_not_black(count):
    colors = distinct_colors(count)
    assert len(set(colors)) == count and (0, 0, 0) not in colors
    assert numbered_labels(count).colors == colors


@pytest.mark.parametrize('colors, paths, text', [
    (((1, 2, 3),), ((0,), (1,)), '2 classes but 1 colours'),
    (((1, 2, 3), (4, 5, 6)), ((0,),), 'each class id 0..1 exactly once'),
    (((1, 2, 3), (4, 5, 6)), ((0, 1), (1,)), 'exactly once'),
])
def test_label_sets_that_contradict_themselves_are_refused(colors, paths, text):
    with pytest.raises(ValueError, match=text):
        LabelSet('mine', ('a', 'b'), colors, paths)
