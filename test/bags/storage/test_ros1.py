# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ROS 1 bags are read as if they were of ROS 2, as far as the library reads them."""

import numpy as np
import pytest
import yaml
from bag_files import SECOND
from drives import processed
from random_images import noise
from rosbags.rosbag1 import Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from zstandard import ZstdCompressor

from ubcn_ros.bags import CAMERA_INFO, IMAGE, BagError, decode, deserialize, open_bag, read_images
from ubcn_ros.bags.messages import TYPES
from ubcn_ros.bags.storage.channels import QOS

ROS1 = get_typestore(Stores.ROS1_NOETIC)
ROS1.register(get_types_from_msg('Header header\nfloat32 value\nown_msgs/Part[] parts\ntime when',
                                 'own_msgs/msg/Own'))
ROS1.register(get_types_from_msg('geometry_msgs/TransformStamped[] transforms',
                                 'tf/msg/tfMessage'))
ROS1.register(get_types_from_msg('string name\nsensor_msgs/CameraInfo info', 'own_msgs/msg/Part'))


def header(number):
    time = ROS1.types['builtin_interfaces/msg/Time'](number, 5)
    return ROS1.types['std_msgs/msg/Header'](seq=100 + number, stamp=time, frame_id='c')


def image(number):
    pixels = noise(number)
    return ROS1.types[IMAGE](header(number), *pixels.shape[:2], 'rgb8', 0, pixels.shape[1] * 3,
                             pixels.reshape(-1))


def info(number):
    return ROS1.types[CAMERA_INFO](
        header(number), 36, 44, 'plumb_bob', np.arange(5.0), np.arange(9.0), np.arange(9.0),
        np.arange(12.0), 0, 0, ROS1.types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False))


def write(path, messages, **options):
    """Write messages: topic, type, seconds and message; ``options`` are of the connections."""
    compression = options.pop('compression', None)
    writer = Writer(path)
    if compression:
        writer.set_compression(Writer.CompressionFormat[compression])
    with writer:
        connections = {}
        for topic, msgtype, seconds, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, msgtype, typestore=ROS1,
                                                           **options)
            data = (message if isinstance(message, bytes)
                    else ROS1.serialize_ros1(message, msgtype))
            writer.write(connections[topic], seconds * SECOND, data)
    return path


@pytest.mark.parametrize('compression', [None, 'BZ2', 'LZ4'])
def test_images_are_read_with_stamp_time_and_sequence(tmp_path, compression):
    path = write(tmp_path / 'x.bag', [('/image', IMAGE, n, image(n)) for n in (3, 1, 2)],
                 compression=compression)
    for number, found in enumerate(read_images(path), 1):
        assert np.array_equal(found.image, noise(number))
        assert (found.stamp_ns, found.recorded_ns) == (number * SECOND + 5, number * SECOND)
    with open_bag(path) as reader:
        assert 'is a ROS 1 bag: its messages are converted to CDR' in reader.notes[0]
        (channel,) = reader.channels
        assert (channel.msgtype, channel.encoding, channel.schema_encoding) == (
            IMAGE, 'cdr', 'ros2msg')
        assert channel.definition == TYPES.generate_msgdef(IMAGE, ros_version=2)[0].encode()
        assert [(r.sequence, r.publish_ns) for r in reader.records()] == [
            (100 + n, n * SECOND) for n in (1, 2, 3)]
        assert [r.time_ns for r in reader.records(None, SECOND + 1, 3 * SECOND)] == [2 * SECOND]
        assert (reader.start_ns, reader.end_ns) == (SECOND, 3 * SECOND)
        assert [c.msgcount for c in reader.connections] == [3] and reader.damage == []


