# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Data sets used together: one set of classes, groups, splits."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from ubcn_ros.data.class_shares import pixel_shares
from ubcn_ros.data.mixture import Data, focal_length
from ubcn_ros.data.resizing import shrunk
from ubcn_ros.data.scenes import DataSet, DataSetError, Group, Listing, Scene
from ubcn_ros.labels import LabelSet, distinct_colors, paths_of

SIZE = (32, 40)


@pytest.fixture
def make(tmp_path):
    def made(name, classes, stored=None, splits=('train', 'val'), **more):
        """Make a data set whose scene i shows one class; without classes it has no labels."""
        scenes = []
        for i, value in enumerate(stored or range(len(classes) or 2)):
            image, label = tmp_path / f'{name}{i}.png', tmp_path / f'{name}{i}_labels.png'
            cv2.imwrite(str(image), np.zeros((*SIZE, 3), np.uint8))
            cv2.imwrite(str(label), np.full(SIZE, value, np.uint8))
            scenes.append(Scene(f'{name}{i}', image, label if classes else None,
                                {**{k: k for k in range(len(classes))}, 255: 255}))
        label_set = LabelSet(name, tuple(classes), distinct_colors(len(classes)),
                             paths_of(len(classes), range(1))) if classes else None
        return DataSet(name, Path(name), Path(name), 'own', label_set, f'terms of {name}', {
            split: lambda: Listing(tuple(scenes)) for split in splits}, **more)
    return made


def ids(scenes):
    return [int(np.unique(scene.labels())[0]) for scene in scenes.scenes]


def test_classes_of_one_name_are_one_whatever_case_and_separators(make):
    data = Data((make('a', ['Traffic Light', 'road', 'person']),
                 make('b', ['PERSON', 'traffic_light', 'Ro-ad'])))
    assert data.label_set.classes == ('Traffic Light', 'road', 'person')
    assert ids(data.split('train')) == [0, 1, 2, 2, 0, 1] and data.groups == ()


@pytest.mark.parametrize('lengths, expected', [
    ((1.5, 1.5), 1.5), ((1.5, 1.51), 1.5), ((1.5, None), None), ((1.5, 2.2), None)])
def test_one_focal_length_is_that_of_all_sets_with_labels(make, lengths, expected):
    sets = [make(f's{i}', ['road'], focal_length=length) for i, length in enumerate(lengths)]
    assert focal_length((*sets, make('unlabelled', []))) == expected
    assert focal_length([make('alone', [], focal_length=1.5)]) is None


def test_the_sets_of_scenes_are_those_that_they_are_from(make):
    data = Data((make('a', ['road']), make('b', []), make('c', ['road'], splits=('test',))))
    train = data.split('train')
    assert data.sets_of('train', train) == data.sets[:2]
    assert data.sets_of('train', shrunk(train.labelled(), 16)) == data.sets[:1]
    assert data.sets_of('test', data.split('test')) == data.sets[2:]


def test_mapping_to_a_class_to_several_and_to_none(make):
    data = Data((make('a', ['car', 'truck', 'road']), make(
        'b', ['vehicle', 'street', 'sky', 'big'],
        class_mapping={'Vehicle': ('truck', 'CAR'), 'street': ('road',), 'sky': (),
                       'big': ('car', 'truck')})))
    scenes = data.split('train')
    assert ids(scenes)[3:] == [3, 2, 255, 3]
    assert scenes.groups == (Group('vehicle', (0, 1)),)
    assert data.meanings['2 b'] == {'0': 'car or truck', '1': 'road', '3': 'car or truck'}


def test_all_classes_that_nothing_maps_are_listed_with_the_lines_to_add(make):
    with pytest.raises(DataSetError) as error:
        Data((make('a', ['road']), make('b', ['road', 'sky', 'tree'])))
    assert str(error.value).endswith('class_mapping: {sky: ignore, tree: ignore}')


def test_an_error_names_data_sets_by_their_paths_and_whose_the_classes_are(make):
    first, second = (replace(make(name, classes), source=Path(f'data/{name}.yaml'))
                     for name, classes in (('a', ['road']), ('b', ['sky'])))
    with pytest.raises(DataSetError, match=r'^data/b\.yaml has classes that data/a\.yaml lacks: '
                       r'sky\. Say in data/b\.yaml'):
        Data((first, second))
    with pytest.raises(DataSetError, match=r'^data/b\.yaml has .* that the model x lacks: '):
        Data((second,), first.label_set, 'the model x')
    with pytest.raises(DataSetError, match=r"^data/a\.yaml has no split 'none'"):
        Data((first,)).split('none')


def test_a_mapping_onto_an_unknown_class_names_the_known_ones(make):
    with pytest.raises(DataSetError, match="'sky' onto 'air'.*road, car"):
        Data((make('a', ['road', 'car']), make('b', ['sky'], class_mapping={'sky': ('air',)})))


