# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demonstration: the whole of it with a small model over real DDS."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from command_line import ubcn
from random_images import noise

from ubcn_ros.bags import (
    BagError,
    McapBagWriter,
    create,
    image_connection,
    make_header,
    make_image,
    open_bag,
    read_images,
)
from ubcn_ros.bags.headers import header_bytes
from ubcn_ros.bags.live.client import DERAINED, LABELS
from ubcn_ros.bags.live.demo import DemoOptions, prepare_folder, run, send_bag
from ubcn_ros.bags.live.node_process import ReplayError
from ubcn_ros.bags.live.replay_report import Replayed
from ubcn_ros.images.files import read_image

ROOT = Path(__file__).parents[3]


def write_bag(path):
    create([np.zeros((32, 32, 3), np.uint8)], path)
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_only_what_an_earlier_run_left_is_removed(tmp_path):
    prepare_folder(tmp_path, None)
    write_bag(tmp_path / 'outputs')
    write_bag(tmp_path / 'input')
    for name in ('sheet.png', 'notes.txt'):
        (tmp_path / name).write_bytes(b'')
    prepare_folder(tmp_path, tmp_path / 'input')
    assert names(tmp_path) == ['input', 'node.log', 'notes.txt'], 'what it replays stays'
    prepare_folder(tmp_path, tmp_path.parent / 'other')
    assert names(tmp_path) == ['node.log', 'notes.txt']


def test_of_a_link_to_another_disk_what_it_leads_to_stays(tmp_path):
    out, bag = tmp_path / 'out', write_bag(tmp_path / 'disk')
    prepare_folder(out, None)
    (out / 'outputs').symlink_to(bag)
    (out / 'input').symlink_to(tmp_path / 'gone')
    prepare_folder(out, None)
    assert os.listdir(out) == ['node.log'] and names(bag)


@pytest.mark.parametrize('name', ['input', 'outputs', 'summary.json'])
def test_what_no_earlier_run_left_is_not_replaced(tmp_path, name):
    write_bag(tmp_path / name) if name != 'summary.json' else (tmp_path / name).touch()
    with pytest.raises(BagError, match=f'{name} was not left by .* give another --out'):
        prepare_folder(tmp_path, None)
    assert names(tmp_path) == [name]


@pytest.mark.parametrize('part', ['', 'outputs_0.mcap'])
def test_the_bag_to_replay_is_not_replaced(tmp_path, part):
    prepare_folder(tmp_path, None)
    bag = write_bag(tmp_path / 'outputs')
    before = names(bag)
    with pytest.raises(BagError, match='outputs.* is where outputs would be written: give an'):
        prepare_folder(tmp_path, bag / part)
    assert names(bag) == before


def test_rain_falls_on_the_rendered_drive_alone(tmp_path):
    done = ubcn('demo', '--bag', tmp_path / 'bag', '--rain', 5, '--out', tmp_path / 'out')
    assert done.exit_code == 2 and 'bag is replayed as it is: leave out --rain' in done.output


def test_a_bag_that_cannot_be_replayed_costs_nothing(tmp_path, tiny_model):
    pytest.importorskip('rclpy')
    prepare_folder(tmp_path / 'out', None)
    kept = write_bag(tmp_path / 'out' / 'outputs')
    for bag, topic in ((tmp_path, None), (kept, '/nope')):
        with pytest.raises(BagError):
            run(DemoOptions(bag=bag, topic=topic, out=tmp_path / 'out', model=str(tiny_model)))
    assert names(tmp_path / 'out') == ['node.log', 'outputs'] and names(kept)


class Publisher:
    """Stands in for the other side of the topics: keeps what is published."""

    def __init__(self):
        self.published = []

    def publish(self, data):
        self.published.append(data)
        return time.monotonic()

    def check(self):
        pass

    def wait_for_answer(self, header, seconds):
        """Answer as slowly as told, where it is the image sent last."""
        assert header == header_bytes(self.published[-1])
        time.sleep(seconds)


