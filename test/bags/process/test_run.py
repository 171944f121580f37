# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bag to bag: what is processed, what is copied, and how outputs are named, stamped and told."""

import numpy as np
import pytest
import torch
from bag_files import write_rosbag2
from drives import (
    MS,
    Engine,
    camera_info,
    decoded,
    drive,
    image,
    imu,
    jpeg,
    latched_drive,
    message,
    picture,
    processed,
    stored,
    write_bag,
)
from mcap.reader import make_reader
from mcap.writer import CompressionType
from random_images import noise
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import CompressionMode

from ubcn_ros.bags import CAMERA_INFO, COMPRESSED, IMAGE, BagError, Channel, Record, open_bag
from ubcn_ros.bags.errors import BagOutOfMemory
from ubcn_ros.bags.fleet.tasks import attempt
from ubcn_ros.bags.process import Options, read_sidecar
from ubcn_ros.bags.storage.channels import ros_channel


def test_every_camera_is_processed_and_all_else_is_as_it_was(tmp_path):
    records = drive()
    source = write_bag(tmp_path / 'in.mcap', records, b'a note', {'driver': 'me'})
    result = processed(source, tmp_path / 'out')
    assert result.errors == [] and result.tally.frames == 12
    copied = [r for r in stored(tmp_path / 'out') if 'derained' not in r.channel.topic
              and 'labels' not in r.channel.topic]
    assert copied == records
    for camera, topic in (('/front/image_raw', '/front/'), ('/rear/image/compressed', '/rear/')):
        sent = [r for r in records if r.channel.topic == camera]
        for kind in ('derained', 'labels'):
            made = stored(tmp_path / 'out', f'{topic}{kind}/image_raw')
            assert [(r.time_ns, r.publish_ns, decoded(r).header) for r in made] == [
                (r.time_ns, r.publish_ns, decoded(r).header) for r in sent]
    first = decoded(stored(tmp_path / 'out', '/front/derained/image_raw')[0])
    assert np.array_equal(first.data.reshape(32, 40, 3), 255 - picture(0))
    with open_bag(tmp_path / 'out') as reader:
        (attachment,), metadata = reader.attachments(), dict(reader.metadata_records())
        assert attachment.data == b'a note' and metadata['drive'] == {'driver': 'me'}


def test_outputs_stand_behind_their_input(tmp_path):
    source = write_bag(tmp_path / 'in.mcap', drive(2))
    processed(source, tmp_path / 'out')
    assert [r.channel.topic for r in stored(tmp_path / 'out')] == [
        '/front/labels/label_info', '/rear/labels/label_info', *2 * [
            '/imu', '/front/image_raw', '/front/derained/image_raw', '/front/labels/image_raw',
            '/front/derained/camera_info', '/front/camera_info', '/imu',
            '/rear/image/compressed', '/rear/derained/image_raw', '/rear/labels/image_raw']]


def test_the_classes_are_written_once_a_camera(tmp_path):
    source = write_bag(tmp_path / 'in.mcap', drive())
    processed(source, tmp_path / 'out')
    (record,) = stored(tmp_path / 'out', '/front/labels/label_info')
    info = decoded(record)
    assert [c.class_name for c in info.class_map] == [*Engine.label_set.classes]
    assert info.threshold == 0.25 and info.class_map[3].class_id == 3
    assert 'transient_local' in dict(record.channel.metadata)['offered_qos_profiles']


def test_other_readers_read_it(tmp_path):
    source = write_bag(tmp_path / 'in.mcap', drive())
    result = processed(source, tmp_path / 'out')
    with (tmp_path / 'out' / 'out_0.mcap').open('rb') as file:
        assert sum(1 for _ in make_reader(file).iter_messages()) == result.tally.written.total()
    with AnyReader([tmp_path / 'out']) as reader:
        counts = {c.topic: c.msgcount for c in reader.connections}
        assert counts == result.tally.written
        (info,) = [reader.deserialize(data, c.msgtype) for c, _, data in reader.messages()
                   if c.topic == '/rear/labels/label_info']
        assert info.class_map[0].class_name == Engine.label_set.classes[0]


