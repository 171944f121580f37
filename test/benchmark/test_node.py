# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the node: its figures add up, and it says so when they do not."""

import json
import math
import multiprocessing
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from click.testing import CliRunner
from command_line import ubcn

from ubcn_ros.cli.benchmark_node import node
from ubcn_ros.images.files import read_image

ROOT = Path(__file__).parents[2]


def run(*arguments):
    """Run `ubcn benchmark node`, whose environment it sets; return its exit code and output."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    with patch.dict(os.environ, {'OMP_NUM_THREADS': '1', 'PYTHONPATH': paths}):
        done = ubcn('benchmark', 'node', *arguments)
    return done.exit_code, done.output


def check_stream(result, sent):
    """Check that the figures of a stream of so many images at 10 Hz of each camera add up."""
    assert result['sent'] == sent
    assert 0 <= result['lock']['busy_percent'] <= 100
    assert result['sent'] == result['processed'] + result['dropped'] + result['malformed']
    assert result['malformed'] == result['failed'] == 0 and result['processed'] >= 1
    latency = result['latency_ms']
    assert 0 < latency['p50'] <= latency['p95'] <= latency['p99'] <= latency['max']
    assert 0 < result['received'] <= result['processed']
    age = result['latency_bound_ms']
    assert 0 < age['frames'] <= result['processed'] and age['period'] >= 1000 / 10 - 1
    assert 0 < age['inference'] <= age['max'] <= latency['max'] + 50
    assert 0 <= age['wait'] <= age['max']
    assert age['within'] == (age['max'] <= age['period'] + age['inference'])
    assert set(result['rss_mib']) == {'start', 'after_1000', 'end', 'growth'}
    assert result['rss_mib']['end'] > 20 and result['rss_mib']['after_1000'] is None
    assert result['cpu_percent'] > 0
    assert (result['width'], result['height']) == (96, 64)


@pytest.mark.integration
def test_figures_of_a_stream_of_two_cameras(tiny_model, tmp_path):
    pytest.importorskip('rclpy')
    path = tmp_path / 'out' / 'figures.json'
    picture = tmp_path / 'picture' / 'stages.png'
    code, output = run('--model', tiny_model, '--device', 'cpu', '--frames', 15, '--rate', 10,
                       '--size', '96x64', '--iterations', 1, '--cameras', 2, '--json',
                       path, '--picture', picture)
    assert code == 0, output
    assert read_image(picture).std() > 10
    result = json.loads(path.read_text())
    check_stream(result, 30)
    assert result['iterations'] == 1
    for key in ('sent', 'processed', 'received', 'dropped'):
        assert result[key] == sum(camera[key] for camera in result['by_camera'].values())
    assert list(result['stages_ms']) == [
        'transport', 'take', 'wait', 'convert', 'upload', 'derain', 'segment', 'attend',
        'download', 'queue', 'fill', 'publish']
    assert result['stages_ms']['segment']['p50'] > 0
    assert result['cameras'] == 2


@pytest.mark.integration
@pytest.mark.parametrize('transport, title', [
    ('shared-memory', 'shared memory'), ('default', 'default transport')])
def test_the_mask_alone_is_taken_of_a_node_without_a_network(tmp_path, transport, title):
    pytest.importorskip('rclpy')
    path = tmp_path / 'figures.json'
    code, output = run('--stand-in', 2, '--mask-only', '--frames', 15, '--rate', 10, '--size',
                       '96x64', '--transport', transport, '--json', path)
    assert code == 0, output
    assert 'not of a network' in output
    result = json.loads(path.read_text())
    check_stream(result, 15)
    assert result['mask_only'] and result['stages_ms']['engine']['p50'] >= 2.0
    assert (result['model'], result['backend']) == ('stand-in:2', 'stand-in')
    assert result['cpu_ms_per_frame'] > 0
    assert result['shared_memory'] == (transport == 'shared-memory')
    assert f'{title}: latency of every published frame at most' in output


def test_numbers_of_cameras_are_compared(monkeypatch, tmp_path):
    pytest.importorskip('rclpy')
    monkeypatch.setattr('ubcn_ros.benchmark.node.stream', lambda load, _progress: {
        'cameras': load.cameras, 'sent': load.frames * load.cameras})
    path = tmp_path / 'figures.json'
    result = CliRunner().invoke(node, ['--stand-in', '2', '--cameras', '1', '--cameras', '4',
                                       '--frames', '10', '--json', str(path)])
    assert result.exit_code == 0, result.output
    assert '1 camera ' in result.output and '4 cameras' in result.output
    assert json.loads(path.read_text()) == {'by_cameras': {
        '1 camera': {'cameras': 1, 'sent': 10}, '4 cameras': {'cameras': 4, 'sent': 40}}}


@pytest.mark.parametrize('arguments, told', [
    (['--stand-in', 2, '--model', 'ubcn'], 'takes the place of the network: leave out --model'),
    (['--cameras', 1, '--cameras', 17], '17 is not in the range 1<=x<=16'),
    (['--peak', '--frames', 9], 'seconds at each rate: leave out --frames')])
def test_what_does_not_go_together_is_refused(arguments, told):
    result = CliRunner().invoke(node, list(map(str, arguments)))
    assert result.exit_code == 2 and told in ' '.join(result.output.split())


def test_a_model_that_the_node_would_refuse_is_refused(partial_model):
    result = CliRunner().invoke(node, ['--model', str(partial_model)])
    assert result.exit_code == 1 and 'holds random numbers for' in result.output


@pytest.mark.integration
@pytest.mark.parametrize('measure', ['stream', 'peak'])
def test_a_node_that_does_not_start_gives_its_reason(ros, tmp_path, measure):
    from ubcn_ros.bags.live.node_process import ReplayError
    from ubcn_ros.benchmark.node import find_peak, stream
    from ubcn_ros.benchmark.node_load import Load
    load = Load(model=str(tmp_path / 'absent.safetensors'), width=64, height=64)
    run = {'stream': lambda: stream(load), 'peak': lambda: find_peak(load, print)}[measure]
    with patch.dict(os.environ), pytest.raises(ReplayError, match='(?s)by itself.*absent.saf'):
        run()


class Camera:
    """A camera that is a thread of this process."""

    def __init__(self, run):
        self._connection, other = multiprocessing.Pipe()
        threading.Thread(target=run, args=(other.send,), daemon=True).start()

    def fileno(self):
        return self._connection.fileno()

    def receive(self):
        return self._connection.recv()


def test_no_camera_waits_for_another_to_be_heard():
    pytest.importorskip('rclpy')
    from ubcn_ros.benchmark.camera_client import results
    told = threading.Event()

    def wait(send):
        send(('result', told.wait(5.0)))

    def tell(send):
        for _ in range(2000):  # more than a pipe holds
            send(('sent', 10))
        told.set()
        send(('result', 'all told'))

    counts = []
    assert results([Camera(wait), Camera(tell)], counts.append) == [True, 'all told']
    assert sum(counts) == 20_000


@pytest.mark.integration
@pytest.mark.gpu
@pytest.mark.timeout(600)
@pytest.mark.parametrize('load', ['--frames 300 --rate 30 --size 1920x1080',
                                  '--frames 2000 --rate 60 --size 640x480'])
def test_on_a_gpu_no_frame_fails_and_memory_rests(tmp_path, load):
    pytest.importorskip('rclpy')
    path = tmp_path / 'figures.json'
    code, output = run(*load.split(), '--iterations', 2, '--device', 'cuda', '--json', path)
    assert code == 0, output
    figures = json.loads(path.read_text())
    assert figures['device'].startswith('cuda') and figures['iterations_used'] == 2
    assert figures['failed'] == figures['malformed'] == 0
    assert figures['processed'] + figures['dropped'] == figures['sent']
    assert figures['dropped'] <= 0.01 * figures['sent']
    if figures['rss_mib']['after_1000'] is not None:
        assert figures['rss_mib']['growth'] < 20


def test_a_stamped_image_is_the_same_under_a_new_stamp():
    pytest.importorskip('rclpy')
    from rclpy.serialization import deserialize_message
    from sensor_msgs.msg import Image

    from ubcn_ros.benchmark.node_load import Stamped
    stamped = Stamped(40, 50)
    first = stamped.now()
    time.sleep(0.001)
    messages = [deserialize_message(data, Image) for data in (first, stamped.now())]
    assert messages[0].header.stamp != messages[1].header.stamp
    assert abs(messages[0].header.stamp.sec - time.time()) < 60
    assert messages[0].data == messages[1].data
    assert (messages[0].height, messages[0].width, messages[0].step) == (40, 50, 150)


def test_figures_of_this_process():
    pytest.importorskip('rclpy')
    from ubcn_ros.benchmark.camera_client import cpu_seconds
    from ubcn_ros.node.diagnostics import resident_mib
    before = cpu_seconds(os.getpid())
    burn(0.05)
    assert resident_mib(os.getpid()) > 5 and cpu_seconds(os.getpid()) >= before + 0.03


@pytest.mark.parametrize('latencies, within', [([30.0, 130.0], True), ([30.0, 161.0], False)])
def test_an_age_is_held_against_a_period_and_an_inference(latencies, within):
    pytest.importorskip('rclpy')
    from ubcn_ros.benchmark.node_figures import latency_bound
    frames = [{'pipeline latency (ms)': latency, 'processing time (ms)': inference}
              for latency, inference in zip(latencies, (20.0, 40.0), strict=True)]
    age = latency_bound(frames, [[1.0, 1.1], [1.05, 1.17], [1.0]])
    assert age['max'] == latencies[1] and age['inference'] == 40.0
    assert age['period'] == pytest.approx(120.0) and age['allowed'] == pytest.approx(160.0)
    assert age['wait'] == latencies[1] - 40.0
    assert age['within'] is within and age['frames'] == 2


def test_an_age_without_frames_is_not_measured():
    pytest.importorskip('rclpy')
    from ubcn_ros.benchmark.node_figures import latency_bound
    age = latency_bound([], [[1.0, 1.1]])
    assert age['within'] is None and age['max'] is None and age['frames'] == 0
    assert latency_bound([{}], [[1.0], [2.0]])['period'] is None


@pytest.mark.parametrize('peak', [3.0, 29.0, 30.0, 95.0, 1000.0])
def test_the_peak_is_found_to_five_percent(peak):
    pytest.importorskip('rclpy')
    from ubcn_ros.benchmark.node import search_peak
    tried = []

    def sustains(rate):
        tried.append(rate)
        return rate <= peak

    found = search_peak(sustains, 30.0)
    assert peak / 1.05 <= found <= peak
    assert len(tried) < 16 and len(set(tried)) == len(tried)


def test_a_node_that_sustains_nothing_has_no_peak():
    pytest.importorskip('rclpy')
    from ubcn_ros.benchmark.node import search_peak
    tried = []
    assert search_peak(lambda rate: tried.append(rate), 32.0) is None
    assert tried == [32.0, 16.0, 8.0, 4.0, 2.0]


def test_a_rate_that_the_cameras_do_not_reach_is_not_sustained(monkeypatch):
    pytest.importorskip('rclpy')
    from ubcn_ros.benchmark import node as benchmark
    from ubcn_ros.benchmark.node_load import Load

    class Slow:
        """A node that drops nothing, and a camera that sends 100 images a second at most."""

        def __init__(self, _load):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def stream(self, frames, rate, most_s):
            assert rate < 1000
            assert frames == max(round(3 * rate), 30)
            assert most_s == pytest.approx(frames / rate, rel=0.02)
            found = sent([float(number) for number in range(frames)], [0.0] * frames)
            return [replace(found, seconds=frames / min(rate, 100.0))]

        def stop(self):
            pass

    monkeypatch.setattr(benchmark, 'LoadedNode', Slow)
    told = []
    found = benchmark.find_peak(Load(rate_hz=30.0), told.append)
    assert 95.0 < found['peak_hz'] < 105.0
    assert all(trial['sustained'] == (trial['rate_hz'] < 105.0) for trial in told)
    assert [trial['rate_in_hz'] for trial in told[:3]] == [30.0, 60.0, 100.0]


def sent(times, delays, lost=(), uncounted=0, **counters):
    """What a camera sent at these times, and received so much later, but for those lost."""
    from ubcn_ros.bags.live.client import DERAINED, Output
    from ubcn_ros.benchmark.camera_client import StreamResult
    headers = [number.to_bytes(2, 'big') for number in range(len(times))]
    outputs = [Output(DERAINED, header, time + delay)
               for header, time, delay in zip(headers, times, delays, strict=True)
               if int.from_bytes(header, 'big') not in lost]
    counted = {'received': len(times), 'processed': len(times) - len(lost), 'dropped': len(lost),
               'malformed': 0, 'dropped (failed)': 0, 'dropped (of the stale, in transport)': 0}
    return StreamResult(dict(zip(headers, times, strict=True)), outputs, [],
                        {**counted, **counters}, {}, {}, 0.0, 1.0, 1.0, 0.1, uncounted)


class Idle:
    """A client of a node that is this process, which works while it publishes and settles."""

    def __init__(self):
        self.outputs, self.frames, self.published = [], [], 0

    def check(self):
        pass

    def publish(self, _data):
        burn(0.02)
        self.published += 1
        return time.monotonic()

    def settled_counts(self, _timeout):
        burn(0.3)

    def status(self, _name):
        from ubcn_ros.benchmark.camera_client import _COUNTERS
        return dict.fromkeys(_COUNTERS, '0')


class Late(Idle):
    """A node whose last output comes after all images are sent, and which then reports."""

    def settled_counts(self, timeout):
        from ubcn_ros.bags.live.client import Output
        from ubcn_ros.benchmark.camera_client import cpu_seconds
        super().settled_counts(timeout)
        self.outputs.append(Output('labels', b'', time.monotonic()))
        self.used = cpu_seconds(os.getpid())
        super().settled_counts(timeout)


def burn(seconds):
    """Use so much CPU."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_rates_and_cpu_are_of_a_period_for_each_image_and_of_nothing_else():
    pytest.importorskip('rclpy')
    from ubcn_ros.benchmark.camera_client import _stream
    from ubcn_ros.benchmark.node_load import Stamped
    found = _stream(Idle(), Stamped(40, 50), os.getpid(), 6, 10.0, math.inf, lambda _: None)
    assert len(found.sent) == 6 and found.seconds >= 0.6 - 1e-3
    assert 0.08 <= found.cpu_seconds < 0.3 and found.busy_seconds == found.seconds
    late = _stream(Late(), Stamped(40, 50), os.getpid(), 2, 20.0, math.inf, lambda _: None)
    short = _stream(Idle(), Stamped(40, 50), os.getpid(), 1000, 1000.0, 0.1, lambda _: None)
    assert 1 <= len(short.sent) < 100 and 0.1 <= short.seconds < 10.0
    slow = _stream(Idle(), Stamped(40, 50), os.getpid(), 2, 0.01, 0.1, lambda _: None)
    assert len(slow.sent) == 1 and 0.1 <= slow.seconds < 10.0
    assert late.seconds + 0.25 < late.busy_seconds and 0.3 < late.cpu_seconds < 0.6, \
        'what a slow node does after the last image is part of its frames'


