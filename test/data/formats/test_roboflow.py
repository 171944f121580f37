# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Roboflow's masks beside their images, and such masks without its table of classes."""

import pytest
from set_files import ids, knows_all_files, picture, write, write_yaml

from ubcn_ros.data.datasets import open_dataset
from ubcn_ros.data.scenes import DataSetError

TABLE = 'Pixel Value, Class\n0, background\n1, road\n3, traffic light\n'


def make(root, table=TABLE, folders=('train', 'valid')):
    for folder in folders:
        for i, name in enumerate(('a_png.rf.01', 'b_png.rf.02')):
            write(root / folder / f'{name}.jpg', picture(100))
            write(root / folder / f'{name}_mask.png', ids(3, i))
        if table:
            (root / folder / '_classes.csv').write_text(table)
    return root


def test_classes_and_masks_are_found(tmp_path):
    dataset = open_dataset(make(tmp_path))
    assert (dataset.format, dataset.splits) == ('roboflow', ('train', 'val'))
    assert dataset.label_set.classes == ('background', 'road', 'traffic light')
    scenes, problems = dataset.listing('val')
    assert [scene.name for scene in scenes] == ['a_png.rf.01', 'b_png.rf.02']
    assert scenes[1].read().labels[:2, 0].tolist() == [2, 1] and not problems
    assert knows_all_files(dataset, tmp_path)


def test_a_name_with_a_comma_is_in_quotes(tmp_path):
    make(tmp_path, TABLE + '4, "car, red"\n')
    assert open_dataset(tmp_path).label_set.classes[3] == 'car, red'


def test_a_folder_alone_and_ones_own_names(tmp_path):
    folder = make(tmp_path, folders=('.',))
    write_yaml(folder / 'data.yaml', 'names: {1: road}\nignore: [0, 3]')
    dataset = open_dataset(folder)
    assert dataset.splits == ('train',) and dataset.label_set.classes == ('road',)
    assert dataset.listing('train').scenes[1].read().labels[:2, 0].tolist() == [255, 0]


def test_masks_are_known_in_any_case(tmp_path):
    make(tmp_path)
    for path in tmp_path.rglob('*_mask.png'):
        path.rename(path.with_suffix('.PNG'))
    scenes, problems = open_dataset(tmp_path).listing('train')
    assert len(scenes) == 2 and not problems


def test_halves_are_problems(tmp_path):
    make(tmp_path)
    (tmp_path / 'train/a_png.rf.01.jpg').unlink()
    (tmp_path / 'train/b_png.rf.02_mask.png').unlink()
    scenes, problems = open_dataset(tmp_path).listing('train')
    assert not scenes and len(problems) == 2
    assert 'is without its image' in problems[0] and 'has no mask' in problems[1]


@pytest.mark.parametrize('table, told', [
    ('Pixel Value, Class\n', 'not 1 to'), ('Pixel Value, Class\nx, road\n', "'x, road' is not"),
    ('Pixel Value, Class\n0\n', "'0' is not a number and a name"),
    (TABLE + '4, car, red\n', "'4, car, red' is not .* with a comma in quotes"),
    (TABLE + '4, Road\n', 'is there twice'), (TABLE + '3, car\n', 'is there twice'),
    (TABLE + '4, "' + 'x' * 200_000, 'field larger'), (TABLE + '4, car\n', 'name other classes')])
def test_tables_that_are_none_or_differ_are_named(tmp_path, table, told):
    make(tmp_path)
    (tmp_path / 'valid/_classes.csv').write_text(table)
    with pytest.raises(DataSetError, match=f'valid/_classes.csv .*{told}'):
        open_dataset(tmp_path)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_without_the_table_masks_are_not_taken_for_images(tmp_path, suffix):
    make(tmp_path, table='')
    for path in tmp_path.rglob('*.jpg'):
        path.rename(path.with_suffix(suffix))
    text = 'train: train\nval: valid\nmasks_dir: .\nmask_suffix: _mask.png\n'
    for found in (open_dataset(tmp_path), open_dataset(write_yaml(tmp_path / 'images.yaml',
                                                                 'train: train'))):
        (problem,) = found.listing('train').problems
        assert 'looks like the mask of an image beside it, and so do 1 more' in problem
        assert all(line in problem for line in text.splitlines()[2:])
    scenes, problems = open_dataset(write_yaml(
        tmp_path / 'own.yaml', text + 'names: {0: rest, 1: road, 3: car}')).listing('val')
    assert scenes[1].read().labels[:2, 0].tolist() == [2, 1] and len(scenes) == 2 and not problems
