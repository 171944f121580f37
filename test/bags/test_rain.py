# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rain on the cameras of a bag: what has it, what has not, and what stays byte for byte."""

import os
import signal

import cv2
import numpy as np
import pytest
from bag_files import SECOND, Topic, file_limit, write_rosbag2, write_topics
from command_line import ubcn

from ubcn_ros.bags import BagError, decode, make_header, make_image, open_bag
from ubcn_ros.bags.messages import COMPRESSED, IMAGE, TYPES, make_compressed, stamp_ns
from ubcn_ros.bags.rain import rain_bag
from ubcn_ros.bags.storage import mcap_writer
from ubcn_ros.data.rain_sequence import RainSequence

START, STEP, COUNT = 100.0, 0.1, 6
FRONT, LEFT = '/front/image_raw', '/left/image_raw'


def picture(number):
    image = np.full((48, 64, 3), (30, 60, 40), np.uint8)
    image[:16, :] = 210
    image[20:40, 10 * number:10 * number + 10] = 160
    return image


def header(number, shift_s=0.0):
    return make_header(round((START + shift_s + number * STEP) * SECOND), 'camera')


def raw(number, encoding='bgr8', pixels=None, shift_s=0.0):
    pixels = picture(number) if pixels is None else pixels
    message = make_image(header(number, shift_s), pixels, encoding)
    return bytes(TYPES.serialize_cdr(message, IMAGE))


def compressed(number):
    data = cv2.imencode('.jpg', picture(number)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1]
    return bytes(TYPES.serialize_cdr(make_compressed(header(number), data.tobytes()), COMPRESSED))


def topic(name, make, kind=IMAGE, late=0.01, **options):
    return Topic(name, kind, [(START + number * STEP + late, make(number))
                              for number in range(COUNT)], **options)


def depth(number):
    message = make_image(header(number), np.full((48, 128), number, np.uint8), 'mono8')
    message.encoding, message.width = '16UC1', 64
    return bytes(TYPES.serialize_cdr(message, IMAGE))


def drive(path, **changes):
    """Write a bag of two cameras, one in two transports, and of what is none."""
    topics = {
        FRONT: topic(FRONT, raw, qos='- history: 1\n'),
        FRONT + '/compressed': topic(FRONT + '/compressed', compressed, COMPRESSED, 0.02),
        LEFT: topic(LEFT, lambda n: raw(n, 'mono8', picture(n)[..., 0]), late=0.015),
        '/front/depth': topic('/front/depth', depth),
        '/front/labels/image_raw': topic('/front/labels/image_raw',
                                         lambda n: raw(n, 'mono8', picture(n)[..., 0] % 11)),
        '/imu': topic('/imu', lambda n: bytes([0, 1, 0, 0, n] * 9), 'some_msgs/msg/Imu', 0),
        **changes}
    return write_topics(path, [value for value in topics.values() if value])


def rainy(source, out, rate=150.0, seed=4, **options):
    return rain_bag(source, out, lambda camera, duration_s: RainSequence(
        rate, seed, duration_s, camera=camera), **options)


def records(bag):
    with open_bag(bag) as reader:
        return [record._replace(data=bytes(record.data)) for record in reader.records()]


def message_of(record):
    return TYPES.deserialize_cdr(record.data, record.channel.msgtype)


def of_topic(bag, name):
    return [record for record in records(bag) if record.channel.topic == name]


def test_cameras_have_rain_and_all_else_is_as_it_was(tmp_path):
    dry = drive(tmp_path / 'dry.mcap')
    done = rainy(dry, tmp_path / 'out')
    cameras = {FRONT, FRONT + '/compressed', LEFT}
    assert done.images == dict.fromkeys(cameras, COUNT) and not done.errors
    assert {other.topic for other in done.skipped} == {'/front/depth', '/front/labels/image_raw'}
    before, after = records(dry), records(tmp_path / 'out')
    assert len(before) == len(after) == 6 * COUNT
    for old, new in zip(before, after, strict=True):
        assert old._replace(data=b'', channel=None) == new._replace(data=b'', channel=None)
        assert old.channel.topic == new.channel.topic
        assert old.channel.msgtype == new.channel.msgtype
        assert old.channel.metadata == new.channel.metadata
        if old.channel.topic not in cameras:
            assert old.data == new.data
            continue
        was, now = message_of(old), message_of(new)
        assert now.header == was.header
        for name in ('encoding', 'format', 'height', 'width', 'step', 'is_bigendian'):
            assert getattr(now, name, None) == getattr(was, name, None)
        change = np.abs(decode(now).astype(int) - decode(was))
        assert change.mean() > 4


