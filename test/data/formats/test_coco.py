# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""COCO's polygons and run lengths, and the layouts that tools export."""

import copy
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from set_files import scene_names, write, write_yaml

from ubcn_ros.data.datasets import open_dataset
from ubcn_ros.data.mixture import open_data
from ubcn_ros.data.scenes import DataSetError
from ubcn_ros.labels import LabelSet, distinct_colors

mask = pytest.importorskip('pycocotools.mask')

HEIGHT, WIDTH = 36, 40
NAME = 'annotations/instances_train2017.json'


def box(x, y, w, h):
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def object_of(i, category, segmentation, image=1, **more):
    return {'id': i, 'image_id': image, 'category_id': category, 'segmentation': segmentation,
            **more}


CATEGORIES = [{'id': 18, 'name': 'dog'}, {'id': 3, 'name': 'car'}, {'id': 90, 'name': 'road'}]
# the road is the largest, and comes last
OBJECTS = [object_of(1, 18, [box(10, 10, 4, 4)]), object_of(2, 3, [box(8, 8, 12, 10)]),
           object_of(3, 90, [box(0, 5, 40, 20)])]


def coco(objects=OBJECTS, categories=CATEGORIES, names=('a.jpg', 'drive/b.jpg')):
    return {'images': [{'id': i, 'file_name': name, 'height': HEIGHT, 'width': WIDTH}
                       for i, name in enumerate(names, 1)],
            'annotations': copy.deepcopy(list(objects)),
            'categories': copy.deepcopy(list(categories))}