def test_the_sidecar_tells_what_was_done(tmp_path):
    depth = image('/depth/image', 0, 1005, encoding='mono8', pixels=picture()[..., 0])
    records = [*drive(3), image('/front/image_raw', 7, 2000, encoding='bad')]
    records.insert(1, depth._replace(data=depth.data.replace(b'mono8\0', b'16UC1\0')))
    source = write_bag(tmp_path / 'in.mcap', records)
    result = processed(source, tmp_path / 'out', Options(iterations=2))
    document = read_sidecar(tmp_path / 'out')
    front, rear = document['cameras']
    assert document['finished'] and document['iterations'] == 2
    assert document['model'] == {'name': 'inverse', 'sha256': '0' * 64,
                                 'label_set': Engine.label_set.to_dict()}
    assert (front['topic'], front['derained'], front['labels'], front['camera_info']) == (
        '/front/image_raw', '/front/derained/image_raw', '/front/labels/image_raw',
        '/front/derained/camera_info')
    assert (front['images'], front['frames'], front['malformed']) == (4, 3, 1)
    assert (rear['camera_info'], rear['confidence'], rear['sizes']) == (None, None, ['40x32'])
    assert (front['focal_length'], rear['focal_length']) == (None, None)
    assert document['topics']['/imu'] == 6
    (skipped,) = document['skipped']
    assert skipped['topic'] == '/depth/image' and '16UC1' in skipped['reason']
    (line,) = result.errors
    assert line.startswith('/front/image_raw, recorded at 2.000000000 s: encoding')
    assert document['timings']['frames_per_s'] > 0
    assert {*document['timings']['busy_s']} == {'read', 'decode', 'infer', 'encode', 'write'}


@pytest.mark.parametrize('gap', [-3, 0, 3, 150])
def test_every_image_has_a_camera_info_under_its_header(tmp_path, gap):
    """Recorded before, with or after it, also after other images."""
    records = []
    for number in range(5):
        time = 1000 + 100 * number
        records += [image('/front/image_raw', number, time, stamp_ms=time),
                    camera_info('/front/camera_info', time, time + gap)]
    del records[2]  # an info without its image,
    del records[6]  # an image without its info
    records.sort(key=lambda record: record.time_ns)
    processed(write_bag(tmp_path / 'in.mcap', records), tmp_path / 'out')
    infos = stored(tmp_path / 'out', '/front/derained/camera_info')
    images = [record for record in records if record.channel.topic == '/front/image_raw']
    assert [(r.time_ns, r.publish_ns, decoded(r).header) for r in infos] == [
        (r.time_ns, r.publish_ns, decoded(r).header) for r in images] != []


def test_of_several_calibrations_the_last_before_an_image_counts_or_else_the_first(tmp_path):
    records = [image('/image', 0, 1000),
               message('/camera_info', CAMERA_INFO, b'broken', 1005),
               camera_info('/camera_info', 1009, 1010, width=41), image('/image', 1, 1020),
               camera_info('/camera_info', 1039, 1030, width=42), image('/image', 2, 1040),
               camera_info('/camera_info', 1039, 1040, width=43)]
    processed(write_bag(tmp_path / 'in.mcap', records), tmp_path / 'out')
    infos = stored(tmp_path / 'out', '/derained/camera_info')
    assert [decoded(info).width for info in infos] == [41, 41, 42]
    processed(tmp_path / 'in.mcap', tmp_path / 'later', Options(start_s=0.015, duration_s=0.01))
    (info,) = stored(tmp_path / 'later', '/derained/camera_info')
    assert decoded(info).width == 41


