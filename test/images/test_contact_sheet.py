# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the pictures of a contact sheet go."""

import numpy as np
import pytest

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.formats.cityscapes import CITYSCAPES
from ubcn_ros.images.contact_sheet import contact_sheet
from ubcn_ros.images.text import text_coverage
from ubcn_ros.labels import LabelSet, distinct_colors, paths_of


def plain(color, height=60, width=100):
    return np.full((height, width, 3), color, np.uint8)


COLORS = ((200, 0, 0), (0, 200, 0), (0, 0, 200))


def test_every_cell_holds_its_image_in_order():
    sheet = contact_sheet([('', [plain(c) for c in COLORS]),
                           ('', [plain(c) for c in COLORS[::-1]])], 'abc', cell_width=50)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    rows = [y for y in range(sheet.shape[0]) if (sheet[y, 20] == COLORS[0]).all()]
    assert len(rows) == 30  # 60 x 100 at half its size
    middle = sheet[rows[15]]
    places = [int(np.flatnonzero((middle == c).all(1)).mean()) for c in COLORS]
    assert places == sorted(places)
    assert (sheet[:, 20] == COLORS[2]).all(1).sum() == 30, 'the second row is the other way round'


def test_images_of_several_sizes_are_scaled_to_the_cell():
    sheet = contact_sheet([('', [plain(9, 40, 40), plain(9, 300, 600)])], '  ', cell_width=80)
    filled = (sheet == 9).all(2).sum(1)
    assert (filled == 160).sum() == 40 and (filled == 80).sum() == 40, '80 x 80 beside 80 x 40'


def test_captions_and_title_leave_ink():
    images = [plain(c) for c in COLORS]
    without = contact_sheet([('', images)], '   ', cell_width=90)
    captions = contact_sheet([('12 s', images)], '   ', cell_width=90)
    title = contact_sheet([('', images)], '   ', title='T = 3', cell_width=90)
    subtitle = contact_sheet([('', images)], '   ', subtitle='of 60', cell_width=90)
    assert captions.shape == without.shape and (captions != without).any()
    for sheet in (title, subtitle):
        added = sheet.shape[0] - without.shape[0]
        assert added > 0 and sheet[:added + 20].min() < 130 < without[:20].min()


def test_every_image_can_have_a_caption():
    images = [plain(c) for c in COLORS]
    without = contact_sheet([('', images)], '   ', cell_width=90)
    captions = contact_sheet([(['', '9 dB', '8 dB'], images)], '   ', cell_width=90)
    changed = (captions != without).any(2).any(0)
    assert not changed[:20 + 90 + 8].any(), 'an empty caption darkens nothing'
    assert changed[20 + 98:20 + 188].any() and changed[20 + 196:].any()


def test_a_text_too_long_for_the_sheet_is_cut():
    images = [plain(c, 32, 32) for c in COLORS]
    sheet = contact_sheet([('w' * 200, images)], ['w' * 200] * 3, CAMVID, 'w' * 300, 'w' * 300,
                          cell_width=32)
    assert sheet.shape[1] < 200


def test_a_subtitle_takes_as_many_lines_as_it_needs():
    def inked(parts):
        """Columns with ink, and the height, of the bands above the images."""
        sheet = contact_sheet([('', [plain(255)])], ' ', None, '', ', '.join(parts), 300)
        return (sheet != 255).any((0, 2)), len(sheet)

    parts = [f'psnr_150_T{i} {20 + i}.00' for i in range(9)]
    columns, height = inked(parts)
    assert columns.any() and not columns[-20:].any(), 'nothing reaches the margin'
    (_, one), (_, none) = inked(parts[:1]), inked([])
    lines = (height - none) / (one - none)
    assert lines == int(lines) and 2 < lines < 9


@pytest.mark.parametrize('label_set', [CAMVID, CITYSCAPES])
def test_the_legend_shows_every_class_within_the_sheet(label_set):
    sheet = contact_sheet([('', [plain(255)])], 'a', label_set, cell_width=300)
    found = {tuple(color) for color in sheet.reshape(-1, 3).tolist()}
    assert set(label_set.colors) <= found


@pytest.mark.parametrize('width', [280, 360, 440, 600])
def test_names_of_the_legend_do_not_overlap(width):
    names = ['a', 'b', 'c', 'w' * 20, 'v' * 20, 'd']
    label_set = LabelSet('x', names, distinct_colors(6), paths_of(6, ()))
    sheet = contact_sheet([('', [plain(255)])], 'a', label_set, cell_width=width)
    ends: dict[int, int] = {}
    for name, color in zip(names, label_set.colors, strict=True):
        top, left = np.argwhere((sheet == color).all(2))[0]
        assert left > ends.get(top, 0), name
        ends[top] = left + 14 + 7 + text_coverage(name, 12).shape[1]


def test_wrong_grids_are_refused():
    with pytest.raises(ValueError, match='at least one row'):
        contact_sheet([], 'ab')
    with pytest.raises(ValueError, match="row 'x' has 1 images, but there are 2 columns"):
        contact_sheet([('x', [plain(0)])], 'ab')
