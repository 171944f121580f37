# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The sheet: one file, with every finding, class and picture."""

import base64
import dataclasses
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from random_images import clouds
from small_set import SIZE, add, opened

from ubcn_ros.data.check.check import check_data
from ubcn_ros.data.check.sheet import write_sheet
from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.mixture import Data


class Page(HTMLParser):
    """Its images as arrays by caption, its words, and whatever it wants from elsewhere."""

    def __init__(self, path):
        super().__init__()
        self.images, self.words, self.wanted, self.tags = [], '', [], set()
        self.feed(path.read_text('utf-8'))

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        attributes = dict(attributes)
        if tag == 'img':
            kind, _, data = attributes['src'].partition('base64,')
            assert kind == 'data:image/jpeg;'
            image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8),
                                 cv2.IMREAD_COLOR)
            self.images.append((attributes['alt'], cv2.cvtColor(image, cv2.COLOR_BGR2RGB)))
        self.wanted += [attributes[name] for name in ('href', 'src', 'srcset')
                        if not attributes.get(name, 'data:').startswith('data:')]

    def handle_data(self, data):
        self.words += ' '.join(data.split()) + ' '


def sheet(path, data):
    report = check_data(data)
    write_sheet(path, report)
    return Page(path), report


def test_all_is_there_and_in_one_file(clean, tmp_path):
    add(clean, 'val', 'leaked', clouds(0))
    page, report = sheet(tmp_path / 'new' / 'sheet.html', opened(clean))
    assert not page.wanted and not page.tags & {'script', 'link', 'iframe'}
    assert report.summary() in page.words
    for found in report.findings:
        assert f'{found.level}: {found.kind}' in page.words and found.text in page.words
    for name in CAMVID.classes:
        assert page.words.count(name) >= 3  # shares, and the legends of two splits
    for share in (*report.shares['set']['train'].values(), report.unlabeled['set']['train']):
        assert f'{100 * share:.2f} %' in page.words


def test_pictures_show_frames_masks_and_rain(clean, tmp_path):
    page, report = sheet(tmp_path / 'sheet.html', opened(clean))
    names = [name for name, _ in page.images]
    assert names.count('with its mask') == 4 + 3
    assert names.count('50 mm/hr') == names.count('150 mm/hr') == 2
    images = dict(page.images)
    shown = next(name for name in names if name.startswith('train/'))
    scene = next(s for s in report.splits[0].scenes if s.name in shown)
    assert images[shown].shape == (*SIZE, 3)
    assert np.abs(images[shown].astype(int) - scene.image()).mean() < 12  # JPEG
    dry, light, heavy = (image.astype(float) for _, image in page.images[-3:])
    assert 1 < np.abs(light - dry).mean() < np.abs(heavy - dry).mean()


def test_what_cannot_be_read_is_not_shown(clean, tmp_path):
    for path in (clean / 'train' / 'images').iterdir():
        path.write_bytes(b'')
    page, _ = sheet(tmp_path / 'sheet.html', opened(clean))
    assert not any(name.startswith('train/') for name, _ in page.images)
    assert [name for name, _ in page.images].count('with its mask') == 3


def test_names_cannot_write_html(clean, tmp_path):
    data = opened(clean)
    odd = dataclasses.replace(CAMVID, classes=('<script>"x"</script>', *CAMVID.classes[1:]))
    data = Data((dataclasses.replace(data.sets[0], label_set=odd, name='<b>&'),))
    page, _ = sheet(tmp_path / 'sheet.html', data)
    assert 'script' not in page.tags and '<script>"x"</script>' in page.words
    assert 'Check of <b>&' in page.words


def test_a_place_that_cannot_be_written_is_named(clean, tmp_path):
    (tmp_path / 'file').touch()
    report = check_data(opened(clean))
    with pytest.raises(OSError, match='file'):
        write_sheet(tmp_path / 'file' / 'sheet.html', report)