def test_a_latched_camera_info_goes_with_every_image_that_follows(tmp_path):
    records = [camera_info('/camera_info', 3, 1000, frame='other', width=41),
               *(image('/image', n, 1010 + n) for n in range(30))]
    processed(write_bag(tmp_path / 'in.mcap', records), tmp_path / 'out')
    infos = [decoded(r) for r in stored(tmp_path / 'out', '/derained/camera_info')]
    assert [i.header for i in infos] == [decoded(r).header for r in records[1:]]
    assert {i.width for i in infos} == {41}


@pytest.mark.parametrize('asked, size', [(-1, 48), (0, 0), (64, 64)])
def test_images_are_labelled_at_a_size_by_the_focal_length_as_in_the_node(tmp_path, asked, size):
    infos = [camera_info('/a/camera_info', 999 + n, 1001 + n, focal=focal)
             for n, focal in enumerate((0.0, 32.0, 16.0))]  # not calibrated at first
    records = [image('/a/image_raw', 1, 1000), *infos, image('/a/image_raw', 2, 1100),
               image('/b/image_raw', 3, 1200, pixels=noise(3, height=40, width=48))]
    engine = Engine()
    processed(write_bag(tmp_path / 'in.mcap', records), tmp_path / 'out',
              Options(engine=(('processing_size', asked),)), engine)
    assert engine.sizes == {(32, 40): size, (40, 48): asked}


def test_a_camera_info_of_a_malformed_image_is_not_passed_on(tmp_path):
    records = drive(3)
    records[6] = image('/front/image_raw', 1, 1110, encoding='bad')
    processed(write_bag(tmp_path / 'in.mcap', records), tmp_path / 'out')
    assert len(stored(tmp_path / 'out', '/front/derained/camera_info')) == 2


def test_a_name_that_two_would_get_keeps_the_last_part(tmp_path):
    records = [image(f'/front/{name}', 1, 1000 + n) for n, name in enumerate(
        ('image_raw', 'image_rect'))] + [image('/rear/image_raw', 1, 1003)]
    processed(write_bag(tmp_path / 'in.mcap', records), tmp_path / 'out')
    assert {c['derained'] for c in read_sidecar(tmp_path / 'out')['cameras']} == {
        '/front/image_raw/derained/image_raw', '/front/image_rect/derained/image_raw',
        '/rear/derained/image_raw'}


def test_outputs_of_an_earlier_run_are_neither_cameras_nor_mixed_with(tmp_path):
    source = write_bag(tmp_path / 'in.mcap', drive(2))
    processed(source, tmp_path / 'once')
    with pytest.raises(BagError, match=r"has /front/derained/camera_info, .* \(--exclude '/front"):
        processed(tmp_path / 'once', tmp_path / 'twice')
    processed(tmp_path / 'once', tmp_path / 'again', Options(exclude=('*/derained/*',
                                                                      '*/labels/*')))
    assert stored(tmp_path / 'again') == stored(tmp_path / 'once')
    document = read_sidecar(tmp_path / 'again')
    assert len(document['cameras']) == 2


def test_what_changes_on_the_way_is_taken_as_it_comes(tmp_path):
    """Sizes, encodings, stamps of zero and in the past."""
    images = [image('/image', 0, 1000, 0), image('/image', 1, 1001, 0, pixels=noise(1, 64, 48)),
              image('/image', 2, 1002, 9, encoding='bgr8'), image('/image', 3, 1003, 4)]
    processed(write_bag(tmp_path / 'in.mcap', images), tmp_path / 'out')
    made = [decoded(r) for r in stored(tmp_path / 'out', '/derained/image_raw')]
    assert [(m.height, m.width, m.encoding) for m in made] == [
        (32, 40, 'rgb8'), (64, 48, 'rgb8'), (32, 40, 'bgr8'), (32, 40, 'rgb8')]
    assert [m.header for m in made] == [decoded(r).header for r in images]
    assert read_sidecar(tmp_path / 'out')['cameras'][0]['sizes'] == ['40x32', '48x64']


