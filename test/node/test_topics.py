# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Input topics follow the remapped image, as in image_transport; what is remapped by hand wins."""

import time

import messages
import pytest

pytest.importorskip('rclpy')
from fake_engine import load  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_client import (  # noqa: E402
    CameraInfo,
    CompressedImage,
    image_message,
    picture,
    wait_until,
)

from ubcn_ros.node.topics import Inputs, inputs  # noqa: E402
from ubcn_ros.node.ubcn_node import UBCNNode  # noqa: E402

RAW = '/camera/image_raw'


@pytest.fixture
def resolve(ros):
    """Resolve the inputs of a node that is started with these rules, as subscriptions do."""
    nodes = []

    def make(*rules, namespace='', prefix='', transport='raw'):
        arguments = ['--ros-args', *(part for rule in rules for part in ('-r', rule))]
        nodes.append(ros.create_node('topics_test', namespace=namespace, cli_args=arguments))
        found = inputs(nodes[-1], prefix, transport, arguments)
        return Inputs(*map(nodes[-1].resolve_topic_name, (found.image, found.camera_info)),
                      found.remap)

    yield make
    for node in nodes:
        node.destroy_node()


@pytest.mark.parametrize('rules, image, camera_info', [
    ((), '/image', '/camera_info'),
    ((f'image:={RAW}',), RAW, '/camera/camera_info'),
    (('image:=/mono',), '/mono', '/camera_info'),
    ((f'image:={RAW}', 'camera_info:=/calibration'), RAW, '/calibration'),
    ((f'image:={RAW}', 'camera_info:=camera_info'), RAW, '/camera_info'),
    ((f'image:={RAW}', 'topics_test:camera_info:=/camera_info'), RAW, '/camera_info'),
    ((f'image:={RAW}', 'other:camera_info:=/calibration'), RAW, '/camera/camera_info'),
    ((f'image:={RAW}', 'other:camera_info:=/camera_info'), RAW, '/camera/camera_info'),
    ((f'image:={RAW}', 'rostopic://camera_info:=/camera_info'), RAW, '/camera_info'),
    ((f'image:={RAW}', 'camera_info_:=/camera_info'), RAW, '/camera/camera_info'),
    ((f'image:={RAW}', '/camera/camera_info:=/calibration'), RAW, '/calibration'),
    (('camera_info:=/calibration',), '/image', '/calibration'),
    (('image:=/b', '/b:=/c'), '/b', '/camera_info'),
    ((f'image:={RAW}', 'image/compressed:=/jpeg/compressed'), RAW, '/camera/camera_info'),
], ids=str)
def test_raw_images_and_their_camera_info(resolve, rules, image, camera_info):
    assert resolve(*rules) == Inputs(image, camera_info, 'image')


@pytest.mark.parametrize('rules, image, camera_info, remap', [
    ((), '/image/compressed', '/camera_info', 'image'),
    ((f'image:={RAW}',), f'{RAW}/compressed', '/camera/camera_info', 'image'),
    ((f'image:={RAW}', 'image/compressed:=/rig/jpeg/compressed'), '/rig/jpeg/compressed',
     '/rig/camera_info', 'image/compressed'),
    (('image/compressed:=/rig/jpeg',), '/rig/jpeg', '/rig/camera_info', 'image/compressed'),
    ((f'image:={RAW}', 'image/compressed:=image/compressed'), '/image/compressed',
     '/camera_info', 'image/compressed'),
    ((f'image:={RAW}', 'other:image/compressed:=/x/compressed'), f'{RAW}/compressed',
     '/camera/camera_info', 'image'),
    ((f'image:={RAW}', 'topics_test:image/compressed:=/x/jpeg/compressed'),
     '/x/jpeg/compressed', '/x/camera_info', 'image/compressed'),
    ((f'image:={RAW}', 'camera_info:=/calibration'), f'{RAW}/compressed', '/calibration',
     'image'),
], ids=str)
def test_compressed_images_and_their_camera_info(resolve, rules, image, camera_info, remap):
    assert resolve(*rules, transport='compressed') == Inputs(image, camera_info, remap)


def test_namespaces_and_names_of_cameras(resolve):
    assert resolve(namespace='/car') == Inputs('/car/image', '/car/camera_info', 'image')
    assert resolve('image:=cam/raw', namespace='/car') == \
        Inputs('/car/cam/raw', '/car/cam/camera_info', 'image')
    assert resolve(f'image:={RAW}', namespace='/car', transport='compressed') == \
        Inputs(f'{RAW}/compressed', '/camera/camera_info', 'image')
    assert resolve(prefix='front/') == Inputs('/front/image', '/front/camera_info', 'front/image')
    assert resolve('front/image:=/left/image', 'left/image:=/front/image', prefix='front/',
                   transport='compressed') == \
        Inputs('/left/image/compressed', '/left/camera_info', 'front/image')


@pytest.mark.integration
def test_each_camera_has_its_transport_and_gets_its_calibration(start, client):
    node = start(fake_engine=True, lossless=False, cameras=['front', 'left'],
                 input_transport=['raw', 'compressed'],
                 remap={'front/image': '/a/image_raw', 'left/image': '/b/image_raw'})
    node.wait_for_log('waiting for images on /a/image_raw, /b/image_raw/compressed')
    jpeg = CompressedImage(format='jpeg', data=messages.encode(picture(), '.jpg'))
    sources = {'/a/image_raw': image_message(), '/b/image_raw/compressed': jpeg}
    infos = {'/a/camera_info': CameraInfo(width=1), '/b/camera_info': CameraInfo(width=2)}
    outputs = [client.record(f'/{name}/derained/camera_info', CameraInfo)
               for name in ('front', 'left')]

    def answered():
        for topic, message in {**infos, **sources}.items():
            client.publisher(topic, type(message)).publish(message)
        time.sleep(0.05)
        return all(outputs)

    wait_until(answered, 'camera infos')
    assert [output[-1].width for output in outputs] == [1, 2]
    wait_until(lambda: client.diagnostics('left')['camera info'].endswith(' on /b/camera_info'),
               'the report')
    assert node.stop() == 0


def test_transports_that_do_not_fit_the_cameras_are_refused_when_configuring(ros, capfd):
    node = UBCNNode(load, parameter_overrides=[
        Parameter('cameras', value=['front', 'left', 'right']),
        Parameter('input_transport', value=['raw', 'compressed'])])
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    finally:
        assert node.stop(10.0)
        node.destroy_node()
    told = capfd.readouterr().err
    assert 'input_transport lists 2 (raw, compressed) for 3 cameras' in told
    assert 'loading model' in told and 'Traceback' not in told
