# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags of other recorders, whole ones: every message is found, or the counts are told."""

import errno
import os
import resource
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest
import zstandard
from bag_files import (
    NO_SUMMARY,
    SECOND,
    best_effort,
    edit_metadata,
    found,
    pictures,
    serialized,
    write_mcap,
    write_rosbag2,
)
from drives import processed
from mcap.writer import CompressionType, IndexType, Writer
from random_images import noise
from rosbags.rosbag2 import CompressionMode

from ubcn_ros.bags import (
    IMAGE,
    BagError,
    MalformedMessage,
    McapBagWriter,
    make_header,
    make_image,
    open_bag,
    read_images,
)
from ubcn_ros.bags.storage.opening import open_storage

LZ4 = b'\x04\x22\x4d\x18' + bytes(40)
STORAGES = {'mcap': '.mcap', 'sqlite3': '.db3'}


def write_bag(path, numbers, storage='mcap', **options):
    return write_rosbag2(path, pictures(numbers), storage, **options)


def test_channels_of_one_topic_are_read_together_by_time(tmp_path):
    path = write_mcap(tmp_path / 'two.mcap', [1, 3, 2, 5, 6, 4, 8, 7], channels=3)
    assert found(path) == ([1, 2, 3, 4, 5, 6, 7, 8], [])
    with open_bag(path) as reader:
        assert [(c.topic, c.msgcount) for c in reader.connections] == [('/image', 8)]


@pytest.mark.parametrize('index', [IndexType.ALL, IndexType.CHUNK])
@pytest.mark.parametrize('seconds', [[0], [3, 4, 5]])
def test_a_chunk_without_messages_has_no_time(tmp_path, monkeypatch, seconds, index):
    """As writers close one for an attachment; its times are 0, as those of a message may be."""
    register = Writer.register_channel

    def alone(writer, *arguments):
        number = register(writer, *arguments)
        writer._Writer__chunk_builder.num_messages = 1  # else the library writes none
        writer._Writer__finalize_chunk()
        return number

    monkeypatch.setattr(Writer, 'register_channel', alone)
    path = write_mcap(tmp_path / 'x.mcap', seconds, index_types=index)
    assert found(path) == (seconds, [])
    with open_bag(path) as reader:
        assert (reader.start_ns, reader.end_ns) == (seconds[0] * SECOND, seconds[-1] * SECOND)


@pytest.mark.parametrize('index', [IndexType.ALL, IndexType.CHUNK, IndexType.NONE])
@pytest.mark.parametrize('place', [2, 3, 5])
def test_messages_between_the_chunks_of_a_whole_file_are_read(tmp_path, monkeypatch, place, index):
    """The index names chunks alone; valid by the specification of mcap."""
    add, chunks = Writer.add_message, []

    def between(writer, channel, time, *rest, **more):
        if time == place * SECOND:  # as the library writes without chunks
            writer._Writer__finalize_chunk()
            chunks.append(writer._Writer__chunk_builder)
            writer._Writer__chunk_builder = None
        add(writer, channel, time, *rest, **more)
        if time == place * SECOND:
            writer._Writer__chunk_builder = chunks.pop()

    monkeypatch.setattr(Writer, 'add_message', between)
    path = write_mcap(tmp_path / 'between.mcap', [1, 2, 3, 4, 5], index_types=index)
    assert found(path) == ([1, 2, 3, 4, 5], [])
    with open_bag(path) as reader:
        assert reader.notes == [] and reader.damage == []


@pytest.mark.parametrize('emptied', [[], [0]])
def test_a_chunk_that_the_index_leaves_out_is_read(tmp_path, monkeypatch, emptied):
    """Also beside a chunk that has no index of its messages, as one without any has none."""
    finish = Writer.finish

    def leave_out(writer):
        writer._Writer__finalize_chunk()
        indices = writer._Writer__chunk_indices
        for number in emptied:
            indices[number].message_index_offsets.clear()
        indices.pop(2)
        writer._Writer__statistics.chunk_count = len(indices)
        finish(writer)

    monkeypatch.setattr(Writer, 'finish', leave_out)
    path = write_mcap(tmp_path / 'x.mcap', [1, 2, 3, 4, 5], chunk_size=1)
    assert found(path) == ([1, 2, 3, 4, 5], [])