def test_padded_rows_are_cut(tmp_path):
    record = image('/image', 1, 1000)
    value = decoded(record)
    rows = np.pad(value.data.reshape(32, 120), ((0, 0), (0, 9)), constant_values=99)
    value.step, value.data = rows.shape[1], rows.reshape(-1)
    processed(write_bag(tmp_path / 'in.mcap', [message('/image', IMAGE, value, 1000)]),
              tmp_path / 'out')
    made = decoded(stored(tmp_path / 'out', '/derained/image_raw')[0])
    assert made.step == 120 and np.array_equal(made.data.reshape(32, 40, 3), 255 - picture(1))


@pytest.mark.parametrize('mode', [CompressionMode.NONE, CompressionMode.MESSAGE,
                                  CompressionMode.FILE])
@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_bags_of_other_recorders(tmp_path, storage, mode):
    records = drive(3)
    write_rosbag2(tmp_path / 'in', [(r.channel.topic, r.channel.msgtype, r.time_ns, r.data)
                                    for r in records], storage, mode)
    topics = {record.channel.topic for record in records}
    result = processed(tmp_path / 'in', tmp_path / 'out')
    assert result.errors == [] and result.tally.frames == 6
    made = [r for r in stored(tmp_path / 'out') if r.channel.topic in topics]
    assert [(r.channel.topic, r.time_ns, r.data) for r in made] == [
        (r.channel.topic, r.time_ns, r.data) for r in records]
    assert all(r.channel.definition for r in made)


def test_of_a_damaged_bag_what_is_whole_is_processed_and_the_rest_is_told(tmp_path):
    source = write_bag(tmp_path / 'in.mcap', drive(), compression=CompressionType.NONE)
    data = bytearray(source.read_bytes())
    place = data.index(drive()[11].data)  # an image
    data[place:place + 50] = b'\xff' * 50
    source.write_bytes(data)
    result = processed(source, tmp_path / 'out')
    assert result.tally.frames < 12 and stored(tmp_path / 'out')
    assert any('is damaged at byte' in line for line in result.errors)
    assert any('6 messages are announced' in line for line in result.errors)
    assert read_sidecar(tmp_path / 'out')['problems'] == result.errors


def test_messages_out_of_order_are_put_into_the_order_of_recording(tmp_path):
    records = drive(4)
    shuffled = records[5:9] + records[:5] + records[9:]
    processed(write_bag(tmp_path / 'in.mcap', shuffled), tmp_path / 'out')
    processed(write_bag(tmp_path / 'straight.mcap', records), tmp_path / 'straight')
    assert stored(tmp_path / 'out') == stored(tmp_path / 'straight')


def test_several_publishers_of_one_topic_stay_two(tmp_path):
    records = drive(2)
    other = records[0].channel._replace(metadata=(('callerid', '/other'),))
    records[3] = records[3]._replace(channel=other)
    processed(write_bag(tmp_path / 'in.mcap', records), tmp_path / 'out')
    assert [r.channel for r in stored(tmp_path / 'out', '/imu')] == [
        r.channel for r in records if r.channel.topic == '/imu']


def test_a_topic_without_messages_stays_in_the_bag(tmp_path):
    empty = imu(0, 0).channel._replace(topic='/quiet')
    processed(write_bag(tmp_path / 'in.mcap', drive(1), channels=[empty]), tmp_path / 'out')
    with open_bag(tmp_path / 'out') as reader:
        assert empty in reader.channels


