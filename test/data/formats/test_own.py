# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One's own images and masks, and where these are looked for."""

import itertools
import os
import re
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest
from set_files import (
    SIZE,
    ids,
    knows_all_files,
    picture,
    scene_names,
    write,
    write_palette_png,
    write_yaml,
)

from ubcn_ros.data.datasets import open_dataset
from ubcn_ros.data.scenes import DataSetError

NAMES = 'names: [road, car]\n'


def make(root, images='images', masks='masks', names=('a', 'b')):
    for i, name in enumerate(names):
        write(root / images / f'{name}.jpg', picture(100))
        write(root / masks / f'{name}.png', ids(255, i))


def listed(root, text, split='train'):
    return open_dataset(write_yaml(root / 'data.yaml', NAMES + text)).listing(split)


@pytest.mark.parametrize('images, masks, text', [
    ('images', 'masks', 'train: images'),
    ('images/train', 'masks/train', 'train: images/train'),
    ('images/train/drive1', 'masks/train/drive1', 'train: images/train'),
    ('train/images', 'train/masks', 'train: train/images'),
    ('train/images', 'train/masks', 'train: train'),
    ('a/images/images/x', 'a/images/labels/x', 'train: a\nmasks_dir: labels'),
    ('frames', 'masks/frames', 'train: frames'),
    ('frames/day', 'gt/frames/day', 'train: frames\nmasks_dir: gt'),
    ('frames', 'frames/masks', 'train: frames'),
    ('frames', 'frames/gt/ids', 'train: frames\nmasks_dir: gt/ids'),
    ('images', 'masks', 'path: .\ntrain: .'),
    # KITTI, BDD100K and Cityscapes
    ('image_2', 'semantic', 'train: image_2\nmasks_dir: semantic'),
    ('training/image_2', 'training/semantic', 'train: training/image_2\nmasks_dir: semantic'),
    ('training/image_2', 'training/semantic',
     'train: training/image_2\nmasks_dir: training/semantic'),
    ('images/10k/train', 'labels/sem_seg/masks/train',
     'train: images/10k/train\nmasks_dir: labels/sem_seg/masks'),
    ('leftImg8bit/train/aachen', 'gtFine/train/aachen',
     'train: leftImg8bit/train\nmasks_dir: gtFine'),
])
def test_masks_are_beside_images(tmp_path, images, masks, text):
    make(tmp_path, images, masks)
    scenes, problems = listed(tmp_path, text)
    assert not problems and len(scenes) == 2
    for i, scene in enumerate(scenes):
        frame = scene.read()
        assert frame.labels[1, 0] == i and (frame.labels[0] == 255).all() and frame.depth is None


def test_lists_and_the_yaml_are_files_of_it(tmp_path):
    make(tmp_path)
    (tmp_path / 'list.txt').write_text('images/b.jpg\nimages/a.jpg\n')
    text = f'{NAMES}train: list.txt\nval: 0.5'
    assert knows_all_files(open_dataset(write_yaml(tmp_path / 'my.yaml', text)), tmp_path)


def test_a_folder_above_that_is_called_images_does_not_count(tmp_path):
    make(tmp_path / 'images/set')
    assert len(listed(tmp_path / 'images/set', 'train: images').scenes) == 2


def test_masks_in_either_of_two_folders_name_both(tmp_path):
    text = 'train: training/image_2\nmasks_dir: '
    make(tmp_path, 'training/image_2', 'training/semantic')
    make(tmp_path, 'other', 'semantic/image_2')
    (problem,) = listed(tmp_path, text + 'semantic').problems
    assert re.search(r'both .*/semantic/image_2/a\.png and .*/training/semantic/a\.png '
                     r'could belong to .*/a\.jpg', problem)
    listing = listed(tmp_path, text + 'training/semantic')
    assert {s.label_path.parent for s in listing.scenes} == {tmp_path / 'training/semantic'}


