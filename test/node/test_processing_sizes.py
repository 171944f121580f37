# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Processing sizes of the real node over real DDS: by camera, by camera info, and changed."""

import time

import pytest

pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from ros_client import CameraInfo, image_message, picture, wait_until  # noqa: E402

from ubcn_ros.runtime import load_model, save_model  # noqa: E402

LIMIT = 120.0  # seconds, of a machine that has much else to do


@pytest.fixture(scope='module')
def model(tiny_model, tmp_path_factory):
    """The tiny model, said to have been trained on images of 40 pixels through a long lens."""
    path = tmp_path_factory.mktemp('models') / 'trained.safetensors'
    save_model(path, load_model(tiny_model)[0], {'trained_short_side': 40,
                                                 'trained_focal_length': 1.5})
    return path


class Driver:
    """Publishes images of 128x96 and camera infos of one camera of the node."""

    def __init__(self, client, name):
        self.client, self.name, self.count = client, name, 0
        self.frames = client.record(f'/{name}/debug/frame', DiagnosticArray)
        client.wait_for_subscriber(f'/{name}/image')
        client.wait_for_subscriber(f'/{name}/camera_info', CameraInfo)

    def say(self, focal_length):
        """Publish a camera info with a focal length in short sides."""
        k = [0.0] * 9
        k[0] = k[4] = focal_length * 96
        self.client.publisher(f'/{self.name}/camera_info', CameraInfo).publish(
            CameraInfo(height=96, width=128, k=k))

    def size(self):
        """Publish one more image until it is answered; return what it was processed at."""
        self.count += 1
        message = image_message(self.count, picture(96, 128))

        def answer():
            self.client.publisher(f'/{self.name}/image').publish(message)
            time.sleep(0.1)
            return [frame for frame in self.frames if frame.header == message.header]

        frame = wait_until(answer, f'the numbers of an image of {self.name}', LIMIT)[0]
        return {item.key: item.value for item in frame.status[0].values}['processing size']


@pytest.mark.integration
def test_sizes_go_by_camera_by_an_early_camera_info_and_by_the_parameter(start, client, model):
    node = start(model=str(model), device='cpu', precision='fp32', backend='graphs', iterations=1,
                 cameras=['front', 'left'], processing_size=[-1, 64], warm_up_width=128,
                 warm_up_height=96)
    node.wait_for_log('active: waiting for images on /front/image, /left/image')
    front, left = Driver(client, 'front'), Driver(client, 'left')
    front.say(0.75)
    node.wait_for_log('/front/camera_info: a focal length of 0.75 short sides: images are '
                      'processed at a short side of 80')
    node.wait_for_log('prepared graphs for 128x96, processed at 104x80')  # before any image
    assert (front.size(), left.size()) == ('104x80', '88x64')
    assert node.output.count('preparing graphs') == 3, 'what was warmed up: one each, and -1'
    front.say(1.5)
    node.wait_for_log('/front/camera_info: camera info with a focal length of 1.50 short sides '
                      'came after the first image')
    assert front.size() == '104x80'

    assert client.set_parameter('processing_size', [0, -1]).successful
    node.wait_for_log('processing_size is [0, -1] now: warming up')
    wait_until(lambda: (front.size(), left.size()) == ('128x96', '56x40'), 'the new sizes', LIMIT)
    left.say(0.75)
    node.wait_for_log('/left/camera_info: camera info with a focal length of 0.75')
    assert left.size() == '56x40', 'it came late'
    reports = client.reports()
    assert reports['engine']['processing size (asked for)'] == '[0, -1]'
    assert [reports[name]['processing size (last)'] for name in ('front', 'left')] == [
        '128x96', '56x40']
    assert client.set_parameter('processing_size', -1).successful
    wait_until(lambda: front.size() == '104x80', 'what the early camera info said', LIMIT)

    for transition in ('deactivate', 'cleanup', 'configure', 'activate'):
        assert client.change_state(transition)
    left.say(0.75)
    wait_until(lambda: node.output.count('/left/camera_info: a focal length of 0.75') == 1,
               'what is said of it now', LIMIT)
    assert (left.size(), front.size()) == ('104x80', '56x40'), 'infos count anew'
    assert node.stop() == 0 and 'Traceback' not in node.output
