# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The demonstration: a bag replayed through the real node, recorded, and shown.

    bag -> DDS -> node (own process) -> DDS -> bag, contact sheet, summary
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from ubcn_ros import bags
from ubcn_ros.bags.errors import reason
from ubcn_ros.bags.headers import header_bytes
from ubcn_ros.bags.live.client import DERAINED, LABELS, SOURCE, Client
from ubcn_ros.bags.live.node_process import (
    NodeProcess,
    ReplayError,
    enter_private_domain,
    starting_ros,
)
from ubcn_ros.bags.live.replay_report import (
    Replayed,
    latencies_ms,
    problems,
    sent_hz,
    summary_text,
)
from ubcn_ros.bags.messages import decode_record
from ubcn_ros.images.contact_sheet import contact_sheet
from ubcn_ros.images.files import write_image
from ubcn_ros.images.overlay import overlay
from ubcn_ros.json_files import write_json
from ubcn_ros.node.topics import COMPRESSED
from ubcn_ros.runtime.installed import DEFAULT_MODEL
from ubcn_ros.text_table import counted

DRIVE_FRAMES, DRIVE_RATE_HZ, DRIVE_SEED = 60, 10.0, 1
DRIVE_HEIGHT, DRIVE_WIDTH = 360, 640
BAG_FRAMES = 150
REPLAY_SECONDS = 90.0
"""Longest replay: of a longer bag, and by a slow node of a drive, the rest is left out."""
INPUT, OUTPUTS, LOG = 'input', 'outputs', 'node.log'
"""In the output folder: the rendered bag, the recorded one, and what the node said."""
_FILES = 'sheet.png', 'summary.json'
_SHEET_ROWS = 5
_COLUMNS = ('Input', 'Derained', 'Labels', 'Overlay')
_START_SECONDS = 120.0


@dataclass(frozen=True)
class DemoOptions:
    """What to replay and how; None takes what suits the bag or the drive (see `ubcn demo -h`)."""

    bag: Path | None = None
    topic: str | None = None
    out: Path = Path('out/demo')
    model: str = DEFAULT_MODEL
    iterations: int = 3
    rate_hz: float | None = None
    frames: int | None = None
    rain_mm_h: float = 100.0
    device: str = 'auto'
    convergence: float = 0.0
    processing_size: int = -1
    min_confidence: float = 0.0


def run(options: DemoOptions) -> dict[str, Any]:
    """
    Run the demonstration and print its table.

    Sets the environment of DDS for this process, and must be the first in it to use rclpy. Leaves
    in `options.out`: sheet.png, summary.json, outputs/ (bag), node.log, and input/ (bag) where
    the drive was rendered.

    :return: the summary, as in summary.json.
    :raises ReplayError: rclpy is not installed, the node died, nothing arrived, or headers or
        counts do not fit; the text has the end of the node's log where the replay failed.
    :raises ModelFileError: the model cannot be read.
    :raises BagError: the bag cannot be read, or `options.out` cannot be written or holds other
        files.
    :raises ImageFileError: the contact sheet cannot be written.
    """
    from ubcn_ros.runtime import load_model
    with starting_ros():
        import rclpy  # noqa: F401
    started = time.monotonic()
    with ExitStack() as stack:
        network, info = load_model(options.model)
        source = options.bag and _open(options.bag, options, stack)
        try:
            prepare_folder(options.out, options.bag)
            enter_private_domain()
            source = source or _open(_render(options), options, stack)
            replayed = _replay(options, source, info.path)
            return _report(options, source, replayed, network.label_set, info, started)
        except OSError as error:
            where = f' ({error.filename})' if error.filename else ''
            raise bags.BagError(f'{options.out} cannot be written: {reason(error)}{where}; give '
                                'an --out that you may write to, with room on its disk'
                                ) from error


def prepare_folder(out: Path, bag: Path | None) -> None:
    """
    Make the output folder, or remove what an earlier run left in it.

    A folder is one of an earlier run where it has the log of the node, which every run begins
    with. A bag that an earlier run has rendered may be replayed, and stays.

    :param bag: what is to be replayed; None to render it.
    :raises BagError: something there is not of an earlier run, or is the bag to replay.
    """
    def holds_bag(path: Path) -> bool:
        return bag is not None and bag.resolve().is_relative_to(path.resolve())
    out.mkdir(parents=True, exist_ok=True)
    if holds_bag(out / OUTPUTS):
        raise bags.BagError(f'{bag} is where outputs would be written: give another --out')
    there = [path for name in (*_FILES, INPUT, OUTPUTS, LOG)
             if os.path.lexists(path := out / name) and not holds_bag(path)]
    if there and not (out / LOG).is_file():
        raise bags.BagError(f'{there[0]} was not left by an earlier demo, and would be replaced: '
                            'give another --out')
    for path in there:  # the log last: it says what the others are
        linked = path.is_symlink()  # to a folder on another disk: what that holds stays
        shutil.rmtree(path) if path.is_dir() and not linked else path.unlink()
    (out / LOG).touch()


