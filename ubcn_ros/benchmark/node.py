# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A node in a process of its own under a stream of images, or of malformed ones.

Vocabulary of NVIDIA's ros2_benchmark: `latency` is from publishing an image to receiving its
derained one, `jitter` the standard deviation of the time between outputs, `age` from an image's
arrival at the node to the publishing of its outputs, all in milliseconds.
"""

from __future__ import annotations

import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ubcn_ros.bags.client import DERAINED, SOURCE, Client, Output
from ubcn_ros.bags.headers import header_bytes
from ubcn_ros.bags.node_process import NodeProcess, ReplayError, enter_private_domain
from ubcn_ros.node.diagnostics import resident_mib
from ubcn_ros.runtime.installed import DEFAULT_MODEL

_START_SECONDS = 180.0
_SOAKED = 1000  # frames after which memory should stay as it is
_COUNTERS = ('received', 'processed', 'dropped', 'malformed', 'dropped (failed)',
             'dropped (of the stale, in transport)')


@dataclass(frozen=True)
class Load:
    """What to send to which node; sizes in pixels, `rate_hz` in images per second."""

    frames: int = 1000
    width: int = 640
    height: int = 480
    rate_hz: float = 30.0
    model: str = DEFAULT_MODEL
    device: str = 'auto'
    iterations: int = 3
    shared_memory: bool = True
    processing_size: int = -1


def process_figures(pid: int) -> tuple[float, float]:
    """
    Read what a process has used, from /proc (proc(5)).

    :return: resident memory in MiB, and CPU seconds of user and system; NaN where it is gone.
    """
    try:
        # the name before the last ')' may hold anything
        fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    except OSError:
        return float('nan'), float('nan')
    return (resident_mib(pid),
            (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK'))


class Stamped:
    """One serialized image under ever new stamps."""

    def __init__(self, height: int, width: int):
        from rclpy.serialization import serialize_message
        from sensor_msgs.msg import Image

        from ubcn_ros.images.messages import fill_image
        rows, columns = np.mgrid[:height, :width]
        image = np.stack([rows % 256, columns % 256, (rows + columns) % 256], 2).astype(np.uint8)
        message = Image()
        message.header.frame_id = 'camera'
        self._data = bytearray(serialize_message(
            fill_image(message, message.header, image, 'rgb8')))
        self._order = '<' if self._data[1] & 1 else '>'

    def now(self) -> bytes:
        """Return it with the present time."""
        seconds, nano = divmod(time.time_ns(), 1_000_000_000)
        struct.pack_into(self._order + 'iI', self._data, 4, seconds, nano)
        return bytes(self._data)


class ProcessUsage:
    """What a process uses from now on; see `process_figures`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._resident, self._cpu = process_figures(pid)
        self._started = time.monotonic()
        self._soaked: float | None = None

    def mark(self) -> None:
        """Count the growth of memory from here."""
        self._soaked = process_figures(self._pid)[0]

    def figures(self) -> dict[str, Any]:
        """Return `cpu_percent` (of one core) and `rss_mib` {start, after_1000, end, growth}."""
        end, cpu = process_figures(self._pid)
        base = self._resident if self._soaked is None else self._soaked
        return {'cpu_percent': round(100 * (cpu - self._cpu)
                                     / (time.monotonic() - self._started), 1),
                'rss_mib': {'start': round(self._resident, 1),
                            'after_1000': None if self._soaked is None else round(self._soaked, 1),
                            'end': round(end, 1), 'growth': round(end - base, 1)}}