@pytest.mark.parametrize('storage', STORAGES)
def test_the_span_is_looked_up_once(tmp_path, storage):
    """It is asked for with each image, and takes SQLite as long as all times do."""
    write_bag(tmp_path / 'bag', [1, 2], storage)
    with ExitStack() as stack:
        file = open_storage(tmp_path / 'bag' / f'bag{STORAGES[storage]}', stack, [])
        assert file.span == (SECOND, 2 * SECOND) and file.span is file.span


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('name', ['a drive?#1%20', os.fsdecode(b'dr\xffve')])
def test_a_bag_may_have_any_name(tmp_path, storage, name):
    """Of bytes that are not UTF-8, too."""
    write_bag(tmp_path / 'bag', [1, 2], storage)
    assert found((tmp_path / 'bag').rename(tmp_path / name)) == ([1, 2], [])


@pytest.mark.parametrize('storage', STORAGES)
def test_connections_that_differ_by_qos_are_one_topic(tmp_path, storage):
    write_bag(tmp_path / 'bag', range(1, 8), storage, qos=[best_effort(1), best_effort(2)])
    assert found(tmp_path / 'bag') == ([1, 2, 3, 4, 5, 6, 7], [])


@pytest.mark.parametrize('storage', STORAGES)
def test_metadata_may_have_another_qos_than_the_storage(tmp_path, storage):
    write_bag(tmp_path / 'bag', [1, 2, 3], storage, qos=[best_effort(5)])
    metadata = tmp_path / 'bag' / 'metadata.yaml'
    text = metadata.read_text()
    assert 'sec: 5' in text
    metadata.write_text(text.replace('sec: 5', 'sec: 0'))
    assert found(tmp_path / 'bag') == ([1, 2, 3], [])


@pytest.mark.parametrize('options', [
    {'index_types': IndexType.CHUNK}, {'index_types': IndexType.MESSAGE},
    {'index_types': IndexType.NONE}, {'use_statistics': False}, {'repeat_channels': False},
    {'repeat_schemas': False}, {'use_chunking': False}, NO_SUMMARY,
    {**NO_SUMMARY, 'use_chunking': False}, {'compression': CompressionType.ZSTD},
    {'compression': CompressionType.LZ4, **NO_SUMMARY}, {'enable_crcs': False}], ids=str)
def test_an_mcap_file_needs_no_index_nor_summary(tmp_path, options):
    path = write_mcap(tmp_path / 'x.mcap', [3, 1, 2, 9, 8, 7, 4, 5, 6], **options)
    assert found(path) == ([1, 2, 3, 4, 5, 6, 7, 8, 9], [])


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('mode', [CompressionMode.FILE, CompressionMode.MESSAGE])
def test_files_and_messages_compressed_with_zstd_are_read(tmp_path, storage, mode):
    write_bag(tmp_path / 'bag', [1, 2, 3], storage, compression=mode)
    assert found(tmp_path / 'bag') == ([1, 2, 3], [])


def test_a_file_of_several_zstd_frames_is_read(tmp_path):
    data = write_mcap(tmp_path / 'x.mcap', [1, 2, 3]).read_bytes()
    (tmp_path / 'y.mcap.zstd').write_bytes(b''.join(
        zstandard.compress(data[at:at + 5000]) for at in range(0, len(data), 5000)))
    assert found(tmp_path / 'y.mcap.zstd') == ([1, 2, 3], [])


@pytest.mark.parametrize('storage', STORAGES)
def test_files_of_a_split_bag_are_read_by_time(tmp_path, storage):
    suffix = STORAGES[storage]
    for name, numbers in (('a', [4, 1, 6]), ('b', [5, 2, 3])):
        write_bag(tmp_path / name, numbers, storage)
    shutil.copy(tmp_path / 'b' / f'b{suffix}', tmp_path / 'a')
    edit_metadata(tmp_path / 'a', relative_file_paths=[f'a{suffix}', f'a/b{suffix}'], count=6)
    assert found(tmp_path / 'a') == ([1, 2, 3, 4, 5, 6], [])


