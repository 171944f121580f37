# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of an image in rain and the clean one."""

import pytest
from set_files import picture, scene_names, write

from ubcn_ros.data.datasets import open_dataset
from ubcn_ros.data.scenes import DataSetError


@pytest.fixture
def make():
    def made(root):
        for i, name in enumerate(('a1', 'b1', 'b2')):
            write(root / 'input' / f'{name}.png', picture(200 + i))
            write(root / 'target' / f'{name}.png', picture(i))
        return root
    return made


def test_rain_of_their_own_and_no_labels(make, tmp_path):
    dataset = open_dataset(make(tmp_path))
    assert (dataset.format, dataset.label_set, dataset.splits) == ('pairs', None, ('train',))
    for i, scene in enumerate(dataset.listing('train').scenes):
        frame = scene.read()
        assert (frame.image == (i, 0, 0)).all() and (frame.rainy == (200 + i, 0, 0)).all()
        assert (frame.labels == 255).all() and not scene.labelled


def test_a_folder_per_split_and_suffixes_of_their_own(make, tmp_path):
    make(tmp_path / 'train')
    make(tmp_path / 'val')
    for name in ('input', 'target'):
        (tmp_path / 'val' / name / 'a1.png').unlink()
    (tmp_path / 'train/input/a1.png').unlink()
    write(tmp_path / 'train/input/a1.jpg', picture())
    dataset = open_dataset(tmp_path)
    assert dataset.splits == ('train', 'val')
    assert scene_names(dataset.listing('train')) == ['a1', 'b1', 'b2']
    assert scene_names(dataset.listing('val')) == ['b1', 'b2']


def test_every_image_without_its_other_half_is_a_problem(make, tmp_path):
    make(tmp_path)
    (tmp_path / 'target/a1.png').unlink()
    (tmp_path / 'input/b2.png').unlink()
    listing = open_dataset(tmp_path).listing('train')
    assert scene_names(listing) == ['b1'] and len(listing.problems) == 2
    assert 'target/a1.png' in listing.problems[0]
    assert 'input/b2.png' in listing.problems[1]


def test_two_sizes_and_damage_are_named(make, tmp_path):
    scene = open_dataset(make(tmp_path)).listing('train').scenes[0]
    write(scene.rainy_path, picture()[:33])
    with pytest.raises(DataSetError, match=r'a1\.png is 40x33 but'):
        scene.read()
    scene.rainy_path.write_bytes(b'no image')
    with pytest.raises(DataSetError, match=r'a1\.png'):
        scene.read()


def test_pairs_of_train_in_two_places_are_refused(make, tmp_path):
    make(make(tmp_path) / 'val')
    assert open_dataset(tmp_path).splits == ('val', 'train')
    make(tmp_path / 'train')
    with pytest.raises(DataSetError, match="both for the split 'train'"):
        open_dataset(tmp_path)
