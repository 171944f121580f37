# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every layout that is read is checked, and the faults that only some can have are found."""

import json

import numpy as np
import pytest
from PIL import Image
from random_images import clouds
from small_set import SIZE, opened

from ubcn_ros.data.check.check import check_data
from ubcn_ros.data.datasets import FORMATS
from ubcn_ros.data.formats.cityscapes import LICENSE
from ubcn_ros.images.files import write_image

CLASSES = ('road', 'car', 'tree')
COLORS = ((128, 64, 128), (0, 0, 142), (107, 142, 35))
# of all classes of Cityscapes, as its files store them
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


def check(*roots):
    return check_data(opened(*roots))


def ids(classes=3):
    return (np.arange(SIZE[1]) * classes // SIZE[1])[None].repeat(SIZE[0], 0).astype(np.uint8)


def frames(count=3):
    """Split, name and image of some frames."""
    return [(split, f'{split}{"abcdef"[i]}', clouds(10 * i + (split == 'val')))
            for split in ('train', 'val') for i in range(count)]


def own(root, names=CLASSES, mapping=''):
    for split, name, image in frames():
        write_image(root / 'images' / split / f'{name}.jpg', image)
        write_image(root / 'masks' / split / f'{name}.png', ids(len(names)))
    (root / 'data.yaml').write_text(f'path: .\ntrain: images/train\nval: images/val\n'
                                    f'names: [{", ".join(names)}]\n{mapping}')


def cvat(root):
    for split, name, image in frames():
        write_image(root / 'JPEGImages' / f'{name}.jpg', image)
        write_image(root / 'SegmentationClass' / f'{name}.png',
                    np.array(COLORS, np.uint8)[ids()])
        listing = root / 'ImageSets' / 'Segmentation' / f'{split}.txt'
        listing.parent.mkdir(parents=True, exist_ok=True)
        with listing.open('a') as file:
            file.write(f'{name}\n')
    (root / 'labelmap.txt').write_text(''.join(
        f'{name}:{",".join(map(str, color))}::\n'
        for name, color in zip(CLASSES, COLORS, strict=True)))


def cityscapes(root):
    stored = np.array(LABEL_IDS, np.uint8)[ids(len(LABEL_IDS))]
    for split, name, image in frames():
        write_image(root / 'leftImg8bit' / split / 'ulm' / f'{name}_leftImg8bit.png', image)
        write_image(root / 'gtFine' / split / 'ulm' / f'{name}_gtFine_labelIds.png', stored)
    (root / 'data.yaml').write_text('format: cityscapes')  # not for its folders alone


def coco(root):
    height, width = SIZE
    for split in ('train', 'val'):
        images, annotations = [], []
        for i, (of, name, image) in enumerate(frames()):
            if of != split:
                continue
            write_image(root / split / f'{name}.jpg', image)
            images.append({'id': i, 'file_name': f'{name}.jpg', 'height': height, 'width': width})
            for c in range(3):
                left, right = c * width // 3, (c + 1) * width // 3
                annotations.append({
                    'id': 3 * i + c + 1, 'image_id': i, 'category_id': c + 1, 'iscrowd': 0,
                    'area': 1, 'bbox': [left, 0, right - left, height],
                    'segmentation': [[left, 0, right, 0, right, height, left, height]]})
        file = root / 'annotations' / f'instances_{split}.json'
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({'images': images, 'annotations': annotations, 'categories': [
            {'id': i + 1, 'name': name} for i, name in enumerate(CLASSES)]}))


def images(root):
    for split, name, image in frames():
        write_image(root / split / f'{name}.png', image)


