# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Several cameras and one engine: topics and counts of their own, none slowed by another."""

import importlib.util
import time
from pathlib import Path
from statistics import median

import pytest

pytest.importorskip('rclpy')
from ros_peer import image_message, picture, wait_until  # noqa: E402

LAUNCH_FILE = Path(__file__).parents[2] / 'launch' / 'multi_camera.launch.py'
CAMERAS = ('front', 'left', 'right')
TWO = {'stand_in': True, 'cameras': '[front, left]', 'iterations': 1}


def connect(peer, names=CAMERAS):
    """Wait until an image of each camera is answered; return the outputs by name, emptied."""
    outputs = {name: peer.record(f'/{name}/derained/image_raw') for name in names}
    for name in names:
        peer.wait_for_subscriber(f'/{name}/image')

    def answered():
        for name in names:
            peer.publisher(f'/{name}/image').publish(image_message())
        time.sleep(0.1)
        return all(outputs.values())

    wait_until(answered, 'an answer for each camera')
    time.sleep(0.5)
    for name in names:
        outputs[name].clear()
        peer.times[f'/{name}/derained/image_raw'].clear()
    return outputs


@pytest.mark.integration
def test_each_camera_has_its_topics_headers_and_diagnostics(start, peer):
    node = start(stand_in=True, cameras='[front, left, right]')
    node.wait_for_log('waiting for images on /front/image, /left/image, /right/image')
    outputs = connect(peer)
    before = {name: peer.diagnostics(name) for name in CAMERAS}
    for number, name in enumerate(CAMERAS, 1):
        for _ in range(number):
            count = len(outputs[name])
            peer.publisher(f'/{name}/image').publish(
                image_message(number, frame_id=f'{name}_camera'))
            wait_until(lambda: len(outputs[name]) > count, name)  # noqa: B023
    for number, name in enumerate(CAMERAS, 1):
        assert {(output.header.frame_id, output.header.stamp.sec)
                for output in outputs[name]} == {(f'{name}_camera', number)}
        peer.counted(before[name], f': {name}', processed=number)
    assert not peer.diagnostics('camera'), 'there is none without a name'
    assert node.stop() == 0 and 'Traceback' not in node.log


@pytest.mark.integration
@pytest.mark.parametrize('sizes', [(64, 64), (64, 80)], ids=['one size', 'two sizes'])
def test_under_overload_cameras_get_equal_shares(start, peer, sizes):
    node = start(**TWO, model='slow:0.02')
    outputs = connect(peer, ('front', 'left'))
    images = [picture(48, width) for width in sizes]
    end = time.monotonic() + 60.0
    # the one sends four times as often as the other
    while len(outputs['left']) < 25 and time.monotonic() < end:
        for name, image in (('front', images[0]),) * 4 + (('left', images[1]),):
            peer.publisher(f'/{name}/image').publish(image_message(rgb=image))
            time.sleep(0.005)
    front, left = (len(outputs[name]) for name in ('front', 'left'))
    assert min(front, left) >= 20 and front <= 1.5 * left + 3
    assert node.stop() == 0


@pytest.mark.integration
@pytest.mark.parametrize('fault', ['silent', 'broken'])
def test_a_camera_that_is_silent_or_broken_does_not_slow_the_others(start, peer, fault):
    node = start(**TWO, model='slow:0.01')
    outputs = connect(peer, ('front', 'left'))
    bad = image_message()
    bad.step = 1
    sent, frames = {}, 40

    def send(number, faulty):
        if not faulty:
            peer.publisher('/left/image').publish(image_message())
        elif fault == 'broken':
            for _ in range(5):
                peer.publisher('/left/image').publish(bad)
        sent[number] = time.monotonic()
        peer.publisher('/front/image').publish(image_message(number))
        time.sleep(0.05)

    for number in range(1, 2 * frames + 1):
        send(number, faulty=number > frames)
    wait_until(lambda: outputs['front'] and
               outputs['front'][-1].header.stamp.sec == 2 * frames, 'the last frame')
    ages = {output.header.stamp.sec: arrived - sent[output.header.stamp.sec]
            for output, arrived in zip(outputs['front'], peer.times['/front/derained/image_raw'],
                                       strict=True)}
    healthy, faulty = ([age for number, age in ages.items() if (number > frames) == late]
                       for late in (False, True))
    # a slow machine may replace a frame now and then; waiting for the other camera would show
    assert len(faulty) >= 0.7 * frames and median(faulty) < 2 * median(healthy) + 0.05
    values = peer.diagnostics(': left')
    assert (int(values['malformed']) > 0) == (fault == 'broken')
    assert peer.diagnostics(': front')['malformed'] == '0'
    assert node.stop() == 0


@pytest.fixture
def description(monkeypatch):
    pytest.importorskip('launch_ros')
    monkeypatch.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', '/their/profile.xml')
    spec = importlib.util.spec_from_file_location('multi_camera_launch', LAUNCH_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def nodes(entity, context):
    """Do what the entity says, except starting nodes; return these."""
    from launch_ros.actions import Node
    if isinstance(entity, Node):
        return [entity]
    return [node for part in entity.visit(context) or () for node in nodes(part, context)]


def remappings(description, **arguments):
    """Remappings of the one node that is started with these arguments."""
    from launch import LaunchContext
    context = LaunchContext()
    context.launch_configurations.update(arguments)
    node, = nodes(description, context)
    node._perform_substitutions(context)
    return set(node.expanded_remapping_rules)


def test_every_argument_of_the_single_camera_is_taken_and_described(description):
    arguments = {argument.name: argument for argument in description.get_launch_arguments()}
    assert {'cameras', 'image', 'model', 'iterations', 'autostart', 'rviz'} <= set(arguments)
    assert arguments['cameras'].default_value[0].text == 'front,left,right'
    assert all(len(argument.description) > 10 for argument in arguments.values())


def test_each_camera_is_led_to_its_topics(description):
    assert remappings(description, cameras='front, left', image='/rig/{camera}/raw') == {
        ('front/image', '/rig/front/raw'), ('front/image/compressed', '/rig/front/raw/compressed'),
        ('left/image', '/rig/left/raw'), ('left/image/compressed', '/rig/left/raw/compressed'),
        ('front/camera_info', 'front/camera_info'), ('left/camera_info', 'left/camera_info')}
    assert ('right/image', 'right/image_raw') in remappings(description)


def test_cameras_that_share_a_topic_are_refused(description):
    with pytest.raises(RuntimeError, match='same topic'):
        remappings(description, image='/camera/image_raw')
    with pytest.raises(RuntimeError, match='names no camera'):
        remappings(description, cameras=' ')
