# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures of the paper (its supplementary material), to stand beside ours; with their sources."""

from __future__ import annotations

TABLE_4 = {'ddn': (0.23, 0.17), 'rescan': (0.60, 1.12), 'prenet': (0.67, 1.52),
           'jorder-e': (16.73, 9.12), 'rcdnet': (13.11, 23.29)}
"""Table 4: MB, and seconds at 2048x1024 on an RTX 2080 Ti."""
TABLE_4_UBCN = '13.40 + 0.40 + 177.60', 11.78
"""Table 4: MB of UBCN's IDM, SAM and segmentation network, and seconds, there."""
SECONDS = {**{name: seconds for name, (_, seconds) in TABLE_4.items()},
           'paper, T = 3': TABLE_4_UBCN[1]}
"""Table 4's, by the names that ``times.time_all`` gives; T is that of figures 8 and 9."""

FIGURE_1_LEVELS = {'rain': (0, 50, 150, 250), 'pepper': (0, 30, 50, 70),
                   'haze': (0, 0.005, 0.01, 0.03), 'gaussian': (0, 30, 50, 70)}
"""
Figure 1: levels I to IV of each kind, in mm/hr, % of the pixels, 1/m, and sigma on 0..255.

Of haze 0.005 is printed 0.05.
"""
FIGURE_1 = {
    'rain': ((77.0, 51.7, 36.6, 22.5), (75.1, 73.6, 68.6, 65.4), (72.4, 70.9, 69.8, 66.8),
             (70.7, 69.4, 69.1, 68.6)),
    'pepper': ((77.3, 69.9, 61.6, 55.3), (76.7, 76.2, 74.7, 72.9), (76.3, 75.8, 75.0, 73.7),
               (75.7, 75.3, 74.9, 74.6)),
    'haze': ((77.3, 72.6, 65.2, 42.8), (70.2, 76.7, 75.5, 67.0), (65.4, 74.6, 76.3, 69.3),
             (54.1, 63.1, 67.9, 70.4)),
    'gaussian': ((77.4, 32.9, 14.2, 6.6), (65.0, 74.5, 72.2, 65.0), (61.1, 72.3, 72.8, 68.3),
                 (56.7, 63.3, 68.1, 70.6))}
"""
Figure 1: mIoU in % of PSPNet by kind, [level of training][level of test].

Read off the figure, +-0.3.
"""