def test_figures_of_several_cameras_are_pooled():
    pytest.importorskip('rclpy')
    from ubcn_ros.bags.live.node_process import ReplayError
    from ubcn_ros.benchmark.node_figures import delivered
    one = sent([1.0, 1.1, 1.2], [0.01, 0.02, 0.03])
    other = sent([1.05, 1.15, 1.25], [0.02, 0.02, 0.05], lost=[1])
    found = delivered([one, other])
    assert (found['sent'], found['processed'], found['received'], found['dropped']) == (6, 5, 5, 1)
    assert found['latency_ms']['max'] == pytest.approx(50.0)
    assert found['first_sent_received_ms'] == pytest.approx(10.0)
    assert found['last_sent_received_ms'] == pytest.approx(50.0)
    # gaps within each camera: 110 and 110, 230 ms
    assert found['jitter_ms'] == pytest.approx(56.57, abs=0.01)
    assert delivered([sent([1.0, 1.1], [0.01, 0.01], received=1, processed=1, lost=[1])])[
        'lost_in_transport'] == 1
    with pytest.raises(ReplayError, match='2 images sent and 2 received, but the node counted 2'):
        delivered([sent([1.0, 1.1], [0.01, 0.01], processed=1)])


class Lossy(Idle):
    """A node that the first image sent never reached, which it tells by the number of the next."""

    def status(self, name):
        received = self.published * (self.published > 1)
        return {**super().status(name), 'received': f'{received}', 'dropped': f'{received}',
                'dropped (of the stale, in transport)': f'{received}'}


def test_an_image_that_was_lost_before_a_stream_may_be_counted_in_it():
    """As the last of a trial at too high a rate, which the node hears of by the next one."""
    pytest.importorskip('rclpy')
    from ubcn_ros.bags.live.node_process import ReplayError
    from ubcn_ros.benchmark.camera_client import _stream
    from ubcn_ros.benchmark.node_figures import delivered
    from ubcn_ros.benchmark.node_load import Stamped
    client = Lossy()
    client.publish(b'')
    found = _stream(client, Stamped(40, 50), os.getpid(), 3, 50.0, math.inf, lambda _: None)
    assert found.counters['received'] == 4
    result = delivered([found])
    assert (result['sent'], result['processed'], result['dropped']) == (3, 0, 3)
    assert result['lost_in_transport'] == 3
    times = [1.0, 1.1], [0.01, 0.01]
    assert delivered([sent(*times, received=4, dropped=2, uncounted=2)])['dropped'] == 0
    with pytest.raises(ReplayError, match='2 images sent and 2 received, but the node counted 5'):
        delivered([sent(*times, received=5, dropped=3, uncounted=2)])