def test_images_of_two_folders_cannot_have_one_mask(tmp_path):
    for images in ('image_2', 'image_3'):
        make(tmp_path, images, 'semantic')
    listing = listed(tmp_path, 'train: [image_2, image_3]\nmasks_dir: semantic')
    assert scene_names(listing) == ['image_2/a', 'image_2/b']
    assert len(listing.problems) == 2 and 'image_2/a.jpg and of ' in listing.problems[0]


def test_a_missing_mask_is_expected_where_those_of_other_splits_are(tmp_path):
    make(tmp_path, 'images/train', 'masks/train')
    write(tmp_path / 'images/val/a.jpg', picture())
    (problem,) = listed(tmp_path, 'train: images/train\nval: images/val', 'val').problems
    assert f': expected {tmp_path}/masks/val/a.png' in problem


@pytest.mark.parametrize('folder', ['masks', 'masks/day'])
def test_a_folder_of_masks_that_is_not_there_is_one_problem_that_names_masks_dir(tmp_path, folder):
    for drive in ('day', 'night'):
        make(tmp_path, f'images/{drive}', f'masks/{drive}')
    (tmp_path / folder).rename(tmp_path / 'elsewhere')
    listing = listed(tmp_path, 'train: images')
    gone = ('day', 'night') if folder == 'masks' else ('day',)
    assert listing.problems == tuple(
        f'no folder {tmp_path}/masks/{drive}, of the masks of 2 images: expected '
        f'{tmp_path}/masks/{drive}/a.png and the like, or another masks_dir in '
        f'{tmp_path}/data.yaml' for drive in gone)
    assert len(listing.scenes) == 4 - 2 * len(gone)


def test_images_elsewhere(tmp_path):
    make(tmp_path / 'elsewhere')
    (tmp_path / 'here').mkdir()
    assert len(listed(tmp_path / 'here', f'train: {tmp_path}/elsewhere/images').scenes) == 2
    assert len(listed(tmp_path / 'here', 'path: ../elsewhere\ntrain: images').scenes) == 2


def test_names_of_images_elsewhere_do_not_say_where_all_lies(tmp_path):
    for root in (tmp_path / 'one', tmp_path / 'two/inner'):
        make(root / 'elsewhere')
        make(root / 'here')
        (root / 'here/list.txt').write_text(f'{root}/elsewhere/images/a.jpg\nimages/b.jpg\n')
        for train in ('[../elsewhere/images, images]', 'list.txt'):
            names = scene_names(listed(root / 'here', f'train: {train}'))
            assert {'../elsewhere/images/a', 'images/b'} <= {*names}


def test_several_folders_and_names_of_both(tmp_path):
    make(tmp_path, 'one/images', 'one/masks')
    make(tmp_path, 'two/images', 'two/masks')
    scenes, problems = listed(tmp_path, 'train: [one/images, two/images]')
    assert [s.name for s in scenes] == [f'{n}/images/{i}' for n in ('one', 'two') for i in 'ab']
    assert not problems


def test_numbers_in_names_are_in_order_and_hidden_files_left_out(tmp_path):
    make(tmp_path, names=('f10', 'f9', 'F1'))
    (tmp_path / 'images/._f9.jpg').write_bytes(b'\0\5\x16\7')
    (tmp_path / 'images/notes.txt').write_text('x')
    assert scene_names(listed(tmp_path, 'train: images')) == ['F1', 'f9', 'f10']


def test_suffixes_of_images_and_masks(tmp_path):
    make(tmp_path, 'all', 'other')
    for name in 'ab':
        (tmp_path / 'all' / f'{name}.jpg').rename(tmp_path / 'all' / f'{name}_rgb.jpg')
        (tmp_path / 'other' / f'{name}.png').rename(tmp_path / 'all' / f'{name}_mask.png')
    text = 'train: all\nmasks_dir: .\nimage_suffix: _rgb.jpg\nmask_suffix: _mask.png'
    listing = listed(tmp_path, text)
    assert scene_names(listing) == ['a', 'b'] and not listing.problems
    assert listing.scenes[1].read().labels[1, 0] == 1