def _render(options: DemoOptions) -> Path:
    from tqdm import tqdm

    from ubcn_ros.data.drive.drive import drive_clip
    count = options.frames or DRIVE_FRAMES
    click.echo(f'Rendering a drive of {count} images in rain of {options.rain_mm_h:g} mm/hr')
    clip = drive_clip(DRIVE_SEED, count, DRIVE_RATE_HZ, DRIVE_HEIGHT, DRIVE_WIDTH,
                      options.rain_mm_h)
    path = options.out / INPUT
    bags.create(tqdm(clip, total=count, disable=None), path, rate_hz=DRIVE_RATE_HZ)
    return path


class _Source(NamedTuple):
    """The bag that is replayed: open, its images, and the first of them."""

    reader: bags.BagReader
    connection: bags.Connection
    first: bytes
    image: np.ndarray


def _open(path: Path, options: DemoOptions, stack: ExitStack) -> _Source:
    """Open a bag; raise BagError where there is no image to replay."""
    reader = stack.enter_context(bags.open_bag(path))
    connection = bags.image_connection(reader, options.topic)
    return _Source(reader, connection, *_first_image(reader, connection))


def _replay(options: DemoOptions, source: _Source, model: Path) -> Replayed:
    result = Replayed()
    for note in source.reader.notes:
        click.echo(f'Warning: {note}', err=True)
    height, width = source.image.shape[:2]
    compressed = source.connection.msgtype == bags.COMPRESSED
    log = options.out / LOG
    click.echo(f'Starting the node (log: {log})')
    with bags.McapBagWriter(options.out / OUTPUTS) as recorder, NodeProcess(
            log, {'model': str(model), 'iterations': options.iterations,
                  'convergence': options.convergence,
                  'processing_size': options.processing_size,
                  'min_confidence': options.min_confidence, 'device': options.device,
                  'warm_up_height': height, 'warm_up_width': width,
                  'input_transport': 'compressed' if compressed else 'raw'},
            {'image': SOURCE, 'image/compressed': SOURCE + COMPRESSED}) as node, \
            Client(node, compressed, recorder) as client:
        client.wait_until_active(_START_SECONDS)
        seconds = client.probe(source.first)
        before = client.settled_counts()
        client.outputs.clear()
        client.recording = True
        send_bag(options, source.reader, source.connection, client, seconds, result)
        after = client.settled_counts()
        result.counts = {name: after[name] - before[name] for name in after}
        _wait_for_outputs(client, 2 * result.counts['processed'])
        result.outputs = list(client.outputs)
        result.camera, result.engine = client.status('camera'), client.status('engine')
        code = node.stop()
        if code:
            raise ReplayError(f'the node ended with exit code {code} when it was told to stop')
    return result


def _first_image(reader: Any, connection: Any) -> tuple[bytes, np.ndarray]:
    """Find the first message that is an image; return it serialized and decoded."""
    found = 0
    for record in reader.records(reader.channels_of(connection)):
        found += 1
        try:
            return record.data, decode_record(record)[1]
        except bags.MalformedMessage:
            continue
    raise bags.BagError('; '.join([f'none of {found} messages of {connection.topic} is an image',
                                   *reader.problems(connection, found)]))


def send_bag(options: DemoOptions, reader: Any, connection: Any, client: Client,
             seconds: float, result: Replayed) -> None:
    """
    Publish the bag's messages in their time, those of a drive as the node follows.

    :param seconds: what the node takes for one.
    """
    from tqdm import tqdm
    drive = options.bag is None
    count = min(connection.msgcount, options.frames or (DRIVE_FRAMES if drive else BAG_FRAMES))
    rate, follows = options.rate_hz, drive and options.rate_hz is None
    if follows:
        rate = DRIVE_RATE_HZ
    click.echo(f'Replaying {count} of {connection.msgcount} images of {connection.topic} at '
               + (f'{rate:.1f} Hz' if rate else "the bag's own rate")
               + (', or as the node follows' if follows else ''))
    start, first = time.monotonic(), None
    with tqdm(total=count, unit=' images', disable=None) as bar:
        found = 0
        for found, record in enumerate(reader.records(reader.channels_of(connection)), 1):
            first = record.time_ns if first is None else first
            due = (found - 1) / rate if rate else (record.time_ns - first) / 1e9
            if found > count:
                break
            if follows and result.sent:
                client.wait_for_answer(result.sent[-1][0], seconds)
                due = max(due, time.monotonic() - start)
            if due > REPLAY_SECONDS:
                click.echo(f'Stopping after {counted(found - 1, "image")}: the replay is limited '
                           f'to {REPLAY_SECONDS:g} s')
                break
            time.sleep(max(0.0, start + due - time.monotonic()))
            client.check()
            try:
                header = header_bytes(record.data)
            except ValueError as error:
                result.unread.append(f'message {found} of {connection.topic}: {error}')
                continue
            result.sent.append((header, client.publish(record.data)))
            bar.update()
        else:
            result.unread += reader.problems(connection, found)