def test_a_frames_rain_is_that_of_its_stamp_and_camera(tmp_path):
    dry = drive(tmp_path / 'dry.mcap')
    rainy(dry, tmp_path / 'out')
    for name in (FRONT, LEFT):
        rain = RainSequence(150.0, 4, camera=name)
        for number, record in enumerate(of_topic(tmp_path / 'out', name)):
            image = decode(message_of(record))
            expected = rain(picture(number) if name == FRONT else np.repeat(
                picture(number)[..., :1], 3, 2), number * STEP)
            assert np.abs(image.astype(int) - expected).max() <= (name == LEFT)


def test_transports_of_one_camera_have_the_same_rain(tmp_path):
    rainy(drive(tmp_path / 'dry.mcap'), tmp_path / 'out')
    pairs = zip(*(of_topic(tmp_path / 'out', name) for name in (FRONT, FRONT + '/compressed')),
                strict=True)
    for pair in pairs:
        first, second = (decode(message_of(record)).astype(int) for record in pair)
        assert np.abs(first - second).mean() < 3


def test_threads_do_not_matter(tmp_path, monkeypatch):
    dry = drive(tmp_path / 'dry.mcap')
    found = []
    for threads in (1, 5):
        monkeypatch.setattr(os, 'cpu_count', lambda threads=threads: threads)
        rainy(dry, tmp_path / str(threads))
        found.append(records(tmp_path / str(threads)))
    assert found[0] == found[1]


def test_without_rain_the_bytes_stay(tmp_path):
    dry = drive(tmp_path / 'dry.mcap')
    rainy(dry, tmp_path / 'out', rate=0.0)
    for old, new in zip(records(dry), records(tmp_path / 'out'), strict=True):
        assert (old.channel.topic, old.data) == (new.channel.topic, new.data)


def test_chosen_cameras_alone(tmp_path):
    dry = drive(tmp_path / 'dry.mcap')
    done = rainy(dry, tmp_path / 'out', cameras=['left/image_raw'])
    assert done.images == {LEFT: COUNT}
    changed = {old.channel.topic for old, new in zip(records(dry), records(tmp_path / 'out'),
                                                     strict=True) if old.data != new.data}
    assert changed == {LEFT}


def test_stamps_of_another_clock_give_way_to_the_recording(tmp_path):
    dry = drive(tmp_path / 'dry.mcap', **{FRONT: topic(
        FRONT, lambda n: raw(n, shift_s=1.7e9), late=0.05)})
    rainy(dry, tmp_path / 'out')
    rain = RainSequence(150.0, 4, camera=FRONT)
    for number, record in enumerate(of_topic(tmp_path / 'out', FRONT)):
        message = message_of(record)
        assert stamp_ns(message.header) == pytest.approx((1.7e9 + START) * SECOND, abs=SECOND)
        expected = rain(picture(number), number * STEP + 0.05)
        assert np.array_equal(decode(message), expected)


def test_a_ramp_goes_over_the_whole_bag(tmp_path):
    spans = []

    def note(camera, duration_s):
        spans.append((camera, round(duration_s, 3)))
        return lambda image, time_s: image

    rain_bag(drive(tmp_path / 'dry.mcap'), tmp_path / 'out', note)
    assert spans == [(FRONT, 0.52), (LEFT, 0.52)]


def test_malformed_images_are_copied_and_told(tmp_path):
    broken = topic(LEFT, lambda n: raw(n, 'mono8', picture(n)[..., 0])[:-n * 7 or None])
    dry = drive(tmp_path / 'dry.mcap', **{LEFT: broken})
    done = ubcn('rain', dry, tmp_path / 'out', '--rate', 50)
    assert done.exit_code == 1, done.output
    errors = [line for line in done.output.splitlines() if line.startswith('Error: ')]
    assert len(errors) == COUNT - 1
    assert all(line.startswith(f'Error: {LEFT}, recorded at 100.') and
               line.endswith('; copied as it is') for line in errors)
    assert f'1 of {LEFT}' in done.output.splitlines()[-1]
    assert [record.data for record in of_topic(tmp_path / 'out', LEFT)[1:]] == [
        data for _, data in broken.messages[1:]]


def test_a_camera_of_which_nothing_can_be_read_is_copied_and_told(tmp_path):
    broken = topic(LEFT, lambda n: raw(n, 'mono8', picture(n)[..., 0])[:-100])
    dry = drive(tmp_path / 'dry.mcap', **{LEFT: broken})
    done = ubcn('rain', dry, tmp_path / 'out', '--rate', 50)
    assert done.exit_code == 1 and done.output.count(f'Error: {LEFT} was copied: ') == 1
    assert [record.data for record in of_topic(tmp_path / 'out', LEFT)] == [
        data for _, data in broken.messages]