def test_a_suffix_counts_in_any_case(tmp_path):
    make(tmp_path)
    (tmp_path / 'images/a.jpg').rename(tmp_path / 'images/a.JPG')
    (tmp_path / 'masks/b.png').rename(tmp_path / 'masks/b.PNG')
    for text in ('train: images\nimage_suffix: .jpg', 'train: images\nmask_suffix: .PNG'):
        scenes, problems = listed(tmp_path, text)
        assert [scene.name for scene in scenes] == ['a', 'b'] and not problems


def test_a_folder_given_twice_is_said_to_be(tmp_path):
    make(tmp_path)
    problems = listed(tmp_path, 'train: [images, ./masks/../images]').problems
    assert len(problems) == 2 and all('is named twice' in text for text in problems)


@pytest.mark.parametrize('stored, looked_for', [('NFD', 'NFC'), ('NFC', 'NFD')])
def test_accents_are_the_same_however_they_are_stored(tmp_path, stored, looked_for):
    one, other = (unicodedata.normalize(form, 'stra\u00dfe_\u00fc')
                  for form in (stored, looked_for))
    for root in (tmp_path, tmp_path / one, tmp_path / other):
        make(root, f'images/{one}', f'masks/{one}', (one,))
        mask = root / 'masks' / one / f'{one}.png'
        mask.rename(mask.with_stem(other))
        (root / 'list.txt').write_text(f'images/{other}/{other}.jpg\n', 'utf-8')
    for root, train in itertools.product((tmp_path, tmp_path / one, tmp_path / other),
                                         ('images', 'list.txt')):
        listing = listed(root, f'train: {train}')
        assert len(listing.scenes) == 1 and not listing.problems
        listing.scenes[0].read()


def test_a_folder_of_masks_that_may_not_be_read_is_said_once(tmp_path, monkeypatch):
    make(tmp_path)
    closed, whole, found = tmp_path / 'masks', os.access, os.path.isfile
    monkeypatch.setattr(os, 'access', lambda path, how: path != closed and whole(path, how))
    monkeypatch.setattr(os.path, 'isfile', lambda path: closed not in Path(path).parents
                        and found(path))
    assert listed(tmp_path, 'train: images') == (
        (), (f'{closed} cannot be read: change its rights',))


def test_every_problem_is_listed(tmp_path):
    make(tmp_path, names='abcdef')
    (tmp_path / 'masks/a.png').unlink()
    (tmp_path / 'masks/b.png').rename(tmp_path / 'masks/b.bmp')
    write(tmp_path / 'images/c.png', picture())
    (tmp_path / 'masks/d.png').rename(tmp_path / 'masks/d.PNG')
    listing = listed(tmp_path, 'train: images')
    assert scene_names(listing) == ['c', 'd', 'e', 'f']
    assert [next(word for word in ('two images', 'no mask', 'export it as one') if word in problem)
            for problem in listing.problems] == ['two images', 'no mask', 'export it as one']


def test_lists_of_images(tmp_path):
    make(tmp_path)
    (tmp_path / 'lists').mkdir()
    (tmp_path / 'lists/train.txt').write_text(
        '\ufeffimages\\b.jpg\r\n\n../images/a.jpg\nimages/a.jpg\nimages/z.jpg\nlists/train.txt\n')
    scenes, problems = listed(tmp_path, 'train: lists/train.txt')
    assert [s.name for s in scenes][:1] == ['images/b'] and len(scenes) == 2
    assert len(problems) == 3 and 'a.jpg is named twice' in problems[0]
    assert 'names images/z.jpg, which is not an image' in problems[1]
    (tmp_path / 'lists/train.txt').write_bytes(b'\xff\xfe')
    (problem,) = listed(tmp_path, 'train: lists/train.txt').problems
    assert 'train.txt is not a text in UTF-8' in problem


@pytest.mark.parametrize(('text', 'told'), [
    ('images/a.jpg masks/a.png\n', 'names images/a.jpg masks/a.png, which is not an image'),
    ('a\n', 'names a, which is not an image'), ('\n', 'names no image')])
