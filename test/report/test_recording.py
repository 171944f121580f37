# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings of the node: what they say beside their images."""

from types import SimpleNamespace

import pytest
from processed_bags import SECOND, debug, labels

from ubcn_ros.bags import IMAGE, McapBagWriter, make_header, make_image
from ubcn_ros.bags.messages import LABEL_INFO, make_label_info
from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.report.bag import BagPaths, BagReportOptions, bag_report
from ubcn_ros.report.recording import CameraTopics


@pytest.mark.parametrize('damaged', [b'\0\1\0\0cut', make_label_info(
    make_header(0, ''), SimpleNamespace(classes=()), 0.0)], ids=['cut', 'no class'])
def test_what_a_recording_says_beside_its_images_may_be_malformed(tmp_path, damaged):
    whole = make_label_info(make_header(0, ''), CAMVID, 0.0)
    with McapBagWriter(tmp_path / 'bag') as writer:
        for number, info in enumerate((damaged, whole)):
            header = make_header(number * SECOND, 'c')
            writer.write_message('/labels/label_info', LABEL_INFO, info, number * SECOND)
            writer.write_message('/labels/image_raw', IMAGE,
                                 make_image(header, labels(0), 'mono8'), number * SECOND)
            message = debug(header, 7.0)
            message.status[0].values[1].value = ('soon', '7.0')[number]
            writer.write_message('/debug/frame', message.__msgtype__, message, number * SECOND)
    made = bag_report(BagPaths(tmp_path / 'bag'),
                      BagReportOptions(tmp_path / 'report.html', 4, None, 1))
    assert made.label_set.classes == CAMVID.classes
    assert [frame.values['latency_ms'] for frame in made.frames] == [7]
    info, latency = made.errors
    assert '/labels/label_info: ' in info and "is 'soon', not a number; left out" in latency


@pytest.mark.parametrize(('other', 'like'), [
    (CameraTopics('/l/image_raw/compressed', '/elsewhere/derained/image_raw'), True),
    (CameraTopics('/l/image_rect', '/l/derained/image_raw'), True),
    (CameraTopics('/r/image_raw', '/r/derained/image_raw'), False),
    (CameraTopics(None, '/l/derained/image_raw'), True),
    (CameraTopics('/l/image_raw'), True), (CameraTopics('/l/image_rect'), False)])
def test_a_camera_is_known_by_its_input_or_its_outputs(other, like):
    assert CameraTopics('/l/image_raw', '/l/derained/image_raw').is_like(other) == like
