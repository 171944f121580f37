# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is refused when a bag is planned, before anything is written."""

from pathlib import Path

import pytest
from bag_files import write_rosbag2
from drives import MS, decoded, drive, image, imu, message, processed, write_bag
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.typesys import Stores, get_typestore

from ubcn_ros.bags import IMAGE, BagError
from ubcn_ros.bags.process import Options, plan, read_sidecar
from ubcn_ros.bags.process.jobs import pieces_folder, pieces_there
from ubcn_ros.bags.process.sidecar import write_sidecar


def test_bags_that_cannot_be_processed_say_why(tmp_path):
    source = write_bag(tmp_path / 'in' / 'in.mcap', drive(1))
    no_camera = write_bag(tmp_path / 'imu.mcap', [imu(0, 1)])
    empty = write_bag(tmp_path / 'empty.mcap', [])
    for bag, text in ((no_camera, 'imu.mcap has no camera: its topics are /imu'),
                      (empty, 'empty.mcap has no camera: its topics are \\(none\\)'),
                      (tmp_path / 'missing', 'no bag at')):
        with pytest.raises(BagError, match=text):
            processed(bag, tmp_path / 'out')
    with pytest.raises(BagError, match='no camera left: --topics and --exclude leave out all of'):
        processed(source, tmp_path / 'out', Options(exclude=('*',)))
    for out, text in ((source.parent, 'would be written into itself'),
                      (source.parent / 'out', 'would be written into itself'),
                      (tmp_path, 'in lies in .*, which would be written')):
        with pytest.raises(BagError, match=text):
            processed(source.parent, out)
    (tmp_path / 'there').mkdir()
    with pytest.raises(BagError, match='there cannot be written: it exists already'):
        processed(source, tmp_path / 'there')
    assert not (tmp_path / 'out').exists()


def test_the_current_folder_has_pieces_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert pieces_folder(Path('.')) == tmp_path.with_name(tmp_path.name + '.pieces')
    assert pieces_there(Path('.')) is None


def test_pieces_are_beside_the_bag_also_through_a_link(tmp_path):
    (tmp_path / 'disk' / 'deep').mkdir(parents=True)
    (tmp_path / 'link').symlink_to(tmp_path / 'disk' / 'deep')
    for out, place in (('link/../out', 'disk/out'), ('link/..', 'disk'), ('link', 'link')):
        there = pieces_folder(tmp_path / out)
        assert there.parent.resolve() / there.name == tmp_path / f'{place}.pieces', out


@pytest.mark.parametrize('options', [Options(topics=('/front/image_raw',)),
                                     Options(exclude=('*/camera_info',), outputs_only=True)])
def test_a_calibration_that_is_left_out_is_told(tmp_path, options):
    source, out = write_bag(tmp_path / 'in.mcap', drive(1)), tmp_path / 'out'
    (job,) = plan(source, out, options)
    assert [other.text for other in job.skipped] == [
        '/front/camera_info (sensor_msgs/msg/CameraInfo) is not processed: --topics or --exclude '
        'leave it out, so that /front/derained/camera_info is not written; let these have it to '
        'get that']
    processed(source, out, options)
    document = read_sidecar(out)
    assert document['settings'].pop('IN /front/camera_info') == 'left out'
    write_sidecar(out, document)  # as of a run that had it
    with pytest.raises(BagError, match="IN /front/camera_info was None and is 'left out' now"):
        processed(source, out, options, resume=True)


def test_images_that_may_be_left_do_not_mix_with_outputs(tmp_path):
    """Of two cameras, one named as the outputs of the other."""
    records = [image(topic, 1, time) for time, topic in (
        (1000, '/front/image_raw'), (1001, '/front/derained/image_raw'))]
    source = write_bag(tmp_path / 'in.mcap', records)
    cameras = tuple(record.channel.topic for record in records)
    with pytest.raises(BagError, match='has /front/derained/image_raw already'):
        processed(source, tmp_path / 'out', Options(cameras=cameras, drop_inputs=True))
    processed(source, tmp_path / 'out', Options(cameras=cameras, outputs_only=True))


def write_mcap_file(path, records):
    return write_bag(path.with_suffix('.mcap'), records)


def write_sqlite(path, records):
    return write_rosbag2(path, [(r.channel.topic, r.channel.msgtype, r.time_ns, r.data)
                                for r in records])


def write_ros1(path, records):
    ros1 = get_typestore(Stores.ROS1_NOETIC)
    with Ros1Writer(path.with_suffix('.bag')) as writer:
        writer.chunk_threshold = 20_000
        connection = writer.add_connection('/front/image_raw', IMAGE, typestore=ros1)
        for record in records:
            value = decoded(record)
            value.header = ros1.types['std_msgs/msg/Header'](0, value.header.stamp, 'front')
            writer.write(connection, record.time_ns, ros1.serialize_ros1(value, IMAGE))
    return path.with_suffix('.bag')


@pytest.mark.parametrize('write', [write_mcap_file, write_sqlite, write_ros1])
def test_pieces_are_of_equal_time_though_the_clock_was_set(tmp_path, monkeypatch, write):
    """As a computer without a battery does, once it has a network."""
    monkeypatch.setattr('ubcn_ros.bags.process.jobs.PIECE_IMAGES', 10)
    times = [*range(1000, 2000, 100), *range(1_700_000_000_000, 1_700_000_003_000, 100)]
    source = write(tmp_path / 'in', [image('/front/image_raw', n, time)
                                     for n, time in enumerate(times)])
    for options, pieces, counts in (
            (Options(), None, [10] * 4), (Options(), 2, [20] * 2), (Options(), 1, [40]),
            (Options(start_s=1.7e9), None, [10] * 2), (Options(start_s=60.0, duration_s=9.0), 3,
                                                       [0] * 3)):
        jobs = plan(source, tmp_path / 'out', options, pieces)
        assert [first.end_ns for first in jobs[:-1]] == [later.start_ns for later in jobs[1:]]
        found = [sum(job.start_ns <= time * MS < job.end_ns for time in times) for job in jobs]
        assert found == pytest.approx(counts, abs=2), options


def test_a_message_of_a_negative_time_is_named_and_may_be_left_out(tmp_path):
    """Nothing is written; the time of what is left out does not count."""
    records = [message('/text', 'std_msgs/msg/String', b'\0\1\0\0\1\0\0\0\0', -5), *drive(12)]
    source = write_rosbag2(tmp_path / 'in', [
        (r.channel.topic, r.channel.msgtype, r.time_ns, r.data) for r in records])
    for options in (Options(), Options(cameras=('/front/image_raw',)), Options(drop_inputs=True)):
        with pytest.raises(BagError, match='message of /text was recorded at -5000000 ns, which'):
            processed(source, tmp_path / 'out', options)
        assert not (tmp_path / 'out').exists()
    for name, options, frames in (
            ('excluded', Options(exclude=('/text',)), 24),
            ('alone', Options(outputs_only=True), 24),
            ('early', Options(outputs_only=True, duration_s=0.001), 0),
            ('later', Options(start_s=1.5), 14)):
        assert processed(source, tmp_path / name, options).tally.frames == frames