def test_images_are_left_out_where_asked(tmp_path):
    twin = [jpeg('/front/image_raw/compressed', n, 1012 + 100 * n) for n in range(2)]
    records = sorted([*drive(2), *twin], key=lambda r: r.time_ns)
    source = write_bag(tmp_path / 'in.mcap', records)
    outputs = {f'/front/{name}' for name in ('derained/image_raw', 'derained/camera_info',
                                             'labels/image_raw', 'labels/label_info')} | {
        f'/rear/{name}' for name in ('derained/image_raw', 'labels/image_raw',
                                     'labels/label_info')}
    for name, options, kept in (
            ('dropped', Options(drop_inputs=True),
             {'/imu', '/front/camera_info', '/front/image_raw/compressed'}),  # nothing made of it
            ('alone', Options(outputs_only=True), set())):
        processed(source, tmp_path / name, options)
        assert {r.channel.topic for r in stored(tmp_path / name)} == outputs | kept
    assert [r for r in stored(tmp_path / 'dropped') if r.channel.topic in outputs] == \
        stored(tmp_path / 'alone')


def test_only_images_that_are_processed_are_left_out(tmp_path):
    records = drive(6)
    broken = next(n for n, r in enumerate(records) if r.channel.topic == '/front/image_raw')
    records[broken] = records[broken]._replace(data=records[broken].data[:-10])
    source = write_bag(tmp_path / 'in.mcap', records)
    processed(source, tmp_path / 'out', Options(drop_inputs=True, every=2))
    for name, topic in (('front', '/front/image_raw'), ('rear', '/rear/image/compressed')):
        made = {r.time_ns for r in stored(tmp_path / 'out', f'/{name}/labels/image_raw')}
        assert len(made) == 3 - (name == 'front')
        assert stored(tmp_path / 'out', topic) == [
            r for r in records if r.channel.topic == topic and r.time_ns not in made]


