# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CVAT's masks in colours."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from set_files import knows_all_files, picture, scene_names, write, write_palette_png, write_yaml

from ubcn_ros.data.datasets import open_dataset
from ubcn_ros.data.mixture import open_data
from ubcn_ros.data.scenes import DataSetError
from ubcn_ros.labels import LabelSet, distinct_colors

LABEL_MAP = """# label:color_rgb:parts:actions
background:0,0,0::
car:10,20,30::
traffic light:250,50,83::
"""
COLORS = ((0, 0, 0), (250, 50, 83), (10, 20, 30), (224, 224, 192))
SIZE = (40, 48)


def colored(order=(0, 1, 2, 3)):
    """Rows of the colours; what follows is black. RGB."""
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[:len(order)] = np.array(COLORS, np.uint8)[list(order)][:, None]
    return mask


@pytest.fixture
def root(tmp_path):
    for name in ('a', 'night/b', 'c'):
        write(tmp_path / 'JPEGImages' / f'{name}.{"png" if name == "c" else "jpg"}',
              np.zeros((*SIZE, 3), np.uint8))
        write(tmp_path / 'SegmentationClass' / f'{name}.png', colored()[..., ::-1])
    (tmp_path / 'SegmentationObject').mkdir()
    (tmp_path / 'ImageSets/Segmentation').mkdir(parents=True)
    (tmp_path / 'ImageSets/Segmentation/default.txt').write_text('a\nnight/b\nc\n')
    (tmp_path / 'labelmap.txt').write_text(LABEL_MAP)
    return tmp_path


def test_colours_become_classes(root):
    dataset = open_dataset(root)
    assert (dataset.format, dataset.splits) == ('cvat', ('train',))
    assert dataset.label_set.classes == ('background', 'car', 'traffic light')
    assert dataset.label_set.colors[1] == (10, 20, 30) and not dataset.paths_given
    assert knows_all_files(dataset, root)
    listing = dataset.listing('train')
    assert scene_names(listing) == ['a', 'night/b', 'c'] and not listing.problems
    for scene in listing.scenes:
        assert scene.read().labels[:5, 0].tolist() == [0, 2, 1, 255, 0]


@pytest.mark.parametrize('bits', [2, 8])
def test_the_colours_of_a_palette_count_not_its_indices(root, bits):
    scene = open_dataset(root).listing('train').scenes[0]
    numbers = np.zeros(SIZE, np.uint8)
    numbers[:3] = np.array([3, 0, 2])[:, None]
    palette = [(10, 20, 30), (9, 9, 9), (250, 50, 83), (0, 0, 0)]  # (9, 9, 9) is not used
    write_palette_png(scene.label_path, numbers, palette + [(0, 0, 0)] * (0 if bits == 2 else 252))
    assert scene.labels()[:4, 0].tolist() == [0, 1, 2, 1]


def test_names_choose_and_what_nobody_painted_is_background_or_unlabeled(root):
    scenes = {}
    for names in ('[car, traffic light]', '[Background, car]'):
        dataset = open_dataset(write_yaml(root / 'data.yaml', f'names: {names}'))
        scenes[names] = dataset.listing('train').scenes[0].labels()[:5, 0].tolist()
    assert scenes['[car, traffic light]'] == [255, 1, 0, 255, 255]
    assert scenes['[Background, car]'] == [0, 255, 1, 255, 0]
    (root / 'labelmap.txt').write_text(LABEL_MAP.replace('background:0,0,0::\n', ''))
    assert dataset.format == open_dataset(root).format
    (root / 'data.yaml').unlink()
    labels = open_dataset(root).listing('train').scenes[0].labels()
    assert labels[:5, 0].tolist() == [255, 1, 0, 255, 255]


def test_a_colour_without_a_class_is_named(root):
    scene = open_dataset(root).listing('train').scenes[0]
    mask = colored()
    mask[20, 20] = (1, 2, 3)
    write(scene.label_path, mask[..., ::-1])
    with pytest.raises(DataSetError, match='a.png has the colours 1,2,3, which no class has'
                       ) as raised:
        scene.labels()
    assert raised.value.stored.shape[:2] == SIZE, 'its size can be checked'
    # a palette that another tool has written anew
    write_palette_png(scene.label_path, np.full(SIZE, 5, np.uint8), np.arange(768) % 251)
    with pytest.raises(DataSetError, match='15,16,17, which no class has'):
        scene.labels()


