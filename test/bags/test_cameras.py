# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which topics are cameras, and what is said of the others."""

from contextlib import contextmanager

import numpy as np
import pytest
from drives import camera_info, decoded, image, imu, jpeg, message, write_bag

from ubcn_ros.bags import BagError, Channel, Record, make_compressed, make_header, open_bag
from ubcn_ros.bags.cameras import find_cameras
from ubcn_ros.bags.messages import COMPRESSED, IMAGE


def found(tmp_path, records, chosen=(), topics=None):
    with open_bag(write_bag(tmp_path / 'x.mcap', records)) as reader:
        cameras, skipped = find_cameras(reader, chosen, topics)
    return cameras, {item.topic: item.reason for item in skipped}


def with_encoding(record, encoding):
    """An image that says that it is of another encoding, of as many letters as rgb8 has."""
    return record._replace(data=record.data.replace(b'rgb8', encoding.encode()))


def raw(topic, encoding, width, number=0):
    """An image of any encoding whose rows have so many bytes."""
    record = image(topic, number, 1000 + number, encoding='mono8',
                   pixels=np.zeros((32, width), np.uint8))
    value = decoded(record)
    value.encoding, value.width = encoding, 32
    return message(topic, record.channel.msgtype, value, 1000 + number)


def test_raw_comes_before_compressed_of_the_same_base(tmp_path):
    cameras, skipped = found(tmp_path, [
        jpeg('/front/image/compressed', 1, 1000), image('/front/image', 1, 1001),
        jpeg('/rear/image/compressed', 1, 1002), jpeg('/side/image', 1, 1003)])
    assert [(c.topic, c.twin) for c in cameras] == [
        ('/front/image', '/front/image/compressed'), ('/rear/image/compressed', None),
        ('/side/image', None)]
    assert skipped == {'/front/image/compressed':
                       'the other transport of /front/image, which is processed'}


@pytest.mark.parametrize('chosen, twins', [
    (('/front/image',), ['/front/image/compressed']),
    (('/front/image/compressed', '/rear/image/compressed'), ['/front/image', None]),
    (('/front/image', '/front/image/compressed'), [None, None])])
def test_the_other_transport_of_a_chosen_camera_is_its_twin(tmp_path, chosen, twins):
    cameras, _ = found(tmp_path, [
        jpeg('/front/image/compressed', 1, 1000), image('/front/image', 1, 1001),
        jpeg('/rear/image/compressed', 1, 1002), raw('/rear/image', '16UC1', 64, 3)], chosen)
    assert [camera.twin for camera in cameras] == twins


@pytest.mark.parametrize('chosen', [(), ('/front/image',)])
def test_of_a_topic_of_two_types_one_that_can_be_read_is_taken(tmp_path, chosen):
    both = [image('/front/image', 1, 1000), jpeg('/front/image', 1, 1001)]
    cameras, skipped = found(tmp_path, both, chosen)
    assert [(c.topic, c.type) for c in cameras] == [('/front/image', IMAGE)]
    assert skipped == {
        '/front/image': f'of this topic the images of type {IMAGE} are processed'}
    broken = both[0]._replace(data=both[0].data[:40])
    (camera,), skipped = found(tmp_path, [broken, both[1]], chosen)
    assert camera.type == COMPRESSED and {*skipped} == {'/front/image'}


@pytest.mark.parametrize('broken, whole', [(25, 35), (60, 5), (200, 20)])
def test_a_camera_that_starts_with_broken_images_is_one(tmp_path, broken, whole):
    records = [image('/front/image', n, 1000 + n) for n in range(broken + whole)]
    for n in range(broken):
        records[n] = records[n]._replace(data=records[n].data[:-100])
    assert [camera.topic for camera in found(tmp_path, records)[0]] == ['/front/image']
    assert [camera.topic for camera in found(tmp_path, records, ['/front/image'])[0]] == [
        '/front/image']


