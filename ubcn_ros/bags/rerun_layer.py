# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Write what a bag was processed to as a Rerun recording (the extra `rerun`).

Entities are named as the topics, and times as Rerun names those of an mcap file: with the original
converted by `rerun mcap convert` under the same application and recording id, it is one recording
of all.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ubcn_ros.bags.errors import BagError, MalformedMessage, reason
from ubcn_ros.bags.messages import COMPRESSED, IMAGE, decode, deserialize, stamp_ns
from ubcn_ros.bags.process.sidecar import read_sidecar
from ubcn_ros.bags.storage.reader import open_bag
from ubcn_ros.bags.storage.records import Record
from ubcn_ros.labels import UNLABELED, LabelSet

APPLICATION = 'ubcn'
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]
_STAMPS = range(631_152_000 * 10**9, 4_102_444_800 * 10**9)  # 1990 to 2100, as of Rerun's importer


def recording_id(bag: Path | str) -> str:
    """Return the id of the recording that an original bag's frames belong to."""
    path = Path(os.path.abspath(bag))  # of '.', too, which has no name of its own
    return path.stem if path.is_file() else path.name


def write_layer(bag: Path | str, file: Path | str) -> int:
    """
    Write the derained images, labels and confidence of a processed bag to an .rrd file.

    Derained images are JPEGs, labels have the names and colours of their classes.

    :param bag: folder that `bag process` wrote.
    :param file: is replaced.
    :return: the number of messages.
    :raises BagError: the bag cannot be read, or was not made by `bag process`, or the file cannot
        be written.
    :raises ModuleNotFoundError: rerun-sdk is not installed.
    """
    import rerun
    sidecar = read_sidecar(Path(bag))
    if sidecar is None:
        raise BagError(f'{bag} has no process.json of ubcn bag process: give a bag that it wrote')
    cameras, labels = sidecar['cameras'], LabelSet.from_dict(sidecar['model']['label_set'])
    kinds = {camera[kind]: kind for camera in cameras
             for kind in ('derained', 'labels', 'confidence') if camera.get(kind)}
    count = 0
    with open_bag(bag) as reader, _recording(file, recording_id(sidecar['input']['path']),
                                             cameras) as recording:
        for topic, kind in kinds.items():
            if kind == 'labels':
                recording.log(topic, _classes(rerun, labels), static=True)
        channels = [channel for channel in reader.channels if channel.topic in kinds
                    and channel.msgtype in (IMAGE, COMPRESSED)]
        for count, record in enumerate(reader.records(channels), 1):
            try:
                message = deserialize(record.data, record.channel.msgtype)
                content = _content(rerun, kinds[record.channel.topic], message)
            except MalformedMessage as error:
                raise MalformedMessage(f'{bag}, message {count}: {error}') from error
            _set_times(recording, record, stamp_ns(message.header))
            recording.log(record.channel.topic, content)
    return count


@contextmanager
def _recording(file: Path | str, name: str, cameras: list[dict[str, Any]]) -> Iterator[Any]:
    import rerun
    recording = rerun.RecordingStream(APPLICATION, recording_id=name, send_properties=False)
    recording.set_log_time_enabled(False)
    recording.set_log_tick_enabled(False)
    try:
        with _pipe(file) as pipe:
            recording.save(pipe, default_blueprint=_blueprint(cameras))
            try:
                yield recording
            finally:
                recording.flush()
                recording.disconnect()
    except OSError as error:
        with suppress(OSError):
            Path(file).unlink()
        raise BagError(f'{file} cannot be written: {reason(error)}; make room, or choose another '
                       'place') from error


@contextmanager
def _pipe(file: Path | str) -> Iterator[str]:
    """
    Yield the path of a pipe into a file: Rerun waits for ever where it meets a full disk itself.

    :raises OSError: the file cannot be written; on leaving, if not at once.
    """
    failures = []

    def copy() -> None:
        with open(reading, 'rb') as source:
            try:
                shutil.copyfileobj(source, target)
            except OSError as error:
                failures.append(error)
                while source.read(2 ** 20):
                    pass

    with open(file, 'wb') as target:
        reading, writing = os.pipe()
        thread = threading.Thread(target=copy)
        thread.start()
        try:
            yield f'/dev/fd/{writing}'
        finally:
            os.close(writing)
            thread.join()
    if failures:
        raise failures[0]


def _blueprint(cameras: list[dict[str, Any]]) -> Any:
    """Show input, derained image and labels over the input, a tab for each camera."""
    import rerun.blueprint as rrb
    tabs = []
    for camera in cameras:
        views = [('Input', [camera['topic']]), ('Derained', [camera['derained']]),
                 ('Labels', [camera['topic'], camera['labels']])]
        tabs.append(rrb.Horizontal(*(rrb.Spatial2DView(origin='/', contents=contents, name=name)
                                     for name, contents in views), name=camera['topic']))
    return rrb.Blueprint(rrb.Tabs(*tabs), collapse_panels=True)


def _classes(rerun: Any, labels: LabelSet) -> Any:
    return rerun.AnnotationContext([
        *(rerun.AnnotationInfo(id=number, label=name, color=color)
          for number, (name, color) in enumerate(zip(labels.classes, labels.colors, strict=True))),
        rerun.AnnotationInfo(id=UNLABELED, label='unlabeled', color=(0, 0, 0, 0))])


def _content(rerun: Any, kind: str, message: Any) -> Any:
    if kind == 'derained':
        if hasattr(message, 'format') and 'jp' in message.format:
            return rerun.EncodedImage(contents=bytes(message.data), media_type='image/jpeg')
        data = cv2.imencode('.jpg', decode(message)[..., ::-1], _JPEG)[1]
        return rerun.EncodedImage(contents=data.tobytes(), media_type='image/jpeg')
    values = np.ascontiguousarray(decode(message)[..., 0])
    return rerun.SegmentationImage(values, opacity=0.5) if kind == 'labels' \
        else rerun.Image(values, 'L')


def _set_times(recording: Any, record: Record, stamp: int) -> None:
    for timeline, time in (('message_log_time', record.time_ns),
                           ('message_publish_time', record.publish_ns)):
        if time < 2**63:  # Rerun's times are int64
            recording.set_time(timeline, timestamp=np.datetime64(time, 'ns'))
    if stamp in _STAMPS:
        recording.set_time('ros2_timestamp', timestamp=np.datetime64(stamp, 'ns'))
    else:
        recording.set_time('ros2_duration', duration=np.timedelta64(stamp, 'ns'))