def test_a_part_of_the_bag_and_every_second_image(tmp_path):
    source = write_bag(tmp_path / 'in.mcap', drive(10))
    processed(source, tmp_path / 'out', Options(start_s=0.2, duration_s=0.5, every=2))
    made = stored(tmp_path / 'out')
    assert {r.time_ns // (100 * MS) for r in made} == {12, 13, 14, 15, 16}
    times = [r.time_ns // MS for r in made if r.channel.topic == '/rear/labels/image_raw']
    assert times == [1230, 1430, 1630]
    with pytest.raises(BagError, match='--start is 60 s, but .* ends 0.93 s after'):
        processed(source, tmp_path / 'x', Options(start_s=60))


def test_latched_messages_from_before_the_start_stand_at_the_beginning(tmp_path):
    records = latched_drive()
    volatile = imu(0, 995)
    source = write_bag(tmp_path / 'in.mcap', [*records[:15], volatile, *records[15:]])
    result = processed(source, tmp_path / 'out', Options(start_s=0.3, duration_s=0.2))
    assert result.errors == []
    begin = 1290 * MS
    made = stored(tmp_path / 'out')
    assert made[:13] == [r._replace(time_ns=begin, publish_ns=begin)
                         for r in [*records[:3], *records[5:15]]]  # all static ones, of others ten
    assert {r.channel.topic for r in made[13:15]} == {
        '/front/labels/label_info', '/rear/labels/label_info'}
    processed(source, tmp_path / 'other', Options(start_s=0.3, exclude=('/tf_*',)))
    assert not stored(tmp_path / 'other', '/tf_static') and stored(tmp_path / 'other', '/other')
    processed(source, tmp_path / 'alone', Options(start_s=0.3, outputs_only=True))
    assert not stored(tmp_path / 'alone', '/tf_static', '/other')


def test_a_latched_image_from_before_the_start_is_not_copied_without_outputs(tmp_path):
    latched = ros_channel('/image', IMAGE, depth=1, latched=True)
    source = write_bag(tmp_path / 'in.mcap', [
        image('/image', n, 1000 + 100 * n)._replace(channel=latched) for n in range(4)])
    processed(source, tmp_path / 'out', Options(start_s=0.15))
    assert len(stored(tmp_path / 'out', '/image')) == 2


def test_compressed_outputs_say_what_is_in_them(tmp_path):
    source = write_bag(tmp_path / 'in.mcap', drive(1))
    processed(source, tmp_path / 'out', Options(compress='jpeg', pictures=True, confidence=True))
    made = {r.channel.topic: r for r in stored(tmp_path / 'out') if '/front/' in r.channel.topic
            and r.channel.msgtype == COMPRESSED}
    formats = {topic.removeprefix('/front/'): decoded(r).format for topic, r in made.items()}
    assert formats == {
        'derained/image_raw/compressed': 'rgb8; jpeg compressed bgr8',
        'overlay/image_raw/compressed': 'rgb8; jpeg compressed bgr8',
        'labels/color/compressed': 'rgb8; png compressed bgr8',
        'labels/image_raw/compressed': 'mono8; png compressed mono8',
        'labels/confidence/compressed': 'mono8; png compressed mono8'}
    assert read_sidecar(tmp_path / 'out')['cameras'][0]['labels'] == \
        '/front/labels/image_raw/compressed'


def test_an_engine_that_fails_ends_it_and_what_is_done_stays(tmp_path):
    def fail(seen):
        if seen == 5:
            raise RuntimeError('out of luck')

    source = write_bag(tmp_path / 'in.mcap', drive())
    with pytest.raises(RuntimeError, match='out of luck'):
        processed(source, tmp_path / 'out', engine=Engine(fail))
    made = stored(tmp_path / 'out')
    assert sum('labels/image' in r.channel.topic for r in made) == 4
    assert read_sidecar(tmp_path / 'out')['finished'] is False


def test_messages_that_are_not_of_ros_are_copied(tmp_path):
    channel = Channel('/state', 'State', 'json', 'State', 'jsonschema', b'{}')
    records = [*drive(1), Record(channel, 2000 * MS, 7, 9, b'{"a": 1}')]
    processed(write_bag(tmp_path / 'in.mcap', records), tmp_path / 'out')
    assert stored(tmp_path / 'out', '/state') == records[-1:]


@pytest.mark.parametrize('begin_ns', [2**31 * 10**9, 2**63 - 50, 2**64 - 10**9])
def test_times_that_no_stamp_can_hold_are_kept(tmp_path, begin_ns):
    records = [image('/front/image_raw', n, 1 + n)._replace(
        time_ns=begin_ns + n, publish_ns=begin_ns + n) for n in range(3)]
    result = processed(write_bag(tmp_path / 'in.mcap', records), tmp_path / 'out')
    assert result.errors == []
    made = stored(tmp_path / 'out', '/front/derained/image_raw')
    assert [record.time_ns for record in made] == [record.time_ns for record in records]
    (info,) = stored(tmp_path / 'out', '/front/labels/label_info')
    assert info.time_ns == begin_ns and decoded(info).header.stamp.sec == 2**31 - 1


@pytest.mark.parametrize('short', [1, 2])
def test_memory_that_is_short_is_freed_once_and_else_named(tmp_path, short):
    def on_frame(number):
        if 4 <= number < 4 + short:
            raise torch.OutOfMemoryError('CUDA out of memory')

    source, engine = write_bag(tmp_path / 'in.mcap', drive()), Engine(on_frame)
    expected = processed(source, tmp_path / 'expected', Options(iterations=2))
    if short == 1:
        result = processed(source, tmp_path / 'out', Options(iterations=2), engine)
        assert result.tally.frames == 12 and engine.released == 1
    else:
        with pytest.raises(BagOutOfMemory, match=(
                r'^/rear/image/compressed, recorded at 1\.\d+ s: not enough memory for an image '
                r'of 40x32 \(CUDA out of memory\): .*--resume, .*--processing-size$')):
            processed(source, tmp_path / 'out', Options(iterations=2), engine)
        result = processed(source, tmp_path / 'out', Options(iterations=2), resume=True)
    assert result.tally.cameras == expected.tally.cameras, 'the steps are those asked for'
    assert stored(tmp_path / 'out') == stored(tmp_path / 'expected')


def test_a_piece_that_memory_did_not_suffice_for_is_tried_again():
    def task():
        raise BagOutOfMemory('not enough memory')
    assert attempt('worker', task).lost