def pairs(root):
    for split, name, image in frames():
        write_image(root / split / 'input' / f'{name}.png', image // 2)
        write_image(root / split / 'target' / f'{name}.png', image)


LAYOUTS = {'own': own, 'cvat': cvat, 'cityscapes': cityscapes, 'coco': coco, 'images': images,
           'pairs': pairs}


@pytest.mark.parametrize('name', LAYOUTS)
def test_each_layout_is_checked_and_clean(name, tmp_path):
    root = tmp_path / 'set'
    LAYOUTS[name](root)
    if name == 'coco':
        pytest.importorskip('pycocotools')
    for _ in range(2):  # the second time from the cache
        report = check(root)
        assert report.findings == () and report.counts == {'set': {'train': 3, 'val': 3}}
        assert [f.counts is None for s in report.splits for f in s.facts] == [
            name in ('images', 'pairs')] * 6
    victim = next(s.image_path for s in opened(root).sets[0].listing('val').scenes)
    victim.write_bytes(victim.read_bytes()[:100])
    (found,) = check(root).findings
    assert (found.kind, found.where) == ('damaged images', 'val of set')
    assert victim.name in found.text


def test_dummy_masks_of_a_test_are_no_error(tmp_path):
    cityscapes(tmp_path)
    write_image(tmp_path / 'leftImg8bit/test/bonn/a_leftImg8bit.png', clouds(77))
    write_image(tmp_path / 'gtFine/test/bonn/a_gtFine_labelIds.png', np.ones(SIZE, np.uint8))
    (found,) = check(tmp_path).findings
    assert found.level == 'warning' and 'nothing can be measured on test' in found.text


def test_a_class_called_unlabeled_keeps_its_share_and_is_told(tmp_path):
    own(tmp_path / 'set', ('un-labeled', 'car', 'tree'))
    report = check(tmp_path / 'set')
    assert report.shares['set']['train']['un-labeled'] == pytest.approx(1 / 3, abs=0.02)
    assert report.to_dict()['unlabeled'] == {'set': {'train': 0.0, 'val': 0.0}}
    (found,) = report.findings
    assert found.level == 'warning' and found.text.startswith('un-labeled is learnt as a class')


@pytest.mark.parametrize('names, told', [
    ('road', ['names leaves out car (6 annotations), tree (1 annotation): their pixels are '
              'unlabeled']),
    ('road, car, TREE', [])])
def test_annotated_classes_of_coco_that_names_leaves_out_are_told(names, told, tmp_path):
    pytest.importorskip('pycocotools')
    coco(tmp_path)
    for split, left in (('train', 1), ('val', 0)):
        file = tmp_path / 'annotations' / f'instances_{split}.json'
        values = json.loads(file.read_text())
        trees = [a for a in values['annotations'] if a['category_id'] == 3]
        for annotation in trees[left:]:
            values['annotations'].remove(annotation)
        values['categories'].append({'id': 9, 'name': 'of no object'})
        file.write_text(json.dumps(values))
    (tmp_path / 'data.yaml').write_text(f'names: [{names}]')
    found = [f for f in check(tmp_path).warnings if f.kind == 'classes left out']
    assert [f.text for f in found] == told


def cvat_with(root, unused):
    cvat(root)
    file = root / 'labelmap.txt'
    file.write_text(f'{unused}:0,0,0::\n{file.read_text()}')


@pytest.mark.parametrize('unused, mapping', [
    ('background', ''), ('background', 'class_mapping: {background: ignore}\n'), ('void', '')])
def test_the_remedies_for_classes_of_cvat_name_the_key_that_it_takes(unused, mapping, tmp_path):
    cvat_with(tmp_path, unused)
    (tmp_path / 'data.yaml').write_text(f'format: cvat\n{mapping}')
    told = [f.text for f in check(tmp_path).findings]
    assert not any('label_mapping' in text or 'ignore' in text for text in told)
    for text in told[:-1]:  # the last is of val
        assert text.endswith('to leave out classes list the others as names in a YAML')
    (tmp_path / 'data.yaml').write_text(f'names: [{", ".join(CLASSES)}]\n')
    assert check(tmp_path).findings == ()


def test_the_remedy_for_classes_of_a_published_format_is_a_yaml_of_ones_own(tmp_path):
    cityscapes(tmp_path)
    (tmp_path / 'data.yaml').write_text('format: cityscapes\nclass_mapping: {road: ignore}')
    (found,) = check(tmp_path).findings
    assert found.text.endswith(f'write a YAML with {FORMATS["cityscapes"].own_keys}')


def test_a_single_class_is_told_to_mean_nothing(tmp_path):
    own(tmp_path, ('road',))
    (found,) = check(tmp_path).findings
    assert (found.level, found.kind) == ('warning', 'a single class')
    assert 'road is the only class' in found.text and 'background' in found.text


def test_all_problems_of_a_layout_are_told(tmp_path):
    own(tmp_path)
    (tmp_path / 'masks/train/traina.png').unlink()
    (tmp_path / 'masks/train/trainb.png').unlink()
    Image.fromarray(ids()).save(tmp_path / 'masks/train/trainb.jpg')
    write_image(tmp_path / 'images/train/trainc.png', clouds(50))
    (found,) = check(tmp_path).errors
    assert found.kind == 'layout' and len(found.files) == 3
    for name in ('traina', 'trainb.jpg', 'trainc.png'):
        assert name in found.text


def test_classes_of_a_second_set_count_by_their_mapping(tmp_path):
    own(tmp_path / 'first', (*CLASSES, 'person'))
    own(tmp_path / 'second', ('street', 'people'),
        'class_mapping: {street: road, people: person}\n')
    for split in ('train', 'val'):
        for path in (tmp_path / 'first' / 'masks' / split).iterdir():
            write_image(path, ids(3))
        for i, path in enumerate((tmp_path / 'second' / 'images' / split).iterdir()):
            write_image(path, clouds(500 + i + 10 * (split == 'val')))
    kinds = {f.kind: f.text for f in check(tmp_path / 'first').findings}
    assert set(kinds) == {'classes missing in train', 'classes missing in val'}
    # the second set shows persons to train on; what validates is the first one's
    (found,) = check(tmp_path / 'first', tmp_path / 'second').findings
    assert found.kind == 'classes missing in val' and 'no pixel of person' in found.text


def test_the_val_that_validates_is_judged(tmp_path):
    """A set with groups of the classes comes after one with the classes themselves."""
    own(tmp_path / 'first')
    (tmp_path / 'first/data.yaml').write_text('train: images/train\nnames: [road, car, tree]')
    own(tmp_path / 'coarse', ('street', 'car'),
        'class_mapping: {street: [road, tree], car: [car, tree]}\n')
    own(tmp_path / 'fine', mapping='class_mapping: {}\n')
    for k, name in enumerate(('coarse', 'fine')):
        for i, path in enumerate(sorted((tmp_path / name).rglob('*.jpg'))):
            write_image(path, clouds(700 + i + 20 * k))
    roots = [tmp_path / name for name in ('first', 'coarse', 'fine')]
    assert opened(*roots).split('val').name == 'fine/val'
    assert check(*roots).findings == ()


def test_the_same_set_twice_is_told_apart(tmp_path):
    own(tmp_path / 'a' / 'set')
    own(tmp_path / 'b' / 'set')
    for i, path in enumerate(sorted((tmp_path / 'b').rglob('*.jpg'))):
        write_image(path, clouds(700 + i))
    report = check(tmp_path / 'a' / 'set', tmp_path / 'b' / 'set')
    assert list(report.counts) == list(report.fingerprints) == ['set', 'set (2)']
    assert report.findings == ()
    twice = check(tmp_path / 'a' / 'set', tmp_path / 'a' / 'set')
    assert {f.kind for f in twice.findings} == {'copies'}
    assert len(set(twice.fingerprints.values())) == 1


@pytest.mark.parametrize('splits, kind, level', [
    (('train',), 'no val split', 'warning'), (('val',), 'no train split', 'error')])
def test_a_split_that_is_nowhere(splits, kind, level, tmp_path):
    own(tmp_path)
    text = (tmp_path / 'data.yaml').read_text().splitlines()
    (tmp_path / 'data.yaml').write_text('\n'.join(
        line for line in text if line.split(':')[0] in ('path', 'names', *splits)))
    (found,) = check(tmp_path).findings
    assert (found.kind, found.level) == (kind, level)


@pytest.mark.parametrize('name', ['ulm_000001_000019', 'drive1'])
def test_only_published_names_of_files_have_the_published_terms(name, tmp_path):
    cityscapes(tmp_path)
    (tmp_path / 'data.yaml').unlink()
    for path in tmp_path.rglob('*.png'):
        path.rename(path.with_name(path.name.replace('trainb', name)))
    kinds = {f.kind for f in check(tmp_path).findings}
    license = opened(tmp_path).sets[0].license
    published = name != 'drive1'
    assert ('format guessed' in kinds) is not published and (license == LICENSE) is published


def test_the_remedy_for_own_classes_in_the_layout_of_cityscapes_opens_it(tmp_path):
    cityscapes(tmp_path)
    keys = FORMATS['cityscapes'].own_keys.removeprefix('path, ').removesuffix(' and names')
    names = ', '.join(f'{i}: class{i}' for i in LABEL_IDS)
    (tmp_path / 'data.yaml').write_text(keys.replace(', ', '\n') + f'\nnames: {{{names}}}')
    assert check(tmp_path).findings == ()
    (found,) = opened(tmp_path).sets
    assert found.label_set.classes[0] == 'class7' and not found.guessed
