# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Overload, lifecycle, faults and signals: the node's process around a fake engine."""

import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import messages
import pytest

pytest.importorskip('rclpy')
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from ros_client import CompressedImage, image_message, picture, wait_until  # noqa: E402

from ubcn_ros.node.main import _STOP_SECONDS  # noqa: E402

pytestmark = pytest.mark.integration

ACTIVE = 'active: waiting for images'


def connect(client, topic='/derained/image_raw', source='/image', make=image_message):
    """Publish until an output arrives; return the list of outputs, emptied."""
    kind = type(make(0))
    outputs = client.record(topic)
    client.wait_for_subscriber(source, kind)

    def answered():
        client.publisher(source, kind).publish(make(0))
        time.sleep(0.1)
        return bool(outputs)

    wait_until(answered, f'an answer on {topic}')
    time.sleep(0.3)
    outputs.clear()
    client.times[topic].clear()
    return outputs


def test_under_overload_the_newest_frame_wins(start, client):
    period, frames = 0.01, 200
    node = start(fake_engine=True, model='slow:0.03', iterations=2)
    outputs = connect(client)
    before = client.diagnostics()
    sent = {}
    for number in range(1, frames + 1):
        message = image_message(number)
        sent[number] = time.monotonic()
        client.publisher('/image').publish(message)
        time.sleep(max(0.0, sent[1] + number * period - time.monotonic()))
    wait_until(lambda: outputs and outputs[-1].header.stamp.sec == frames, 'the last frame')
    numbers = [output.header.stamp.sec for output in outputs]
    assert numbers == sorted(set(numbers)), 'each frame once, in order'
    ages = [arrived - sent[number] for arrived, number
            in zip(client.times['/derained/image_raw'], numbers, strict=True)]
    # newest wins: a frame waits for at most one inference, then takes one itself; how long that
    # is on a machine that may be busy elsewhere, the outputs' own pace says
    times = client.times['/derained/image_raw']
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert median(ages) < period + 3 * median(gaps)
    client.counted(before, received=frames, processed=len(numbers), dropped=frames - len(numbers),
                 malformed=0)
    assert len(numbers) < frames / 2
    assert node.stop() == 0


def test_lifecycle_by_services(start, client):
    node = start(fake_engine=True, autostart=False, model='broken')
    assert client.state() == 'unconfigured'
    assert not client.change_state('configure')
    assert client.state() == 'unconfigured'
    assert 'cannot configure: broken.safetensors is not a model file: train one' in node.output
    assert client.set_parameter('model', 'fast').successful
    assert client.change_state('configure')
    assert client.state() == 'inactive'
    assert client.node.count_subscribers('/image') == 0
    assert not client.set_parameter('model', 'other').successful
    for _ in range(2):
        assert client.change_state('activate')
        outputs = connect(client)
        client.publisher('/image').publish(image_message(5))
        wait_until(lambda got=outputs: got, 'an output')
        assert client.change_state('deactivate')
        wait_until(lambda: client.node.count_subscribers('/image') == 0, 'the subscription to go')
    assert client.change_state('cleanup')
    assert client.state() == 'unconfigured'
    assert client.diagnostics('engine')['message'] == 'unconfigured: no model loaded'
    wait_until(lambda: client.node.count_publishers('/derained/image_raw') == 0,
               'the publishers to go')
    assert client.set_parameter('device', 'cpu').successful
    assert client.change_state('configure')
    assert node.stop() == 0, node.output


def test_compressed_images_and_their_faults(start, client):
    node = start(fake_engine=True, input_transport='compressed')
    good, source = messages.encode(picture(), '.jpg'), '/image/compressed'

    def make(number, data=good):
        message = CompressedImage(format='jpeg', data=data)
        message.header.stamp.sec = number
        return message

    outputs = connect(client, source=source, make=make)
    before = client.diagnostics()
    for count, (data, text) in enumerate(((b'no image', 'neither JPEG nor PNG'),
                                          (good[:-50], 'end before its end marker')), 1):
        client.publisher(source).publish(make(1, data))
        values = wait_until(lambda text=text: text in (
            now := client.diagnostics()).get('last problem', '') and now, text)
        assert int(values['malformed']) - int(before['malformed']) == count
    client.publisher(source).publish(make(9))
    wait_until(lambda: outputs, 'the good frame')
    assert (outputs[0].encoding, outputs[0].header.stamp.sec) == ('rgb8', 9)
    client.counted(before, processed=1, malformed=2)
    assert 'neither JPEG nor PNG' in node.output
    assert node.stop() == 0


