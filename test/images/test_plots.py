# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plots are written whole, or the one before stays; stages of a bar are told apart."""

import resource

import pytest
from matplotlib.figure import Figure

from ubcn_ros.images.plots import REST, save_plot, stacked_bars


@pytest.mark.parametrize('suffix', ['png', 'PDF', 'svg'])
def test_a_plot_that_does_not_fit_leaves_the_one_before(tmp_path, suffix):
    path, figure = tmp_path / 'new' / f'plot.{suffix}', Figure(figsize=(2, 1))
    figure.text(0.5, 0.5, 'rain')
    save_plot(path, figure)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match='File too large'):
            save_plot(path, figure)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and [*path.parent.iterdir()] == [path]


def test_the_stages_of_a_bar_follow_each_other_and_look_different(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Figure, 'savefig', lambda figure, *_, **__: drawn.append(figure))
    names = [f'stage {n}' for n in range(12)]
    whole = {**dict.fromkeys(names, 2.0), REST: 1.0}
    bars = [('one', whole), ('one', {'stage 1': 3.0, 'stage 5': None})]
    stacked_bars(tmp_path / 'bars.svg', bars, 'ms')
    axes, = drawn[0].axes
    upper, lower = ([bar for bar in axes.patches if round(bar.get_y() + bar.get_height() / 2) == y]
                    for y in (0, 1))
    assert [bar.get_x() for bar in upper] == [2.0 * n for n in range(13)]
    assert [bar.get_width() for bar in lower if bar.get_width()] == [3.0]
    assert len({(bar.get_facecolor(), bar.get_hatch()) for bar in upper}) == 13
    assert [text.get_text() for text in axes.get_yticklabels()] == ['one', 'one']
