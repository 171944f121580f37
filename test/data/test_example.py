# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The example of own data: what lies where, and that its classes are the drive's, merged."""

import os
import signal

import numpy as np
import pytest
import yaml
from command_line import ubcn

from ubcn_ros.data import example as module
from ubcn_ros.data.drive.drive import LABEL_SET, Drive
from ubcn_ros.data.example import CLASSES, make_example
from ubcn_ros.data.files import read_image, read_png
from ubcn_ros.images.files import ImageFileError

SIZE = {'height': 36, 'width': 48}


@pytest.fixture(autouse=True)
def painted_once(monkeypatch, painted):
    monkeypatch.setattr(module, 'Drive', painted)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob('*')) if path.is_file()}


def test_images_masks_and_yaml_lie_where_people_expect_them(tmp_path):
    paths = list(make_example(tmp_path / 'new' / 'set', 5, 2, **SIZE))
    found = contents(tmp_path / 'new' / 'set')
    stems = {'train': [f'train000_{i}' for i in range(4)] + ['train001_0'],
             'val': ['val000_0', 'val000_1']}
    assert set(found) == {'data.yaml'} | {
        f'{folder}/{split}/{stem}.{suffix}' for split, names in stems.items() for stem in names
        for folder, suffix in (('images', 'jpg'), ('masks', 'png'))}
    assert [path.stem for path in paths] == stems['train'] + stems['val']
    about = yaml.safe_load(found['data.yaml'])
    assert list(about['names'].values()) == list(CLASSES) and len(CLASSES) == 8
    assert list(about['names']) == list(range(8))
    assert (about['path'], about['train'], about['val']) == ('.', 'images/train', 'images/val')


def test_every_class_of_a_drive_is_in_one_of_the_example():
    parts = [part for group in CLASSES.values() for part in group]
    assert sorted(parts) == sorted(LABEL_SET.classes)


@pytest.mark.parametrize('seed', [0, 5])  # 5: a street with our own bonnet in the image
def test_masks_are_the_drives_labels_in_the_classes_of_the_example(tmp_path, seed, painted):
    (path,) = make_example(tmp_path, 1, 0, seed=seed, **SIZE)
    labels = painted(seed, **SIZE).frame(0).labels
    ids = read_png(tmp_path / 'masks/train/train000_0.png', 8, 'ids')
    assert read_image(path).shape == (36, 48, 3) and ids.shape == (36, 48)
    for number, parts in enumerate(CLASSES.values()):
        members = np.isin(labels, [LABEL_SET.classes.index(part) for part in parts])
        assert np.array_equal(ids == number, members)
    assert np.array_equal(ids == 255, labels == 255)


def test_the_same_seed_gives_the_same_files_and_another_one_others(tmp_path, monkeypatch):
    for name, val, seed in (('a', 1, 0), ('c', 0, 1)):
        list(make_example(tmp_path / name, 1, val, seed=seed, **SIZE))
    monkeypatch.setattr(module, 'Drive', Drive)
    list(make_example(tmp_path / 'b', 1, 0, **SIZE))
    a, b, c = (contents(tmp_path / name) for name in 'abc')
    image = 'images/train/train000_0.jpg'
    assert len(b) == 3 and b.items() <= a.items() and a[image] != c[image]
    # the validation of one is the training of the other: other streets than its own training
    assert a['images/val/val000_0.jpg'] == c[image]


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / 'notes.txt').write_text('mine')
    with pytest.raises(ValueError, match=f'{tmp_path} is not empty'):
        make_example(tmp_path, 1, 1, **SIZE)
    assert list(contents(tmp_path)) == ['notes.txt']


@pytest.mark.parametrize('ending, there', [('error', True), ('closed', False), ('signal', False),
                                           ('signal at the end', True)])
def test_a_set_that_is_not_finished_is_removed(tmp_path, monkeypatch, ending, there):
    """Else the same command would be refused."""
    folder, write, write_yaml = tmp_path / 'set', module.write_image, module.write_whole
    if there:
        folder.mkdir()

    def write_image(path, *image):
        write(path, *image)
        if ending == 'error':
            raise ImageFileError('no room')
        if ending == 'signal':
            os.kill(os.getpid(), signal.SIGTERM)

    def write_whole(path, data):
        write_yaml(path, data)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(module, 'write_image', write_image)
    monkeypatch.setattr(module, 'write_whole', write_whole)
    command = ['data', 'example', str(folder), '--frames', '2', '--val', '1', '--size', '48x36']
    if ending == 'closed':
        images = make_example(folder, 2, 1, **SIZE)
        next(images)
        images.close()
    else:
        done = ubcn(*command)
        assert done.exit_code == (1 if ending == 'error' else 128 + signal.SIGTERM)
        assert ('no room' if ending == 'error' else 'Stopped by SIGTERM') in done.output
    assert [*tmp_path.rglob('*')] == [folder] * there


def test_the_command_writes_and_says_where(tmp_path):
    command = ['data', 'example', str(tmp_path / 'own'), '--frames', '2', '--val', '1',
               '--size', '48x36']
    done = ubcn(*command)
    assert done.exit_code == 0, done.output
    assert '2 images for training and 1 for validation' in done.output
    assert str(tmp_path / 'own' / 'data.yaml') in done.output
    assert read_image(tmp_path / 'own/images/val/val000_0.jpg').shape == (36, 48, 3)
    again = ubcn(*command)
    assert again.exit_code == 1 and 'is not empty' in again.output
    assert len(again.output.splitlines()) == 1
