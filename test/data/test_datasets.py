# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is opened by a path: a YAML, or a folder by its layout."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from ubcn_ros.data.datasets import FORMATS, open_dataset
from ubcn_ros.data.mixture import open_data
from ubcn_ros.data.scenes import DataSetError
from ubcn_ros.data.yaml_values import FORMS


def write_images(folder, count=3):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        cv2.imwrite(str(folder / f'f{i + 8}.png'), np.full((32, 40), i % 2, np.uint8))


def test_what_was_looked_for_is_said(tmp_path):
    (tmp_path / 'notes.txt').write_text('x')
    with pytest.raises(DataSetError, match='no layout that is known') as error:
        open_dataset(tmp_path)
    assert all(f.layout in str(error.value) for f in FORMATS.values())


@pytest.mark.parametrize('name, expected', [
    ('nowhere', 'is not there'), ('set.zip', 'not a YAML: .*, unpacked'), ('a.png', 'not a YAML')])
def test_a_path_of_something_else_is_said(tmp_path, name, expected):
    (tmp_path / 'set.zip').write_bytes(b'x')
    (tmp_path / 'a.png').write_bytes(b'x')
    with pytest.raises(DataSetError, match=expected):
        open_dataset(tmp_path / name)
    with pytest.raises(DataSetError, match='no data set: give the path'):
        open_data([])


def test_the_data_yaml_of_a_folder_is_taken(tmp_path):
    write_images(tmp_path / 'images')
    write_images(tmp_path / 'masks')
    text = 'train: images\nnames: [a, b]\nclass_mapping: {a: x}'
    (tmp_path / 'data.yaml').write_text(text)
    dataset = open_dataset(tmp_path)
    assert dataset.format == 'own' and dataset.name == tmp_path.name
    assert dataset.class_mapping == {'a': ('x',)}
    (tmp_path / 'street.yaml').write_text(text)
    assert open_dataset(tmp_path / 'street.yaml').name == 'street'


@pytest.mark.parametrize('text, expected', [
    ('format: pairs\ncolors: []', 'colors: the format pairs has no classes'),
    ('format: pairs\nnames: [a]', 'names: means nothing for the format pairs'),
    ('format: images\nval: 0.5\nmasks_dir: x', 'masks_dir: means nothing'),
    ('format: images\nval: 0.5', 'val: 0.5 is a share of train, but .* has train, val')])
def test_keys_that_the_format_has_no_use_for_are_said(tmp_path, text, expected):
    for name in ('input', 'target', 'train', 'val'):
        write_images(tmp_path / name)
    (tmp_path / 'a.yaml').write_text(text)
    with pytest.raises(DataSetError, match=expected):
        open_dataset(tmp_path / 'a.yaml')


@pytest.mark.parametrize('name', sorted(FORMATS))
def test_a_format_that_the_folder_does_not_have_is_said(tmp_path, name):
    (tmp_path / 'a.yaml').write_text(f'format: {name}')
    with pytest.raises(DataSetError, match=str(tmp_path)):
        open_dataset(tmp_path / 'a.yaml')


@pytest.mark.parametrize('name', ['', 'a.yaml'])
def test_a_folder_that_may_not_be_read_is_said(tmp_path, name, monkeypatch):
    (tmp_path / 'a.yaml').write_text('format: images')

    def refused(path):
        raise PermissionError(13, 'Permission denied', str(path))

    monkeypatch.setattr(Path, 'iterdir', refused)
    with pytest.raises(DataSetError, match=f'{tmp_path} cannot be read: Permission denied'):
        open_dataset(tmp_path / name)


@pytest.mark.parametrize('share, count', [(0.2, 1), (0.01, 1), (0.5, 2), (0.99, 2)])
def test_the_last_share_of_train_by_name_validates(tmp_path, share, count):
    write_images(tmp_path / 'pictures')  # f8, f9, f10
    (tmp_path / 'a.yaml').write_text(f'train: pictures\nval: {share}')
    dataset = open_dataset(tmp_path / 'a.yaml')
    assert dataset.splits == ('train', 'val')
    names = [[scene.name for scene in dataset.listing(split).scenes] for split in dataset.splits]
    assert names == [['f8', 'f9', 'f10'][:3 - count], ['f8', 'f9', 'f10'][3 - count:]]


