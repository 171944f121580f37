# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plots are written whole, or the one before stays."""

import resource

import pytest
from matplotlib.figure import Figure

from ubcn_ros.images.plots import save_plot


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
