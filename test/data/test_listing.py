# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files are found however their paths are spelled, and the search for those that lack is short."""

import os
import unicodedata

import pytest

from ubcn_ros.data.listing import FileFinder, NoMask, with_masks

NFC, NFD = (unicodedata.normalize(form, 'straße_ü') for form in ('NFC', 'NFD'))


@pytest.mark.parametrize('stored, asked', [
    ('a.PNG', 'a.png'), ('a.png', 'a.PNG'), (f'{NFD}/a.png', f'{NFC}/a.png'),
    (f'{NFC}/{NFD}.png', f'{NFC}/{NFC}.png'), (f'{NFC}/{NFC}.PNG', f'{NFD}/{NFD}.png'),
    ('b/a.png', r'b\a.png'), ('b/a.PNG', r'b\a.png'), (r'b\a.PNG', r'b\a.png')])
def test_a_file_is_found_by_another_spelling(stored, asked, tmp_path):
    path = tmp_path / stored
    path.parent.mkdir(exist_ok=True)
    path.touch()
    files = FileFinder()
    assert files.existing(tmp_path / 'x.png', tmp_path / asked) == path
    assert files.existing(path) == path
    for other in ('A.png', 'a', 'a.jpg', 'b', 'a.png/a.png', 'no/a.png', 'a\0.png'):
        assert files.existing(tmp_path / other) is None


def test_what_is_there_as_asked_for_comes_first(tmp_path):
    for name in ('a.PNG', 'b.png'):
        (tmp_path / name).touch()
    (tmp_path / 'c.PNG').symlink_to(tmp_path / 'gone.png')
    paths = [tmp_path / name for name in ('c.png', 'a.png', 'b.png')]
    assert FileFinder().existing(*paths) == paths[2]
    assert FileFinder().existing(*paths[:2]) == tmp_path / 'a.PNG'


@pytest.mark.parametrize('there', [True, False])
def test_masks_that_lack_take_few_looks(there, tmp_path, monkeypatch):
    root = tmp_path / NFC / NFC
    if there:
        (root / 'masks').mkdir(parents=True)
    looks, isfile, scandir = [], os.path.isfile, os.scandir
    monkeypatch.setattr(os.path, 'isfile', lambda path: looks.append(path) or isfile(path))
    monkeypatch.setattr(os, 'scandir', lambda path: looks.append(path) or scandir(path))
    images = {str(i): root / 'images' / f'{i}.jpg' for i in range(50)}
    scenes, problems = with_masks(images, (), lambda image: root / 'masks' / f'{image.stem}.png',
                                  {})
    assert not scenes and len(problems) == (50 if there else 1)
    assert all(isinstance(problem, NoMask) for problem in problems)
    assert len(looks) < 10 * len(images), 'the path, by each suffix, and a table a folder'
