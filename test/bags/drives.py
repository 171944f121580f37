# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags of several sensors, an engine that inverts, and what `bag process` made, for tests."""

from types import SimpleNamespace

import cv2
import numpy as np
from mcap.writer import Writer
from random_images import noise

from ubcn_ros.bags import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    Record,
    make_compressed,
    make_header,
    make_image,
    open_bag,
)
from ubcn_ros.bags.messages import TYPES
from ubcn_ros.bags.process import Options, plan, run_job
from ubcn_ros.bags.storage.channels import ros_channel
from ubcn_ros.data.formats.camvid import CAMVID

IMU = 'sensor_msgs/msg/Imu'
MS = 1_000_000


def picture(number=0):
    return noise(number, 32, 40)


def message(topic, msgtype, value, time_ms, publish_ns=None, sequence=0):
    """A record of a topic; ``value``: a message, or its bytes."""
    data = value if isinstance(value, bytes) else bytes(TYPES.serialize_cdr(value, msgtype))
    return Record(ros_channel(topic, msgtype), time_ms * MS,
                  time_ms * MS - 5 if publish_ns is None else publish_ns, sequence, data)


def image(topic, number, time_ms, stamp_ms=None, frame='front', encoding='rgb8', pixels=None):
    """A raw image of picture `number`, stamped 1 ms before it is recorded unless told."""
    pixels = picture(number) if pixels is None else pixels
    stamp = time_ms - 1 if stamp_ms is None else stamp_ms
    return message(topic, IMAGE, make_image(make_header(stamp * MS, frame), pixels, encoding),
                   time_ms, sequence=number)


def jpeg(topic, number, time_ms, stamp_ms=None, frame='rear'):
    data = cv2.imencode('.jpg', picture(number))[1].tobytes()
    stamp = time_ms - 1 if stamp_ms is None else stamp_ms
    return message(topic, COMPRESSED, make_compressed(make_header(stamp * MS, frame), data),
                   time_ms)


def camera_info(topic, stamp_ms, time_ms, frame='front', width=40, focal=0.0):
    zeros = [np.zeros(n) for n in (5, 9, 9, 12)]
    zeros[1][[0, 4]] = focal
    region = TYPES.types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    value = TYPES.types[CAMERA_INFO](make_header(stamp_ms * MS, frame), 32, width, 'plumb_bob',
                                     *zeros, 0, 0, region)
    return message(topic, CAMERA_INFO, value, time_ms)


def imu(number, time_ms):
    """Bytes that are copied, whatever they are."""
    return message('/imu', IMU, b'\0\1\0\0' + bytes([number % 256]) * 40, time_ms)


def drive(frames=6, start_ms=1000):
    """Records of a front camera with its info, a rear one in JPEG, and an IMU, in time order."""
    records = []
    for number in range(frames):
        time = start_ms + 100 * number
        records += [imu(number, time), image('/front/image_raw', number, time + 10),
                    camera_info('/front/camera_info', time + 9, time + 11),
                    imu(number, time + 20),
                    jpeg('/rear/image/compressed', 100 + number, time + 30)]
    return records


def late_images(frames=12, delay_ms=150):
    """Images recorded so much later than their CameraInfos, each with its number in its width."""
    records = []
    for number in range(frames):
        stamp = 1000 + 100 * number
        records += [camera_info('/camera_info', stamp, stamp + 1, width=40 + number),
                    image('/image_raw', number, stamp + 1 + delay_ms, stamp)]
    return sorted(records, key=lambda record: record.time_ns)


def latched_drive(frames=12):
    """A drive with what latched topics said before, between and after the images."""
    tf, other = (ros_channel(topic, 'tf2_msgs/msg/TFMessage', depth=1, latched=True)
                 for topic in ('/tf_static', '/other'))
    records = [Record(tf if number < 3 else other, (990 + number) * MS, 5, number, b'%d' % number)
               for number in range(15)]
    return [*records, *drive(frames), Record(tf, 9000 * MS, 5, 0, b'late')]


def write_bag(path, records, attachment=None, metadata=None, channels=(), **options):
    """Write records to an mcap file in the order given, by the official library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('wb') as file:
        writer = Writer(file, chunk_size=20_000, **options)
        writer.start('ros2', 'test')
        ids, schemas = {}, {}
        for channel in [*channels, *(record.channel for record in records)]:
            if channel in ids:
                continue
            schema = channel.schema_name, channel.schema_encoding, channel.definition
            if schema not in schemas:
                schemas[schema] = writer.register_schema(*schema)
            ids[channel] = writer.register_channel(channel.topic, channel.encoding,
                                                   schemas[schema], dict(channel.metadata))
        if attachment:
            writer.add_attachment(1, 2, 'note.txt', 'text/plain', attachment)
        if metadata:
            writer.add_metadata('drive', metadata)
        for record in records:
            writer.add_message(ids[record.channel], record.time_ns, record.data,
                               record.publish_ns, record.sequence)
        writer.finish()
    return path


class Engine:
    """Inverts; labels by the first pixel; has the attributes of an Engine that count."""

    label_set, min_confidence = CAMVID, 0.25
    info = SimpleNamespace(name='inverse', sha256='0' * 64, trained_short_side=96,
                           trained_focal_length=0.5)
    device = SimpleNamespace(type='cpu')
    precision, backend = 'fp32', 'eager'

    def __init__(self, on_frame=None):
        self.seen, self.sizes, self.on_frame, self.released = 0, {}, on_frame, 0

    def __call__(self, pixels, iterations, confidence=False, processing_size=-1):
        self.seen += 1
        self.sizes[pixels.shape[:2]] = processing_size
        if self.on_frame is not None:
            self.on_frame(self.seen)
        labels = np.full(pixels.shape[:2], pixels[0, 0, 0] % 11, np.uint8)
        return SimpleNamespace(
            derained=255 - pixels, labels=labels, confidence=labels + 1 if confidence else None,
            iterations=iterations, working_size=labels.shape, timings={'total': 1.0})

    def release_all(self):
        self.released += 1


def processed(source, out, options=None, engine=None, **run):
    """Process a bag; return the result."""
    (job,) = plan(source, out, options or Options())
    return run_job(job, engine=engine or Engine(), **run)


def stored(bag, *topics):
    """All that is stored of a bag, or of some topics, in its order."""
    with open_bag(bag) as reader:
        channels = [c for c in reader.channels if not topics or c.topic in topics]
        assert not reader.damage
        return list(reader.records(channels))


def decoded(record):
    return TYPES.deserialize_cdr(record.data, record.channel.msgtype)