def test_a_share_of_train_is_not_validated_on_while_masks_are_missing(tmp_path):
    for folder in ('images', 'masks'):
        write_images(tmp_path / folder, 5)
    (tmp_path / 'a.yaml').write_text('train: images\nval: 0.4\nnames: [a, b]')
    assert [s.name for s in open_data([tmp_path / 'a.yaml']).split('val').scenes] == ['f11', 'f12']
    (tmp_path / 'masks/f11.png').unlink()
    with pytest.raises(DataSetError, match="the split 'val' (.|\n)*which images .*f11.png has no "
                                           'mask'):  # f10, which was learnt from, is not val's
        open_data([tmp_path / 'a.yaml']).split('val')


def test_a_single_image_is_too_few_for_both(tmp_path):
    write_images(tmp_path / 'pictures', 1)
    (tmp_path / 'a.yaml').write_text('train: pictures\nval: 0.5')
    assert 'too few' in open_dataset(tmp_path / 'a.yaml').listing('train').problems[0]


def test_the_readme_names_every_key_and_format():
    text = (Path(__file__).parents[2] / 'ubcn_ros/data/README.md').read_text()
    named = set(re.findall(r'`([a-z_0-9]+)`', text))
    assert FORMS.keys() <= named and FORMATS.keys() <= named


def test_an_empty_folder_that_a_tool_left_is_told_to_be_removed(tmp_path):
    for folder in ('train/images', 'train/labels'):
        write_images(tmp_path / folder)
    (tmp_path / 'val/images').mkdir(parents=True)
    (problem,) = open_dataset(tmp_path).listing('val').problems
    assert "for the split 'val'" in problem and 'remove its folder, or give val: 0.2' in problem
    (tmp_path / 'data.yaml').write_text('val: 0.2')
    assert [len(open_dataset(tmp_path).listing(split).scenes) for split in ('train', 'val')] == [
        2, 1]


@pytest.mark.parametrize('masks', [0, 1])
@pytest.mark.parametrize('inner', ['{}/images {}/labels', 'img_dir/{} ann_dir/{}'])
def test_a_test_without_a_single_mask_is_left_out(tmp_path, inner, masks):
    images, labels = inner.split()
    for folder in (images.format('train'), labels.format('train'), images.format('test')):
        write_images(tmp_path / folder)
    if masks:
        write_images(tmp_path / labels.format('test'), masks)
    if 'img_dir' in inner:
        (tmp_path / 'data.yaml').write_text('names: [a, b]')
    data = open_data([tmp_path])
    assert data.splits == ('train', 'test') if masks else ('train',)
    with pytest.raises(DataSetError, match=(
            'has no mask' if masks else "has no split 'test' with masks: choose one of train")):
        data.split('test')


def test_a_test_that_a_yaml_names_is_not_left_out(tmp_path):
    for folder in ('images/train', 'masks/train', 'images/test'):
        write_images(tmp_path / folder)
    (tmp_path / 'data.yaml').write_text('names: [a, b]\ntrain: images/train\ntest: images/test')
    (problem,) = open_dataset(tmp_path / 'data.yaml').listing('test').problems
    assert problem.startswith(f'no folder {tmp_path}/masks/test, of the masks of 3 images')


@pytest.mark.parametrize('damage', ['nothing', 'no image', 'only test'])
def test_a_test_that_is_wrong_otherwise_stays_a_problem(tmp_path, damage):
    for folder in ('images/train', 'masks/train'):
        write_images(tmp_path / folder)
    (tmp_path / 'test.txt').write_text('images/train/f8.png\nimages/train/gone.png\n')
    if damage == 'nothing':
        (tmp_path / 'test.txt').write_text('')
    if damage != 'no image':
        (tmp_path / 'masks/train').rename(tmp_path / 'masks/other')
    train = '' if damage == 'only test' else 'train: images/train\n'
    (tmp_path / 'a.yaml').write_text(f'{train}test: test.txt\nnames: [a, b]')
    dataset = open_dataset(tmp_path / 'a.yaml')
    assert 'test' in dataset.splits and dataset.listing('test').problems


def test_a_folder_that_may_not_be_looked_into_is_a_problem_of_its_split(tmp_path, monkeypatch):
    write_images(tmp_path / 'input')
    write_images(tmp_path / 'target')
    dataset, is_dir = open_dataset(tmp_path), Path.is_dir

    def refused(path):
        if path.name == 'input':
            raise PermissionError(13, 'Permission denied', str(path))
        return is_dir(path)

    monkeypatch.setattr(Path, 'is_dir', refused)
    scenes, problems = dataset.listing('train')
    assert not scenes and problems == (
        f'{tmp_path / "input"} cannot be read: Permission denied',)
