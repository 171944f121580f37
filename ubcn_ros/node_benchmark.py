# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A node in a process of its own under a stream of images, or of malformed ones.

Vocabulary of NVIDIA's ros2_benchmark: `latency` is from publishing an image to receiving its
derained one, `jitter` the standard deviation of the time between outputs, both in milliseconds.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from ubcn_ros.replay import DERAINED, SOURCE, NodeProcess, Peer, ReplayError, header_bytes

_START_SECONDS = 180.0
_SOAKED = 1000  # frames after which memory should stay as it is
_COMPARED = 300  # most frames of the run without shared memory
_COUNTERS = ('received', 'processed', 'dropped', 'malformed', 'dropped (failed)',
             'dropped (of the stale, in transport)')


@dataclass(frozen=True)
class Load:
    """What to send to which node; sizes in pixels, `rate_hz` in images per second."""

    frames: int = 1000
    width: int = 640
    height: int = 480
    rate_hz: float = 30.0
    model: str = 'ubcn-light-camvid'
    device: str = 'auto'
    iterations: int = 3
    shared_memory: bool = True


def process_figures(pid: int) -> tuple[float, float]:
    """
    Read what a process has used, from /proc (proc(5)).

    :return: resident memory in MiB, and CPU seconds of user and system; NaN where it is gone.
    """
    try:
        pages = int(Path(f'/proc/{pid}/statm').read_text().split()[1])
        # the name before the last ')' may hold anything
        fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    except OSError:
        return float('nan'), float('nan')
    return (pages * os.sysconf('SC_PAGE_SIZE') / 2**20,
            (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK'))


class Stamped:
    """One serialized image under ever new stamps."""

    def __init__(self, height: int, width: int):
        from rclpy.serialization import serialize_message
        from sensor_msgs.msg import Image

        from ubcn_ros.node.image_messages import fill_image
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


def stream(load: Load) -> dict[str, Any]:
    """
    Send images at a steady rate and report what became of them.

    Sets the environment of DDS for this process, and must be the first in it to use rclpy.

    :return: `sent` = `processed` + `dropped` + `malformed`, of the dropped `lost_in_transport`;
        `latency_ms` {p50, p95, p99}, `jitter_ms`, `rate_in_hz`, `rate_out_hz`, `cpu_percent` (of
        one core), `rss_mib` {start, after_1000, end, growth}, and the load.
    :raises ReplayError: the node ended, or its counters do not add up.
    """
    _environment(load.shared_memory)
    with tempfile.TemporaryDirectory() as folder, _node(load, Path(folder)) as node, \
            Peer(node, False, None) as peer:
        peer.wait_until_active(_START_SECONDS)
        image = Stamped(load.height, load.width)
        peer.probe(image.now())
        before = _counters(peer)
        peer.outputs.clear()
        start_rss, start_cpu = process_figures(node.process.pid)
        soaked = None
        sent: dict[bytes, float] = {}
        started = time.monotonic()
        for number in _paced(load.frames, load.rate_hz, 'images'):
            peer.check()
            if number == _SOAKED:
                soaked = process_figures(node.process.pid)[0]
            data = image.now()
            sent[header_bytes(data)] = peer.publish(data)
        seconds = time.monotonic() - started
        change = _counters(peer, before)
        end_rss, end_cpu = process_figures(node.process.pid)
        arrivals = [(o.header, o.time) for o in peer.outputs if o.topic == DERAINED]
        camera, engine = peer.status('camera'), peer.status('engine')
        if node.stop():
            raise ReplayError(f'the node ended with exit code {node.process.returncode}')
    latencies = [(time - sent[header]) * 1e3 for header, time in arrivals if header in sent]
    gaps = np.diff([time for header, time in arrivals if header in sent]) * 1e3
    never_counted = load.frames - change['received']
    return {
        'sent': load.frames,
        'processed': change['processed'],
        'dropped': change['dropped'] + never_counted,
        'malformed': change['malformed'],
        'failed': change['dropped (failed)'],
        'lost_in_transport': never_counted + change['dropped (of the stale, in transport)'],
        'latency_ms': _percentiles(latencies, (50, 95, 99)),
        'node_latency_ms': {name: _number(camera, f'latency {name} (ms)')
                            for name in ('p50', 'p95')},
        'jitter_ms': round(float(gaps.std()), 2) if len(gaps) else None,
        'rate_in_hz': round(load.frames / seconds, 2),
        'rate_out_hz': round(change['processed'] / seconds, 2),
        'cpu_percent': round(100 * (end_cpu - start_cpu) / (time.monotonic() - started), 1),
        'rss_mib': {'start': round(start_rss, 1),
                    'after_1000': None if soaked is None else round(soaked, 1),
                    'end': round(end_rss, 1),
                    'growth': round(end_rss - (start_rss if soaked is None else soaked), 1)},
        'seconds': round(seconds, 1),
        'iterations_used': _number(camera, 'iterations used (mean)'),
        'precision': engine.get('precision'), 'backend': engine.get('backend'),
        'model_sha256': engine.get('model sha256'),
        **asdict(load),
        'device': engine.get('device', load.device),
    }


def fuzz(count: int, compressed: bool, load: Load, seed: int = 0) -> dict[str, Any]:
    """
    Send malformed messages, and among them whole ones, through a node that has to survive them.

    :return: `sent` = `processed` + `malformed` + `dropped`, and what the conversion layer said of
        the same messages here, `expected_malformed` and `expected_processed`.
    :raises ReplayError: the node ended, or its counters do not add up.
    """
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import CompressedImage, Image

    from ubcn_ros.node.fuzzing import any_compressed, any_image
    from ubcn_ros.node.image_messages import MalformedImage, compressed_to_rgb, to_rgb
    _environment(load.shared_memory)
    random = np.random.default_rng(seed)
    expected = {'processed': 0, 'malformed': 0}
    with tempfile.TemporaryDirectory() as folder, \
            _node(load, Path(folder), 'compressed' if compressed else 'raw') as node, \
            Peer(node, compressed, None) as peer:
        peer.wait_until_active(_START_SECONDS)
        peer.probe(_whole(compressed))
        before = _counters(peer)
        for number in _paced(count, 1e9, 'messages'):
            message = CompressedImage(data=any_compressed(random)) if compressed else \
                Image(**any_image(random))
            message.header.stamp.sec = number
            try:
                (compressed_to_rgb if compressed else to_rgb)(message)
                whole = True
            except MalformedImage:
                whole = False
            expected['processed' if whole else 'malformed'] += 1
            outputs = len(peer.outputs)
            data = serialize_message(message)
            peer.publish(data)
            peer.check()
            # one at a time, so that none is replaced before it has been looked at
            end = time.monotonic() + (2.0 if whole else 0.006)
            while time.monotonic() < end and len(peer.outputs) < outputs + 2:
                time.sleep(0.0005)
        change = _counters(peer, before)
        if node.stop():
            raise ReplayError(f'the node ended with exit code {node.process.returncode}')
    never_counted = count - change['received']
    return {'kind': 'CompressedImage' if compressed else 'Image', 'sent': count,
            'processed': change['processed'], 'malformed': change['malformed'],
            'dropped': change['dropped'] + never_counted, 'failed': change['dropped (failed)'],
            'expected_processed': expected['processed'],
            'expected_malformed': expected['malformed']}


def _whole(compressed: bool) -> bytes:
    if not compressed:
        return Stamped(64, 64).now()
    import cv2
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import CompressedImage
    return serialize_message(CompressedImage(
        data=cv2.imencode('.png', np.zeros((64, 64, 3), np.uint8))[1].tobytes()))


def _environment(shared_memory: bool) -> None:
    from ubcn_ros.replay import _PROFILES, private_domain
    os.environ.update(private_domain())
    if not shared_memory:
        os.environ.pop(_PROFILES, None)


def _node(load: Load, folder: Path, transport: str = 'raw') -> NodeProcess:
    return NodeProcess(
        folder / 'node.log',
        {'model': load.model, 'device': load.device, 'iterations': load.iterations,
         'warm_up_width': load.width, 'warm_up_height': load.height, 'max_failures': 0,
         'input_transport': transport},
        {'image': SOURCE, 'image/compressed': SOURCE + '/compressed'})


def _counters(peer: Peer, before: dict[str, int] | None = None) -> dict[str, int]:
    """Wait until the node's counters rest and add up; return them, or what they gained."""
    peer.settled_counts(60.0)
    status = peer.status('camera')
    return {name: int(status[name]) - (before[name] if before else 0) for name in _COUNTERS}


def _paced(count: int, rate_hz: float, unit: str) -> Any:
    """Yield 0 .. count - 1, each when it is due, with a progress bar."""
    from tqdm import tqdm
    start = time.monotonic()
    for number in tqdm(range(count), unit=f' {unit}', disable=None):
        time.sleep(max(0.0, start + number / rate_hz - time.monotonic()))
        yield number


def _percentiles(values: list[float], which: tuple[int, ...]) -> dict[str, float | None]:
    if not values:
        return {f'p{p}': None for p in which}
    return {f'p{p}': round(float(v), 2)
            for p, v in zip(which, np.percentile(values, which), strict=True)}


def _number(values: dict[str, str], name: str) -> float | None:
    return float(values[name]) if name in values else None


def table(columns: dict[str, dict[str, Any]]) -> str:
    """Lay out results side by side, one column per title."""
    def text(value: Any) -> str:
        return '-' if value is None else str(value)

    rows = []
    for key in next(iter(columns.values())):
        cells = [column.get(key) for column in columns.values()]
        if isinstance(cells[0], dict):
            rows += [(f'{key} {part}', *(text((cell or {}).get(part)) for cell in cells))
                     for part in cells[0]]
        else:
            rows.append((key, *map(text, cells)))
    rows.insert(0, ('', *columns))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ['  '.join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(
        row[1:], widths[1:], strict=True))]).rstrip() for row in rows]
    return '\n'.join(lines)