@pytest.mark.parametrize('definition', [('', b''), ('ros2msg', b''), ('ros2msg', b'no definition'),
                                        ('ros2idl', b'no definition'), ('unknown', b'')], ids=str)
def test_standard_types_need_no_definition(tmp_path, definition):
    assert found(write_mcap(tmp_path / 'x.mcap', [1, 2], definition=definition)) == ([1, 2], [])


@pytest.mark.parametrize('other', [
    ('/log', 'log', 'jsonschema', b'{}', 'json', b'{}'),
    ('/pose', 'foxglove.Pose', 'protobuf', b'\xff\xfe', 'protobuf', b'\0'),
    ('/own', 'own_msgs/msg/Own', 'ros2msg', b'int32[ what', 'cdr', b'\0\1\0\0'),
    ('/own', 'own_msgs/msg/Own', 'ros2idl', b'module {', 'cdr', b''),
    ('/none', '', '', b'', '', b'')], ids=lambda other: other[2])
def test_other_topics_do_not_matter(tmp_path, other):
    assert found(write_mcap(tmp_path / 'x.mcap', [1, 2, 3], more=[other])) == ([1, 2, 3], [])


@pytest.mark.parametrize('encoding', ['json', 'protobuf', 'ros1'])
def test_images_that_are_not_of_ros_2_are_a_clear_error(tmp_path, encoding):
    image = ('/front', IMAGE, encoding, b'', encoding, b'{}')
    path = write_mcap(tmp_path / 'x.mcap', [], more=[image])
    for topic in (None, '/front'):
        with pytest.raises(BagError, match=f'/front is encoded as {encoding}.*convert it'):
            found(path, topic)


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('announced', [0, 2, 4])
def test_other_counts_than_announced_are_told_with_both_numbers(tmp_path, storage, announced):
    write_bag(tmp_path / 'bag', [1, 2, 3], storage)
    edit_metadata(tmp_path / 'bag', count=announced)
    result = processed(tmp_path / 'bag', tmp_path / 'out')
    (problem,) = result.errors
    assert result.tally.frames == 3
    assert f'/image: {announced} messages are announced, 3 were found; ' in problem
    images = read_images(tmp_path / 'bag')
    assert [next(images).stamp_ns for _ in range(3)] == [SECOND, 2 * SECOND, 3 * SECOND]
    with pytest.raises(BagError, match=f'{announced} messages are announced, 3 were found'):
        next(images)


def test_malformed_messages_count_as_found(tmp_path):
    with McapBagWriter(tmp_path / 'bag') as writer:
        for time, data in enumerate([serialized(1), b'', b'\0\1\0\0', serialized(2)[:40],
                                     serialized(2) + bytes(9), b'\xff' * 50, serialized(3)]):
            writer.write_message('/image', IMAGE, data, time)
    result = processed(tmp_path / 'bag', tmp_path / 'out')
    assert result.tally.frames == 2 and len(result.errors) == 5
    assert result.errors[0].startswith(
        '/image, recorded at 0.000000001 s: it is not a sensor_msgs/msg/Image')


def test_the_remedy_for_a_malformed_image_is_that_of_a_bag(tmp_path):
    message = make_image(make_header(1, 'c'), noise())
    message.encoding = 'surprise'
    with McapBagWriter(tmp_path / 'bag') as writer:
        writer.write_message('/image', IMAGE, message, 1)
    with pytest.raises(MalformedMessage, match="message 1 of /image: .*'surprise'") as error:
        list(read_images(tmp_path / 'bag'))
    assert 'publish' not in str(error.value)


