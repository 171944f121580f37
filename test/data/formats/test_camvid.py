# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CamVid in the SegNet distribution's layout."""

import numpy as np
import pytest
from set_files import SIZE, ids, picture, write, write_palette_png, write_yaml

from ubcn_ros.data.datasets import open_dataset
from ubcn_ros.data.formats.camvid import CAMVID, LICENSE
from ubcn_ros.data.scenes import DataSetError


@pytest.fixture
def root(tmp_path):
    for split in ('train', 'val'):
        for i, name in enumerate(('0001TP_9', '0001TP_10', '0006R0_1')):
            write(tmp_path / split / 'images' / f'{name}.png', picture(10 * i))
            write(tmp_path / split / 'labels' / f'{name}.png', ids(i))
    return tmp_path


def test_images_are_rgb_and_labels_go_with_them(root):
    dataset = open_dataset(root)
    assert (dataset.format, dataset.label_set, dataset.license) == ('camvid', CAMVID, LICENSE)
    assert dataset.splits == ('train', 'val') and dataset.paths_given
    scenes, problems = dataset.listing('train')
    assert [s.name for s in scenes] == ['0001TP_9', '0001TP_10', '0006R0_1'] and not problems
    for i, scene in enumerate(scenes):
        assert (scene.image() == (10 * i, 0, 0)).all() and (scene.labels() == i).all()


def test_void_of_the_segnet_distribution_is_unlabeled(root):
    scene = open_dataset(root).listing('val').scenes[0]
    write(scene.label_path, ids(11, 255, 10))
    assert scene.labels()[:3, 0].tolist() == [255, 255, 10]


def test_everything_that_is_missing_is_a_problem(root):
    (root / 'train/labels/0001TP_10.png').unlink()
    (root / 'train/labels/0006R0_1.png').unlink()
    write(root / 'train/images/0001TP_9.jpg', picture())
    scenes, problems = open_dataset(root).listing('train')
    assert [s.name for s in scenes] == ['0001TP_9'] and len(problems) == 3
    assert 'two images of one name: remove one' in problems[0]
    assert '0001TP_10.png has no mask: expected' in problems[1] and '0006R0_1' in problems[2]


def test_colours_and_paths_of_a_yaml_replace_the_known_ones(root):
    dataset = open_dataset(write_yaml(root / 'mine.yaml', """
colors: {sky: [1, 2, 3]}
paths: [[Road], [CAR, Sky]]
license: mine
"""))
    assert dataset.label_set.colors[0] == (1, 2, 3)
    assert dataset.label_set.colors[1:] == CAMVID.colors[1:]
    assert dataset.label_set.paths == ((3,), (8, 0), (1, 2, 4, 5, 6, 7, 9, 10))
    assert (dataset.name, dataset.license) == ('mine', 'mine')


def test_other_classes_are_refused_with_the_remedy(root):
    scene = open_dataset(root).listing('train').scenes[0]
    write(scene.label_path, ids(12, 200, 0))
    with pytest.raises(DataSetError, match=r'holds 12, 200.*0\.\.11, 255; .*names in .*label_map'):
        scene.labels()
    with pytest.raises(DataSetError, match='names: means nothing for the format camvid'):
        open_dataset(write_yaml(root / 'a.yaml', 'names: [a, b]'))


@pytest.mark.parametrize('palette', [
    np.arange(256).repeat(3), np.random.default_rng(1).integers(0, 256, 768)],
    ids=['grey', 'another tool'])
def test_indices_count_whatever_the_colours_of_the_palette(root, palette):
    scene = open_dataset(root).listing('train').scenes[2]
    write_palette_png(scene.label_path, ids(2, 255, 5), palette)
    assert scene.labels()[:3, 0].tolist() == [2, 255, 5] and scene.labels().shape == SIZE


def test_hidden_files_are_not_scenes(root):
    for path in list(root.rglob('*.png')):
        path.with_name(f'._{path.name}').write_bytes(b'\0\5\x16\7')
    listing = open_dataset(root).listing('train')
    assert len(listing.scenes) == 3 and not listing.problems


def test_images_in_folders_below_are_a_problem(tmp_path):
    for name in ('a', 'drive/b'):
        write(tmp_path / 'train/images' / f'{name}.png', picture())
        write(tmp_path / 'train/labels' / f'{name}.png', ids(0))
    (problem,) = open_dataset(tmp_path).listing('train').problems
    assert problem.startswith(f'{tmp_path}/train/images/drive holds images, too')