def test_a_single_whole_image_makes_a_camera(tmp_path):
    """Wherever it is among broken ones."""
    records = [image('/front/image', n, 1000 + n) for n in range(900)]
    broken = [record._replace(data=record.data[:-100]) for record in records]
    for place in (21, 444, 899):
        cameras, _ = found(tmp_path, [*broken[:place], records[place], *broken[place + 1:]])
        assert [camera.topic for camera in cameras] == ['/front/image']
    cameras, skipped = found(tmp_path, broken)
    assert cameras == [] and 'it is not a sensor_msgs/msg/Image' in skipped['/front/image']


def test_a_chosen_topic_is_looked_at_whole(tmp_path):
    """Also where it begins with images of an encoding that is not read."""
    records = [raw('/some', '8UC2', 64, n) for n in range(25)] + [image('/some', 25, 1025)]
    assert found(tmp_path, records)[0] == []
    assert [camera.topic for camera in found(tmp_path, records, ['/some'])[0]] == ['/some']


@contextmanager
def counting(source, monkeypatch):
    """Open a bag; also yield the list of what is read of it."""
    with open_bag(source) as reader:
        read, records = [], reader.records
        monkeypatch.setattr(reader, 'records', lambda *arguments, **options: (
            read.append(record) or record for record in records(*arguments, **options)))
        yield reader, read


def compressed_depth(number):
    """What image_transport's compressedDepth writes: a PNG behind its parameters."""
    depth = make_compressed(make_header(number, ''), bytes(12) + b'\x89PNG',
                            '16UC1; compressedDepth')
    return message('/depth/compressedDepth', COMPRESSED, depth, 1000 + number)


@pytest.mark.parametrize('make', [lambda number: raw('/some', '8UC2', 64, number),
                                  compressed_depth])
def test_a_topic_of_what_is_not_read_is_not_read_whole(tmp_path, monkeypatch, make):
    source = write_bag(tmp_path / 'x.mcap', [make(number) for number in range(900)])
    with counting(source, monkeypatch) as (reader, read):
        assert find_cameras(reader)[0] == [] and 20 <= len(read) < 40


def test_a_topic_that_is_left_out_is_said_to_be(tmp_path):
    records = [image('/front/image', 1, 1000), imu(1, 1001)]
    with pytest.raises(BagError, match="'/front/image' is left out by --topics or --exclude: let"):
        found(tmp_path, records, ['/front/image'], {'/imu'})
    with pytest.raises(BagError, match="has no topic '/rear/image'"):
        found(tmp_path, records, ['/rear/image'], {'/imu'})


def test_a_compressed_camera_is_taken_where_the_raw_one_cannot_be_read(tmp_path):
    cameras, skipped = found(tmp_path, [
        with_encoding(image('/front/image', 1, 1000), '8UC2'),
        jpeg('/front/image/compressed', 1, 1001)])
    assert [c.topic for c in cameras] == ['/front/image/compressed']
    assert "encoding '8UC2' is not known" in skipped['/front/image']


@pytest.mark.parametrize('topic, encoding, reason', [
    ('/depth/image_raw', '16UC1', 'depth, as its encoding is 16UC1'),
    ('/range', '32FC1', 'depth, as its encoding is 32FC1'),
    ('/aligned_depth_to_color/image', 'mono16', 'depth, as its encoding is mono16'),
    ('/carla/semantic_segmentation_front/image', 'bgra8', "masks, by 'segmentation'"),
    ('/front/mask', 'mono8', "masks, by 'mask'"),
    ('/front/derained/image_raw', 'rgb8', 'output of an earlier run'),
    ('/derained/image_raw', 'bgr8', 'output of an earlier run'),
    ('/front/overlay/image_raw', 'rgb8', 'output of an earlier run'),
    ('/front/labels/confidence', 'mono8', 'output of an earlier run')])
def test_depth_masks_and_outputs_are_not_cameras(tmp_path, topic, encoding, reason):
    width = {'16UC1': 64, 'mono16': 64, '32FC1': 128, 'mono8': 32, 'bgra8': 128}.get(encoding, 96)
    cameras, skipped = found(tmp_path, [raw(topic, encoding, width)])
    assert cameras == [] and reason in skipped[topic]


@pytest.mark.parametrize('topic, encoding, width', [
    ('/thermal/image', 'mono16', 64), ('/grey/image', 'mono8', 32),
    ('/depth_camera/color/image', 'rgb8', 96), ('/unmasked/image', 'rgb8', 96)])