def test_the_command_says_what_was_done(tmp_path):
    (tmp_path / 'dry').mkdir()
    drive(tmp_path / 'dry' / 'dry_0.mcap')
    done = ubcn('rain', tmp_path / 'dry', tmp_path / 'out', '--rate', '10:100', '--topic', FRONT)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == (
        f'rain rendered on images: 6 of {FRONT}, 6 of {FRONT}/compressed; written to '
        f'{tmp_path}/out')
    again = ubcn('rain', tmp_path / 'dry', tmp_path / 'out')
    assert again.exit_code == 1 and 'exists already' in again.output


def test_a_signal_leaves_a_whole_bag(tmp_path, monkeypatch):
    sent = []  # once: images are rendered by several threads

    def stopped(self, image, time_s, render=RainSequence.__call__):
        if time_s > 0.25 and not sent:
            sent.append(os.kill(os.getpid(), signal.SIGTERM))
        return render(self, image, time_s)

    monkeypatch.setattr(RainSequence, '__call__', stopped)
    done = ubcn('rain', drive(tmp_path / 'dry.mcap'), tmp_path / 'out')
    assert done.exit_code == 128 + signal.SIGTERM, done.output
    dry, written = records(tmp_path / 'dry.mcap'), records(tmp_path / 'out')
    assert [record.time_ns for record in written] == [r.time_ns for r in dry[:len(written)]]
    assert (tmp_path / 'out' / 'metadata.yaml').exists()


@pytest.mark.parametrize('flush_s, left', [(0, True), (1000, False)])
def test_a_full_disk_leaves_a_bag_only_where_messages_of_it_can_be_read(
        tmp_path, monkeypatch, flush_s, left):
    monkeypatch.setattr(mcap_writer, '_FLUSH_S', flush_s)
    source = drive(tmp_path / 'dry.mcap')
    with file_limit(30_000), pytest.raises(BagError, match='give a path on another'):
        rainy(source, tmp_path / 'out')
    assert (tmp_path / 'out').exists() == left
    if left:
        with open_bag(tmp_path / 'out') as reader:
            assert next(reader.records())


def test_a_bag_without_cameras_is_an_error_that_says_why(tmp_path):
    dry = drive(tmp_path / 'dry.mcap', **dict.fromkeys(
        (FRONT, FRONT + '/compressed', LEFT)))
    with pytest.raises(BagError, match='no camera.*/front/depth .*: depth.*--topic'):
        rainy(dry, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_message_of_a_negative_time_is_told_before_anything_is_written(tmp_path):
    source = write_rosbag2(tmp_path / 'in', [
        (name, IMAGE, time, raw(0)) for name, time in (('/text', -5), (FRONT, 1), (LEFT, 2))])
    with pytest.raises(BagError, match='message of /text was recorded at -5 ns, which mcap'):
        rain_bag(source, tmp_path / 'out', lambda camera, duration: lambda image, time: image)
    assert not (tmp_path / 'out').exists()


def test_a_damaged_bag_is_read_as_far_as_it_is_whole(tmp_path):
    dry = drive(tmp_path / 'dry.mcap')
    data = dry.read_bytes()
    dry.write_bytes(data[:len(data) // 2])
    done = rainy(dry, tmp_path / 'out')
    assert done.errors and 0 < len(records(tmp_path / 'out')) < 6 * COUNT


def test_a_bag_is_not_written_into_itself(tmp_path):
    (tmp_path / 'dry').mkdir()
    drive(tmp_path / 'dry' / 'dry_0.mcap')
    for out in (tmp_path / 'dry', tmp_path / 'dry' / 'rainy'):
        with pytest.raises(BagError, match='into itself|exists already'):
            rainy(tmp_path / 'dry', out)


def test_an_option_of_bags_is_refused_elsewhere(tmp_path):
    (tmp_path / 'in').mkdir()
    done = ubcn('rain', tmp_path / 'in', tmp_path / 'out', '--topic', '/front')
    assert done.exit_code == 2 and 'is not a bag: leave out --topic' in done.output


@pytest.mark.parametrize('name', ['out.mp4', 'out.avi', 'out.png'])
def test_a_bag_is_not_written_to_what_is_named_as_something_else(tmp_path, name):
    done = ubcn('rain', drive(tmp_path / 'dry.mcap'), tmp_path / name)
    assert done.exit_code == 2 and 'give the name of a folder' in done.output
    assert not (tmp_path / name).exists()
