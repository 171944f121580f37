# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""mmsegmentation's folders."""

import pytest
from set_files import ids, picture, scene_names, write, write_yaml

from ubcn_ros.data.datasets import open_dataset
from ubcn_ros.data.scenes import DataSetError


def make(root, images='img_dir', masks='ann_dir', splits=('train', 'val'), ends=('.jpg', '.png')):
    for split in splits:
        for i, name in enumerate(('a', 'city/b')):
            write(root / images / split / f'{name}{ends[0]}', picture())
            write(root / masks / split / f'{name}{ends[1]}', ids(0, i + 1))


@pytest.mark.parametrize('folders', [{}, {'images': 'images', 'masks': 'annotations', 'splits': (
    'training', 'validation')}])
def test_folders_of_custom_sets_and_of_ade20k(tmp_path, folders):
    make(tmp_path, **folders)
    # what reduce_zero_label does
    dataset = open_dataset(write_yaml(tmp_path / 'data.yaml', 'names: {1: road, 2: car}\n'
                                                              'ignore: 0'))
    assert (dataset.format, dataset.splits) == ('mmseg', ('train', 'val'))
    assert dataset.label_set.classes == ('road', 'car')
    scenes, problems = dataset.listing('val')
    assert [s.name for s in scenes] == ['a', 'city/b'] and not problems
    assert [s.labels()[1, 0] for s in scenes] == [0, 1] and scenes[0].labels()[0, 0] == 255


def test_suffixes(tmp_path):
    make(tmp_path, ends=('_leftImg8bit.png', '_gtFine_labelTrainIds.png'))
    dataset = open_dataset(write_yaml(tmp_path / 'data.yaml', """
names: [void, road, car]
image_suffix: _leftImg8bit.png
mask_suffix: _gtFine_labelTrainIds.png
"""))
    assert scene_names(dataset.listing('train')) == ['a', 'city/b']


def test_what_is_missing(tmp_path):
    make(tmp_path)
    with pytest.raises(DataSetError, match='names of the classes.*give path and names'):
        open_dataset(tmp_path)
    (tmp_path / 'ann_dir/train/city/b.png').unlink()
    listing = open_dataset(write_yaml(tmp_path / 'data.yaml', 'names: [x, y, z]')).listing('train')
    assert scene_names(listing) == ['a'] and 'ann_dir/train/city/b.png' in listing.problems[0]


def test_two_folders_for_one_split_are_not_chosen_from(tmp_path):
    make(tmp_path, splits=('train', 'training'))
    with pytest.raises(DataSetError, match="img_dir/training is another folder for the split 't"):
        open_dataset(write_yaml(tmp_path / 'data.yaml', 'names: [x, y, z]'))


def test_folders_of_the_same_names_that_hold_no_masks_are_others(tmp_path):
    make(tmp_path, 'images', 'masks')
    (tmp_path / 'annotations').mkdir()
    with pytest.raises(DataSetError, match='train, val and names'):
        open_dataset(tmp_path)
    make(tmp_path)
    write(tmp_path / 'img_dir/training/c.jpg', picture())
    dataset = open_dataset(write_yaml(tmp_path / 'data.yaml', 'format: mmseg\nnames: [x, y, z]'))
    assert dataset.splits == ('train', 'val')
    assert scene_names(dataset.listing('train')) == ['a', 'city/b']


def test_a_val_without_masks_is_told_and_yields_to_a_share_of_train(tmp_path):
    make(tmp_path, splits=('train',))
    write(tmp_path / 'img_dir/val/c.jpg', picture())
    yaml = write_yaml(tmp_path / 'data.yaml', 'names: [x, y, z]')
    assert 'ann_dir/val/c.png' in open_dataset(yaml).listing('val').problems[0]
    write_yaml(yaml, 'names: [x, y, z]\nval: 0.5')
    assert len(open_dataset(yaml).listing('val').scenes) == 1