def save(root, values=None, file=NAME, images='train2017'):
    values = coco() if values is None else values
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(json.dumps(values))
    for image in values['images']:
        write(root / images / image['file_name'], np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    return root


def labels_of(root, split='train', place=0):
    listing = open_dataset(root).listing(split)
    assert not listing.problems
    return listing.scenes[place].read().labels


def test_small_objects_stay_on_top_of_large_ones(tmp_path):
    dataset = open_dataset(save(tmp_path))
    assert (dataset.format, dataset.splits) == ('coco', ('train',))
    assert dataset.label_set.classes == ('car', 'dog', 'road') and not dataset.paths_given
    assert scene_names(dataset.listing('train')) == ['a', 'drive/b']
    labels = labels_of(tmp_path)
    assert (labels[10:14, 10:14] == 1).all() and (labels[15:18, 8:20] == 0).all()
    assert (labels[5:8] == 2).all() and (labels[:5] == 255).all() and (labels[25:] == 255).all()
    # an image without objects has labels, all of them unlabeled
    assert (labels_of(tmp_path, place=1) == 255).all()


def test_the_order_in_the_file_is_of_no_account(tmp_path):
    first = labels_of(save(tmp_path / '1'))
    assert np.array_equal(first, labels_of(save(tmp_path / '2', coco(OBJECTS[::-1]))))


def test_what_no_object_covers_is_the_background_where_there_is_one(tmp_path):
    save(tmp_path, coco(categories=[*CATEGORIES, {'id': 0, 'name': 'Background'}]))
    assert (labels_of(tmp_path)[:5] == 0).all()
    write_yaml(tmp_path / 'data.yaml', 'names: [road, background]')
    labels = labels_of(save(tmp_path))
    assert (labels[:5] == 1).all() and (labels[5:8] == 0).all()
    # objects of classes that are left out are not background
    assert (labels[10:14, 10:14] == 255).all()


@pytest.mark.parametrize('crowd', [0, 1])
@pytest.mark.parametrize('compressed', [False, True])
def test_run_lengths(tmp_path, crowd, compressed):
    shape = np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.4
    shape[:3], shape[-5:] = False, True
    runs = mask.encode(np.asfortranarray(shape.astype(np.uint8)))
    runs['counts'] = runs['counts'].decode()
    if not compressed:
        flat = np.concatenate([[0], shape.T.ravel().astype(int)])
        ends = np.flatnonzero(np.diff(flat))
        runs['counts'] = np.diff([0, *ends, shape.size]).tolist()
    labels = labels_of(save(tmp_path, coco([object_of(1, 3, runs, iscrowd=crowd)])))
    assert np.array_equal(labels == 0, shape) and (labels[~shape] == 255).all()


def test_objects_of_several_parts_and_of_none(tmp_path):
    parts = [box(0, 0, 5, 5), box(20, 20, 5, 5), [1, 1, 2, 2]]
    labels = labels_of(save(tmp_path, coco([object_of(1, 3, parts), object_of(2, 18, [[1, 2]])])))
    assert (labels == 0).sum() == 50 and (labels[20:25, 20:25] == 0).all()


@pytest.mark.parametrize('file, images, split', [
    ('annotations/instances_train2017.json', 'train2017', 'train'),
    ('annotations/instances_default.json', 'images', 'train'),
    ('annotations/instances_default.json', 'images/default', 'train'),
    ('annotations/instances_Validation.json', 'images/Validation', 'val'),
    ('annotations/val.json', 'images/val', 'val'), ('train.json', '.', 'train'),
    ('train/_annotations.coco.json', 'train', 'train'),
    ('valid/_annotations.coco.json', 'valid', 'val'), ('result.json', '.', 'train'),
    ('test/_annotations.coco.json', 'test', 'test')])
def test_layouts_of_tools(tmp_path, file, images, split):
    save(tmp_path, file=file, images=images)
    assert open_dataset(tmp_path).splits == (split,)
    assert (labels_of(tmp_path, split)[10:14, 10:14] == 1).all()


def test_paths_of_windows(tmp_path):
    values = coco()
    save(tmp_path, values)
    values['images'][1]['file_name'] = 'drive\\b.jpg'
    (tmp_path / NAME).write_text(json.dumps(values))
    scenes, problems = open_dataset(tmp_path).listing('train')
    assert not problems and [scene.name for scene in scenes] == ['a', 'drive/b']
    assert scenes[1].read().image.shape[:2] == (HEIGHT, WIDTH)


def test_classes_are_those_of_all_files_by_name(tmp_path):
    save(tmp_path)
    other = [{'id': 1, 'name': 'Road'}, {'id': 2, 'name': 'cat'}]
    save(tmp_path, coco([object_of(1, 1, [box(0, 0, 9, 9)]), object_of(2, 2, [box(9, 9, 9, 9)])],
                        other), 'annotations/instances_val2017.json', 'val2017')
    assert open_dataset(tmp_path).label_set.classes == ('car', 'dog', 'Road', 'cat')
    labels = labels_of(tmp_path, 'val')
    assert labels[1, 1] == 2 and labels[12, 12] == 3


def test_roboflow_s_category_above_all_is_no_class(tmp_path):
    above = [{'id': 0, 'name': 'things', 'supercategory': 'none'}, *(
        {**category, 'supercategory': 'things'} for category in CATEGORIES)]
    save(tmp_path, coco(categories=above), 'train/_annotations.coco.json', 'train')
    assert open_dataset(tmp_path).label_set.classes == ('car', 'dog', 'road')


def test_files_of_any_name_by_a_yaml(tmp_path):
    save(tmp_path, file='mine/labels.json', images='pictures')
    for image in ('a.jpg', 'drive'):
        (tmp_path / 'pictures' / image).rename(tmp_path / 'mine' / image)
    dataset = open_dataset(write_yaml(tmp_path / 'data.yaml',
                                      'train: mine/labels.json\nval: 0.5\nnames: [car, road]'))
    assert dataset.splits == ('train', 'val') and dataset.label_set.classes == ('car', 'road')
    assert scene_names(dataset.listing('val')) == ['drive/b']
    with pytest.raises(DataSetError, match="names: 'tree' is not a category of .*car, dog, road"):
        open_dataset(write_yaml(tmp_path / 'data.yaml', 'train: mine/labels.json\nnames: [tree]'))
    with pytest.raises(DataSetError, match='train: .* is not a file of COCO annotations'):
        open_dataset(write_yaml(tmp_path / 'data.yaml', 'train: mine/none.json'))


def test_two_files_for_one_split_are_not_chosen_from(tmp_path):
    save(tmp_path)
    save(tmp_path, file='annotations/instances_train2014.json')
    with pytest.raises(DataSetError, match="both for the split 'train': write a YAML"):
        open_dataset(tmp_path)


def test_every_problem_is_listed_and_the_rest_is_taken(tmp_path):
    bad = [object_of(10, 7, [box(0, 0, 9, 9)]), object_of(11, 3, [box(0, 0, 9, 9)], image=8),
           object_of(12, 3, []), object_of(13, 3, [[1, 2, 3, 4, 5, 6, 7]]),
           object_of(14, 3, [[1, 2, 3, 4, 5, 9e9]]), object_of(15, 3, [[1, 2, 3, 4, 5, 'x']]),
           object_of(16, 3, {'size': [HEIGHT, WIDTH], 'counts': [5, 5]}),
           object_of(17, 3, {'size': [WIDTH, HEIGHT], 'counts': [HEIGHT * WIDTH]}),
           object_of(18, 3, {'size': [HEIGHT, WIDTH], 'counts': '0000'}), 'x',
           object_of(19, 3, [[1, 2, 3, 4, 5, float('nan')]])]
    values = coco([*OBJECTS, *bad], names=('a.jpg', 'b.jpg', 'a.png', 'gone.jpg'))
    values['images'] += [{'id': 9}, {'id': 1, 'file_name': 'c.jpg', 'height': 36, 'width': 40},
                         {'id': 20, 'file_name': 'd.jpg', 'height': 0, 'width': 40},
                         {'id': 21, 'file_name': 'e.jpg', 'height': 10 ** 6, 'width': 10 ** 6}]
    (tmp_path / 'annotations').mkdir()
    (tmp_path / NAME).write_text(json.dumps(values))
    for name in ('a.jpg', 'a.png', 'b.jpg'):
        write(tmp_path / 'train2017' / name, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    scenes, problems = open_dataset(tmp_path).listing('train')
    assert [s.name for s in scenes] == ['a', 'b'] and len(problems) == len(bad) + 6
    assert len(set(problems)) == len(problems)
    assert (scenes[0].labels()[10:14, 10:14] == 1).all()
    for part in ('category_id 7', 'image_id 8', 'not boxes alone', '7 numbers', 'far outside',
                 'not a list of numbers', 'do not cover', 'gone.jpg', 'two images of the name a'):
        assert any(part in problem for problem in problems), part


@pytest.mark.parametrize('text, expected', [
    ('', 'is not JSON'), ('{', 'is not JSON'), ('[]', 'not a file of COCO'), ('{}', 'not a file'),
    ('{"images": [], "annotations": [], "categories": {}}', 'expected lists'),
    ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', 'without id or name'),
    ('{"images": [], "annotations": [], "categories": []}', 'no categories'),
    ('[' * 100000, 'is not JSON'), ('\udcff', 'is not JSON'),
    (json.dumps({**coco(), 'categories': CATEGORIES[:1] * 2}), 'two categories of one id')])
def test_what_is_no_such_file_is_said(tmp_path, text, expected):
    (tmp_path / 'annotations').mkdir()
    (tmp_path / NAME).write_bytes(text.encode('utf-8', 'surrogateescape'))
    with pytest.raises(DataSetError, match=expected) as error:
        open_dataset(tmp_path)
    assert NAME in str(error.value)


@pytest.mark.parametrize('height, width, remedy', [
    (HEIGHT + 4, WIDTH, 'correct width'), (WIDTH, HEIGHT, 'one is turned; turn the pixels of the '
                                                          'image, .* or correct width')])
def test_the_size_in_the_file_is_not_the_image_s(height, width, remedy, tmp_path):
    save(tmp_path)
    write(tmp_path / 'train2017/a.jpg', np.zeros((height, width, 3), np.uint8))
    with pytest.raises(DataSetError, match=rf'^the entry of a.jpg in .*json is 40x36 but .*a.jpg '
                                           rf'is {width}x{height}: {remedy} and height of the '
                                           'entry and export again'):
        open_dataset(tmp_path).listing('train').scenes[0].read()


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 99), st.floats(), st.integers(),
              st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=6),
                            st.dictionaries(st.sampled_from(['size', 'counts', 'id']), inner)),
    max_leaves=10)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(['images', 'annotations', 'categories']), st.sampled_from([
    '', 'id', 'file_name', 'height', 'image_id', 'category_id', 'segmentation', 'name',
    'supercategory']), JSON)
