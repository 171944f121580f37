# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Each fault that is planted into a clean set is found, and nothing in the clean one."""

import shutil

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image
from random_images import clouds
from small_set import SIZE, add, mask, opened

from ubcn_ros.data.check.check import check_data
from ubcn_ros.data.example import make_example
from ubcn_ros.data.files import DataSetError
from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.images.files import write_image

TRAIN_IMAGE, TRAIN_MASK = 'train/images/streetb.png', 'train/labels/streetb.png'


def check(*roots):
    return check_data(opened(*roots))


def cut(path, share=0.6):
    data = path.read_bytes()
    path.write_bytes(data[:int(share * len(data))])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x20
    path.write_bytes(data)


def rewrite(path, change):
    ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    write_image(path, change(ids))


def everywhere(root, split, change):
    for path in (root / split / 'labels').iterdir():
        rewrite(path, change)


def without(number):
    return lambda ids: np.where(ids == number, 0, ids).astype(np.uint8)


def binary(ids):
    return np.where(ids < 5, 0, 255).astype(np.uint8)


def covered(share):
    def change(ids):
        ids[:round(share * len(ids))] = 255
        return ids
    return change


@pytest.mark.parametrize('wrong', ['no mask', 'no list'])
def test_errors_of_a_split_that_is_not_used_are_warnings(clean, wrong):
    lines = {'no mask': 'test: test/images', 'no list': 'test: test.txt'}
    (clean / 'test.txt').write_bytes(b'\xff')
    for i, name in enumerate('ab', 50):
        write_image(clean / f'test/images/{name}.png', clouds(i))
    write_image(clean / 'test/masks/b.png', mask())
    for split in ('train', 'val'):
        (clean / split / 'labels').rename(clean / split / 'masks')
    (clean / 'data.yaml').write_text(
        f'train: train/images\nval: val/images\n{lines[wrong]}\n'
        f'names: {[*CAMVID.classes]}\nignore: [11]\n')
    data = opened(clean)
    (error,) = check_data(data).errors
    assert error.where == 'test of set'
    report = check_data(data, used=('train', 'val'))
    assert not report.errors and report.warnings[0].text == error.text
    assert [*data.meanings] and data.split('train'), 'what it is needed for goes on'


def leave_a_dot(root):
    everywhere(root, 'train', without(10))
    rewrite(root / TRAIN_MASK, lambda ids: np.where(np.arange(ids.size).reshape(ids.shape) == 999,
                                                    10, ids).astype(np.uint8))


def as_jpeg(path, image, **options):
    path.unlink()
    Image.fromarray(image).save(path, 'JPEG', **options)


def turned(root):
    exif = Image.Exif()
    exif[0x0112] = 3
    as_jpeg(root / TRAIN_IMAGE, clouds(1), exif=exif, quality=95)


def near_duplicate(root):
    half = cv2.resize(clouds(2), (32, 32), interpolation=cv2.INTER_AREA)
    add(root, 'val', 'again', cv2.resize(half, SIZE[::-1]))


def drive():
    """Frames of a camera that pans, and their splits: val has a few seconds from the middle."""
    wide = clouds(7, 48, 400)
    return [('val' if 12 <= second < 16 else 'train', f'drive_{second:04d}',
             wide[:, 8 * second:8 * second + 64]) for second in range(30)]


def drive_in_both(root):
    for split, name, image in drive():
        add(root, split, name, image)


def slow_val(root):
    for second in range(8):
        add(root, 'val', f'slow{"abcdefgh"[second]}', clouds(8, 48, 80)[:, second:second + 64])


def two_names(root):
    add(root, 'train', 'streetz', clouds(3))


def leak(root):
    shutil.copy(root / TRAIN_IMAGE, root / 'val' / 'images' / 'leaked.png')
    shutil.copy(root / TRAIN_MASK, root / 'val' / 'labels' / 'leaked.png')


def too_small(root):
    add(root, 'train', 'streetb', clouds(1, 31, 64))


def empty(root):
    for path in (root / 'val' / 'images').iterdir():
        path.unlink()