def test_a_list_of_something_else_is_told_with_what_a_line_must_be(tmp_path, text, told):
    make(tmp_path)
    (tmp_path / 'train.txt').write_text(text)
    _, (problem,) = listed(tmp_path, 'train: train.txt')
    assert problem.startswith(f'{tmp_path}/train.txt {told}')
    assert 'one path with its suffix a line; the mask follows from masks_dir' in problem


@pytest.mark.parametrize('folder', ['images', 'images/train', 'train'])
def test_masks_of_the_images_names_beside_them(tmp_path, folder):
    make(tmp_path, folder, folder)
    text = f'train: {folder}\nmasks_dir: .'
    problems = listed(tmp_path, text).problems
    assert problems[0].endswith('the mask, write a YAML with masks_dir: . and image_suffix: .jpg')
    scenes, problems = listed(tmp_path, f'{text}\nimage_suffix: .jpg')
    assert not problems and (scenes[1].labels()[1] == 1).all()


def test_a_link_to_a_mask_that_is_not_there_is_said_to_be_one(tmp_path):
    make(tmp_path)
    (tmp_path / 'masks/a.png').unlink()
    (tmp_path / 'masks/a.png').symlink_to('.git/annex/x')
    (problem,) = listed(tmp_path, 'train: images').problems
    assert 'masks/a.png is a link to .git/annex/x, which is not there' in problem


def test_a_list_names_images_of_the_suffix_alone(tmp_path):
    for name in ('a_left.jpg', 'b_RGHT.jpg'):
        write(tmp_path / 'images' / name, picture(100))
    for name in 'ab':
        write(tmp_path / f'masks/{name}.png', ids(255, 0))
    (tmp_path / 'train.txt').write_text('images/a_left.jpg\nimages/b_RGHT.jpg\n')
    scenes, problems = listed(tmp_path, 'train: train.txt\nimage_suffix: _rght.jpg')
    assert [scene.name for scene in scenes] == ['images/b']
    assert len(problems) == 1 and 'names images/a_left.jpg, which does not end' in problems[0]


def test_a_name_that_ends_as_a_mask_is_one_beside_its_image_alone(tmp_path):
    write(tmp_path / 'images/gas.png', picture())
    write(tmp_path / 'images/gas_mask.png', ids(0))
    for name in ('gas', 'gas_mask'):
        write(tmp_path / f'masks/{name}_mask.png', ids(0))
    for images, masks, expected in (('images', 'masks', ['gas', 'gas_mask']),
                                    ('masks/../images', 'images', ['gas'])):
        listing = listed(tmp_path, f'train: {images}\nmasks_dir: {masks}\n'
                                   'mask_suffix: _mask.png')
        assert scene_names(listing) == expected and not listing.problems


def test_without_names_a_folder_called_masks_is_not_left_out(tmp_path):
    for name in ('street/a.png', 'street/masks/b.png'):
        write(tmp_path / name, picture())
    file = write_yaml(tmp_path / 'data.yaml', 'train: .')
    listing = open_dataset(file).listing('train')
    assert scene_names(listing) == ['street/a', 'street/masks/b'] and not listing.problems


@pytest.mark.parametrize('images', ['street', 'street/images'])
def test_without_names_masks_of_the_images_are_a_problem(tmp_path, images):
    make(tmp_path, images, 'street/masks')
    (problem,) = open_dataset(write_yaml(tmp_path / 'data.yaml', 'train: .')
                              ).listing('train').problems
    assert 'street/masks/a.png looks like the mask of' in problem and 'so do 1 more' in problem


def test_without_names_images_have_no_masks(tmp_path):
    make(tmp_path, masks='unused')
    dataset = open_dataset(write_yaml(tmp_path / 'data.yaml', 'train: images'))
    assert dataset.label_set is None and len(dataset.listing('train').scenes) == 2
    assert not dataset.listing('train').scenes[0].labelled


def test_an_empty_folder_is_a_problem(tmp_path):
    (tmp_path / 'images').mkdir()
    scenes, problems = listed(tmp_path, 'train: images')
    assert not scenes and "no images for the split 'train'" in problems[0]


