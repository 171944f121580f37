# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bag to bag: is all there, and how fast beside the bare engine."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ubcn_ros.bags import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    McapBagWriter,
    Record,
    make_compressed,
    make_header,
    make_image,
    open_bag,
)
from ubcn_ros.bags.headers import header_bytes
from ubcn_ros.bags.messages import TYPES
from ubcn_ros.bags.process import Options, join, plan, read_sidecar, run_job
from ubcn_ros.bags.storage.channels import ros_channel
from ubcn_ros.benchmark.engine import rainy_images

FRONT, REAR = '/front/image_raw', '/rear/image_raw/compressed'
_INFO, _TF, _IMU = '/front/camera_info', '/tf', '/imu'
_PERIOD_NS = 33_333_333  # of the front camera
_START_NS = 1_700_000_000_000_000_000
_IMU_PER_FRAME = 3
_REAR_EVERY = 10  # frames of the front camera
_RENDERED = 8  # frames of a drive; the others are shifted copies of them
_TURNS = 10  # of the bare engine and a piece of the bag
_DELAY_NS = 2_000_000  # from stamp to recording


@dataclass(frozen=True)
class BagLoad:
    """A drive, and the arguments of `ubcn bag process` that choose engine and steps."""

    frames: int
    size: tuple[int, int]  # width and height, pixels
    iterations: int
    engine: dict[str, Any]  # arguments of Engine.load