def _without_shared_memory(load: Load) -> dict[str, Any]:
    """Measure in another process: Fast DDS reads its profile once in each."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / 'result.json'
        subprocess.run(
            [sys.executable, '-m', 'ubcn_ros.cli', 'benchmark', 'node', '--transport', 'default',
             '--frames', str(min(load.frames, _COMPARED)), '--json', str(result),
             '--size', f'{load.width}x{load.height}', '--rate', str(load.rate_hz),
             '--model', load.model, '--device', load.device,
             '--iterations', str(load.iterations)],
            check=True, stdout=subprocess.DEVNULL)
        return json.loads(result.read_text())


def _size(context: Any, option: Any, text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split('x'))
        if min(width, height) < 32:
            raise ValueError
    except ValueError:
        raise click.BadParameter(f"'{text}' is no WIDTHxHEIGHT of at least 32x32, like "
                                 '1920x1080') from None
    return width, height


@click.command()
@click.option('--frames', default=1000, show_default=True, type=click.IntRange(1),
              help='Images to send; 10000 show whether memory grows.')
@click.option('--size', default='640x480', show_default=True, callback=_size,
              help='WIDTHxHEIGHT of the images, pixels.')
@click.option('--rate', 'rate_hz', default=30.0, show_default=True,
              type=click.FloatRange(0, min_open=True), help='Images per second.')
@click.option('--model', default='ubcn-light-camvid', show_default=True,
              help='Name in models/, or path of a .safetensors file.')
@click.option('--device', default='auto', show_default=True, help='auto, cpu, cuda or cuda:N.')
@click.option('--iterations', default=3, show_default=True, type=click.IntRange(1, 10),
              help='Steps of derain and segment.')
@click.option('--transport', default='both', show_default=True,
              type=click.Choice(['both', 'shared-memory', 'default']),
              help='Fast DDS with the profile config/fastdds.xml, as it is by default, or both '
              f'side by side (by default with {_COMPARED} images at most).')
@click.option('--fuzz', 'messages', type=click.IntRange(2), metavar='N',
              help='Send N malformed messages instead, half of them compressed.')
@click.option('--json', 'json_path', type=click.Path(dir_okay=False, path_type=Path),
              help='Write the figures to this file, too.')
def node(frames: int, size: tuple[int, int], rate_hz: float, model: str, device: str,
         iterations: int, transport: str, messages: int | None, json_path: Path | None) -> None:
    """
    Start a node and measure it under a stream of images, over DDS.

    Every image is processed, dropped or malformed: the table says how many, how late the outputs
    are, and what the process uses. The exit code is 1 where the node ends or miscounts.
    """
    from ubcn_ros.runtime import find_model
    load = Load(frames, *size, rate_hz, str(find_model(model)), device, iterations,
                transport != 'default')
    try:
        if messages:
            small = Load(model=load.model, device=device, iterations=1, width=64, height=64)
            columns = {name: fuzz(half, name == 'compressed', small) for name, half in (
                ('raw', messages - messages // 2), ('compressed', messages // 2))}
            result: dict[str, Any] = {'fuzz': columns, 'sent': messages, **{
                name: sum(column[name] for column in columns.values())
                for name in ('processed', 'dropped', 'malformed')}}
        else:
            result = stream(load)
            columns = {'shared memory' if load.shared_memory else 'default transport': result}
            if transport == 'both':
                other = _without_shared_memory(load)
                columns['default transport'] = other
                result = {**result, 'without_shared_memory': other}
    except (ReplayError, subprocess.CalledProcessError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(table(columns))
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps(result, indent=2) + '\n')
        click.echo(f'Figures: {json_path}')