def send(bag, options=None, seconds=0.001):
    result, publisher = Replayed(), Publisher()
    with open_bag(bag) as reader:
        send_bag(options or DemoOptions(bag=bag, rate_hz=1000.0), reader,
                 image_connection(reader), publisher, seconds, result)
    assert len(publisher.published) == len(result.sent)
    return result


class Clock:
    """Stands in for the module `time`: goes on only while somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_a_drive_is_sent_as_the_node_follows_and_no_longer_than_said(
        tmp_path, monkeypatch, capsys):
    clock = Clock()
    for module in ('ubcn_ros.bags.live.demo', __name__):
        monkeypatch.setattr(f'{module}.time', clock)
    monkeypatch.setattr('ubcn_ros.bags.live.demo.DRIVE_RATE_HZ', 1000.0)
    monkeypatch.setattr('ubcn_ros.bags.live.demo.REPLAY_SECONDS', 0.5)
    bag = tmp_path / 'bag'
    create([np.zeros((32, 32, 3), np.uint8)] * 8, bag)
    assert len(send(bag, DemoOptions(), seconds=0.01).sent) == 8
    assert 'or as the node follows' in capsys.readouterr().out
    assert len(send(bag, DemoOptions(), seconds=0.2).sent) == 3
    assert 'the replay is limited to 0.5 s' in capsys.readouterr().out


def test_of_a_damaged_bag_what_is_whole_is_replayed_and_the_rest_told(tmp_path):
    bag = tmp_path / 'bag'
    with McapBagWriter(bag) as writer:
        for number in range(10):
            message = make_image(make_header(number, 'c'), noise(number, 600, 400))
            writer.write_message('/image', 'sensor_msgs/msg/Image', message, number)
        writer.write_message('/image', 'sensor_msgs/msg/Image', b'\0\1\0\0cut', 10)
    result = send(bag)
    assert len(result.sent) == 10
    assert result.unread == ['message 11 of /image: 7 bytes hold no header']
    path = bag / 'bag_0.mcap'
    path.write_bytes(path.read_bytes()[:path.stat().st_size * 3 // 4])
    result = send(bag)
    assert 0 < len(result.sent) < 10
    assert 'was not closed' in result.unread[0]
    assert f'11 messages are announced, {len(result.sent)} were found' in result.unread[1]


def start_demo(*arguments):
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONFAULTHANDLER': '1',
                   'PYTHONPATH': os.pathsep.join(
                       [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])])}
    return subprocess.Popen(
        [sys.executable, '-m', 'ubcn_ros.cli', 'demo', *map(str, arguments)], text=True,
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def output_of(process):
    """Return what it prints until it ends; where it does not, what its threads do."""
    try:
        return process.communicate(timeout=120)[0]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        pytest.fail(process.communicate(timeout=30)[0])
    finally:
        process.kill()


@pytest.fixture
def demo_here(ros):
    """The command in this process, whose environment it sets."""
    def run_here(*arguments):
        with patch.dict(os.environ):
            done = ubcn('demo', *arguments)
        return done.exit_code, done.output
    return run_here


@pytest.mark.integration
def test_a_drive_goes_through_the_node(tmp_path, tiny_model):
    pytest.importorskip('rclpy')
    process = start_demo('--out', tmp_path, '--model', tiny_model, '--frames', 3, '--device',
                         'cpu', '--iterations', 2)
    text = output_of(process)
    assert process.returncode == 0, text
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['sent'] == 3 and summary['malformed'] == 0 and summary['problems'] == []
    assert summary['processed'] + summary['dropped'] == 3 and summary['processed'] > 0
    assert summary['iterations'] == summary['iterations_used'] == 2
    assert 0 < summary['latency_ms']['p50'] <= summary['latency_ms']['p95']
    inputs = {image.stamp_ns: image for image in read_images(tmp_path / 'input')}
    for topic in (DERAINED, LABELS):
        outputs = list(read_images(tmp_path / 'outputs', topic))
        assert len(outputs) == summary['processed']
        for output in outputs:
            assert output.header.frame_id == inputs[output.stamp_ns].header.frame_id
            assert output.image.shape == inputs[output.stamp_ns].image.shape
    sheet = read_image(tmp_path / 'sheet.png')
    assert sheet.shape[1] > 1200 and sheet.std() > 20
    assert 'frames sent' in text and str(tmp_path / 'sheet.png') in text


@pytest.mark.integration
def test_a_bag_with_malformed_images_is_counted_out(tmp_path, tiny_model, demo_here):
    images = [np.random.default_rng(n).integers(0, 256, (48, 64, 3), np.uint8) for n in range(8)]
    with McapBagWriter(tmp_path / 'bag') as writer:
        for number, image in enumerate(images):
            message = make_image(make_header(number * 10**8, 'c'), image)
            message.step -= number in (0, 5)
            writer.write_message('/front/image', 'sensor_msgs/msg/Image', message, number * 10**8)
    before = {path: path.read_bytes() for path in (tmp_path / 'bag').iterdir()}
    code, text = demo_here('--bag', tmp_path / 'bag', '--out', tmp_path / 'out', '--rate', 4,
                           '--model', tiny_model, '--device', 'cpu', '--iterations', 1)
    assert code == 0, text
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    assert summary['malformed'] == 2
    assert (summary['sent'] == 8
            == summary['processed'] + summary['dropped'] + summary['malformed'])
    assert (tmp_path / 'out' / 'sheet.png').exists()
    assert {path: path.read_bytes() for path in (tmp_path / 'bag').iterdir()} == before


@pytest.mark.integration
def test_failures_end_in_an_error_with_the_nodes_log(ros, tmp_path, tiny_model):
    create([np.zeros((48, 64, 3), np.uint8)], tmp_path / 'bag')
    # not by the command, which refuses the device
    options = DemoOptions(bag=tmp_path / 'bag', device='toaster', out=tmp_path / 'out',
                          model=str(tiny_model))
    with patch.dict(os.environ), pytest.raises(ReplayError) as error:
        run(options)
    text = str(error.value)
    assert 'the node ended by itself with exit code 2' in text
    assert 'node.log:' in text and 'toaster' in text and 'Traceback' not in text


def test_what_cannot_be_replayed_is_said_before_the_node_starts(tmp_path, tiny_model, demo_here):
    code, text = demo_here('--bag', tmp_path / 'absent', '--out', tmp_path / 'out',
                           '--model', tiny_model)
    assert code == 1 and 'no bag at' in text and 'Starting' not in text


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, tiny_model, demo_here):
    (tmp_path / 'file').write_text('')
    code, text = demo_here('--out', tmp_path / 'file' / 'demo', '--model', tiny_model,
                           '--frames', 1)
    assert code == 2 and text.strip().splitlines()[-1].startswith(
        f"Error: Invalid value for '--out': '{tmp_path}/file/demo' cannot be written: ")
    with pytest.raises(BagError, match='demo cannot be written: Not a directory .*give an --out'):
        run(DemoOptions(out=tmp_path / 'file' / 'demo', model=str(tiny_model)))


@pytest.mark.integration
def test_a_signal_ends_it_and_the_node(tmp_path, tiny_model):
    pytest.importorskip('rclpy')
    create([np.zeros((48, 64, 3), np.uint8)] * 100, tmp_path / 'bag', rate_hz=2, compressed=True)
    process = start_demo('--bag', tmp_path / 'bag', '--out', tmp_path / 'out',
                         '--model', tiny_model, '--device', 'cpu')
    for line in process.stdout:
        if line.startswith('Replaying'):
            break
    end, recorded = time.monotonic() + 60, tmp_path / 'out' / 'outputs' / 'outputs_0.mcap'
    while not recorded.exists() or recorded.stat().st_size < 200:  # nothing was received
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output = output_of(process)
    assert process.returncode == 128 + signal.SIGTERM and 'Traceback' not in output
    assert f'Stopped by SIGTERM: what was received written to {tmp_path}/out' in output
    assert list(read_images(tmp_path / 'out' / 'outputs', DERAINED)), 'the bag was closed'
    running = subprocess.run(['ps', '-eo', 'args'], capture_output=True, text=True).stdout
    assert str(tiny_model) not in running