def test_any_value_anywhere_is_taken_or_said(tmp_path, part, key, value):
    values = coco()
    if key:
        values[part][0][key] = value
    else:
        values[part] = value
    save(tmp_path)
    (tmp_path / NAME).write_text(json.dumps(values))
    try:
        for scene in open_dataset(tmp_path).listing('train').scenes:
            assert scene.labels().max() <= 255
    except DataSetError as error:
        assert str(tmp_path) in str(error)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(st.characters(min_codepoint=45, max_codepoint=115), max_size=14))
def test_any_compressed_text_is_decoded_as_meant_or_refused(tmp_path, text):
    runs = {'size': [HEIGHT, WIDTH], 'counts': text}
    scenes, problems = open_dataset(save(tmp_path, coco([object_of(1, 3, runs)]))).listing('train')
    if not problems:
        assert np.array_equal(scenes[0].labels() == 0, mask.decode(runs))


def test_classes_are_mapped_onto_another_set_s(tmp_path):
    model = LabelSet('m', ('Bus', 'Car', 'Road'), distinct_colors(3), ((0,), (1,), (2,)))
    file = write_yaml(save(tmp_path) / 'data.yaml', 'class_mapping: {dog: [bus, car]}')
    scenes = open_data([file], model).split('train')
    assert [group.ids for group in scenes.groups] == [(0, 1)]
    labels = scenes.scenes[0].labels()
    assert (labels[10:14, 10:14] == 3).all() and (labels[15:18, 8:20] == 1).all()
    assert (labels[5:8] == 2).all() and (labels[:5] == 255).all()


@pytest.mark.parametrize('names, count', [('', 1), ('names: [car]', 0)])
def test_what_is_wrong_with_a_category_that_is_left_out_is_no_problem(tmp_path, names, count):
    values = coco([*OBJECTS, object_of(10, 9, [])])
    values['categories'].append({'id': 9, 'name': 'boxes'})
    (tmp_path / 'a.json').write_text(json.dumps(values))
    for image in values['images']:
        write(tmp_path / image['file_name'], np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    (tmp_path / 'a.yaml').write_text(f'train: a.json\n{names}')
    problems = open_dataset(tmp_path / 'a.yaml').listing('train').problems
    assert len(problems) == count and all('not boxes alone' in line for line in problems)
