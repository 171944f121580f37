# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a bag holds is told: by topic, with gaps, cameras and damage."""

import json
import shutil
import signal

import numpy as np
import pytest
import yaml
from bag_files import SECOND, Topic, edit_metadata, serialized, write_rosbag2, write_topics
from command_line import ubcn
from drives import write_bag
from random_images import noise
from test_offered_qos import NUMBERED

from ubcn_ros.bags import CAMERA_INFO, IMAGE, Record, create, make_header, make_image
from ubcn_ros.bags.info import Gap, bag_info, find_gaps
from ubcn_ros.bags.messages import TYPES
from ubcn_ros.bags.storage.channels import ros_channel
from ubcn_ros.stopping import Stopped

TEXT = 'std_msgs/msg/String'
TEXT_DATA = bytes(TYPES.serialize_cdr(TYPES.types[TEXT]('x'), TEXT))


@pytest.mark.parametrize('steps, start, end, gaps', [
    ([10] * 20, 0, 0, []),
    ([10] * 10 + [31] + [10] * 10, 0, 0, [(100, 31)]),
    ([10] * 10 + [30] + [10] * 10, 0, 0, []),
    ([10] * 10 + [500] + [10] * 10 + [31] + [10] * 10, 0, 0, [(100, 500), (700, 31)]),
    ([10] * 20, 40, 300, [(-40, 40), (200, 300)]),
    ([1, 2, 3] * 10, 0, 0, []),
], ids=str)
def test_gaps_of_regular_topics(steps, start, end, gaps):
    times = 1_000_000 * np.cumsum([0, *steps])
    times += 1_000_000 * start
    found = find_gaps(times, int(times[-1]) + end * 1_000_000)
    assert found == [Gap((at + start) / 1e3, length / 1e3) for at, length in gaps]


@pytest.mark.parametrize('steps', [[10] * 8, [0] * 20, [1, 1, 50] * 8, [0, 0, 0, 9] * 8, []],
                         ids=str)
def test_topics_that_are_not_regular_have_none(steps):
    times = np.cumsum([0, *steps])
    assert find_gaps(times, int(times[-1])) is None


@pytest.fixture
def drive(tmp_path):
    mask = make_image(make_header(SECOND, 'c'), np.zeros((36, 44), np.uint8), 'mono8')
    best_effort = yaml.safe_dump([{**NUMBERED, 'reliability': 2}])
    return write_topics(tmp_path / 'drive.mcap', [
        Topic('/front/image_raw', IMAGE, [(1_700_000_000 + n / 10 + (n > 10), serialized(n))
                                          for n in range(20)], best_effort),
        Topic('/front/camera_info', CAMERA_INFO, []),
        Topic('/labels/image_raw', IMAGE,
              [(1_700_000_001, bytes(TYPES.serialize_cdr(mask, IMAGE)))]),
        Topic('/broken', IMAGE, [(1_700_000_001, b'\0\1\0\0')]),
        Topic('/text', TEXT, [(1_700_000_002, TEXT_DATA)] * 3),
        Topic('/text', TEXT, [(1_700_000_002, b'{}')], encoding='json')])


def test_what_a_bag_holds(drive):
    seen = []
    info = bag_info(drive, lambda *counts: seen.append(counts))
    assert seen[-1] == (26, 26) and info.messages == 26
    assert (info.start_ns, info.seconds) == (1_700_000_000 * SECOND, pytest.approx(2.9))
    file, = info.files
    assert (file.name, file.storage, file.compression, file.bytes) == (
        'drive.mcap', 'mcap', 'zstd', drive.stat().st_size)
    assert [(t.topic, t.serialization, t.messages) for t in info.topics] == [
        ('/broken', 'cdr', 1), ('/front/camera_info', 'cdr', 0), ('/front/image_raw', 'cdr', 20),
        ('/labels/image_raw', 'cdr', 1), ('/text', 'cdr', 3), ('/text', 'json', 1)]
    broken, _, images, mask, text, _ = info.topics
    assert images.bytes == sum(len(serialized(n)) for n in range(20))
    assert images.rate_hz == pytest.approx(19 / 2.9)
    assert images.gaps == [Gap(pytest.approx(1.0), pytest.approx(1.1))]
    assert images.qos == {'reliability': 'best_effort', 'durability': 'volatile'}
    assert (images.encoding, images.width, images.height) == ('rgb8', 44, 36)
    assert mask.encoding == 'mono8' and broken.encoding is None
    assert text.rate_hz is text.gaps is text.qos is None and text.bytes == 3 * len(TEXT_DATA)
    assert [camera['topic'] for camera in info.cameras] == ['/front/image_raw']
    assert {other['topic'] for other in info.not_cameras} == {'/broken', '/labels/image_raw'}
    damage, = info.damage
    assert damage.startswith(f'/broken ({IMAGE}): ')


def test_the_command_shows_it_and_writes_json(drive, tmp_path):
    done = ubcn('bag', 'info', drive, '--json', tmp_path / 'info.json')
    assert done.exit_code == 1 and done.output.count('Error: /broken') == 1, done.output
    first, *lines = done.output.splitlines()
    assert first == f'wrote {tmp_path}/info.json'
    assert lines[0] == (f'{drive}: 2.90 s from 2023-11-14 22:13:20 UTC, 26 messages, 0.1 MB in '
                        '1 file (mcap, compression zstd)')
    row = next(line for line in lines if line.startswith('/front/image_raw  '))
    assert row.split() == ['/front/image_raw', 'sensor_msgs/Image', '20', '0.10', '6.55', '1',
                           '1.10', 's', 'best_effort,', 'volatile']
    assert '/front/image_raw has gaps: 1.10 s at 1.00 s' in lines
    assert any(line.startswith('/labels/image_raw is not a camera: ') for line in lines)
    assert [line for line in lines if '44x36' in line][0].endswith('none beside it')
    bag, = json.loads((tmp_path / 'info.json').read_text())['bags']
    assert bag == bag_info(drive).as_dict() | {'path': str(drive)}


