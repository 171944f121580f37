# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PASCAL VOC2012's layout, with its classes or one's own."""

import shutil

import numpy as np
import pytest
from set_files import (
    ids,
    knows_all_files,
    picture,
    scene_names,
    write,
    write_palette_png,
    write_yaml,
)

from ubcn_ros.data.datasets import open_dataset
from ubcn_ros.data.formats.voc2012 import LICENSE, VOC2012
from ubcn_ros.data.scenes import DataSetError

NAMES = ('2007_000032', '2007_000039', '2008_000001')


@pytest.fixture
def root(tmp_path):
    palette = VOC2012.palette()
    palette[255] = (224, 224, 192)
    for i, name in enumerate(NAMES):
        write(tmp_path / 'JPEGImages' / f'{name}.jpg', picture(100))
        write_palette_png(tmp_path / 'SegmentationClass' / f'{name}.png', ids(255, i, 15), palette)
    lists = tmp_path / 'ImageSets' / 'Segmentation'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('\n'.join(NAMES) + '\n')
    (lists / 'val.txt').write_text(NAMES[0] + '\n')
    return tmp_path


def test_palette_becomes_ids(root):
    dataset = open_dataset(root)
    assert dataset.label_set == VOC2012 and dataset.splits == ('train', 'val')
    assert knows_all_files(dataset, root)
    for i, scene in enumerate(dataset.listing('train').scenes):
        assert scene.labels()[:3, 0].tolist() == [255, i, 15]
    # the augmented annotations that people use are plain ids
    write(scene.label_path, ids(3))
    assert (scene.labels() == 3).all()
    write(scene.label_path, ids(21, 22, 254, 0))
    with pytest.raises(DataSetError, match=r'21\.\.22, 254.*0\.\.20, 255'):
        scene.labels()


@pytest.mark.parametrize('palette', [
    np.arange(256).repeat(3), np.random.default_rng(1).integers(0, 256, 768)],
    ids=['grey', 'another tool'])
def test_indices_count_whatever_the_colours_of_the_palette(root, palette):
    scene = open_dataset(root).listing('train').scenes[2]
    write_palette_png(scene.label_path, ids(2, 255, 5), palette)
    assert scene.labels()[:3, 0].tolist() == [2, 255, 5]


def test_everything_that_is_missing_is_a_problem(root):
    (root / 'JPEGImages' / f'{NAMES[0]}.jpg').unlink()
    image = root / 'JPEGImages' / f'{NAMES[2]}.jpg'
    image.rename(image.with_suffix('.JPG'))  # is not missing
    (root / 'SegmentationClass' / f'{NAMES[1]}.png').unlink()
    file = root / 'ImageSets/Segmentation/train.txt'
    file.write_text(file.read_text() + NAMES[2])
    listing = open_dataset(root).listing('train')
    assert scene_names(listing) == [NAMES[2]] and len(listing.problems) == 3
    for problem, part in zip(listing.problems, (NAMES[0], 'twice', NAMES[1]), strict=True):
        assert part in problem


def test_the_devkit_folder_is_found(root, tmp_path):
    inside = tmp_path / 'kit/VOCdevkit/VOC2012'
    inside.mkdir(parents=True)
    for name in ('JPEGImages', 'SegmentationClass', 'ImageSets'):
        shutil.move(root / name, inside / name)
    assert len(open_dataset(tmp_path / 'kit').listing('train').scenes) == 3


def test_own_classes_in_its_layout(root):
    dataset = open_dataset(write_yaml(root / 'data.yaml', 'names: {15: person, 0: other}\n'
                                                          'ignore: [1, 2]'))
    assert dataset.label_set.classes == ('other', 'person') and not dataset.paths_given
    assert dataset.license == '' and not dataset.guessed
    scenes = dataset.listing('train').scenes
    assert [scene.labels()[1, 0] for scene in scenes] == [0, 255, 255]
    assert (scenes[0].labels()[2:] == 1).all()


def test_terms_are_those_of_the_published_images_alone(root):
    assert open_dataset(root).license == LICENSE
    for path in root.rglob('*_*.*g'):
        path.rename(path.with_name(path.name.replace('_', 'frame')))
    for file in root.rglob('*.txt'):
        file.write_text(file.read_text().replace('_', 'frame'))
    dataset = open_dataset(root)
    assert dataset.guessed and dataset.license == ''
    for text, license in (('format: voc2012', LICENSE), ('license: mine', 'mine')):
        assert open_dataset(write_yaml(root / 'mine.yaml', text)).license == license


def test_a_list_names_images_of_its_folder_alone(root, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp('elsewhere') / 'x'
    write(elsewhere.with_suffix('.jpg'), picture())
    write(root / 'x.jpg', picture())
    (root / 'ImageSets/Segmentation/train.txt').write_text(
        f'{root}/JPEGImages/{NAMES[0]}\n{elsewhere}\n../x\n..\\x\n')
    monkeypatch.chdir(root)
    for folder in (root, '.'):
        listing = open_dataset(folder).listing('train')
        assert scene_names(listing) == [NAMES[0]] and len(listing.problems) == 3
        for problem, line in zip(listing.problems, (elsewhere, '../x', r'..\x'), strict=True):
            assert f'train.txt names {line}, which is not below ' in problem


@pytest.mark.parametrize('data', [b'\xff\xfe\0a', b'\0\n\0', b'', b'../../etc/passwd\n'])
def test_a_damaged_list_is_said(root, data):
    (root / 'ImageSets/Segmentation/val.txt').write_bytes(data)
    try:
        listing = open_dataset(root).listing('val')
    except DataSetError as error:
        assert 'val.txt is not a text in UTF-8' in str(error)
    else:
        assert listing.problems and not listing.scenes


@pytest.mark.parametrize('text, expected', [
    ('ignore: [200]', [0, 255, 1]), ('label_mapping: {0: ignore, 200: cat, 1: 1}', [255, 8, 1])])
def test_numbers_are_mapped_to_its_own_classes_without_names(tmp_path, text, expected):
    write(tmp_path / 'JPEGImages/a.jpg', picture())
    write(tmp_path / 'SegmentationClass/a.png', ids(0, 200, 1))
    (tmp_path / 'ImageSets/Segmentation').mkdir(parents=True)
    (tmp_path / 'ImageSets/Segmentation/train.txt').write_text('a\n')
    dataset = open_dataset(write_yaml(tmp_path / 'data.yaml', f'format: voc2012\n{text}'))
    (scene,) = dataset.listing('train').scenes
    assert scene.labels()[:3, 0].tolist() == expected
    for wrong, said in (('label_mapping: {7: lorry}', "'lorry' .of 7. is not a class of names"),
                        ('ignore: 7', "7 is the class 'car' of names: leave it out")):
        with pytest.raises(DataSetError, match=said):
            open_dataset(write_yaml(tmp_path / 'data.yaml', wrong))
