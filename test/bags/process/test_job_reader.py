# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What comes of the records of a bag: which CameraInfo goes with an image."""

import pytest
from drives import camera_info, decoded, image, late_images, processed, stored, write_bag


@pytest.mark.parametrize('length', [4, 20, 60])  # nothing, half of the header, half of the rest
def test_a_malformed_camera_info_is_told_and_not_passed_on(tmp_path, length):
    infos = [camera_info('/camera_info', 7, 999 + 100 * n, width=40 + n) for n in range(3)]
    infos[1] = infos[1]._replace(data=infos[1].data[:length])
    source = write_bag(tmp_path / 'in.mcap', [
        record for n, info in enumerate(infos)
        for record in (info, image('/image_raw', n, 1000 + 100 * n))])
    result = processed(source, tmp_path / 'out')
    made = stored(tmp_path / 'out', '/derained/camera_info')
    assert [decoded(info).width for info in made] == [40, 40, 42]
    (line,) = result.errors
    assert line.startswith('/camera_info, recorded at 1.099000000 s: it is not a sensor_msgs/msg/')
    assert line.endswith('; not processed')
    assert result.tally.malformed_count == 1 and len(stored(tmp_path / 'out', '/camera_info')) == 3


@pytest.mark.parametrize('delay_ms, widths', [
    (150, [40, 41, 42, 43]), (-50, [40, 40, 41, 42]),  # before its own: the newest so far
    (3500, [43, 43, 43, 43])], ids=['late', 'early', 'too late'])
def test_an_image_has_the_camera_info_of_its_stamp_where_that_is_recorded(
        tmp_path, delay_ms, widths):
    source = write_bag(tmp_path / 'in.mcap', late_images(4, delay_ms))
    assert processed(source, tmp_path / 'out').errors == []
    made = [decoded(record) for record in stored(tmp_path / 'out', '/derained/camera_info')]
    assert [info.width for info in made] == widths
    assert [info.header.stamp.sec * 1000 + info.header.stamp.nanosec // 1_000_000
            for info in made] == [1000, 1100, 1200, 1300]