def test_all_bags_are_in_the_file_where_nothing_can_be_printed(drive, tmp_path, unheard):
    assert ubcn('bag', 'info', drive, drive, '--json', tmp_path / 'info.json').exit_code == 1
    assert len(json.loads((tmp_path / 'info.json').read_text())['bags']) == 2


def test_json_of_an_earlier_run_stays_where_a_signal_ends_the_first_bag(tmp_path, monkeypatch):
    def stopped(*_):
        raise Stopped(signal.SIGINT)

    monkeypatch.setattr('ubcn_ros.bags.info.bag_info', stopped)
    (tmp_path / 'info.json').write_text('earlier')
    assert ubcn('bag', 'info', tmp_path, '--json', tmp_path / 'info.json').exit_code == 130
    assert (tmp_path / 'info.json').read_text() == 'earlier'


def test_several_bags_one_damaged_one_missing(drive, tmp_path):
    (tmp_path / 'cut.mcap').write_bytes(drive.read_bytes()[:60_000])
    result = ubcn('bag', 'info', drive, tmp_path / 'cut.mcap', tmp_path / 'none', '--json', '-')
    assert result.exit_code == 1 and 'Traceback' not in result.output
    whole, cut, missing = json.loads(result.stdout)['bags']
    assert len(whole['damage']) == 1 and 0 < cut['messages'] < 26
    assert 'was not closed' in cut['damage'][0] and 'no bag at' in missing['damage'][0]
    errors = [line for line in result.stderr.splitlines() if line.startswith('Error: ')]
    assert len(errors) == sum(len(bag['damage']) for bag in (whole, cut, missing))


def test_counts_that_do_not_fit_are_damage(tmp_path):
    create([noise(n) for n in range(3)], tmp_path / 'bag')
    edit_metadata(tmp_path / 'bag', count=5)
    assert ['5 messages are announced, 3 were found' in line
            for line in bag_info(tmp_path / 'bag').damage] == [True]


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_storages_and_a_bag_without_messages(tmp_path, storage):
    write_rosbag2(tmp_path / 'bag', [], storage)
    info = bag_info(tmp_path / 'bag')
    assert (info.messages, info.seconds, info.topics) == (0, 0, [])
    assert [file.storage for file in info.files] == [storage]
    assert ubcn('bag', 'info', tmp_path / 'bag').exit_code == 0


def test_a_file_compressed_as_a_whole(drive):
    import zstandard
    for name in ('drive.mcap.zstd', 'drive'):  # what it holds counts
        packed = drive.with_name(name)
        packed.write_bytes(zstandard.compress(drive.read_bytes()))
        assert [(file.storage, file.compression) for file in bag_info(packed).files] == [
            ('mcap', 'zstd file')]


def test_a_file_that_cannot_be_read_is_told_and_the_others_shown(drive, tmp_path):
    folder = tmp_path / 'split'
    folder.mkdir()
    shutil.copy(drive, folder / 'a.mcap')
    (folder / 'b.mcap.zstd').write_bytes(b'\x28\xb5\x2f\xfd' + bytes([255] * 40))
    (folder / 'c.mcap').symlink_to('gone.mcap')
    info = bag_info(folder)
    assert [(file.name, file.storage) for file in info.files] == [
        ('a.mcap', 'mcap'), ('b.mcap.zstd', 'unknown'), ('c.mcap', 'unknown')]
    for name in ('b.mcap.zstd', 'c.mcap'):
        assert any(f'{name} cannot be read' in line for line in info.damage)


def test_a_camera_beside_messages_of_another_encoding_has_its_size(tmp_path):
    bag = write_topics(tmp_path / 'two.mcap', [
        Topic('/front/image_raw', IMAGE, [(n / 10, serialized(n)) for n in range(5)]),
        Topic('/front/image_raw', IMAGE, [(0.1, b'{}')], encoding='json')])
    done = ubcn('bag', 'info', bag)
    row, = (line.split() for line in done.output.splitlines() if ' none beside it' in line)
    assert row[:3] == ['/front/image_raw', '44x36', 'rgb8'], done.output


@pytest.mark.parametrize('begin_ns', [2**63 - 5, 2**63 + 10, 2**64 - SECOND])
def test_times_beyond_int64_have_rates(tmp_path, begin_ns):
    bag = tmp_path / 'late.mcap'
    records = [text(TEXT_DATA, begin_ns + n * SECOND // 20) for n in range(12)]
    write_bag(bag, records)
    info = bag_info(bag)
    assert info.start_ns == begin_ns and info.seconds == pytest.approx(0.55)
    assert info.topics[0].rate_hz == pytest.approx(20) and info.topics[0].gaps == []
    write_bag(bag, [text(TEXT_DATA, 0), *records])  # a clock that was set in between
    assert bag_info(bag).messages == 13 and ubcn('bag', 'info', bag).exit_code == 0


def text(data, time_ns):
    return Record(ros_channel('/text', TEXT), time_ns, time_ns, 0, data)