# what is planted: how, the kind that is found, its level, and a file that is named
FAULTS = {
    'a mask is missing': (lambda root: (root / TRAIN_MASK).unlink(), 'layout', 'error',
                          'streetb'),
    'two images of one name': (lambda root: write_image(
        root / 'train/images/streetb.jpg', clouds(1)), 'layout', 'error', 'streetb'),
    'an empty split': (empty, 'layout', 'error', 'val'),
    'an image cut short': (lambda root: cut(root / TRAIN_IMAGE), 'damaged images', 'error',
                           TRAIN_IMAGE),
    'a text instead of an image': (lambda root: (root / TRAIN_IMAGE).write_text('no image'),
                                   'damaged images', 'error', TRAIN_IMAGE),
    'an image that is too small': (too_small, 'images too small or too large', 'error',
                                   TRAIN_IMAGE),
    'a mask cut short': (lambda root: cut(root / TRAIN_MASK), 'damaged masks', 'error',
                         TRAIN_MASK),
    'an empty file instead of a mask': (lambda root: (root / TRAIN_MASK).write_bytes(b''),
                                        'damaged masks', 'error', TRAIN_MASK),
    'a flipped bit in a mask': (lambda root: flip(root / TRAIN_MASK), 'damaged masks', 'error',
                                TRAIN_MASK),
    'ids that no class has': (lambda root: rewrite(root / TRAIN_MASK, lambda ids: ids + 3),
                              'masks with ids that no class has', 'error', TRAIN_MASK),
    'a mask of another size': (lambda root: write_image(root / TRAIN_MASK, mask((48, 80))),
                               'masks of another size than their images', 'error', TRAIN_MASK),
    'a JPEG mask': (lambda root: as_jpeg(root / TRAIN_MASK, mask()),
                    'masks that are not PNGs', 'error', TRAIN_MASK),
    'an RGB mask': (lambda root: write_image(root / TRAIN_MASK, clouds(1)),
                    'masks with wrong channels or bits', 'error', TRAIN_MASK),
    'a mask of 16 bits': (lambda root: cv2.imwrite(
        str(root / TRAIN_MASK), mask().astype(np.uint16)), 'masks with wrong channels or bits',
        'error', TRAIN_MASK),
    'an image stored turned': (turned, 'EXIF orientation', 'warning', TRAIN_IMAGE),
    'a mask that is all void': (lambda root: rewrite(root / TRAIN_MASK, covered(1)),
                                'masks without a class', 'warning', TRAIN_IMAGE),
    'a split that is all void': (lambda root: everywhere(root, 'train', covered(1)),
                                 'masks without a class', 'error', TRAIN_IMAGE),
    'a mask that is almost void': (lambda root: rewrite(root / TRAIN_MASK, covered(0.96)),
                                   'masks almost without a class', 'warning', TRAIN_IMAGE),
    'a split with much void': (lambda root: everywhere(root, 'train', covered(0.4)),
                               'void share', 'warning', '40%'),
    'a class that train lacks': (lambda root: everywhere(root, 'train', without(9)),
                                 'classes missing in train', 'warning', 'Pedestrian'),
    'a class that val lacks': (lambda root: everywhere(root, 'val', without(9)),
                               'classes missing in val', 'warning', 'Pedestrian'),
    'masks of 0 and 255': (lambda root: everywhere(root, 'train', binary), 'one class in train',
                           'error', 'hold Sky and unlabeled'),
    'masks of 0 and 255 in val': (lambda root: everywhere(root, 'val', binary), 'one class in val',
                                  'warning', '255 is unlabeled'),
    'masks of a single class': (lambda root: everywhere(root, 'train', np.zeros_like),
                                'classes missing in train', 'warning', 'Building'),
    'a class with a single pixel': (leave_a_dot, 'rare classes', 'warning', 'Bicyclist'),
    'an image in train and val': (leak, 'leak', 'error', 'leaked'),
    'a near-duplicate across splits': (near_duplicate, 'near-duplicates', 'warning', 'again'),
    'a drive in train and val': (drive_in_both, 'recording in two splits', 'warning',
                                 'drive_0012'),
    'a val of frames that are alike': (slow_val, 'near-duplicates within a split', 'warning',
                                       'slowa'),
    'two names with one image': (two_names, 'copies', 'warning', 'streetz'),
}


def test_a_clean_set_has_no_findings(clean):
    report = check(clean)
    assert report.findings == ()
    assert report.counts == {'set': {'train': 6, 'val': 3}}
    assert report.summary() == '0 errors and 0 warnings in 9 images'


@pytest.mark.parametrize('name', FAULTS)
def test_a_planted_fault_is_found(name, clean):
    plant, kind, level, named = FAULTS[name]
    plant(clean)
    report = check(clean)
    found = [f for f in report.findings if f.kind == kind]
    assert [f.level for f in found] == [level], report.findings
    assert named in found[0].text and found[0].where
    if level == 'error':
        assert [f.kind for f in report.errors] == [kind]
    for split in report.splits:  # judged as training judges
        for scene, facts in zip(split.scenes, split.facts, strict=True):
            if facts.problems:
                with pytest.raises(DataSetError):
                    scene.read()
            else:
                scene.read()


def test_at_least_twenty_faults_are_planted():
    assert len(FAULTS) >= 20


