# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The table of a training's speed."""

from ubcn_ros.benchmark.training import PARTS, report

ROW = {'stage': 'adapt', 'batch': 24, 'crop': [512, 640], 'on_device': True, 'workers': 14,
       'ready_s': 31.5, 'samples_per_s': 1000.0, 'step_ms': 24.0, 'peak_mib': 20480.0,
       **{f'{part}_ms': 6.0 for part in PARTS}}


def test_a_row_says_size_speed_and_where_samples_come_from():
    head, _, first, second = report([ROW, {**ROW, 'on_device': False}]).splitlines()
    for text in ('adapt', '24', '640x512', 'on device', '31.5', '1000.0', '24.0', '6.0',
                 '20.0 GiB'):
        assert text in first
    assert '14 workers' in second
    assert all(part in head for part in PARTS)
