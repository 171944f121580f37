# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is measured of bag to bag: what is wrong in outputs is counted as wrong."""

import numpy as np
import pytest
from drives import Engine, processed

from ubcn_ros.bags import McapBagWriter, open_bag
from ubcn_ros.benchmark import bag


class Frames:
    """Noise instead of a drive."""

    def __call__(self, number):
        return np.random.default_rng(number).integers(0, 256, (32, 40, 3), np.uint8)


@pytest.fixture
def drive(tmp_path):
    """A drive of twelve frames, its outputs, and a way to write others."""
    bag.write_drive(tmp_path / 'in', Frames(), 12)
    processed(tmp_path / 'in', tmp_path / 'out', engine=Engine())

    def rewritten(change):
        folder = tmp_path / 'changed'
        with open_bag(tmp_path / 'out') as reader, McapBagWriter(folder) as writer:
            for record in reader.records():
                if (changed := change(record)) is not None:
                    writer.write(changed)
        (folder / 'process.json').write_text((tmp_path / 'out' / 'process.json').read_text())
        return folder
    return tmp_path / 'in', tmp_path / 'out', rewritten


def test_all_is_as_it_should_be(drive):
    source, out, _ = drive
    assert bag.compare_with_input(source, out) == {
        'stamps_compared': 40, 'stamps_equal': 40, 'copied': 74, 'copied_identical': 74}


def flipped(data):
    return bytes([*data[:-1], data[-1] ^ 1])


@pytest.mark.parametrize('topic, changes, expected', [
    ('/imu', {'data': flipped}, {'copied_identical': 73}),
    ('/imu', {'publish_ns': lambda ns: ns + 1}, {'copied_identical': 73}),
    ('/front/derained/image_raw', {'time_ns': lambda ns: ns - 1}, {'stamps_equal': 39}),
    ('/rear/labels/image_raw', {'data': lambda data: data[:4] + b'\xff' + data[5:]},
     {'stamps_equal': 39}),
    ('/front/derained/camera_info', {'data': lambda data: data[:4] + b'\xff' + data[5:]},
     {'stamps_equal': 39})])
def test_one_that_differs_is_counted(drive, topic, changes, expected):
    source, out, rewritten = drive
    left = [topic]

    def change(record):
        if left and record.channel.topic == topic:
            left.clear()
            return record._replace(**{name: function(getattr(record, name))
                                      for name, function in changes.items()})
        return record

    changed = rewritten(change)
    figures = bag.compare_with_input(source, changed)
    assert figures == {**bag.compare_with_input(source, out), **expected}


@pytest.mark.parametrize('topic, name', [
    ('/tf', 'copied_identical'), ('/front/labels/image_raw', 'stamps_equal')])
def test_one_that_is_lost_is_counted(drive, topic, name):
    source, out, rewritten = drive
    left = [topic]

    def change(record):
        if left and record.channel.topic == topic:
            left.clear()
            return None
        return record

    whole, found = (bag.compare_with_input(source, folder) for folder in (out, rewritten(change)))
    assert found[name] < whole[name]
    assert found['copied'] == whole['copied'] or topic == '/tf'
    assert found['stamps_compared'] == whole['stamps_compared']