def test_incompatible_qos_and_unknown_parameters_are_explained(start, client):
    node = start(fake_engine=True, iteration=1,
                 **{'qos_overrides./image.subscription.reliability': 'reliable'})
    node.wait_for_log(ACTIVE)
    assert "parameter 'iteration' is not known and has no effect; did you mean iterations?" \
        in node.output
    client.publisher('/image', best_effort=True)
    node.wait_for_log('/image: a publisher with incompatible QoS')
    assert 'Policy: reliability. Publishers there: /client (sensor_msgs/msg/Image, best_effort' \
        in node.output
    assert "'qos_overrides./image.subscription.reliability'" in node.output
    assert node.stop() == 0


def test_a_signal_in_the_middle_of_a_frame_ends_it_cleanly(start, client):
    node = start(fake_engine=True, model='slow:1.0', iterations=1)
    client.wait_for_subscriber('/image')
    node.wait_for_log(ACTIVE)
    client.publisher('/image').publish(image_message(1))
    time.sleep(0.3)
    assert node.end(signal.SIGINT) == 0, node.output
    assert 'Traceback' not in node.output and 'terminate called' not in node.output


def test_signals_that_follow_each_other_end_it_cleanly(start):
    """As of an impatient user, or of a supervisor: also once Python's own handlers are gone."""
    node = start(fake_engine=True)
    node.wait_for_log(ACTIVE)
    for number in range(1000):
        node.process.send_signal((signal.SIGINT, signal.SIGTERM)[number % 2])
        time.sleep(0.02)
        if node.process.poll() is not None:
            break
    assert node.wait() == 0 and number, node.output


@pytest.mark.parametrize('seconds, number', [(1.5, signal.SIGTERM), (60, signal.SIGINT)])
def test_a_signal_while_loading_ends_it_before_others_end_it_by_force(start, seconds, number):
    node = start(fake_engine=True, model=f'loading:{seconds}')
    node.wait_for_log('loading model')
    time.sleep(0.2)
    told = time.monotonic()
    assert node.end(number) == 0, node.output
    # launch waits for 5 s, docker for 10; where other processes have the cores, it takes longer
    assert time.monotonic() - told < 30.0
    assert _STOP_SECONDS < 5.0 / 2, 'the rest takes its time, too, on a busy machine'
    assert 'Traceback' not in node.output


def test_a_signal_in_the_middle_of_a_service_ends_it_cleanly(start, client):
    node = start(fake_engine=True, model='loading:1.5', autostart=False)
    service = client.node.create_client(ChangeState, '/ubcn/change_state')
    assert service.wait_for_service(60.0)
    request = ChangeState.Request()
    request.transition.id = 1
    service.call_async(request)
    node.wait_for_log('loading model')
    time.sleep(0.2)
    assert node.end(signal.SIGTERM) == 0, node.output
    assert 'Traceback' not in node.output and 'ERROR' not in node.output


@pytest.mark.parametrize('options, code, text', [
    ({'model': 'broken'}, 1,
     'cannot configure: broken.safetensors is not a model file: train one'),
    ({'iterations': 99}, 2, 'iterations must be 1 to 10, got 99'),
    ({'iterations': 'many'}, 2, "iterations must be an integer, like 3; got 'many'"),
])
def test_what_cannot_start_says_why_and_fails(start, options, code, text):
    node = start(fake_engine=True, **options)
    assert node.wait() == code
    assert node.output.count(text) == 1 and 'Traceback' not in node.output


def test_misspelt_ros_arguments_are_named():
    done = subprocess.run([sys.executable, '-m', 'ubcn_ros.node.main', '--ros-args', '--enclav'],
                          capture_output=True, text=True, timeout=60,
                          cwd=Path(__file__).parents[2])
    assert done.returncode == 2 and 'Traceback' not in done.stderr
    assert 'ROS cannot be started' in done.stderr and '--enclav' in done.stderr
