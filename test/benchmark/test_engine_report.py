# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Times of the engine as a picture."""

import re

from ubcn_ros.benchmark.engine_report import draw


def test_every_row_has_a_bar_of_its_own(tmp_path):
    row = {'name': 'tiny', 'width': 64, 'height': 48, 'iterations': 1, 'precision': 'fp32',
           'backend': 'eager', 'p50_ms': 3.0, 'stages_ms': {'derain': {'p50': 2.0}}}
    rows = [{**row, 'processed': '64x48'}, {**row, 'processed': '32x24'}, row, row]
    draw(tmp_path / 'rows.svg', rows)
    text = (tmp_path / 'rows.svg').read_text()
    ticks = re.findall(r'<g id="ytick_\d+">', text)
    assert len(ticks) == len(rows)
    for name in ('64x48 at 64x48 T=1 fp32 eager', '64x48 at 32x24 T=1'):
        assert name in text
