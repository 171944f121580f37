# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Label sets: sizes, colours, and paths that share the classes out."""

import numpy as np
import pytest

from ubcn_ros.labels import CAMVID, CITYSCAPES, UNLABELED, VOC2012, LabelSet, get_label_set

SETS = (CAMVID, CITYSCAPES, VOC2012)


@pytest.mark.parametrize('labels, classes, paths', [
    (CAMVID, 11, 7), (CITYSCAPES, 19, 10), (VOC2012, 21, 2)], ids=lambda v: getattr(v, 'name', v))
def test_sizes_are_those_of_the_data_set_and_the_paper(labels, classes, paths):
    assert labels.num_classes == classes
    assert len(labels.paths) == len(labels.path_names) == paths
    assert labels.path_names.count('others') == 1


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


def test_label_sets_are_found_by_name():
    assert all(get_label_set(labels.name) is labels for labels in SETS)
    with pytest.raises(ValueError, match="'kitti'.*camvid, cityscapes, voc2012"):
        get_label_set('kitti')


@pytest.mark.parametrize('colors, paths, text', [
    (((1, 2, 3),), ((0,), (1,)), '2 classes but 1 colours'),
    (((1, 2, 3), (4, 5, 6)), ((0,),), 'each class id 0..1 exactly once'),
    (((1, 2, 3), (4, 5, 6)), ((0, 1), (1,)), 'exactly once'),
])
def test_label_sets_that_contradict_themselves_are_refused(colors, paths, text):
    with pytest.raises(ValueError, match=text):
        LabelSet('mine', ('a', 'b'), colors, paths)
