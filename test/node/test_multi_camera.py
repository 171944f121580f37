# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Several cameras and one engine: topics and counts of their own, none slowed by another."""

import re
import time
from statistics import median

import pytest

pytest.importorskip('rclpy')
from fake_engine import FakeEngine  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_client import image_message, picture, wait_until  # noqa: E402

from ubcn_ros.node.ubcn_node import UBCNNode  # noqa: E402

CAMERAS = ('front', 'left', 'right')
TWO = {'fake_engine': True, 'cameras': ['front', 'left'], 'iterations': 1}


def connect(client, names=CAMERAS):
    """Wait until an image of each camera is answered; return the outputs by name, emptied."""
    outputs = {name: client.record(f'/{name}/derained/image_raw') for name in names}
    for name in names:
        client.wait_for_subscriber(f'/{name}/image')

    def answered():
        for name in names:
            client.publisher(f'/{name}/image').publish(image_message())
        time.sleep(0.1)
        return all(outputs.values())

    wait_until(answered, 'an answer for each camera')
    time.sleep(0.5)
    for name in names:
        outputs[name].clear()
        client.times[f'/{name}/derained/image_raw'].clear()
    return outputs


@pytest.mark.integration
def test_each_camera_has_its_topics_headers_and_diagnostics(start, client):
    node = start(fake_engine=True, cameras=['front', 'left', 'right'])
    node.wait_for_log('waiting for images on /front/image, /left/image, /right/image')
    outputs = connect(client)
    before = client.reports()
    assert set(before) == {'engine', *CAMERAS}, 'there is none without a name'
    for number, name in enumerate(CAMERAS, 1):
        for _ in range(number):
            count = len(outputs[name])
            client.publisher(f'/{name}/image').publish(
                image_message(number, frame_id=f'{name}_camera'))
            wait_until(lambda: len(outputs[name]) > count, name)  # noqa: B023
    for number, name in enumerate(CAMERAS, 1):
        assert {(output.header.frame_id, output.header.stamp.sec)
                for output in outputs[name]} == {(f'{name}_camera', number)}
    after = client.reports()
    assert [int(after[name]['processed']) - int(before[name]['processed'])
            for name in CAMERAS] == [1, 2, 3]
    assert node.stop() == 0 and 'Traceback' not in node.output


@pytest.mark.integration
def test_under_overload_cameras_get_equal_shares(start, client):
    node = start(**TWO, model='slow:0.06')  # slower than a busy machine sends
    outputs = connect(client, ('front', 'left'))
    for widths in ((64, 64), (64, 80)):  # of one batch, and one after the other
        images = [picture(48, width) for width in widths]
        end = time.monotonic() + 60.0
        # the one sends four times as often as the other
        while len(outputs['left']) < 15 and time.monotonic() < end:
            for name, image in (('front', images[0]),) * 4 + (('left', images[1]),):
                client.publisher(f'/{name}/image').publish(image_message(rgb=image))
                time.sleep(0.005)
        front, left = (len(outputs[name]) for name in ('front', 'left'))
        assert min(front, left) >= 12 and front <= 1.5 * left + 3
        time.sleep(0.5)
        for received in outputs.values():
            received.clear()
    assert node.stop() == 0