def test_types_are_those_of_ros_2_and_own_types_keep_their_fields(tmp_path):
    part = ROS1.types['own_msgs/msg/Part']('p', info(1))
    own = ROS1.types['own_msgs/msg/Own'](
        header(1), 1.5, [part], ROS1.types['builtin_interfaces/msg/Time'](7, 8))
    point = ROS1.types['geometry_msgs/msg/Point'](1.0, 2.0, 3.0)
    status = ROS1.types['sensor_msgs/msg/NavSatStatus'](1, 2)
    fix = ROS1.types['sensor_msgs/msg/NavSatFix'](header(1), status, 1.0, 2.0, 3.0, np.zeros(9), 0)
    path = write(tmp_path / 'x.bag', [
        ('/info', CAMERA_INFO, 1, info(1)), ('/own', 'own_msgs/msg/Own', 2, own),
        ('/tf', 'tf/msg/tfMessage', 3, b'\0\0\0\0'), ('/fix', 'sensor_msgs/msg/NavSatFix', 4, fix),
        ('/point', 'geometry_msgs/msg/Point', 5, point)])
    with open_bag(path) as reader:
        found = {record.channel.topic: record for record in reader.records()}
        assert reader.damage == []
    assert found['/tf'].channel.msgtype == 'tf2_msgs/msg/TFMessage'
    calibration = TYPES.deserialize_cdr(found['/info'].data, CAMERA_INFO)
    assert list(calibration.k) == list(range(9)) and calibration.header.frame_id == 'c'
    assert TYPES.deserialize_cdr(found['/fix'].data, 'sensor_msgs/msg/NavSatFix').altitude == 3.0
    assert found['/point'].sequence == 0
    channel = found['/own'].channel
    types = get_typestore(Stores.ROS2_JAZZY)
    types.register(get_types_from_msg(channel.definition.decode(), channel.msgtype))
    message = types.deserialize_cdr(found['/own'].data, channel.msgtype)
    assert (message.value, message.parts[0].name, message.when.sec) == (1.5, 'p', 7)
    assert list(message.parts[0].info.k) == list(range(9)) and message.header.stamp.sec == 1


def test_a_type_with_other_fields_in_ros_2_has_their_defaults(tmp_path):
    kind = 'visualization_msgs/msg/MarkerArray'
    path = write(tmp_path / 'x.bag', [('/markers', kind, 1, ROS1.types[kind]([
        ROS1.types['visualization_msgs/msg/Marker'](
            header(1), 'space', 4, 1, 0, ROS1.types['geometry_msgs/msg/Pose'](
                ROS1.types['geometry_msgs/msg/Point'](1.0, 2.0, 3.0),
                ROS1.types['geometry_msgs/msg/Quaternion'](0.0, 0.0, 0.0, 1.0)),
            ROS1.types['geometry_msgs/msg/Vector3'](1.0, 1.0, 1.0),
            ROS1.types['std_msgs/msg/ColorRGBA'](1.0, 0.0, 0.0, 1.0),
            ROS1.types['builtin_interfaces/msg/Duration'](1, 2), True, [], [], 'text', '', False)
    ]))])
    with open_bag(path) as reader:
        (record,) = reader.records()
    (marker,) = TYPES.deserialize_cdr(record.data, kind).markers
    assert (marker.ns, marker.text, marker.pose.position.y) == ('space', 'text', 2.0)
    assert marker.texture_resource == ''


def test_publisher_and_latching_are_kept(tmp_path):
    path = write(tmp_path / 'x.bag', [('/image', IMAGE, 1, image(1))], callerid='/driver',
                 latching=1)
    with open_bag(path) as reader:
        metadata = dict(reader.channels[0].metadata)
    assert metadata['callerid'] == '/driver'
    assert yaml.safe_load(metadata[QOS])[0]['durability'] == 'transient_local'


def test_messages_that_cannot_be_converted_are_told_and_left_out(tmp_path):
    path = write(tmp_path / 'x.bag', [('/image', IMAGE, 1, image(1)), ('/image', IMAGE, 2, b'x'),
                                      ('/image', IMAGE, 3, b''), ('/image', IMAGE, 4, image(4))])
    with open_bag(path) as reader:
        connection = reader.connections[0]
        images = [decode(deserialize(record.data, IMAGE)) for record in reader.records()]
        problems = reader.problems(connection, len(images))
    assert np.array_equal(images, [noise(1), noise(4)])
    assert 'x.bag: messages of /image could not be converted, as their bytes' in problems[0]
    assert '4 messages are announced, 2 were found' in problems[1]