def stream(load: Load, progress: Callable[[], Any] = lambda: None) -> dict[str, Any]:
    """
    Send images at a steady rate and report what became of them.

    Sets the environment of DDS for this process, and must be the first in it to use rclpy.

    :param progress: called after every image.
    :return: `sent` = `processed` + `dropped` + `malformed`, of the dropped `lost_in_transport`, of
        the processed `received` here; `latency_ms` {p50, p95, p99, max}, `age_ms` as of
        `age_bound`, `jitter_ms`, `rate_in_hz`, `rate_out_hz`, what the process used as of
        `ProcessUsage`, and the load.
    :raises ReplayError: the node ended, or its counters do not add up.
    """
    enter_private_domain(load.shared_memory)
    with tempfile.TemporaryDirectory() as folder, _node(load, Path(folder)) as node, \
            Client(node, False, None, debug=True) as client:
        client.wait_until_active(_START_SECONDS)
        image = Stamped(load.height, load.width)
        client.probe(image.now())
        before = _counters(client)
        client.outputs.clear()
        client.frames.clear()
        usage = ProcessUsage(node.process.pid)
        sent: dict[bytes, float] = {}
        started = time.monotonic()
        for number in _paced(load.frames, load.rate_hz, progress):
            client.check()
            if number == _SOAKED:
                usage.mark()
            data = image.now()
            sent[header_bytes(data)] = client.publish(data)
        seconds = time.monotonic() - started
        change = _counters(client, before)
        used = usage.figures()
        outputs, frames = list(client.outputs), list(client.frames)
        camera, engine = client.status('camera'), client.status('engine')
        if node.stop():
            raise ReplayError(f'the node ended with exit code {node.process.returncode}')
    return {**_delivered(sent, outputs, change),
            'age_ms': age_bound(frames, list(sent.values())),
            'node_latency_ms': {name: _number(camera, f'latency {name} (ms)')
                                for name in ('p50', 'p95')},
            'rate_in_hz': round(load.frames / seconds, 2),
            'rate_out_hz': round(change['processed'] / seconds, 2),
            **used,
            'seconds': round(seconds, 1),
            'iterations_used': _number(camera, 'iterations used (mean)'),
            'precision': engine.get('precision'), 'backend': engine.get('backend'),
            'model_sha256': engine.get('model sha256'),
            **asdict(load),
            'device': engine.get('device', load.device)}


def _delivered(sent: dict[bytes, float], outputs: list[Output], change: dict[str, int]
               ) -> dict[str, Any]:
    """Match outputs to what was sent by their headers; ReplayError where the counts do not fit."""
    arrivals = [(output.time, sent[output.header]) for output in outputs
                if output.topic == DERAINED and output.header in sent]
    latencies = [1e3 * (received - published) for received, published in arrivals]
    gaps = 1e3 * np.diff([received for received, _ in arrivals])
    never_counted = len(sent) - change['received']
    if never_counted < 0 or len(latencies) > change['processed']:
        raise ReplayError(f"{len(sent)} images sent and {len(latencies)} received, but the node "
                          f"counted {change['received']} and {change['processed']}")
    return {'sent': len(sent),
            'processed': change['processed'],
            'received': len(latencies),
            'dropped': change['dropped'] + never_counted,
            'malformed': change['malformed'],
            'failed': change['dropped (failed)'],
            'lost_in_transport': never_counted + change['dropped (of the stale, in transport)'],
            'latency_ms': {**_percentiles(latencies, (50, 95, 99)),
                           'max': round(max(latencies), 2) if latencies else None},
            'jitter_ms': round(float(gaps.std()), 2) if len(gaps) else None}


def age_bound(frames: list[dict[str, float]], sent: list[float]) -> dict[str, Any]:
    """
    Hold the age of published frames against one frame period plus one inference.

    A frame may wait in the mailbox until the next one replaces it, and is processed then.

    :param frames: per published frame what the node says of it in `debug/frame`, milliseconds.
    :param sent: when the images were sent, seconds; a busy machine sends some of them late.
    :return: `max`, the greatest age; `period`, the longest between two images; `inference`, the
        longest processing; `allowed`, their sum; whether the age stays `within`; `wait`, the
        longest in the mailbox; and the number of `frames`. None where it was not measured.
    """
    if not frames or len(sent) < 2:
        return dict.fromkeys(('max', 'period', 'inference', 'allowed', 'within', 'wait'), None) | {
            'frames': len(frames)}
    oldest = max(frame['pipeline latency (ms)'] for frame in frames)
    period = float(np.diff(sent).max()) * 1e3
    inference = max(frame['processing time (ms)'] for frame in frames)
    return {'max': round(oldest, 2), 'period': round(period, 2), 'inference': round(inference, 2),
            'allowed': round(period + inference, 2), 'within': bool(oldest <= period + inference),
            'wait': round(max(frame['pipeline latency (ms)'] - frame['processing time (ms)']
                              for frame in frames), 2),
            'frames': len(frames)}