@pytest.mark.integration
def test_a_camera_that_is_silent_or_broken_does_not_slow_the_others(start, client):
    node = start(**TWO, model='slow:0.01')
    outputs = connect(client, ('front', 'left'))
    bad = image_message()
    bad.step = 1
    left_sends = {'healthy': [image_message()], 'silent': [], 'broken': [bad] * 5}
    ages = {kind: [] for kind in left_sends}
    number = 0
    # by turns: what else the machine does is spread over all; one by one: none is replaced
    for kind, messages in [*left_sends.items()] * 3:
        for _ in range(10):
            number += 1
            for message in messages:
                client.publisher('/left/image').publish(message)
            sent = time.monotonic()
            client.publisher('/front/image').publish(image_message(number))
            wait_until(lambda: len(outputs['front']) == number, f'an answer while it is {kind}')  # noqa: B023
            ages[kind].append(client.times['/front/derained/image_raw'][-1] - sent)
        if number == 20:
            assert client.reports()['left']['malformed'] == '0'
    assert [output.header.stamp.sec for output in outputs['front']] == [*range(1, number + 1)]
    for kind in ('silent', 'broken'):  # waiting for the other camera would show
        assert median(ages[kind]) < 2 * median(ages['healthy']) + 0.05
    reports = client.reports()
    assert int(reports['left']['malformed']) > 0 and reports['front']['malformed'] == '0'
    assert node.stop() == 0


@pytest.fixture
def activated(ros):
    """Configure and activate a node of two cameras by these rules; return what came of it."""
    nodes = []

    def activate(*rules, **parameters):
        nodes.append(UBCNNode(
            lambda settings, progress: FakeEngine(settings.model),
            cli_args=['--ros-args', *(word for rule in rules for word in ('-r', rule))],
            parameter_overrides=[Parameter(name, value=value) for name, value in {
                'cameras': ['front', 'left'], 'model': 'fast', **parameters}.items()]))
        return nodes[-1].start()

    yield activate
    for node in nodes:
        assert node.stop(10.0)
        node.destroy_node()


def test_cameras_that_share_an_image_topic_are_refused(activated, capfd):
    assert not activated('front/image:=/x/image', 'left/image:=/x/image')
    error = capfd.readouterr().err  # before a model is loaded
    assert 'cannot configure: front/image and left/image are one topic, /x/image: remap each to ' \
        in error and 'is ready' not in error
    assert not activated('front/image:=/x/image', 'left/image/compressed:=/x/image/compressed',
                         input_transport=['compressed', 'compressed'])
    assert 'front/image and left/image/compressed are one topic, /x/image/compressed: remap' \
        in capfd.readouterr().err


def test_cameras_that_share_a_topic_of_the_rain_are_refused_where_there_is_one(activated, capfd):
    rules = 'front/rain/rate:=/rain/rate', 'left/rain/rate:=/rain/rate'
    assert activated(*rules)
    assert not activated(*rules, model='rain')
    assert 'cannot configure: the outputs front/rain/rate and left/rain/rate are one topic, ' \
        in capfd.readouterr().err


def test_cameras_that_share_a_camera_info_are_warned_of(activated, capfd):
    warning = '[WARN] [ubcn]: front/camera_info and left/camera_info are one topic, '
    for rules, topic in ((('front/image:=/x/front', 'left/image:=/x/left'), '/x/camera_info: '),
                         (('front/camera_info:=/info', 'left/camera_info:=/info'), '/info: ')):
        assert activated(*rules)
        assert warning + topic in re.sub(r' \[[0-9.]+\]', '', capfd.readouterr().err)
    assert activated() and 'are one topic' not in capfd.readouterr().err


@pytest.fixture
def rules(monkeypatch):
    """Remappings and parameters of the node that is launched with some arguments."""
    pytest.importorskip('launch_ros')
    monkeypatch.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', '/their/profile.xml')
    from launching import SEVERAL, launch, parameters, remappings

    def of(**arguments):
        node = launch(SEVERAL, **arguments)
        return remappings(node), parameters(node)

    return of


def test_each_camera_is_led_to_its_topics(rules):
    remapped, given = rules(cameras='front, left', image='/rig/{camera}/raw', iterations='2',
                            input_transport='raw,compressed')
    assert remapped == {('front/image', '/rig/front/raw'), ('left/image', '/rig/left/raw')}
    assert given['cameras'] == ['front', 'left'] and given['iterations'] == 2
    assert given['input_transport'] == ['raw', 'compressed']
    remapped, given = rules()
    assert ('right/image', 'right/image_raw') in remapped
    assert given['cameras'] == ['front', 'left', 'right']
    remapped, _ = rules(camera_info='/calibration/{camera}')
    assert ('right/camera_info', '/calibration/right') in remapped


