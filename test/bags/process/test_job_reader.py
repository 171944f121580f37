# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What comes of the records of a bag: CameraInfos that are malformed."""

import pytest
from drives import camera_info, decoded, image, processed, stored, write_bag


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
    assert result.tally.malformed_count == 1 and len(stored(tmp_path / 'out', '/camera_info')) == 3