def test_all_faults_are_found_at_once(clean):
    for path, harm in (('train/images/streeta.png', cut), ('train/images/streetb.png', cut),
                       ('train/labels/streetc.png', flip), ('val/images/roada.png', cut)):
        harm(clean / path)
    write_image(clean / 'train/labels/streetd.png', mask((48, 80)))
    report = check(clean)
    assert {(f.where, f.kind): len(f.files) for f in report.errors} == {
        ('train of set', 'damaged images'): 2, ('train of set', 'damaged masks'): 1,
        ('train of set', 'masks of another size than their images'): 1,
        ('val of set', 'damaged images'): 1}
    text = next(f.text for f in report.errors if len(f.files) == 2)
    assert 'streeta.png' in text and 'streetb.png' in text


def test_long_lists_are_counted_and_kept_for_programs(clean):
    for i in range(30):
        add(clean, 'train', f'bad{i}', clouds(200 + i))
        cut(clean / 'train' / 'images' / f'bad{i}.png')
    (found,) = check(clean).errors
    assert found.text.startswith('30 damaged images: ') and found.text.endswith(' and 24 more')
    assert len(found.files) == 30


def test_a_leak_between_sets(clean, tmp_path, template):
    other = shutil.copytree(template, tmp_path / 'other')
    shutil.rmtree(other / 'train' / 'images')
    shutil.rmtree(other / 'train' / 'labels')
    for i in range(4):
        add(other, 'train', f'new{i}', clouds(50 + i))
        add(other, 'val', f'road{"abcd"[i]}', clouds(70 + i))
    assert check(clean, other).findings == ()
    add(other, 'train', 'seen', clouds(100))  # roada of the first set's val
    (found,) = check(clean, other).findings
    assert (found.kind, found.level, found.where) == ('leak', 'error', 'val of set')
    assert 'val/images/roada.png = other/train/images/seen.png' in found.text


def recordings(file):
    return [f for f in check(file).findings if f.kind == 'recording in two splits']


@pytest.mark.parametrize('train, val', [
    ('images/train', 'images/val'), ('[images/train, images/extra]', 'images/val'),
    ('images/train', '[images/val, images/late]'), ('train.txt', 'val.txt'),
    ('train.txt', 'images/val')])
@pytest.mark.parametrize('inner', ['', 'monday/'])
def test_a_drive_in_two_splits_however_they_are_written(tmp_path, train, val, inner):
    for split, name, image in drive():
        write_image(tmp_path / 'images' / split / f'{inner}{name}.png', image)
    for i in range(20):  # other drives, with the same names and with names of their own
        write_image(tmp_path / 'images/extra' / f'{inner}drive_{i:04d}.png', clouds(300 + i))
        write_image(tmp_path / 'images/late' / f'{inner}late_{i:04d}.png', clouds(400 + i))
    for split in ('train', 'val'):
        files = sorted((tmp_path / 'images' / split).rglob('*.png'))
        (tmp_path / f'{split}.txt').write_text('\n'.join(map(str, files)))
    (tmp_path / 'set.yaml').write_text(f'train: {train}\nval: {val}')
    (found,) = recordings(tmp_path / 'set.yaml')
    assert found.where == 'val of set'
    assert [name[-8:-4] for name in found.files] == ['0012', '0013', '0014', '0015']
    assert f'images/train/{inner}drive_0011.png' in found.text


def test_frames_of_another_folder_are_of_another_drive(tmp_path):
    for split, name, image in drive():
        folder = f'train/{name[-1]}' if split == 'train' else f'val/{int(name[-1]) % 2}x'
        write_image(tmp_path / 'images' / folder / f'{name}.png', image)
    (tmp_path / 'set.yaml').write_text('train: images/train\nval: images/val')
    assert recordings(tmp_path / 'set.yaml') == []


@pytest.mark.parametrize('splits', ['train val', 'val test'])
def test_a_mask_of_images_in_two_splits(tmp_path, splits):
    """Names that are given anew in each split have their masks in one folder."""
    first, second = splits.split()
    for i, split in enumerate((first, second, 'train')):
        for n in range(2):
            name = f'{n}.png' if split in splits else f'own{n}.png'
            write_image(tmp_path / 'set' / split / name, clouds(10 * i + n))
            write_image(tmp_path / 'set/masks' / name, mask())
    (tmp_path / 'set.yaml').write_text(yaml.safe_dump({
        'path': 'set', 'names': list(CAMVID.classes), 'ignore': 255,
        **{split: split for split in dict.fromkeys(('train', first, second))}}))
    found = [f for f in check(tmp_path / 'set.yaml').findings if f.kind == 'shared masks']
    assert [(f.level, f.where, len(f.files)) for f in found] == [
        ('error' if first == 'train' else 'warning', f'{second} of set', 2)]
    assert f'{second}/0.png = {first}/0.png' in found[0].text