def test_a_place_for_a_camera_where_there_is_none_is_refused(rules):
    with pytest.raises(RuntimeError, match='names no camera'):
        rules(cameras=' ')


def test_an_empty_image_topic_leaves_the_cameras_their_own(rules):
    from launching import warnings
    with warnings() as texts:
        remapped, _ = rules(image='')
    assert not texts and remapped == {
        (f'{name}/image', f'{name}/image') for name in ('front', 'left', 'right')}


@pytest.mark.parametrize('namespace, layout', [
    ('', '/**: {ros__parameters: {cameras: [front, left]}}'),
    ('car', '/**: {ros__parameters: {cameras: [front, left]}}'),
    ('', 'ubcn: {ros__parameters: {iterations: 2, cameras: [front, left]}}'),
    ('/car/', '/car/ubcn: {ros__parameters: {cameras: [front, left]}}'),
    ('car', '/car: {ubcn: {ros__parameters: {cameras: [front, left]}}}'),
    ('car', '/*/ubcn: {ros__parameters: {cameras: [front, left]}}'),
    ('car', '{/car/ubcn: {ros__parameters: {cameras: [front, left]}}, '
            '/rear/ubcn: {ros__parameters: {cameras: [back]}}}'),
    ('', '{driver: {ros__parameters: {cameras: [other]}}, '
         '/**/ubcn: {ros__parameters: {cameras: [front, left]}}}')])
def test_cameras_that_the_parameter_file_names_are_led_to_their_topics(rules, tmp_path, namespace,
                                                                       layout):
    from launching import SEVERAL, SINGLE, launch, remappings, warnings
    file = tmp_path / 'parameters.yaml'
    file.write_text(layout)
    here = {'params_file': str(file), 'namespace': namespace}
    assert remappings(launch(SINGLE, **here, image='/rig/{camera}/raw')) == {
        ('front/image', '/rig/front/raw'), ('left/image', '/rig/left/raw')}
    assert remappings(launch(SINGLE, **here)) == {
        ('front/image', 'front/image'), ('left/image', 'left/image')}
    with warnings() as texts:
        assert remappings(launch(SEVERAL, **here)) == {
            ('front/image', 'front/image_raw'), ('left/image', 'left/image_raw')}
    assert not texts, 'cameras that nobody gave override none'
    with warnings() as texts:
        launch(SEVERAL, **here, cameras='back')
        assert remappings(launch(SINGLE, **here, cameras='[]', image='/raw')) == {
            ('image', '/raw')}
    assert len(texts) == 2 and all('overrides front, left of the parameter file' in text
                                   for text in texts)


def test_cameras_have_the_same_topics_wherever_they_are_named(rules):
    from launching import SINGLE, launch, remappings
    assert remappings(launch(SINGLE, cameras='front')) == {('front/image', 'front/image')}


@pytest.mark.parametrize('layout', ['', '[1, 2]', '{a: [', 'ubcn: {ros__parameters: {cameras: x}}',
                                    'ubcn: 5', 'other: {ros__parameters: {cameras: [front]}}',
                                    '/car/ubcn: {ros__parameters: {cameras: [front]}}',
                                    '/*/ubcn: {ros__parameters: {cameras: [front]}}',
                                    '/(/ubcn: {ros__parameters: {cameras: [front]}}'])
def test_a_parameter_file_without_cameras_leaves_the_topic_as_it_is(rules, tmp_path, layout):
    from launching import SINGLE, launch, remappings
    file = tmp_path / 'parameters.yaml'
    file.write_text(layout)
    assert remappings(launch(SINGLE, params_file=str(file), image='/raw')) == {('image', '/raw')}