class ShiftedFrames:
    """Frames of a drive, as many as wanted, each another."""

    def __init__(self, width: int, height: int):
        self._images = rainy_images(height, width, _RENDERED)

    def __call__(self, number: int) -> np.ndarray:
        """Return a frame, (H, W, 3) uint8 RGB."""
        return np.roll(self._images[number % _RENDERED], 3 * (number // _RENDERED), axis=1)


def write_drive(folder: Path, frame_of: ShiftedFrames, frames: int) -> None:
    """Write a bag: a front camera with its info, a rear one in JPEG, tf and an IMU."""
    zeros = [np.zeros(n) for n in (5, 9, 9, 12)]
    types, channels = TYPES.types, {topic: ros_channel(topic, kind) for topic, kind in (
        (FRONT, IMAGE), (REAR, COMPRESSED), (_INFO, CAMERA_INFO),
        (_TF, 'tf2_msgs/msg/TFMessage'), (_IMU, 'sensor_msgs/msg/Imu'))}
    region = types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    with McapBagWriter(folder) as writer:
        def write(topic: str, message: Any, time_ns: int) -> None:
            channel = channels[topic]
            data = bytes(TYPES.serialize_cdr(message, channel.msgtype))
            writer.write(Record(channel, time_ns, time_ns - _DELAY_NS // 2, 0, data))

        for number in range(frames):
            stamp = _START_NS + number * _PERIOD_NS
            header, pixels, due = make_header(stamp, 'front'), frame_of(number), stamp + _DELAY_NS
            write(FRONT, make_image(header, pixels), due)
            write(_INFO, types[CAMERA_INFO](header, *pixels.shape[:2], 'plumb_bob', *zeros, 0, 0,
                                            region), due + 1)
            write(_TF, _transform(stamp), due + 2)
            if number % _REAR_EVERY == 0:
                data = cv2.imencode('.jpg', pixels[:, ::-1, ::-1])[1].tobytes()
                write(REAR, make_compressed(make_header(stamp, 'rear'), data), due + 3)
            for sample in range(_IMU_PER_FRAME):
                write(_IMU, _imu(stamp), due + 4 + sample * _PERIOD_NS // _IMU_PER_FRAME)


def measure(load: BagLoad, folder: Path, progress: Callable[[str], Any]) -> dict[str, Any]:
    """
    Process a drive in pieces, and time the bare engine on the same frames before each.

    In turn, so that what else the machine does meets both.

    :param folder: to write to.
    :return: figures.
    """
    from ubcn_ros.bags.process.run import load_engine
    options = Options(engine=tuple(load.engine.items()), iterations=load.iterations)
    engine = load_engine(options.engine)  # first, for its errors
    frame_of = ShiftedFrames(*load.size)
    source, out = folder / 'drive', folder / 'straight'
    progress(f'writing a drive of {load.frames} frames')
    write_drive(source, frame_of, load.frames)
    for number in range(3):  # do not count
        engine(frame_of(number), load.iterations)
    progress('processing it, and the bare engine, in turn')
    jobs = plan(source, out, options, max(2, min(_TURNS, load.frames // _TURNS)))
    took_s = bare_s = 0.0
    for turn, job in enumerate(jobs):
        first, end = (load.frames * place // len(jobs) for place in (turn, turn + 1))
        bare_s += _time_engine(engine, frame_of, range(first, end), load.iterations)
        begun = time.perf_counter()
        run_job(job, engine=engine)
        took_s += time.perf_counter() - begun
    result = join(jobs, out)
    rate, bare = result.tally.frames / took_s, load.frames / bare_s
    return {'frames': result.tally.frames, 'frames_per_s': round(rate, 3),
            'engine_frames_per_s': round(bare, 3), 'share': round(rate / bare, 4),
            'busy_s': result.tally.timings()['busy_s'], 'took_s': round(took_s, 3),
            **compare_with_input(source, out)}


def compare_with_input(source: Path, out: Path) -> dict[str, Any]:
    """Count outputs whose header and times are their image's, and copies that are as they were."""
    document = read_sidecar(out)
    made = {topic: camera['topic'] for camera in document['cameras']
            for topic in (camera['derained'], camera['labels'], camera['camera_info']) if topic}
    made |= dict.fromkeys((camera['label_info'] for camera in document['cameras']), '')
    outputs: dict[str, list[tuple[bytes, int, int]]] = {}
    inputs: dict[str, list[tuple[bytes, int, int]]] = {c['topic']: [] for c in document['cameras']}
    equal = others = 0
    with open_bag(source) as reader, open_bag(out) as processed:
        sent = reader.records()
        for record in processed.records():
            topic = record.channel.topic
            if topic in made:
                outputs.setdefault(topic, []).append(_identity(record))
                continue
            others += 1
            original = next(sent, None)
            equal += record == original
            if topic in inputs:
                inputs[topic].append(_identity(record))
        others += sum(1 for _ in sent)  # that got lost
    pairs = [ours == theirs for topic, camera in made.items() if camera
             for ours, theirs in itertools.zip_longest(
                 outputs.get(topic, ()), inputs[camera], fillvalue=(b'', 0, 0))]
    return {'stamps_compared': len(pairs), 'stamps_equal': sum(pairs),
            'copied': others, 'copied_identical': equal}


def _time_engine(engine: Any, frame_of: ShiftedFrames, numbers: range, iterations: int) -> float:
    """Return the seconds that the engine alone takes for some frames."""
    taken = 0.0
    for number in numbers:
        pixels = frame_of(number)
        begun = time.perf_counter()
        engine(pixels, iterations)
        taken += time.perf_counter() - begun
    return taken


def _identity(record: Record) -> tuple[bytes, int, int]:
    return header_bytes(record.data), record.time_ns, record.publish_ns


def _transform(stamp: int) -> Any:
    types = TYPES.types
    transform = types['geometry_msgs/msg/Transform'](
        types['geometry_msgs/msg/Vector3'](stamp / 1e9 % 100, 0.0, 0.0),
        types['geometry_msgs/msg/Quaternion'](0.0, 0.0, 0.0, 1.0))
    return types['tf2_msgs/msg/TFMessage']([types['geometry_msgs/msg/TransformStamped'](
        make_header(stamp, 'map'), 'base_link', transform)])


def _imu(stamp: int) -> Any:
    types = TYPES.types
    vector = types['geometry_msgs/msg/Vector3'](0.1, stamp / 1e9 % 7, 9.81)
    return types['sensor_msgs/msg/Imu'](
        make_header(stamp, 'imu'), types['geometry_msgs/msg/Quaternion'](0.0, 0.0, 0.0, 1.0),
        np.zeros(9), vector, np.zeros(9), vector, np.zeros(9))
