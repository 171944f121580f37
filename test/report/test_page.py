# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The page itself, without a browser: whole, small, and safe from odd names."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from ubcn_ros.labels import LabelSet
from ubcn_ros.report.charts import Chart, Line
from ubcn_ros.report.page import Measure, PaneView, Report, ReportFrame, Table, Tile, html, write

PSNR = Measure('psnr', 'PSNR', 'dB', 'Of the derained image.', low_is_bad=True)
CHANGE = Measure('change', 'Change', 'of 255', 'From input to output.')
ODD = '</script><script>alert("1")</script>&<b>\udcff'
BLANK = 'data:image/webp;base64,UklGRg=='


class Page(HTMLParser):
    """Its words, tags, table rows, data, and whatever it wants from elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.text, self.words, self.tags, self.wanted, self.rows = text, '', [], [], []
        self.inside, self.data = '', ''
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.inside = attributes.get('id', '') if tag == 'script' else tag
        if tag == 'tr':
            self.rows.append([])
        self.wanted += [attributes[name] for name in ('href', 'src', 'srcset', 'action')
                        if not (attributes.get(name) or 'data:').startswith('data:')]

    def handle_endtag(self, tag):
        self.inside = ''

    def handle_data(self, data):
        if self.inside == 'data':
            self.data += data
        elif self.inside not in ('script', 'style'):
            self.words += ' '.join(data.split()) + ' '
            if self.rows and data.strip():
                self.rows[-1].append(data.strip())


def full_report(name='drive', frames=3):
    labels = LabelSet('two', ('Road', name), ((128, 64, 128), (70, 130, 180)), ((0,), (1,)))
    views = [PaneView('input', 'Input'), PaneView('derained', 'Derained'),
             PaneView('labels', 'Labels', 'labels', 'derained')]
    shown = [ReportFrame(f'{n / 10:.2f} s', f'/{name}', f'1.{n:09d}', (640, 360), n / 10,
                         f'ubcn bag play {name} --start {n / 10:g} --duration 0.5',
                         {'psnr': 30.0 - n % 7, 'change': float(n)},
                         {key: BLANK for key in ('input', 'derained', 'labels')})
             for n in range(frames)]
    return Report(
        name, f'about {name}', label_set=labels, views=views, sides=('input', 'derained'),
        tiles=[Tile('PSNR', '20 → 30 dB', name), Tile('Latency', None, 'not recorded')],
        frames=shown, measures=[PSNR, CHANGE], worst=PSNR,
        worst_text='Worst is the lowest PSNR.',
        tables=[Table('Classes', name, ('share, %',), (('Road', (1, 2, 3), (40.0,)),), (0,))],
        charts=[(name, [Chart(name, 'T', name, (Line(name, ((1, 2.0), (2, 3.0))),))])],
        not_measured=[f'Latency of {name}'], facts=[('model', name)])


def test_the_page_asks_for_nothing():
    page = Page(html(full_report()))
    assert not page.wanted
    assert not {'iframe', 'object', 'embed', 'form', 'base'} & {*page.tags}
    assert page.tags.count('link') == 1  # its icon, which browsers ask for otherwise
    assert not re.search(r'https?:|//[a-z]+\.|url\(|@import|fetch\(|XMLHttp|WebSocket|Beacon',
                         re.sub(r'http://www\.w3\.org/\S+', '', page.text))
    assert "default-src 'none'" in page.text and 'file:' not in page.text


def test_all_is_there():
    page = Page(html(full_report()))
    for words in ('20 → 30 dB', 'not measured', 'Worst is the lowest PSNR.', 'Not measured',
                  'Latency of drive', 'Over the drive', 'Classes', '40.0', 'about drive'):
        assert words in page.words, words
    assert page.tags.count('svg') == 2 + 1  # two measures over the drive, a chart
    assert [f['pictures'].keys() for f in json.loads(page.data)['frames']] == [
        {'input', 'derained', 'labels'}] * 3


@pytest.mark.parametrize('topics, names, expected', [
    (('/a',), ['A', 'B'], ['l5', 'l0', 'l1']),
    (('/a', '/b'), ['/a A', '/a B', '/b A', '/b B'], ['l0', 'l2', 'l0', 'l1', 'l2', 'l3'])])
def test_lines_of_one_camera_have_one_colour(topics, names, expected):
    report = full_report()
    report.measures = [CHANGE, PSNR, replace(PSNR, key='psnr_b')]
    report.frames = [replace(frame, topic=topic, values={**frame.values, 'psnr_b': 3.0})
                     for topic in topics for frame in report.frames]
    text = html(report)
    assert re.findall(r'<g class="(l\d)"><polyline points="[^"]+"/></g>', text) == expected
    assert re.findall(r'<span class="l\d"><i class="stroke"></i>([^<]+)', text) == names


def test_nothing_left_out_is_said_too():
    report = full_report()
    report.not_measured = []
    assert 'Nothing was left out.' in Page(html(report)).words


def test_rows_are_worst_first_with_stamp_topic_and_command():
    rows = [row for row in Page(html(full_report())).rows if row[0].endswith(' s')]
    assert [row[:3] for row in rows] == [['0.20 s', '28.0', '2.0'], ['0.10 s', '29.0', '1.0'],
                                         ['0.00 s', '30.0', '0.0']]
    assert rows[0][3:] == ['/drive', '1.000000002',
                           'ubcn bag play drive --start 0.2 --duration 0.5']


@pytest.mark.parametrize(('measure', 'ranked'), [(PSNR, [1, 2, 0, 3, 4]),
                                                 (CHANGE, [0, 2, 1, 3, 4])])
def test_worst_first_by_either_end_and_what_is_missing_last(measure, ranked):
    report = full_report(frames=5)
    report.worst = measure
    for frame, value in zip(report.frames, (math.inf, 20.0, 30.0, None, math.nan), strict=True):
        frame.values = {} if value is None else {measure.key: value}
    assert report.ranked() == ranked
    assert '∞' in Page(html(report)).words


@pytest.mark.parametrize('value, text', [(math.inf, 'Infinity'), (-math.inf, '-Infinity')])
def test_infinite_values_are_sorted_as_such(value, text):
    report = full_report()
    report.frames[0].values = {PSNR.key: value}
    assert f'data-value="{text}"' in html(report)


def test_names_cannot_write_html():
    page = Page(html(full_report(ODD)))
    assert page.tags.count('script') == page.text.count('<script') == 2
    assert '<b>\udcff' not in page.text
    frame = json.loads(page.data)['frames'][0]
    assert frame['topic'] == f'/{ODD}' and ODD in frame['command']


def test_names_that_are_not_text_are_written(tmp_path):
    write(tmp_path / 'new' / 'page.html', full_report(ODD))
    assert '\\udcff' in (tmp_path / 'new' / 'page.html').read_text('utf-8')


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match='file'):
        write(tmp_path / 'file' / 'page.html', full_report())


def test_a_thousand_frames_leave_room_for_their_pictures():
    """25 MB less the budget of the pictures."""
    report = full_report('a_drive_of_a_long_name/' * 3, frames=1000)
    for frame in report.frames:
        frame.pictures = {}
    assert len(html(report).encode('utf-8', 'replace')) < 2_500_000


def test_a_report_without_frames_needs_no_script():
    report = full_report()
    report.frames = []
    assert 'script' not in Page(html(report)).tags


def test_full_size_pictures_may_be_loaded_from_beside():
    report = full_report()
    report.frames[0].files = {'input': 'full/0.png'}
    text = html(report)
    assert "img-src data: file: 'self'" in text and 'full/0.png' in text