def test_these_are_cameras(tmp_path, topic, encoding, width):
    assert [c.topic for c in found(tmp_path, [raw(topic, encoding, width)])[0]] == [topic]


def test_compressed_outputs_and_depth_are_known_too(tmp_path):
    png = make_compressed(make_header(1, ''), b'\x89PNG', '16UC1; png compressed ')
    cameras, skipped = found(tmp_path, [
        jpeg('/front/derained/image_raw/compressed', 1, 1000),
        message('/depth/image/compressed', COMPRESSED, png, 1001)])
    assert cameras == [] and 'earlier run' in skipped['/front/derained/image_raw/compressed']
    assert 'depth' in skipped['/depth/image/compressed']


def test_video_and_the_like_are_named(tmp_path):
    kinds = ('foxglove_msgs/msg/CompressedVideo', 'ffmpeg_image_transport_msgs/msg/FFMPEGPacket',
             'theora_image_transport/msg/Packet', 'foxglove_msgs/msg/RawImage')
    records = [Record(Channel(f'/v{n}', kind, 'cdr', kind, 'ros2msg', b'x'), n, n, 0, b'\0\1\0\0')
               for n, kind in enumerate(kinds)]
    cameras, skipped = found(tmp_path, [*records, imu(1, 1)])
    assert cameras == []
    assert skipped == dict.fromkeys(('/v0', '/v1', '/v2', '/v3'),
                                    'not a type that is decoded here')


def test_a_topic_counts_by_its_whole_images(tmp_path):
    """A few that are malformed do not make it another thing; none that is whole does."""
    bad = [with_encoding(image('/some', n, 1000 + n), 'xxxx') for n in range(5)]
    none = [record._replace(channel=record.channel._replace(topic='/none'),
                            data=record.data[:40]) for record in bad]
    cameras, skipped = found(tmp_path, [*bad, image('/some', 6, 1006), *none])
    assert [c.topic for c in cameras] == ['/some']
    assert 'it is not a sensor_msgs/msg/Image' in skipped['/none']


def test_the_camera_info_is_the_one_beside_the_images(tmp_path):
    records = [image('/a/image_raw', 1, 1001), camera_info('/a/camera_info', 1000, 1002),
               jpeg('/b/image/compressed', 1, 1003), camera_info('/b/camera_info', 5, 1003),
               image('/c/image', 1, 1004)]
    infos = {c.topic: c.camera_info for c in found(tmp_path, records)[0]}
    assert infos == {'/a/image_raw': '/a/camera_info', '/c/image': None,
                     '/b/image/compressed': '/b/camera_info'}


def test_a_camera_info_that_is_left_out_is_none(tmp_path):
    records = [image('/a/image_raw', 1, 1001), camera_info('/a/camera_info', 1000, 1002)]
    (camera,), _ = found(tmp_path, records, topics={'/a/image_raw'})
    assert camera.camera_info is None


def test_cameras_are_chosen_by_name(tmp_path):
    records = [image('/front/mask', 1, 1000), jpeg('/rear/image', 1, 1001), imu(1, 1002),
               image('/front', 1, 1003)]
    cameras, skipped = found(tmp_path, records, ('rear/image', '/front/mask', '/rear/image'))
    assert [c.topic for c in cameras] == ['/rear/image', '/front/mask'] and skipped == {}
    for name, text in (('/no', r"no topic '/no'; the topics are /front/mask \(sensor_msgs"),
                       ('/imu', 'topic /imu is of type sensor_msgs/msg/Imu')):
        with pytest.raises(BagError, match=text):
            found(tmp_path, records, (name,))
    with pytest.raises(BagError, match='is left out by'):
        found(tmp_path, records, ('/front',), topics={'/imu'})


def test_a_chosen_topic_without_images_is_refused(tmp_path):
    record = image('/front', 1, 1000)
    with pytest.raises(BagError, match='topic /front has no image that can be read: encoding'):
        found(tmp_path, [with_encoding(record, 'xxxx')], ('/front',))