def test_the_first_set_with_labels_gives_the_classes_unless_a_model_does(make):
    plain, own, other = make('p', []), make('a', ['road', 'car']), make('b', ['Car'])
    assert Data((plain, own, other)).label_set is own.label_set
    assert Data((plain,)).label_set is None
    data = Data((other,), own.label_set)
    assert data.label_set is own.label_set and ids(data.split('val')) == [1]
    with pytest.raises(DataSetError, match='car: ignore'):
        Data((own,), make('c', ['road']).label_set)


def test_validation_is_of_the_first_set_with_labels_that_has_it(make):
    data = Data((make('p', []), make('a', ['road'], splits=('train',)), make('b', ['road'])))
    assert [s.name for s in data.split('train').scenes] == ['p0', 'p1', 'a0', 'b0']
    assert [s.name for s in data.split('val').scenes] == ['b0']
    assert [s.name for s in data.split('train').labelled().scenes] == ['a0', 'b0']
    with pytest.raises(DataSetError, match="'test' with masks: choose one of train, val"):
        data.split('test')


def test_groups_alone_validate_nothing(make):
    coarse = make('c', ['vehicle'], class_mapping={'vehicle': ('car', 'bus')})
    first = make('a', ['car', 'bus'], splits=('train',))
    assert Data((first, coarse, make('b', ['Car']))).split('val').name == 'b/val'
    assert Data((first, coarse)).split('val').name == 'c/val'


def test_only_and_exclude_choose_by_the_start_of_the_name(make):
    data = Data((make('a', ['road', 'car']), make('b', ['road'])))
    assert [s.name for s in data.split('train', only=['a']).scenes] == ['a0', 'a1']
    assert [s.name for s in data.split('train', exclude=['a1', 'b']).scenes] == ['a0']
    with pytest.raises(DataSetError, match=r"no scenes.*only=\['a'\], exclude=\['a'\]"):
        data.split('train', only=['a'], exclude=['a'])
    for chosen in ({'only': ['a', 'x']}, {'exclude': ['a1', 'x']}):
        with pytest.raises(DataSetError, match="begins with 'x': the first are a0, a1, b0"):
            data.split('train', **chosen)


def test_a_set_whose_classes_are_the_models_needs_no_mapping(make):
    mapped = make('a', ['road', 'car'], class_mapping={'car': ()})
    alone = Data((mapped,)), Data((mapped,), classes=Data((mapped,)).label_set)
    assert [ids(data.split('train')) for data in alone] == [[0, 1]] * 2
    first = make('b', ['road', 'car'])
    assert ids(Data((first, mapped)).split('train')) == [0, 1, 0, 255], 'a second set does'


def test_the_first_problems_stop_and_their_number_is_said(make):
    whole = make('a', ['road'])
    broken = replace(whole, readers={'train': lambda: Listing((), tuple(
        f'problem {i}' for i in range(9)))})
    with pytest.raises(DataSetError, match='9 problems with .*:\nproblem 0') as error:
        Data((broken,)).split('train')
    assert 'problem 4' in str(error.value) and 'problem 5' not in str(error.value)
    assert str(error.value).endswith('and 4 more')


def test_paths_follow_pixel_shares_unless_given(make):
    classes = [f'c{i}' for i in range(12)]
    own = make('a', classes, stored=[11] * 5 + [4] * 3 + [255] * 9 + [7, 0], paths_given=False)
    data = Data((own,))
    assert data.label_set.paths[:3] == ((11,), (4,), (0,))
    assert len(data.label_set.paths) == 10 and data.label_set.classes == tuple(classes)
    assert data.split('train').label_set == data.label_set
    shares = pixel_shares(data.split('train'))
    assert shares.shape == (12,) and shares.sum() == pytest.approx(1) and shares[11] == 0.5
    # evenly spread: the first, and those half-way on
    assert pixel_shares(data.split('train'), 2)[11] == 1
    assert not pixel_shares(Data((make('v', classes, stored=[255]),)).split('train')).any()


def test_ids_of_a_set_s_classes_are_those_of_its_labels(make):
    first, second = make('first', ['a', 'b', 'c']), make(
        'second', ['x', 'y', 'B'], class_mapping={'x': ('a', 'c'), 'y': ()})
    data = Data((first, second))
    assert dict(data.ids_of(first)) == {0: 0, 1: 1, 2: 2}
    assert dict(data.ids_of(second)) == {0: 3, 1: 255, 2: 1}
    assert ids(data.split('train'))[3:] == [3, 255, 1]


def test_of_scenes_of_one_name_the_first_is_kept(make):
    scenes = Data((make('a', ['car', 'road']), make('b', ['car', 'road', 'x'],
                                                    class_mapping={'x': ()}))).split('train')
    twice = replace(scenes, scenes=(*scenes.scenes[1:], *scenes.scenes))
    assert twice.unique().scenes == (*scenes.scenes[1:], scenes.scenes[0])
    assert scenes.unique() == scenes
