# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cityscapes in its own layout: labelIds, trainIds, disparity and camera."""

import json

import numpy as np
import pytest
from set_files import SIZE, ids, knows_all_files, picture, scene_names, write

from ubcn_ros.data.datasets import open_dataset
from ubcn_ros.data.formats.cityscapes import CITYSCAPES
from ubcn_ros.data.mixture import Data
from ubcn_ros.data.scenes import DataSetError

CAMERA = {'extrinsic': {'baseline': 0.2}, 'intrinsic': {'fx': 1000}}
NAMES = ('aachen_000000_000019', 'ulm_000001_000019', 'ulm_000002_000019')


@pytest.fixture
def root(tmp_path):
    for split in ('train', 'val'):
        for i, name in enumerate(NAMES):
            city = name.split('_')[0]
            write(tmp_path / 'leftImg8bit' / split / city / f'{name}_leftImg8bit.png',
                  picture(10 * i))
            write(tmp_path / 'gtFine' / split / city / f'{name}_gtFine_labelIds.png',
                  ids(33, 0, 26, 29, 7))
    disparity = np.zeros(SIZE, np.uint16)
    disparity[1], disparity[2] = 1 + 256 * 20, 1 + 64
    for name in NAMES[:2]:
        write(tmp_path / 'disparity/train' / name.split('_')[0] / f'{name}_disparity.png',
              disparity)
    camera = tmp_path / 'camera/train/ulm/ulm_000001_000019_camera.json'
    camera.parent.mkdir(parents=True)
    camera.write_text(json.dumps(CAMERA))
    return tmp_path


def test_label_ids_become_train_ids(root):
    dataset = open_dataset(root)
    assert dataset.label_set == CITYSCAPES and dataset.splits == ('train', 'val')
    listing = dataset.listing('train')
    assert scene_names(listing) == list(NAMES) and not listing.problems
    rows = listing.scenes[0].labels()[:, 0]
    names = [CITYSCAPES.classes[i] if i != 255 else None for i in rows[:5]]
    assert names == ['bicycle', None, 'car', None, 'road']
    assert knows_all_files(dataset, root)


def test_train_ids_come_first_and_end_at_18(root):
    path = root / 'gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png'
    write(path, ids(7))
    scenes = open_dataset(root).listing('train').scenes
    assert (scenes[0].labels() == 7).all() and (scenes[1].labels()[4:] == 0).all()
    (meanings,) = Data((open_dataset(root),)).meanings.values()
    assert (meanings['7'], meanings['33']) == ('traffic sign or road', 'bicycle')
    write(path, ids(19))
    with pytest.raises(DataSetError, match=r'holds 19.*0\.\.18, 255'):
        scenes[0].labels()


def test_depth_from_disparity(root):
    usual, own, none = open_dataset(root).listing('train').scenes
    depth = usual.depth()
    assert depth.dtype == np.float32 and (depth[0] == 0).all()
    np.testing.assert_allclose(depth[1], 0.22 * 2262 / 20, rtol=1e-6)
    np.testing.assert_allclose(depth[2], 0.22 * 2262 * 4, rtol=1e-6)
    np.testing.assert_allclose(own.depth()[1], 0.2 * 1000 / 20, rtol=1e-6)
    assert none.depth() is None


def test_damaged_disparity_and_camera_are_named(root):
    usual, own, _ = open_dataset(root).listing('train').scenes
    write(usual.depth_path, np.zeros(SIZE, np.uint8))
    with pytest.raises(DataSetError, match='16-bit'):
        usual.depth()
    for camera in ({'intrinsic': {}}, {'extrinsic': {'baseline': 0}, 'intrinsic': {'fx': 9}},
                   {'extrinsic': {'baseline': 1}, 'intrinsic': {'fx': float('nan')}}):
        own.camera_path.write_text(json.dumps(camera))
        with pytest.raises(DataSetError, match='baseline'):
            own.depth()


@pytest.mark.parametrize('part', ['label_path', 'depth_path'])
def test_files_of_two_sizes_are_named(root, part):
    scene = open_dataset(root).listing('train').scenes[0]
    path = getattr(scene, part)
    write(path, np.full((40, 44), 1, np.uint8 if part == 'label_path' else np.uint16))
    with pytest.raises(DataSetError, match=f'{path.name} is 44x40 .*{scene.image_path.name} is '
                                           '40x36'):
        scene.read()


def test_every_image_without_labels_is_a_problem(root):
    for path in (root / 'gtFine/val').rglob('ulm*.png'):
        path.unlink()
    listing = open_dataset(root).listing('val')
    assert len(listing.scenes) == 1 and len(listing.problems) == 2
    assert 'ulm_000002_000019_gtFine_labelIds.png' in listing.problems[1]


def test_test_images_without_published_labels_are_no_split(root):
    write(root / 'leftImg8bit/test/bonn/bonn_000000_000019_leftImg8bit.png', picture())
    assert open_dataset(root).splits == ('train', 'val')


@pytest.mark.parametrize('folders, names', [
    (('ulm/', 'aachen/'), ['aachen/1', 'ulm/1']), (('a/ulm/', 'b/ulm/'), ['a/ulm/1', 'b/ulm/1']),
    (('',), ['1']), (('', 'ulm/'), ['1', 'ulm/1'])])
def test_each_scene_has_the_files_of_its_folders_and_a_name_of_its_own(folders, names, tmp_path):
    for i, folder in enumerate(folders):
        for part, end, values in (('leftImg8bit', 'leftImg8bit', picture(i)),
                                  ('gtFine', 'gtFine_labelTrainIds', ids(i)),
                                  ('disparity', 'disparity', np.full(SIZE, 257, np.uint16))):
            write(tmp_path / part / 'train' / f'{folder}1_{end}.png', values)
    scenes, problems = open_dataset(tmp_path).listing('train')
    assert not problems and sorted(s.name for s in scenes) == names
    for scene in scenes:
        assert scene.depth() is not None and (scene.labels() == scene.image()[0, 0, 0]).all()