def fuzz(count: int, compressed: bool, load: Load, seed: int = 0,
         progress: Callable[[], Any] = lambda: None) -> dict[str, Any]:
    """
    Send malformed messages, and among them whole ones, through a node that has to survive them.

    :param progress: called after every message.
    :return: `sent` = `processed` + `malformed` + `dropped`, and what the conversion layer said of
        the same messages here, `expected_malformed` and `expected_processed`.
    :raises ReplayError: the node ended, or its counters do not add up.
    """
    enter_private_domain(load.shared_memory)
    random = np.random.default_rng(seed)
    expected = {'processed': 0, 'malformed': 0}
    with tempfile.TemporaryDirectory() as folder, \
            _node(load, Path(folder), 'compressed' if compressed else 'raw') as node, \
            Client(node, compressed, None) as client:
        client.wait_until_active(_START_SECONDS)
        client.probe(_whole(compressed))
        before = _counters(client)
        for number in range(count):
            data, whole = _any_message(random, compressed, number)
            expected['processed' if whole else 'malformed'] += 1
            outputs = len(client.outputs)
            client.publish(data)
            client.check()
            # one at a time, so that none is replaced before it has been looked at
            end = time.monotonic() + (2.0 if whole else 0.006)
            while time.monotonic() < end and len(client.outputs) < outputs + 2:
                time.sleep(0.0005)
            progress()
        change = _counters(client, before)
        if node.stop():
            raise ReplayError(f'the node ended with exit code {node.process.returncode}')
    never_counted = count - change['received']
    return {'kind': 'CompressedImage' if compressed else 'Image', 'sent': count,
            'processed': change['processed'], 'malformed': change['malformed'],
            'dropped': change['dropped'] + never_counted, 'failed': change['dropped (failed)'],
            'expected_processed': expected['processed'],
            'expected_malformed': expected['malformed']}


def _any_message(random: np.random.Generator, compressed: bool, second: int
                 ) -> tuple[bytes, bool]:
    """Draw a message; return it serialized, and whether an image can be read of it."""
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import CompressedImage, Image

    from ubcn_ros.benchmark.fuzzing import any_compressed, any_image
    from ubcn_ros.images.messages import MalformedImage, compressed_to_rgb, to_rgb
    message = CompressedImage(data=any_compressed(random)) if compressed else \
        Image(**any_image(random))
    message.header.stamp.sec = second
    try:
        (compressed_to_rgb if compressed else to_rgb)(message)
    except MalformedImage:
        return serialize_message(message), False
    return serialize_message(message), True


def _whole(compressed: bool) -> bytes:
    if not compressed:
        return Stamped(64, 64).now()
    import cv2
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import CompressedImage
    return serialize_message(CompressedImage(
        data=cv2.imencode('.png', np.zeros((64, 64, 3), np.uint8))[1].tobytes()))


def _node(load: Load, folder: Path, transport: str = 'raw') -> NodeProcess:
    return NodeProcess(
        folder / 'node.log',
        {'model': load.model, 'device': load.device, 'iterations': load.iterations,
         'processing_size': load.processing_size,
         'warm_up_width': load.width, 'warm_up_height': load.height, 'max_failures': 0,
         'input_transport': transport},
        {'image': SOURCE, 'image/compressed': SOURCE + '/compressed'})


def _counters(client: Client, before: dict[str, int] | None = None) -> dict[str, int]:
    """Wait until the node's counters rest and add up; return them, or what they gained."""
    client.settled_counts(60.0)
    status = client.status('camera')
    return {name: int(status[name]) - (before[name] if before else 0) for name in _COUNTERS}


def _paced(count: int, rate_hz: float, progress: Callable[[], Any]) -> Iterator[int]:
    """Yield 0 .. count - 1, each when it is due."""
    start = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, start + number / rate_hz - time.monotonic()))
        yield number
        progress()


def _percentiles(values: list[float], which: tuple[int, ...]) -> dict[str, float | None]:
    if not values:
        return {f'p{p}': None for p in which}
    return {f'p{p}': round(float(v), 2)
            for p, v in zip(which, np.percentile(values, which), strict=True)}


def _number(values: dict[str, str], name: str) -> float | None:
    return float(values[name]) if name in values else None