def test_a_bag_of_more_files_than_a_process_may_open_at_first(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for n in range(3):
        write_mcap(tmp_path / 'bag' / f'bag_{n}.mcap', [n])
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        assert found(tmp_path / 'bag') == ([0, 1, 2], [])
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(hard, 521)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_server_that_is_gone_is_not_a_lost_file(tmp_path, monkeypatch):
    for n in range(2):
        write_mcap(tmp_path / 'bag' / f'bag_{n}.mcap', [n])
    opened = Path.open

    def failing(path, *options):
        if path.name == 'bag_1.mcap':
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return opened(path, *options)
    monkeypatch.setattr(Path, 'open', failing)
    with pytest.raises(BagError, match='bag_1.mcap could not be read on: Stale'):
        found(tmp_path / 'bag')


@pytest.mark.parametrize('storage', STORAGES)
def test_a_missing_or_unreadable_file_of_a_split_bag_is_named(tmp_path, storage):
    bag, suffix = write_bag(tmp_path / 'bag', [1, 2], storage), STORAGES[storage]
    edit_metadata(bag, relative_file_paths=[f'bag{suffix}', f'gone{suffix}'], count=5)
    numbers, (missing, counts) = found(bag)
    assert numbers == [1, 2]
    assert f'gone{suffix}, which metadata.yaml names, is missing' in missing
    assert '5 messages are announced, 2 were found' in counts
    for content, text in ((b'', 'is empty'), (b'garbage', 'holds none of mcap, sqlite3, ROS 1')):
        (bag / f'gone{suffix}').write_bytes(content)
        numbers, (unreadable, _) = found(bag)
        assert numbers == [1, 2] and f'gone{suffix} ' in unreadable and text in unreadable
    (bag / f'gone{suffix}').write_bytes(b'')
    (bag / 'process.json').write_text('{}')
    assert 'go on with it by `ubcn bag process --resume`' in found(bag)[1][0]


@pytest.mark.parametrize('storage', STORAGES)
def test_what_metadata_says_of_files_may_be_wrong_where_it_is_clear(tmp_path, storage):
    bag, suffix = write_bag(tmp_path / 'bag', [1, 2], storage), STORAGES[storage]
    edit_metadata(bag, storage_identifier='', ros_distro='', version=99)
    assert found(bag) == ([1, 2], [])
    for name in ('stray', '._bag'):  # another recording, and what macOS leaves
        shutil.copy(bag / f'bag{suffix}', bag / f'{name}{suffix}')
    assert found(bag) == ([1, 2], [])
    (bag / f'bag{suffix}').unlink()
    (bag / f'stray{suffix}').rename(bag / f'drive.of.monday{suffix}')
    assert found(bag) == ([1, 2], [])
    with open_bag(bag) as reader:
        assert f'bag{suffix} in its metadata.yaml, but holds drive.of.monday' in reader.notes[0]


def test_files_that_do_not_fit_metadata_are_listed(tmp_path):
    bag = write_bag(tmp_path / 'bag', [1])
    (bag / 'bag.mcap').rename(bag / 'a.mcap')
    shutil.copy(bag / 'a.mcap', bag / 'b.mcap')
    with pytest.raises(BagError, match=r'names bag.mcap .* give one of .*/a.mcap, .*/b.mcap'):
        found(bag)
    for name in ('a.mcap', 'b.mcap'):
        (bag / name).unlink()
    with pytest.raises(BagError, match=r'names bag.mcap .* copy the bag again'):
        found(bag)


@pytest.mark.parametrize('storage', STORAGES)
def test_a_file_that_is_also_there_compressed_is_read_once(tmp_path, storage):
    bag, suffix = write_bag(tmp_path / 'bag', [1, 2], storage), STORAGES[storage]
    (bag / 'metadata.yaml').unlink()
    compressed = zstandard.compress((bag / f'bag{suffix}').read_bytes())
    (bag / f'bag{suffix}.zstd').write_bytes(compressed[:len(compressed) // 2])
    (bag / f'later{suffix}.zstd').write_bytes(
        zstandard.compress(write_bag(tmp_path / 'later', [3], storage).joinpath(
            f'later{suffix}').read_bytes()))
    with open_bag(bag) as reader:
        assert [file.name for file in reader.files] == [f'bag{suffix}', f'later{suffix}.zstd']
        assert f'bag{suffix}.zstd was not read, as bag{suffix} is there' in ' '.join(
            reader.notes + reader.damage)
    assert found(bag)[0] == [1, 2, 3]


@pytest.mark.parametrize('text', [None, '', 'a: [', 'a: 1', '[]', '\0'], ids=repr)
def test_without_metadata_the_files_are_read(tmp_path, text):
    for storage in STORAGES:
        bag = write_bag(tmp_path / storage, [1, 2], storage)
        (bag / 'metadata.yaml').unlink()
        if text is not None:
            (bag / 'metadata.yaml').write_text(text)
    with open_bag(tmp_path / 'mcap') as reader:
        assert '`ros2 bag reindex`' in reader.notes[0]
    assert found(tmp_path / 'mcap') == ([1, 2], [])  # an mcap file says itself that it is whole
    numbers, (problem,) = found(tmp_path / 'sqlite3')
    assert numbers == [1, 2] and '`ros2 bag reindex`' in problem


def test_what_is_no_bag_is_an_error_with_a_remedy(tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'nothing.mcap').write_bytes(b'')
    (tmp_path / 'text.db3').write_text('not a database, whatever its name')
    (tmp_path / 'zeros.db3').write_bytes(b'SQLite format 3\0' + bytes(4096))
    (tmp_path / 'old.mcap').write_bytes(b'#ROSBAG V2.0\n')
    (tmp_path / 'cut.mcap.zstd').write_bytes(zstandard.compress(bytes(9))[:7])
    for name, text in (('absent', 'no bag at .*give a rosbag2 folder'),
                       ('empty', 'no bag at .*give a rosbag2 folder'),
                       ('x' * 300 + '.bag', 'cannot be read: File name too long; give a bag'),
                       ('nothing.mcap', 'is empty: .*remove it'),
                       ('text.db3', 'none of mcap, sqlite3, ROS 1; give a rosbag2 folder'),
                       ('zeros.db3', 'not a database; give another copy'),
                       ('old.mcap', 'old.mcap cannot be read as a ROS 1 bag: .*another copy'),
                       ('cut.mcap.zstd', 'it is cut off; give another copy')):
        with pytest.raises(BagError, match=text) as error, open_bag(tmp_path / name):
            pass
        assert '\n' not in str(error.value)


def test_a_topic_without_messages_is_not_taken_for_images(tmp_path):
    path = write_mcap(tmp_path / 'x.mcap', [])
    for topic in (None, '/image'):
        with pytest.raises(BagError, match=r'no images.*/image \(sensor_msgs/msg/Image, 0\)'):
            found(path, topic)


def test_a_message_of_several_zstd_frames_is_read(tmp_path):
    data = serialized(1)
    with McapBagWriter(tmp_path / 'bag') as writer:
        writer.write_message('/image', IMAGE, zstandard.compress(data[:900])
                             + zstandard.compress(data[900:]), SECOND)
    assert found(tmp_path / 'bag') == ([1], [])


def test_messages_compressed_with_lz4_are_named(tmp_path):
    with McapBagWriter(tmp_path / 'bag') as writer:
        writer.write_message('/image', IMAGE, LZ4, 1)
    edit_metadata(tmp_path / 'bag', compression_mode='MESSAGE', compression_format='lz4')
    with open_bag(tmp_path / 'bag') as reader:
        assert 'messages are compressed as lz4: only zstd is read' in reader.notes[0]
    with pytest.raises(MalformedMessage, match='compressed with lz4.*`ros2 bag convert`'):
        found(tmp_path / 'bag')


def test_a_file_compressed_with_lz4_is_named(tmp_path):
    bag = write_bag(tmp_path / 'bag', [1])
    file = bag / 'bag.mcap.lz4'
    file.write_bytes(LZ4)
    (bag / 'bag.mcap').unlink()
    edit_metadata(bag, relative_file_paths=[file.name], compression_mode='FILE',
                  compression_format='lz4')
    for path in (bag, file):
        with pytest.raises(BagError, match='bag.mcap.lz4 is compressed with lz4.*decompress it'):
            found(path)
