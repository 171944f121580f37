# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0

import math
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ubcn_ros.report.charts import Chart, Line, figure, number, ticks, trace

FINITE = st.floats(-1e6, 1e6)


def drawn(chart):
    """Parse a chart's SVG."""
    return ElementTree.fromstring(chart.svg())


def points(root):
    """Points of each line, pixels."""
    return [[tuple(map(float, point.split(','))) for point in line.get('points').split()]
            for line in root.iter('polyline')]


@given(FINITE, FINITE)
def test_ticks_span_the_values_at_even_steps(one, other):
    low, high = min(one, other), max(one, other)
    found = ticks(low, high)
    assert 2 <= len(found) <= 9
    step = found[1] - found[0]
    assert step > 0 and found == pytest.approx([found[0] + n * step for n in range(len(found))])
    assert found[0] <= low + 1e-6 * step and found[-1] >= high - 1e-6 * step
    assert drawn(Chart('', 'T', 'dB', (Line('a', ((0, low), (1, high))),)))


@pytest.mark.parametrize(('value', 'text'), [
    (None, '–'), (math.nan, '–'), (math.inf, '∞'), (0, '0'), (30.0, '30'), (30.149, '30.1'),
    (-0.25, '−0.25'), (1234.56, '1235'), (0.012345, '0.0123'),
    (-0.00001, '0')])
def test_numbers_are_short(value, text):
    assert number(value) == text


def test_zeros_at_the_end_are_kept_where_wanted():
    assert [number(value, zeros=True) for value in (73.0, 5, 1400)] == ['73.0', '5.00', '1400']


def test_figures_have_their_digits_behind_the_point():
    assert [figure(v, 1, sign=True) for v in (-1.25, 2, 0, -0.04)] == [
        '−1.2', '+2.0', '0.0', '0.0']
    assert [figure(v) for v in (None, math.nan, math.inf)] == ['–', '–', '∞']


def test_a_chart_says_what_it_shows_and_draws_it():
    chart = Chart('PSNR and steps', 'T', 'PSNR, dB', (
        Line('50 mm/hr', ((0, 20.0), (1, 30.0))), Line('<b>', ((0, 10.0), (1, 25.0)), True)))
    root = drawn(chart)
    assert root.get('role') == 'img'
    assert root.findtext('title') == 'PSNR and steps'
    said = root.findtext('desc')
    assert 'PSNR, dB against T' in said and '<b>: 10 at 0' in said
    first, second = points(root)
    assert first[0][0] == second[0][0] < first[1][0] == second[1][0]  # the same T
    assert first[1][1] < second[1][1] < first[0][1] < second[0][1]  # up is more
    texts = [text.text for text in root.iter('text')]
    assert '50 mm/hr' in texts and '<b>' in texts
    assert len(list(root.iter('circle'))) == 4
    assert chart.rows() == [('50 mm/hr', ['20', '30']), ('<b>', ['10', '25'])]


def test_places_may_have_names_that_do_not_cover_each_other():
    names = ('480x360', '640x360', '960x720', '1280x720', '1920x1080', '2048x1024', '3840x2160')
    chart = Chart('', 'size', 'dB', tuple(Line(name, tuple(enumerate(range(7))))
                                          for name in ('50 mm/hr', '<b>')), names=names)
    root = drawn(chart)
    shown = {text.text: float(text.get('x')) for text in root.iter('text') if text.text in names}
    assert [*shown] == [*names[::2]]
    assert all(b - a > 60 for a, b in zip([*shown.values()], [*shown.values()][1:], strict=False))
    assert '1 at 640x360' in root.findtext('desc')


def test_what_is_not_finite_is_not_drawn():
    chart = Chart('', 'T', 'dB', (Line('a', ((0, math.inf), (1, 2.0), (2, 3.0))),
                                  Line('b', ((0, math.nan),))))
    assert [line.name for line in chart.drawn] == ['a']
    assert len(points(drawn(chart))[0]) == 2 and chart.places == [1, 2]


def test_names_of_lines_do_not_cover_each_other():
    root = drawn(Chart('', 'T', 'dB', tuple(Line(str(n), ((0, 1.0), (1, 1.0 + n / 1000)))
                                            for n in range(6))))
    heights = sorted(float(group.find('text').get('y')) for group in root.iter('g'))
    assert all(b - a >= 13.9 for a, b in zip(heights, heights[1:], strict=False))
    assert 0 < heights[0] and heights[-1] < 240


def test_a_single_point_is_drawn():
    assert points(drawn(Chart('', 'T', 'dB', (Line('a', ((1, 5.0),)),))))


def test_traces_span_the_time_and_the_values():
    found = trace([(0, 1.0), (5, math.inf), (10, 3.0)], 10, 1, 3)
    assert found == '0,97 1000,3'