@pytest.mark.parametrize('damage', ['cut', 'jpeg', '16 bits', 'grey'])
def test_masks_that_are_none_are_refused(root, damage):
    scene = open_dataset(root).listing('train').scenes[0]
    if damage == 'cut':
        data = scene.label_path.read_bytes()
        scene.label_path.write_bytes(data[:len(data) * 2 // 3])
    elif damage == 'jpeg':
        write(root / 'x.jpg', colored())
        scene.label_path.write_bytes((root / 'x.jpg').read_bytes())
    else:
        write(scene.label_path, np.full((*SIZE, 3), 700, np.uint16) if damage == '16 bits' else
              np.full(SIZE, 7, np.uint8))
    with pytest.raises(DataSetError, match=r'a\.png'):
        scene.labels()


def test_classes_are_mapped_onto_another_set_s(root):
    model = LabelSet('m', ('Car', 'sign'), distinct_colors(2), ((0,), (1,)))
    file = write_yaml(root / 'data.yaml',
                      'class_mapping: {traffic_light: sign, background: ignore}')
    labels = open_data([file], model).split('train').scenes[0].labels()
    assert labels[:5, 0].tolist() == [255, 1, 0, 255, 255]


def test_subsets_are_splits(root):
    lists = root / 'ImageSets/Segmentation'
    (lists / 'default.txt').write_text('a\n')
    (lists / 'Validation.txt').write_text('c\n')
    (lists / 'Train.txt').write_text('night/b\n')
    dataset = open_dataset(root)
    assert dataset.splits == ('train', 'val')
    assert sorted(scene_names(dataset.listing('train'))) == ['a', 'night/b']


def test_a_share_of_the_only_subset_validates(root):
    dataset = open_dataset(write_yaml(root / 'data.yaml', 'val: 0.4'))
    assert dataset.splits == ('train', 'val')
    assert scene_names(dataset.listing('train')) == ['a', 'c']
    assert scene_names(dataset.listing('val')) == ['night/b']


def test_everything_that_is_missing_is_a_problem(root):
    (root / 'SegmentationClass/a.png').unlink()
    (root / 'JPEGImages/c.png').unlink()
    listing = open_dataset(root).listing('train')
    assert scene_names(listing) == ['night/b'] and len(listing.problems) == 2
    for path in sorted((root / 'JPEGImages').rglob('*'), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (root / 'JPEGImages').rmdir()
    assert 'export from CVAT with "Save images"' in open_dataset(root).listing('train').problems[0]


@pytest.mark.parametrize('text, expected', [
    ('', 'holds no class'), ('car', "'car' is not a class"), ('car:1,2::', 'not a class'),
    ('car:1,2,300::', 'not a class'), ('car:1,2,3::\ncar:3,2,1::', 'the name or the colour'),
    ('car:1,2,3::\nbus:1,2,3::', 'the name or the colour'), ('car:٣,2,3::', 'not a class'),
    (b'\xff\xfe', 'not a text'), ('Car:1,2,3::\ncar:1,2,4::', "'Car' twice"),
    (''.join(f'c{i}:{i},0,1::\n' for i in range(201)), '201 classes: expected 1 to 200')])
def test_a_wrong_label_map_is_said(root, text, expected):
    (root / 'labelmap.txt').write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataSetError, match=expected):
        open_dataset(root)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(st.binary(max_size=80), st.text(st.sampled_from('car:,0123 #\n'), max_size=60)
                 .map(str.encode)))
def test_any_label_map_is_read_or_an_error_of_one_kind(root, data):
    (root / 'labelmap.txt').write_bytes(data)
    try:
        open_dataset(root).listing('train')
    except DataSetError as error:
        assert 'labelmap.txt' in str(error) or str(root) in str(error)


def test_without_lists(root):
    (root / 'ImageSets/Segmentation/default.txt').unlink()
    write(root / 'x.png', picture())
    with pytest.raises(DataSetError, match='no list of images: expected default.txt'):
        open_dataset(root)


def test_a_list_of_no_split_is_not_left_out_without_a_word(root):
    """CVAT's subsets can have any name."""
    (root / 'ImageSets/Segmentation/trainval.txt').write_text('a\n')
    assert len(open_dataset(root).listing('train').scenes) == 3
    (root / 'ImageSets/Segmentation/task_1.txt').write_text('a\n')
    with pytest.raises(DataSetError, match='task_1.txt is of no split: add its lines to train'):
        open_dataset(root)
