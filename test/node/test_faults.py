# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Faults, one test each: the node's process around a fake engine over real DDS."""

import time

import messages
import pytest

pytest.importorskip('rclpy')
from ros_client import Image, image_message, picture, wait_until  # noqa: E402

pytestmark = pytest.mark.integration

DERAINED = '/derained/image_raw'


def exchange(client, make, outputs, timeout=20.0):
    """Publish messages of `make()` until one is answered; return the answer."""
    outputs.clear()

    def answered():
        client.publisher('/image').publish(make())
        time.sleep(0.05)
        return outputs

    return wait_until(answered, 'an answer', timeout)[0]


@pytest.fixture
def outputs(client):
    """Outputs of a node that is started in the test, before or after this."""
    received = []
    client.node.create_subscription(Image, DERAINED, received.append, 10)
    client.publisher('/image')
    return received


def test_failing_without_end_is_an_error_transition_and_can_be_mended(start, client, outputs):
    node = start(fake_engine=True, model='raises:1', max_failures=4)
    client.wait_for_subscriber('/image')

    def given_up():
        client.publisher('/image').publish(image_message())
        time.sleep(0.03)
        return 'gave up after 4 failures in a row' in node.output

    wait_until(given_up, 'the node to give up')
    assert '/image: frame dropped: RuntimeError: injected failure' in node.output
    wait_until(lambda: client.state() == 'unconfigured', 'the error transition')
    status = client.diagnostics('engine')
    assert status['level'] == '2'
    assert 'gave up after 4 failures in a row, the last: RuntimeError: injected' \
        in status['message']
    assert 'configure and activate it again' in node.output and not outputs
    assert node.process.poll() is None, 'the process lives on'
    assert client.set_parameter('model', 'fast').successful
    assert client.change_state('configure') and client.change_state('activate')
    client.wait_for_subscriber('/image')
    exchange(client, image_message, outputs)
    assert client.diagnostics('engine')['level'] == '0'
    assert node.stop() == 0 and 'Traceback' not in node.output


def test_a_camera_may_change_its_images_and_go_and_come_back(start, client, outputs):
    node = start(fake_engine=True)
    client.wait_for_subscriber('/image')

    def unstamped():
        message = image_message()
        message.header.stamp.sec = message.header.stamp.nanosec = 0
        return message

    stamp = exchange(client, unstamped, outputs).header.stamp
    assert (stamp.sec, stamp.nanosec) == (0, 0)
    values = client.diagnostics()
    assert 'age p50 (ms)' not in values and 'latency p50 (ms)' in values

    for height, width, encoding in ((40, 56, 'bgr8'), (120, 80, 'rgb8'), (32, 32, 'mono8'),
                                    (64, 64, 'yuv422'), (50, 70, 'bayer_grbg8')):
        fields = vars(messages.sample(encoding, picture(height, width)))
        fields = {name: value for name, value in fields.items() if name != 'header'}
        client.publisher('/image').publish(Image(**fields))  # once is enough
        wait_until(lambda: outputs and outputs[-1].height == height, encoding)  # noqa: B023
        assert outputs[-1].width == width
        assert outputs[-1].encoding == ('bgr8' if encoding == 'bgr8' else 'rgb8')
    assert client.diagnostics()['malformed'] == '0'

    for _ in range(20):
        client.publisher('/image').publish(image_message())
    client.stop_publishing('/image')
    node.wait_for_log('no image on /image for ')
    before = client.diagnostics()
    assert '0 publishers' in before['message']
    client.wait_for_subscriber('/image')
    outputs.clear()
    for number in range(3):
        client.publisher('/image').publish(image_message(100 + number))
        wait_until(lambda: len(outputs) > number, 'an answer')  # noqa: B023
    values = client.counted(before, received=3, dropped=0)  # its new count is not a gap
    assert values['level'] == '0'
    assert node.stop() == 0


def test_simulated_time_may_loop(start, client, outputs):
    clock_messages = pytest.importorskip('rosgraph_msgs.msg')
    node = start(fake_engine=True, use_sim_time=True)
    client.wait_for_subscriber('/image')
    clock = client.node.create_publisher(clock_messages.Clock, '/clock', 10)
    wait_until(clock.get_subscription_count, 'the node to follow /clock')
    exchange(client, image_message, outputs)
    before = client.diagnostics()
    outputs.clear()
    sent = []
    for _ in range(3):  # a bag that is played in a loop: time falls back twice
        for second in range(100, 110):
            tick = clock_messages.Clock()
            tick.clock.sec = second
            clock.publish(tick)
            client.publisher('/image').publish(image_message(second))
            sent.append(second)
            wait_until(lambda: len(outputs) == len(sent), 'an answer')
    assert [output.header.stamp.sec for output in outputs] == sent
    values = client.counted(before, processed=len(sent))
    assert float(values.get('age p95 (ms)', 0)) < 60_000, 'an age across the jump is left out'
    assert node.stop() == 0 and 'Traceback' not in node.output


def test_two_nodes_of_one_name_are_named(start, client):
    first, second = start(fake_engine=True), start(fake_engine=True)
    for node in (first, second):
        node.wait_for_log('2 nodes are named /ubcn')
        assert 'rename one with -r __node:=NAME' in node.output
    status = client.diagnostics('engine')
    assert status['level'] == '1' and '2 nodes are named /ubcn' in status['message']
    assert second.stop() == 0
    wait_until(lambda: client.diagnostics('engine')['level'] == '0', 'one node alone')
    assert first.stop() == 0


def test_while_nobody_listens_the_engine_rests_and_says_so(start, client):
    node = start(fake_engine=True, model='raises:1')  # would say that it was asked
    client.wait_for_subscriber('/image')
    node.wait_for_log('active')
    for number in range(10):
        client.publisher('/image').publish(image_message(number))
        time.sleep(0.02)
    wait_until(lambda: client.diagnostics()['dropped (idle)'] != '0', 'idle frames')
    client.publisher('/image').publish(image_message())
    status = wait_until(
        lambda: (now := client.diagnostics())['received'] == now['dropped'] and now,
        'a report of all that came')
    assert status['dropped (failed)'] == '0'
    assert status['message'].startswith('idle: nobody subscribes to an output')
    assert status['level'] == '0' and 'frame dropped' not in node.output
    received, dropped = int(status['received']), int(status['dropped'])
    assert received == dropped >= 1
    client.record(DERAINED)

    def asked():
        client.publisher('/image').publish(image_message())
        time.sleep(0.05)
        return 'injected failure' in node.output

    wait_until(asked, 'the engine to be asked again')
    assert node.stop() == 0
