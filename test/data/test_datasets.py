# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every data set from a tiny folder in its true layout, and what is said of a wrong one."""

import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from ubcn_ros.data.datasets import KINDS, open_scenes
from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.formats.cityscapes import CITYSCAPES
from ubcn_ros.data.formats.voc2012 import VOC2012
from ubcn_ros.data.scenes import DataSetError

SIZE = (36, 40)
CAMERA = {'extrinsic': {'baseline': 0.2}, 'intrinsic': {'fx': 1000}}


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)


def picture(value):
    """Image in BGR whose red is the value."""
    image = np.zeros((*SIZE, 3), np.uint8)
    image[..., 2] = value
    return image


def write_palette_png(path, ids, palette):
    """Palette PNG, as VOC has them; OpenCV cannot write one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids, 'L')
    image.putpalette(palette.tobytes())
    image.save(path, optimize=False)


def make_camvid(root):
    for split in ('train', 'val'):
        for i, name in enumerate(('0001TP_1', '0006R0_1', '0006R0_2')):
            write(root / split / 'images' / f'{name}.png', picture(10 * i))
            write(root / split / 'labels' / f'{name}.png', np.full(SIZE, i, np.uint8))


def make_cityscapes(root):
    for split in ('train', 'val'):
        for i, name in enumerate(('aachen_000000_000019', 'ulm_000001_000019',
                                  'ulm_000002_000019')):
            city = name.split('_')[0]
            write(root / 'leftImg8bit' / split / city / f'{name}_leftImg8bit.png',
                  picture(10 * i))
            ids = np.full(SIZE, 7, np.uint8)
            ids[0], ids[1], ids[2], ids[3] = 33, 0, 26, 29
            write(root / 'gtFine' / split / city / f'{name}_gtFine_labelIds.png', ids)
    disparity = np.zeros(SIZE, np.uint16)
    disparity[1], disparity[2] = 1 + 256 * 20, 1 + 64
    for city, name in (('aachen', 'aachen_000000_000019'), ('ulm', 'ulm_000001_000019')):
        write(root / 'disparity' / 'train' / city / f'{name}_disparity.png', disparity)
    camera = root / 'camera' / 'train' / 'ulm' / 'ulm_000001_000019_camera.json'
    camera.parent.mkdir(parents=True)
    camera.write_text(json.dumps(CAMERA))


def make_voc2012(root):
    names = ('2007_000032', '2007_000039', '2008_000001')
    palette = VOC2012.palette()
    palette[255] = (224, 224, 192)
    for i, name in enumerate(names):
        write(root / 'JPEGImages' / f'{name}.jpg', picture(100))
        ids = np.full(SIZE, 15, np.uint8)
        ids[0], ids[1] = 255, i
        write_palette_png(root / 'SegmentationClass' / f'{name}.png', ids, palette)
    lists = root / 'ImageSets' / 'Segmentation'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('\n'.join(names) + '\n')
    (lists / 'val.txt').write_text(names[0] + '\n')


def make_pairs(root):
    for i, name in enumerate(('a1', 'b1', 'b2')):
        write(root / 'input' / f'{name}.png', picture(200 + i))
        write(root / 'target' / f'{name}.png', picture(i))


MAKERS = {'camvid': make_camvid, 'cityscapes': make_cityscapes, 'voc2012': make_voc2012,
          'pairs': make_pairs}
ONE_FILE_LESS = {
    'camvid': 'train/labels/0006R0_1.png',
    'cityscapes': 'gtFine/train/ulm/ulm_000001_000019_gtFine_labelIds.png',
    'voc2012': 'SegmentationClass/2007_000039.png',
    'pairs': 'target/b1.png'}
ONE_FOLDER_EMPTY = {
    'camvid': 'train/images', 'cityscapes': 'leftImg8bit/train', 'voc2012': 'SegmentationClass',
    'pairs': 'target'}


@pytest.fixture(params=sorted(KINDS))
def kind(request):
    return request.param


@pytest.fixture
def root(kind, tmp_path):
    MAKERS[kind](tmp_path)
    return tmp_path


def test_every_scene_has_arrays_of_one_size(kind, root):
    scenes = open_scenes(kind, root, 'train')
    assert len(scenes) == 3
    for scene in scenes.scenes:
        image, labels = scene.image(), scene.labels()
        assert image.shape == (*SIZE, 3) and image.dtype == np.uint8
        assert labels.shape == SIZE and labels.dtype == np.uint8
        classes = labels[labels != 255]
        if scenes.label_set is not None:
            assert (classes < scenes.label_set.num_classes).all() and classes.size
        for extra in (scene.depth(), scene.rainy()):
            assert extra is None or extra.shape[:2] == SIZE
    assert open_scenes(kind, root, 'val')


def test_only_and_exclude_choose_by_the_start_of_the_name(kind, root):
    names = [scene.name for scene in open_scenes(kind, root).scenes]
    kept = names[0][:4] if kind != 'pairs' else 'b'
    only = [s.name for s in open_scenes(kind, root, only=[kept]).scenes]
    rest = [s.name for s in open_scenes(kind, root, exclude=[kept]).scenes]
    assert only and rest and sorted(only + rest) == names
    with pytest.raises(DataSetError, match='nothing-has-this-name'):
        open_scenes(kind, root, only=['nothing-has-this-name'])


def test_a_wrong_path_says_what_was_expected(kind, tmp_path):
    with pytest.raises(DataSetError, match='is not a folder: expected'):
        open_scenes(kind, tmp_path / 'nowhere')


def test_a_missing_file_is_named(kind, root):
    path = root / ONE_FILE_LESS[kind]
    path.unlink()
    with pytest.raises(DataSetError, match='expected') as error:
        open_scenes(kind, root)
    assert path.stem in str(error.value)


def test_an_empty_folder_says_what_was_expected(kind, root):
    folder = root / ONE_FOLDER_EMPTY[kind]
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(DataSetError, match='expected'):
        open_scenes(kind, root)


def test_a_damaged_image_is_named(kind, root):
    scene = open_scenes(kind, root).scenes[0]
    scene.image_path.write_bytes(b'no picture')
    with pytest.raises(DataSetError, match=scene.image_path.name):
        scene.image()


def test_an_unknown_kind_names_the_known_ones(tmp_path):
    with pytest.raises(DataSetError, match='camvid, cityscapes, voc2012, pairs'):
        open_scenes('kitti', tmp_path)


def test_images_are_rgb_and_labels_go_with_them(tmp_path):
    make_camvid(tmp_path)
    scenes = open_scenes('camvid', tmp_path)
    assert scenes.label_set is CAMVID
    for i, scene in enumerate(scenes.scenes):
        assert (scene.image() == (10 * i, 0, 0)).all() and (scene.labels() == i).all()


def test_cityscapes_label_ids_become_train_ids(tmp_path):
    make_cityscapes(tmp_path)
    scenes = open_scenes('cityscapes', tmp_path)
    assert scenes.label_set is CITYSCAPES
    rows = scenes.scenes[0].labels()[:, 0]
    names = [CITYSCAPES.classes[i] if i != 255 else None for i in rows[:5]]
    assert names == ['bicycle', None, 'car', None, 'road']


def test_cityscapes_train_ids_come_first(tmp_path):
    make_cityscapes(tmp_path)
    write(tmp_path / 'gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png',
          np.full(SIZE, 7, np.uint8))
    scenes = open_scenes('cityscapes', tmp_path)
    assert (scenes.scenes[0].labels() == 7).all()
    assert (scenes.scenes[1].labels()[4:] == 0).all()


def test_cityscapes_depth_from_disparity(tmp_path):
    make_cityscapes(tmp_path)
    usual, own, none = open_scenes('cityscapes', tmp_path).scenes
    depth = usual.depth()
    assert depth.dtype == np.float32 and (depth[0] == 0).all()
    np.testing.assert_allclose(depth[1], 0.22 * 2262 / 20, rtol=1e-6)
    np.testing.assert_allclose(depth[2], 0.22 * 2262 * 4, rtol=1e-6)
    np.testing.assert_allclose(own.depth()[1], 0.2 * 1000 / 20, rtol=1e-6)
    assert none.depth() is None


def test_cityscapes_damaged_disparity_and_camera_are_named(tmp_path):
    make_cityscapes(tmp_path)
    usual, own, _ = open_scenes('cityscapes', tmp_path).scenes
    write(usual.depth_path, np.zeros(SIZE, np.uint8))
    with pytest.raises(DataSetError, match='16-bit'):
        usual.depth()
    for camera in ({'intrinsic': {}}, {'extrinsic': {'baseline': 0}, 'intrinsic': {'fx': 9}},
                   {'extrinsic': {'baseline': 1}, 'intrinsic': {'fx': float('nan')}}):
        own.camera_path.write_text(json.dumps(camera))
        with pytest.raises(DataSetError, match='baseline'):
            own.depth()


def test_voc_palette_becomes_ids(tmp_path):
    make_voc2012(tmp_path)
    scenes = open_scenes('voc2012', tmp_path)
    assert scenes.label_set is VOC2012
    for i, scene in enumerate(scenes.scenes):
        labels = scene.labels()
        assert (labels[0] == 255).all() and (labels[1] == i).all() and (labels[2:] == 15).all()
    # the augmented annotations that people use are plain ids
    write(scenes.scenes[0].label_path, np.full(SIZE, 3, np.uint8))
    assert (scenes.scenes[0].labels() == 3).all()


@pytest.mark.parametrize('kind', ['camvid', 'cityscapes', 'voc2012'])
@pytest.mark.parametrize('palette', [
    np.arange(256, dtype=np.uint8).repeat(3), np.random.default_rng(1).integers(
        0, 256, 768, np.uint8)], ids=['grey', 'another tool'])
def test_indices_count_whatever_the_colours_of_the_palette(kind, root, palette):
    scene = open_scenes(kind, root).scenes[0]
    plain = scene.labels()
    stored = np.array(Image.open(scene.label_path))
    write_palette_png(scene.label_path, stored, palette)
    assert np.array_equal(scene.labels(), plain) and (plain != 255).any()


@pytest.mark.parametrize('kind, unknown, expected', [
    ('camvid', [12, 200], r'12, 200.*0\.\.11, 255'),
    ('voc2012', [21, 22, 23, 254], r'21\.\.23, 254.*0\.\.20, 255'),
    ('cityscapes', [34], r'34.*0\.\.33, 255')])
def test_an_id_that_no_class_has_is_named(kind, unknown, expected, tmp_path):
    MAKERS[kind](tmp_path)
    scene = open_scenes(kind, tmp_path).scenes[0]
    ids = np.zeros(SIZE, np.uint8)
    ids[5, :len(unknown)] = unknown
    write(scene.label_path, ids)
    with pytest.raises(DataSetError, match=f'{scene.label_path.name} holds {expected}'):
        scene.labels()


def test_cityscapes_train_ids_end_at_18(tmp_path):
    make_cityscapes(tmp_path)
    path = tmp_path / 'gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png'
    write(path, np.full(SIZE, 19, np.uint8))
    with pytest.raises(DataSetError, match=r'holds 19.*0\.\.18, 255'):
        open_scenes('cityscapes', tmp_path).scenes[0].labels()


def test_camvid_void_of_the_segnet_distribution_is_unlabeled(tmp_path):
    make_camvid(tmp_path)
    scene = open_scenes('camvid', tmp_path).scenes[0]
    ids = np.full(SIZE, 10, np.uint8)
    ids[0], ids[1] = 11, 255
    write(scene.label_path, ids)
    labels = scene.labels()
    assert (labels[:2] == 255).all() and (labels[2:] == 10).all()


@pytest.mark.parametrize('kind, part', [
    ('camvid', 'label_path'), ('cityscapes', 'label_path'), ('cityscapes', 'depth_path'),
    ('voc2012', 'label_path'), ('pairs', 'rainy_path')])
def test_files_of_two_sizes_are_named(kind, part, tmp_path):
    MAKERS[kind](tmp_path)
    scene = open_scenes(kind, tmp_path).scenes[0]
    path = getattr(scene, part)
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    ids = np.full((40, 44), 1, stored.dtype)
    write(path, np.dstack([ids] * 3) if part == 'rainy_path' else ids)
    with pytest.raises(DataSetError, match=f'{path.name} is 44x40 .*{scene.image_path.name} is '
                                           '40x36'):
        scene.read()


def test_hidden_files_are_not_scenes(kind, root):
    names = [scene.name for scene in open_scenes(kind, root).scenes]
    for path in list(root.rglob('*.[pj][np]g')):
        path.with_name(f'._{path.name}').write_bytes(b'\0\5\x16\7')
    assert [scene.name for scene in open_scenes(kind, root).scenes] == names


def test_two_images_of_one_name_are_an_error(tmp_path):
    make_camvid(tmp_path)
    write(tmp_path / 'train/images/0006R0_1.jpg', picture(3))
    with pytest.raises(DataSetError, match='0006R0_1.*two images of one name: remove one'):
        open_scenes('camvid', tmp_path)


def test_voc_devkit_folder_is_found(tmp_path):
    make_voc2012(tmp_path / 'VOCdevkit' / 'VOC2012')
    assert len(open_scenes('voc2012', tmp_path)) == 3
    (tmp_path / 'VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt').unlink()
    with pytest.raises(DataSetError, match='val.txt'):
        open_scenes('voc2012', tmp_path, 'val')


def test_pairs_have_rain_of_their_own_and_no_labels(tmp_path):
    make_pairs(tmp_path)
    scenes = open_scenes('pairs', tmp_path)
    assert scenes.label_set is None
    for i, scene in enumerate(scenes.scenes):
        assert (scene.image()[..., 0] == i).all() and (scene.rainy()[..., 0] == 200 + i).all()
        assert (scene.labels() == 255).all()


def test_pairs_with_a_folder_per_split(tmp_path):
    make_pairs(tmp_path / 'train')
    make_pairs(tmp_path / 'val')
    (tmp_path / 'val/input/a1.png').unlink()
    (tmp_path / 'val/target/a1.png').unlink()
    assert len(open_scenes('pairs', tmp_path, 'train')) == 3
    assert len(open_scenes('pairs', tmp_path, 'val')) == 2