def test_a_test_that_is_val_is_said(clean):
    shutil.copytree(clean / 'val', clean / 'test')
    half = cv2.resize(clouds(100), (32, 32), interpolation=cv2.INTER_AREA)
    add(clean, 'test', 'roada', cv2.resize(half, SIZE[::-1]))  # of one not all bytes
    found = check(clean).findings
    assert [(f.level, f.kind, f.where, len(f.files)) for f in found] == [
        ('warning', 'leak', 'test of set', 2), ('warning', 'near-duplicates', 'test of set', 1)]
    assert 'test/images/roada.png and val/images/roada.png' in found[1].text
    assert all('of val: the weights are chosen' in f.text or 'in val, too: the weights are chosen'
               in f.text for f in found)


def test_frames_of_different_streets_are_no_duplicates(tmp_path):
    list(make_example(tmp_path / 'streets', 3, 1, 64, 96))
    for split in ('train', 'val'):  # as CamVid has them
        folder = tmp_path / 'set' / split / 'images'
        shutil.copytree(tmp_path / 'streets' / 'images' / split, folder)
        for path in sorted(folder.iterdir()):
            write_image(tmp_path / 'set' / split / 'labels' / f'{path.stem}.png', mask((64, 96)))
    (tmp_path / 'set/data.yaml').write_text('format: camvid')
    assert check(tmp_path / 'set').findings == ()


def test_numbered_photographs_are_no_recording(clean):
    for i in range(20):
        add(clean, 'val' if i in (7, 13) else 'train', f'2007_{i:06d}', clouds(300 + i))
    assert check(clean).findings == ()


@pytest.mark.parametrize('name, count', [('street', 1), ('0016E5_', 0)])
def test_a_set_that_may_not_be_camvid_is_told_to_be_taken_for_it(tmp_path, name, count):
    for i, split in enumerate(('train', 'val')):
        add(tmp_path, split, f'{name}{split}', clouds(i))
    (tmp_path / 'data.yaml').unlink()
    found = [f for f in check(tmp_path).findings if f.kind == 'format guessed']
    assert len(found) == count and all('masks_dir: labels' in f.text for f in found)


def test_fingerprints_follow_names_and_contents_alone(clean, tmp_path, template):
    before = check(clean).fingerprints['set']
    moved = tmp_path / 'elsewhere' / 'set'
    shutil.copytree(clean, moved, copy_function=shutil.copy)
    assert check(moved).fingerprints['set'] == before and len(before) == 64
    for change in (lambda: (clean / TRAIN_IMAGE).rename(clean / 'train/images/x.png') and
                   (clean / TRAIN_MASK).rename(clean / 'train/labels/x.png'),
                   lambda: rewrite(clean / 'val/labels/roada.png', without(3)),
                   lambda: write_image(clean / 'val/images/roadb.png', clouds(9))):
        change()
        after = check(clean).fingerprints['set']
        assert after != before
        before = after


def test_shares_are_of_the_labelled_pixels(clean):
    report, ids = check(clean), mask()
    shares = report.shares['set']['train']
    assert report.unlabeled['set']['train'] == pytest.approx((ids == 255).mean())
    assert shares['Sky'] == pytest.approx((ids == 0).sum() / (ids != 255).sum())
    assert sum(shares.values()) == pytest.approx(1)


def mapped(clean, **class_mapping):
    """Open the set as a second one with a mapping."""
    file = clean / 'mapped.yaml'
    file.write_text(yaml.safe_dump({'format': 'camvid', 'class_mapping': class_mapping}))
    return file


def test_a_mapping_of_the_first_set_does_nothing_and_is_said(clean):
    (found,) = check(mapped(clean, Sky='Tree', Car=['Sky', 'Tree'])).findings
    assert (found.kind, found.level) == ('class_mapping without effect', 'warning')


def test_classes_are_counted_as_they_are_mapped(clean, tmp_path, template):
    bare = shutil.copytree(template, tmp_path / 'bare')
    everywhere(bare, 'train', without(8))
    second = shutil.copytree(template, tmp_path / 'second')
    for onto, missing in (('Car', False), (['car', 'CAR'], False), (['Car', 'Tree'], True),
                          ('ignore', True)):
        kinds = {f.kind for f in check(bare, mapped(second, Car=onto)).findings}
        assert ('classes missing in train' in kinds) is missing, onto


def test_a_set_whose_classes_are_all_ignored_is_said(clean, tmp_path, template):
    file = mapped(shutil.copytree(template, tmp_path / 'second'), **dict.fromkeys(
        CAMVID.classes, 'ignore'))
    found = {f.kind: f for f in check(clean, file).findings}
    assert found['set without a class'].where == 'mapped'
