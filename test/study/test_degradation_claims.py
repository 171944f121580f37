# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The claims of figure 1 hold of the paper's numbers, and are refuted by the cell that does."""

import numpy as np
import pytest

from ubcn_ros.study.degradation_claims import claims, degradation_statements, over_seeds
from ubcn_ros.study.degradation_figures import curves, heat_maps
from ubcn_ros.study.paper import FIGURE_1, FIGURE_1_LEVELS


@pytest.fixture
def tables():
    return {kind: np.array(rows) for kind, rows in FIGURE_1.items()}


def test_the_papers_own_numbers_fulfil_its_claims(tables):
    found = claims(tables)
    assert [claim.holds for claim in found] == [True] * 4
    assert [len(claim.comparisons) for claim in found] == [48, 60, 24, 24]
    # pepper 75.0 against 74.9, which are read off to 0.3
    assert [claim.margin for claim in found] == pytest.approx([0.1, 0.6, 0.3, 0.5])
    assert [each.holds for each in degradation_statements('', tables)] == [True] * 4 + [None]


@pytest.mark.parametrize(('kind', 'cell', 'value', 'refuted', 'line'), [
    ('rain', (0, 1), 73.7, [0],
     'rain, tested at 50 (mm/hr): trained at 50 is 0.1 below trained at 0'),
    ('gaussian', (3, 3), 77.5, [1],
     'gaussian (sigma of 255): trained at 0, tested at 0 is 0.1 below trained at 70, tested at '
     '70'),
    ('pepper', (2, 3), 75.1, [0, 2],
     'pepper (% of the pixels): trained at 50, tested at 50 is 0.1 below trained at 50, tested at '
     '70'),
    ('haze', (1, 0), 76.8, [3],
     'haze (1/m): trained at 0.005, tested at 0.005 is 0.1 below trained at 0.005, tested at 0')])
def test_one_cell_refutes_what_it_is_in(tables, kind, cell, value, refuted, line):
    tables[kind][cell] = value
    found = claims(tables)
    assert [n for n, claim in enumerate(found) if not claim.holds] == refuted
    assert all(claim.margin < 0 for n, claim in enumerate(found) if n in refuted)
    statements = degradation_statements('', tables)
    assert [n for n, each in enumerate(statements[:4]) if each.holds is False] == refuted
    assert line in statements[refuted[-1]].details
    assert statements[4].holds is (None if refuted == [3] else False)


def test_a_small_difference_does_not_read_as_none(tables):
    tables['rain'][0, 1] = 73.63
    best = degradation_statements('', tables)[0]
    assert best.found.startswith('not in 1 of 48 comparisons, by up to 0.03 points;')
    assert best.details == (
        'rain, tested at 50 (mm/hr): trained at 50 is 0.03 below trained at 0',)


def test_equal_cells_are_neither_best_nor_falling():
    found = claims({kind: np.full((4, 4), 2.5) for kind in FIGURE_1_LEVELS})
    assert [len(claim.exceptions) for claim in found] == [48, 60, 24, 24]
    first = degradation_statements('', {kind: np.full((4, 4), 2.5) for kind in FIGURE_1_LEVELS})[0]
    assert 'not in 48 of 48 comparisons, by up to 0.0 points;' in first.found
    assert 'rain, tested at 50 (mm/hr): trained at 50 equals trained at 0' in first.details
    assert len(first.details) == 48


def test_over_seeds_the_mean_counts_and_the_spread_is_said(tables):
    rain = np.stack([tables['rain']] * 3)
    rain[:, 0, 1] = 75.0, 72.0, 73.0  # 73.3 on the mean, of 73.6
    found = claims({**tables, 'rain': rain})
    assert found[0].holds and found[0].margin == pytest.approx(0.1)
    rain[:, 0, 1] = 75.0, 73.0, 73.4
    (exception,) = claims({**tables, 'rain': rain})[0].exceptions
    assert (exception.kind, exception.higher, exception.lower) == ('rain', (1, 1), (0, 1))
    assert exception.difference == pytest.approx(-0.2) and exception.seeds == 3
    assert '(single seeds −0.6 to 1.4)' in degradation_statements('', {'rain': rain})[0].details[0]
    mean, lowest, highest = over_seeds(rain)
    assert (mean[0, 1], lowest[0, 1], highest[0, 1]) == pytest.approx((73.8, 73.0, 75.0))


def test_what_was_not_measured_is_no_exception(tables):
    rain = np.full((2, 4, 4), np.nan)
    rain[0, :2] = tables['rain'][:2]
    rain[1, 0] = tables['rain'][0]
    found = claims({'rain': rain})
    assert [claim.holds for claim in found] == [True, True, True, None]
    assert [len(claim.comparisons) for claim in found] == [2, 7, 6, 0]
    assert [claim.missing for claim in found] == [46, 53, 18, 24]
    statements = degradation_statements('', {'rain': rain})
    assert [each.holds for each in statements] == [None] * 5
    assert 'in 2 of 2 comparisons, by 1.9 points or more; 46 are not' in statements[0].found
    assert statements[3].found.startswith('not measured;')
    assert claims({})[0].holds is None and claims({})[0].margin is None


@pytest.mark.parametrize('draw', [heat_maps, curves])
def test_figures_show_ours_above_the_papers(tables, draw):
    tables = {'haze': np.stack([tables['haze'] / 2, tables['haze'] / 4]), 'rain': tables['rain']}
    tables['rain'][1] = np.nan
    figure = draw(tables, 'ddrnet23_slim on $odd_{ $camvid')
    figure.draw_without_rendering()
    ours, paper = figure.subfigs
    assert 'on $odd_{ $camvid' in ours.get_suptitle() and 'paper' in paper.get_suptitle()
    for row in (ours, paper):
        assert [axes.get_title() for axes in row.axes] == ['rain', 'haze']
    if draw is heat_maps:
        texts = [text.get_text() for text in ours.axes[1].texts]
        assert texts[:4] == [f'{0.375 * value:.1f}' for value in FIGURE_1['haze'][0]]
        assert len(ours.axes[0].texts) == 12, 'nothing is said of what was not measured'
    else:
        lines = {line.get_label(): line.get_ydata() for line in paper.axes[1].lines}
        assert [*lines['trained at 0.03']] == [*FIGURE_1['haze'][3]]