def _wait_for_outputs(client: Client, count: int) -> None:
    """Give outputs that the node has published the time to arrive."""
    try:
        client.wait(lambda: len(client.outputs) >= count, 'the last outputs', 10.0)
    except ReplayError:
        client.check()  # what is missing is counted and judged later


def _report(options: DemoOptions, source: _Source, result: Replayed, label_set: Any, info: Any,
            started: float) -> dict[str, Any]:
    unfit = [*result.unread, *problems(result)]
    counts, latency = result.counts, latencies_ms(result.sent, result.outputs, DERAINED)
    p50, p95 = np.percentile(latency, (50, 95)) if latency else (float('nan'),) * 2
    used = result.camera.get('iterations used (mean)')
    summary = {
        'sent': len(result.sent),
        'processed': counts['processed'],
        'dropped': len(result.sent) - counts['processed'] - counts['malformed'],
        'malformed': counts['malformed'],
        'lost_in_transport': len(result.sent) - counts['received'],
        'latency_ms': {'p50': round(float(p50), 1), 'p95': round(float(p95), 1)}
        if latency else None,
        'rate_hz': None if (rate := sent_hz(result.sent)) is None else round(rate, 2),
        'iterations': options.iterations,
        'iterations_used': float(used) if used else None,
        'model': info.name,
        'model_sha256': info.sha256,
        'device': result.engine.get('device'),
        'precision': result.engine.get('precision'),
        'backend': result.engine.get('backend'),
        'bag': str(source.reader.path),
        'seconds': round(time.monotonic() - started, 1),
        'problems': unfit,
    }
    if latency:
        sheet = _sheet(options, source, label_set, summary)
        write_image(options.out / 'sheet.png', sheet)
    write_json(options.out / 'summary.json', summary)
    click.echo(summary_text(summary))
    if unfit:
        raise ReplayError('; '.join(unfit))
    click.echo(f"Contact sheet: {options.out / 'sheet.png'}\nSummary: "
               f"{options.out / 'summary.json'}\nOutputs (bag): {options.out / OUTPUTS}")
    return summary


def _sheet(options: DemoOptions, source: _Source, label_set: Any, summary: dict[str, Any]
           ) -> np.ndarray:
    """Draw rows of frames spread over the recording, inputs found by their stamps."""
    outputs = options.out / OUTPUTS
    with bags.open_bag(outputs) as reader:
        count = bags.image_connection(reader, DERAINED).msgcount
    rows = min(_SHEET_ROWS, count)
    wanted = {round((i + 0.5) * count / rows - 0.5) for i in range(rows)}
    derained = {image.stamp_ns: image.image
                for n, image in enumerate(bags.read_images(outputs, DERAINED)) if n in wanted}
    labels = {image.stamp_ns: image.image[..., 0]
              for image in bags.read_images(outputs, LABELS) if image.stamp_ns in derained}
    drawn, start = [], min(derained)
    for stamp, image in _inputs(source, derained.keys() & labels.keys()):
        caption = f't = {(stamp - start) / 1e9:.1f} s'
        drawn.append((caption, (image, derained[stamp], label_set.colorize(labels[stamp]),
                                overlay(derained[stamp], labels[stamp], label_set))))
    shown = 'rainy drive' if options.bag is None else options.bag.name
    title = f"{summary['model']}, {shown}"
    subtitle = (f"{counted(summary['iterations'], 'iteration')}; {summary['processed']} of "
                f"{summary['sent']} frames processed; from publishing to receipt "
                f"{summary['latency_ms']['p50']:.0f} ms (p50) on {summary['device']}, "
                f"{summary['precision']}")
    return contact_sheet(drawn, _COLUMNS, label_set, title, subtitle)


def _inputs(source: _Source, stamps: set[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the images of these stamps, each once; malformed messages are passed over."""
    left = set(stamps)
    for record in source.reader.records(source.reader.channels_of(source.connection)):
        try:
            message = bags.deserialize(record.data, record.channel.msgtype)
            stamp = bags.stamp_ns(message.header)
            if stamp in left:
                left.discard(stamp)
                yield stamp, bags.decode(message)
        except bags.MalformedMessage:
            continue
        if not left:
            return