def test_a_topic_whose_definition_cannot_be_read_is_told(tmp_path):
    path = write(tmp_path / 'x.bag', [('/image', IMAGE, 1, image(1)),
                                      ('/odd', 'own_msgs/msg/Part', 2, b'\0\0\0\0')])
    path.write_bytes(path.read_bytes().replace(b'string name', b'string[ nam'))
    with open_bag(path) as reader:
        assert [channel.topic for channel in reader.channels] == ['/image']
        assert len(list(reader.records())) == 1
        assert 'the 1 messages of /odd were left out, as the definition of' in reader.damage[0]


def test_what_the_library_cannot_read_is_told_with_a_remedy(tmp_path):
    whole = write(tmp_path / 'whole.bag', [('/image', IMAGE, n, image(n)) for n in range(1, 9)]
                  ).read_bytes()
    place = whole.index(b'index_pos=') + len(b'index_pos=')
    for name, data, said in (
            ('unindexed', whole[:place] + bytes(8) + whole[place + 8:],
             'not indexed.*; run `rosbag reindex .*unindexed.bag`'),
            ('cut', whole[:-200], 'damaged.*; run `rosbag reindex .*cut.bag`'),
            ('old', b'#ROSBAG V1.2\n' + whole[13:], 'version.*; run `rosbag fix .*old.bag NEW'),
            ('xz', whole.replace(b'compression=none', b'compression=xz4 '),
             "Compression 'xz4 '.*; run `rosbag decompress "),
            ('head', b'#ROSBAG V2.0', 'give another copy')):
        path = tmp_path / f'{name}.bag'
        path.write_bytes(data)
        with pytest.raises(BagError, match=said) as error, open_bag(path):
            pass
        assert str(error.value).startswith(f'{path} cannot be read as a ROS 1 bag: ')
        assert '\n' not in str(error.value)


def test_of_a_damaged_chunk_what_is_before_is_read(tmp_path):
    path = write(tmp_path / 'x.bag', [('/image', IMAGE, n, picture_of(n)) for n in range(1, 4)],
                 compression='BZ2')
    data = bytearray(path.read_bytes())
    place = data.index(b'BZh', data.index(b'BZh') + 1) + 3000
    data[place:place + 90] = bytes(90)
    path.write_bytes(data)
    with open_bag(path) as reader:
        times = [record.time_ns // SECOND for record in reader.records()]
        assert times == [1] and 'is damaged (' in reader.damage[0]
        assert '3 messages are announced, 1 were found' in reader.problems(
            reader.connections[0], 1)[1]


def picture_of(number):
    """Large, so that it is a chunk of its own."""
    pixels = noise(number, 700, 700)
    return ROS1.types[IMAGE](header(number), 700, 700, 'rgb8', 0, 2100, pixels.reshape(-1))


def test_their_cameras_are_processed(tmp_path):
    source = write(tmp_path / 'in.bag', [
        message for n in (1, 2) for message in (
            ('/front/image_raw', IMAGE, n, image(n)),
            ('/front/camera_info', CAMERA_INFO, n, info(n)))])
    result = processed(source, tmp_path / 'out')
    assert result.errors == [] and 'is a ROS 1 bag' in result.notes[0]
    with open_bag(source) as reader, open_bag(tmp_path / 'out') as made:
        sent, copied = list(reader.records()), list(made.records())
        assert [r for r in copied if r.channel in reader.channels] == sent
    topics = [r.channel.topic for r in copied]
    assert topics.count('/front/derained/image_raw') == 2
    assert topics.count('/front/derained/camera_info') == 2


@pytest.mark.parametrize('names', [['run.bag'], ['run_0.bag', 'run_1.bag']])
def test_a_folder_of_a_recording_is_read_as_one_bag(tmp_path, names):
    for place, name in enumerate(names):
        write(tmp_path / name, [('/image', IMAGE, place, image(place))])
    with open_bag(tmp_path) as reader:
        assert sum(1 for _ in reader.records()) == len(names)


def test_a_compressed_file_that_is_cut_off_says_so(tmp_path):
    bag = write(tmp_path / 'in.bag', [('/image', IMAGE, n, image(n)) for n in range(3)])
    packed = tmp_path / 'in.bag.zstd'
    packed.write_bytes(ZstdCompressor(write_checksum=True).compress(bag.read_bytes())[:-2])
    with open_bag(packed) as reader:
        assert len(list(reader.records())) == 3
        assert len(reader.damage) == 1 and 'it is cut off' in reader.damage[0]
