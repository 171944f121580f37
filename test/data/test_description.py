# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a data set's YAML means, and that every wrong one is an error with a remedy."""

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ubcn_ros.data.datasets import FORMATS, open_dataset
from ubcn_ros.data.description import Description
from ubcn_ros.data.files import DataSetError
from ubcn_ros.data.mixture import Data
from ubcn_ros.data.yaml_values import FORMS

GOOD = {'path': '.', 'train': 'images', 'names': ['road', 'car', 'sky']}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Folder with an image, its mask, and a list of it."""
    folder = tmp_path_factory.mktemp('set')
    for name in ('images', 'masks'):
        (folder / name).mkdir()
        cv2.imwrite(str(folder / name / 'a.png'), np.zeros((32, 32), np.uint8))
    (folder / 'list.txt').write_text('images/a.png\n')
    return folder


def opened(folder, **changes):
    values = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    (folder / 'mine.yaml').write_text(yaml.safe_dump(values), 'utf-8')
    return open_dataset(folder / 'mine.yaml')


def test_names_as_a_list_or_by_number(folder):
    assert opened(folder).label_set.classes == ('road', 'car', 'sky')
    gaps = Description.load((opened(folder, names={30: 'sky', 7: 'road', 26: 'car'}),
                             folder / 'mine.yaml')[1])
    assert gaps.classes == ('road', 'car', 'sky')
    assert gaps.ids() == {7: 0, 26: 1, 30: 2, 255: 255}


def test_label_mapping_says_all_that_may_occur(folder):
    opened(folder, names={7: 'road', 26: 'car'}, ignore=[3, 4],
           label_mapping={0: 'ignore', 1: 7, 2: 'CAR', 9: 255, 255: 'Ignore'})
    assert Description.load(folder / 'mine.yaml').ids() == {
        0: 255, 1: 0, 2: 1, 9: 255, 3: 255, 4: 255, 255: 255}
    opened(folder, ignore=9)
    assert Description.load(folder / 'mine.yaml').ids() == {0: 0, 1: 1, 2: 2, 9: 255, 255: 255}


@pytest.mark.parametrize('colors, expected', [
    ([[1, 2, 3], '#0a0B0c', 'ffffff'], ((1, 2, 3), (10, 11, 12), (255, 255, 255))),
    ({'CAR': '#010203'}, (None, (1, 2, 3), None))])
def test_colors_by_class_or_name(folder, colors, expected):
    found = opened(folder, colors=colors).label_set.colors
    plain = opened(folder).label_set.colors
    assert found == tuple(e or p for e, p in zip(expected, plain, strict=True))


def test_paths_as_names_or_by_pixel_share(folder):
    given = opened(folder, paths=[['Sky', 'road'], 'car'])
    assert given.label_set.paths == ((2, 0), (1,)) and given.paths_given
    assert opened(folder, paths=['sky']).label_set.paths == ((2,), (0, 1))
    assert not opened(folder).paths_given
    many = opened(folder, names=[f'c{i}' for i in range(12)])
    assert Data((many,)).label_set.paths[0] == (0,) and len(Data((many,)).label_set.paths) == 10


@pytest.mark.parametrize('path', ['.', '../set_of/..', '~/x'])
def test_path_is_relative_to_the_file(folder, path, monkeypatch):
    monkeypatch.setenv('HOME', str(folder / 'home'))
    root = (folder / path.replace('~', str(folder / 'home')))
    root.mkdir(parents=True, exist_ok=True)
    assert opened(folder, path=path, train=str(folder / 'images')).root.resolve() == root.resolve()


@pytest.mark.parametrize('changes, expected', [
    ({'names': ['road', 'Ro-ad']}, "names: 'Ro-ad' is there twice"),
    ({'names': [True]}, 'names: True is not a text: put it in quotes'),
    ({'names': {255: 'sky'}}, 'names: 255 is always unlabeled'),
    ({'names': {'a': 'sky'}}, "names: 'a' is not a stored number"),
    ({'names': [f'c{i}' for i in range(201)]}, 'not 1 to 200 classes'),
    ({'names': ['ignore']}, "names: 'ignore' is not a name for a class"),
    ({'train': 'nowhere'}, 'train: .*nowhere. is not a folder or a .txt list'),
    ({'train': 5}, 'train: 5 is not a folder'),
    ({'val': 1.5}, 'val: 1.5 is not between 0 and 1'),
    ({'val': 0.2, 'train': None}, 'train, val and names|which images'),
    ({'path': 'nowhere'}, 'path: .*nowhere is not a folder'),
    ({'ignore': 1}, "ignore: 1 is the class 'car' of names"),
    ({'ignore': 256}, 'ignore: 256 is not a stored number: give a whole number, 0 to 255'),
    ({'label_mapping': {0: 'tree'}}, r"label_mapping: 'tree' \(of 0\) is not a class"),
    ({'label_mapping': {0: 9}}, r'label_mapping: 9 \(of 0\) is not a class'),
    ({'label_mapping': {-1: 0}}, 'label_mapping: -1 is not a stored number'),
    ({'label_mapping': {255: 0}}, 'label_mapping: 255 is always unlabeled'),
    ({'label_mapping': {3: 0}, 'ignore': 3}, 'label_mapping: 3 is in ignore, too'),
    ({'colors': ['#fff']}, "colors: '#fff' is not a colour"),
    ({'colors': [[0, 0, 0]]}, 'colors: 1 colours for 3 classes'),
    ({'colors': {'tree': [0, 0, 0]}}, "colors: 'tree' is not a class: choose from road, car"),
    ({'colors': {'car': '#010203', 'CAR': '#040506'}}, "colors: '(car|CAR)' is there twice"),
    ({'paths': [['car'], ['car']]}, "paths: 'car' is there twice"),
    ({'paths': [['tree']]}, "paths: 'tree' is not a class"),
    ({'class_mapping': {'tree': 'road'}}, "class_mapping: 'tree' is not a class"),
    ({'class_mapping': {'car': []}}, r'class_mapping: \[\] is not the name of a class'),
    ({'masks_dir': '../masks'}, 'masks_dir: .* is not the name of a folder'),
    ({'mask_suffix': '.jpg'}, "mask_suffix: '.jpg' is not that of PNG files"),
    ({'depth_scale': 5}, 'depth_scale: 5.0 is of depth images: give depth_dir'),
    ({'depth_dir': 'depth', 'depth_scale': 0}, 'depth_scale: 0 is not the stored number'),
    ({'focal_length': 1920}, 'focal_length: 1920 is not a focal length in short sides'),
    ({'focal_length': True}, 'focal_length: True is not a focal length in short sides'),
    ({'format': 'kitti'}, "format: 'kitti' is not known: choose one of cityscapes, cvat"),
    ({'licence': 'x'}, "unknown key 'licence': did you mean license"),
    ({'nc': 3}, "unknown key 'nc': leave it out, or choose from path, train"),
    ({'license': ''}, "license: '' is empty"),
    ({'names': None}, 'names is missing, but there are masks in'),
    ({'names': None, 'ignore': 1, 'train': 'list.txt'}, 'names is missing, which ignore needs'),
    ({'names': None, 'label_mapping': {0: 1}, 'train': 'list.txt'},
     'names is missing, which label_mapping needs'),
])
def test_what_is_wrong_is_named_with_the_remedy(folder, changes, expected):
    with pytest.raises(DataSetError, match=expected) as error:
        opened(folder, **changes)
    assert str(error.value).startswith(str(folder / 'mine.yaml'))


@pytest.mark.parametrize('text, expected', [
    ('names: [a\n', 'is not YAML'), ('- a\n- b\n', 'expected keys with values'),
    ('', 'holds None'),
    ('names: [a]\nnames: [b]\n', "'names' is there twice"), ('license:\n', 'license: is empty'),
    ('names: {0: a, 0: b}\n', "'0' is there twice"),
    ('names: {1: a, 0x1: b}\n', "'0x1' is there twice"),
    ('? [1]\n: 2\n', 'unknown key|is not YAML'),
    ('a: 2024-99-99\n', 'is not YAML'), ('a: !!python/name:os.system\n', 'is not YAML'),
    ('[' * 5000, 'is not YAML'), ('colors: [#ffffff]\n', 'is not YAML'),
    ('a: &a [*a]\nnames: *a\n', 'unknown key'), ('names: &a [*a]\n', 'names: .* is not a text')])
def test_what_is_no_yaml_is_said(tmp_path, text, expected):
    (tmp_path / 'a.yaml').write_text(text)
    with pytest.raises(DataSetError, match=expected) as error:
        open_dataset(tmp_path / 'a.yaml')
    assert len(str(error.value)) < 600


@pytest.mark.parametrize('number', ['010', '00', '-07', '1:40', '0x' + 'f' * 500, '0b' + '1' * 99])
@pytest.mark.parametrize('line', ['names: {{0: road, {}: car}}', 'names: [road]\nignore: {}',
                                  'names: [road]\nlabel_mapping: {{{}: road}}'])
def test_numbers_that_yaml_takes_for_others_are_refused(tmp_path, line, number):
    """010 would be 8, and 1:40 would be 100, without a word."""
    file = tmp_path / 'mine.yaml'
    file.write_text('train: .\n' + line.format(number))
    with pytest.raises(DataSetError, match='mine.yaml is not YAML .* is not a plain number'):
        Description.load(file)


@pytest.mark.parametrize('number', ['0', '7', '0x1f', '0b101', '1_0', '254'])
def test_plain_numbers_are_what_they_are(tmp_path, number):
    (tmp_path / 'mine.yaml').write_text(f'train: .\nnames: {{{number}: road}}')
    assert Description.load(tmp_path / 'mine.yaml').names == {int(number, 0): 'road'}


@pytest.mark.parametrize('name', ['ignore', ' Ignore', '--', 'a\nb', '\u200b'])
def test_names_that_files_give_are_names_for_classes_too(folder, name):
    description = Description.load((opened(folder), folder / 'mine.yaml')[1])
    with pytest.raises(DataSetError, match='not a name for one: rename it, or list'):
        description.label_set_of(['road', name])


def test_a_few_lines_that_would_fill_the_memory_do_not(tmp_path):
    lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]'] + [
        f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 9)}]' for i in range(1, 12)]
    text = '\n'.join([*lines, 'names: *a11', ''])
    (tmp_path / 'a.yaml').write_text(text.replace('a0:', 'path:'))
    with pytest.raises(DataSetError):
        open_dataset(tmp_path / 'a.yaml')


@pytest.mark.parametrize('data', [b'\xff\xfe\x00', b'names: \x00', b'\x80', b'a: "\\ud800"\n'])
def test_what_is_no_text_is_said(tmp_path, data):
    (tmp_path / 'a.yaml').write_bytes(data)
    with pytest.raises(DataSetError):
        open_dataset(tmp_path / 'a.yaml')


WORDS = st.sampled_from([
    'road', 'car', 'sky', 'Road', 'images', 'masks', 'list.txt', '.', '..', '', ' ', 'ignore',
    '~nobody', 'a' * 300, '\0', '#ffffff', '.png', 'nowhere', 'images/a.png', *FORMATS])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 300), st.integers(), WORDS, st.text(max_size=6),
    st.floats(), st.dates())
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(
    st.lists(inner, max_size=4),
    st.dictionaries(st.one_of(st.integers(-1, 256), WORDS, st.booleans()), inner, max_size=4)),
    max_leaves=8)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.one_of(st.sampled_from(sorted(FORMS)), st.text(max_size=5)), VALUES,
                       max_size=6), st.booleans())
def test_any_yaml_is_opened_or_an_error_of_one_kind(folder, values, complete):
    values = {**GOOD, **values} if complete else values
    file = folder / 'any.yaml'
    try:
        file.write_bytes(yaml.safe_dump(values, allow_unicode=True).encode(
            'utf-8', 'surrogatepass'))
        dataset = open_dataset(file)
        for split in dataset.splits:
            dataset.listing(split)
    except DataSetError as error:
        assert str(file) in str(error) and len(str(error)) < 2500


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=60), st.integers(0, 80))
def test_any_bytes_are_opened_or_an_error_of_one_kind(folder, noise, place):
    text = yaml.safe_dump(GOOD).encode()
    (folder / 'any.yaml').write_bytes(text[:place] + noise + text[place:])
    try:
        open_dataset(folder / 'any.yaml').listing('train')
    except DataSetError as error:
        assert str(folder) in str(error)
