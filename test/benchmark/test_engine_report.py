# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Times of the engine as a picture."""

import re

from matplotlib.figure import Figure

from ubcn_ros.benchmark.engine_report import draw


def test_every_row_has_a_bar_of_its_own(tmp_path):
    row = {'name': '$odd_{ $', 'width': 64, 'height': 48, 'iterations': 1, 'precision': 'fp32',
           'backend': 'eager', 'p50_ms': 3.0, 'stages_ms': {'derain': {'p50': 2.0}}}
    rows = [{**row, 'processed': '64x48'}, {**row, 'processed': '32x24'}, row, row]
    draw(tmp_path / 'rows.svg', rows)
    text = (tmp_path / 'rows.svg').read_text()
    ticks = re.findall(r'<g id="ytick_\d+">', text)
    assert len(ticks) == len(rows)
    for name in ('64x48 at 64x48 T=1 fp32 eager', '64x48 at 32x24 T=1'):
        assert name in text


def test_the_legend_lies_beside_the_bars(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Figure, 'savefig', lambda figure, *_, **__: drawn.append(figure))
    stages = {name: {'p50': 2.0} for name in (
        'convert', 'upload', 'derain', 'segment', 'attend', 'download', 'queue')}
    row = {'name': 'tiny', 'width': 64, 'height': 48, 'iterations': 1, 'precision': 'fp32',
           'backend': 'eager', 'p50_ms': 15.0, 'stages_ms': stages}
    for count in (1, 2, 9):
        draw(tmp_path / 'rows.svg', [row] * count)
        figure = drawn.pop()
        figure.draw_without_rendering()
        axes, = figure.axes
        legend, = filter(None, [axes.get_legend(), *figure.legends])
        place = legend.get_window_extent()
        assert len(legend.get_texts()) == len(stages) + 1
        assert not any(place.overlaps(bar.get_window_extent()) for bar in axes.patches)
        assert axes.get_window_extent().height > 40 * count  # pixels