def test_depth_in_metres_where_there_is_some(tmp_path):
    make(tmp_path)
    write(tmp_path / 'depth/a.png', np.full(SIZE, 500, np.uint16))
    scenes, problems = listed(tmp_path, 'train: images\ndepth_dir: depth\ndepth_scale: 1000')
    depth = scenes[0].read().depth
    assert depth.dtype == np.float32 and (depth == 0.5).all()
    assert scenes[1].read().depth is None and not problems
    write(tmp_path / 'depth/a.png', np.full(SIZE, 5, np.uint8))
    with pytest.raises(DataSetError, match=r'a\.png is a PNG \(grey, 8 bits\)'):
        scenes[0].read()


def test_a_folder_of_depth_that_has_none_is_a_problem(tmp_path):
    make(tmp_path)
    (problem,) = listed(tmp_path, 'train: images\ndepth_dir: dept').problems
    assert problem.startswith(f'no image has a depth: expected {tmp_path}/dept/a.png')


def test_numbers_without_a_meaning_and_masks_of_no_numbers_are_refused(tmp_path):
    make(tmp_path)
    scene = listed(tmp_path, 'train: images').scenes[0]
    write_palette_png(scene.label_path, ids(0, 1, 255), np.random.default_rng(0).integers(
        0, 256, 768))
    assert scene.labels()[:3, 0].tolist() == [0, 1, 255]
    write(scene.label_path, ids(2, 9, 0))
    with pytest.raises(DataSetError, match=r'holds 2, 9, which no class has.*0\.\.1, 255'):
        scene.labels()
    write(scene.label_path, picture())
    with pytest.raises(DataSetError, match='is a PNG .RGB'):
        scene.labels()
    write(scene.label_path, ids(0)[:33])
    with pytest.raises(DataSetError, match='40x33 but'):
        scene.read()
    scene.label_path.write_bytes(cv2.imencode('.jpg', ids(0))[1].tobytes())
    with pytest.raises(DataSetError, match='is a JPEG'):
        scene.labels()


@pytest.mark.parametrize('folder', ['masks/', './masks', 'masks'])
def test_masks_inside_are_no_images_however_their_folder_is_written(tmp_path, folder):
    make(tmp_path, images='.')
    scenes, problems = listed(tmp_path, f'train: .\nmasks_dir: {folder}')
    assert len(scenes) == 2 and not problems


def test_an_image_is_not_its_own_mask(tmp_path):
    make(tmp_path)
    scenes, problems = listed(tmp_path, 'train: masks')
    assert not scenes and len(problems) == 2 and 'masks/a.png would be its own mask' in problems[0]


def test_depth_and_its_mistakes_without_masks(tmp_path):
    make(tmp_path, masks='unused')
    write(tmp_path / 'depth/a.PNG', np.full(SIZE, 512, np.uint16))
    file = write_yaml(tmp_path / 'data.yaml', 'train: images\ndepth_dir: depth\ndepth_scale: 256')
    scenes, problems = open_dataset(file).listing('train')
    assert (scenes[0].read().depth == 2).all() and scenes[1].depth_path is None and not problems
    file.write_text('train: images\ndepth_dir: dept')
    (problem,) = open_dataset(file).listing('train').problems
    assert problem.startswith('no image has a depth')


def test_a_folder_of_images_that_is_called_as_that_of_masks_is_not_left_out(tmp_path):
    for folder in ('masks', 'day'):  # people wear some
        make(tmp_path, images=f'images/{folder}', masks=f'masks/{folder}')
    scenes, problems = listed(tmp_path, 'train: images')
    assert [s.name for s in scenes] == ['day/a', 'day/b', 'masks/a', 'masks/b'] and not problems


def test_masks_and_depth_inside_of_folders_of_images_are_left_out(tmp_path):
    for images, masks in (('x/day', 'x/masks/day'), ('x/night', 'x/night/masks')):
        make(tmp_path, images=images, masks=masks)
        write(tmp_path / images / 'depth/a.png', np.full(SIZE, 256, np.uint16))
    scenes, problems = listed(tmp_path, 'train: x\ndepth_dir: depth')
    assert [s.name for s in scenes] == ['day/a', 'day/b', 'night/a', 'night/b'] and not problems
