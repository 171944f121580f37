# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a bag holds beside the images that are read is counted and told, never dropped unsaid."""

import sqlite3
from contextlib import nullcontext

import numpy as np
import pytest
from bag_files import SECOND, edit_metadata, found, pictures, serialized, write_mcap, write_rosbag2
from command_line import ubcn
from random_images import noise

from ubcn_ros.bags import (
    COMPRESSED,
    IMAGE,
    BagError,
    McapBagWriter,
    create,
    image_connection,
    make_compressed,
    make_header,
    open_bag,
)
from ubcn_ros.bags.messages import TYPES
from ubcn_ros.images.files import write_image


def compressed(number):
    image = np.frombuffer(b'\x89PNG', np.uint8)
    return bytes(TYPES.serialize_cdr(
        make_compressed(make_header(number * SECOND, 'c'), bytes(image)), COMPRESSED))


@pytest.mark.parametrize(('other', 'said'), [
    (('/image', IMAGE, 'jsonschema', b'{}', 'json', b'{}'), f'{IMAGE}, encoded as json'),
    (('/image', IMAGE, 'protobuf', b'', 'protobuf', b'x'), f'{IMAGE}, encoded as protobuf'),
    (('/image', '', '', b'', 'cdr', serialized(5)), '(none), encoded as cdr'),
    (('/image', 'std_msgs/msg/Header', 'ros2msg', b'', 'cdr', b''),
     'std_msgs/msg/Header, encoded as cdr'),
    (('/image', COMPRESSED, 'ros2msg', b'', 'cdr', compressed(1)),
     f'{COMPRESSED}, encoded as cdr')], ids=lambda value: str(value)[:40])
@pytest.mark.parametrize('topic', [None, '/image', 'image'])
def test_other_messages_of_the_topic_are_told(tmp_path, other, said, topic):
    path = write_mcap(tmp_path / 'x.mcap', [1, 2, 3], channels=2, more=[other, other])
    numbers, (problem,) = found(path, topic)
    assert numbers == [1, 2, 3] and f'/image: 2 messages of type {said}, were left out' in problem


def test_an_exact_topic_name_wins(tmp_path):
    path = write_mcap(tmp_path / 'x.mcap', [1, 2], more=[
        ('image', IMAGE, 'ros2msg', b'', 'cdr', serialized(1))])
    with pytest.raises(BagError, match='choose one with --topic: /image, image'):
        found(path)
    assert found(path, '/image') == ([1, 2], [])
    assert found(path, 'image') == ([1], [])


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_the_storage_decides_on_the_type(tmp_path, storage):
    write_rosbag2(tmp_path / 'bag', pictures((1, 2)), storage)
    path = tmp_path / 'bag' / 'metadata.yaml'
    path.write_text(path.read_text().replace(IMAGE, COMPRESSED))
    with open_bag(tmp_path / 'bag') as reader:
        connection = image_connection(reader)
        assert (connection.msgtype, connection.msgcount) == (IMAGE, 2)
        assert f'/image is of type {COMPRESSED}, but what is stored is of' in reader.notes[0]
        assert len(list(reader.records(reader.channels_of(connection)))) == 2
        assert reader.problems(connection, 2) == []


@pytest.fixture
def database(tmp_path):
    """An sqlite3 bag of nine images without metadata.yaml, and a way to change it."""
    write_rosbag2(tmp_path / 'bag', pictures(range(1, 10), height=60, width=80))
    (tmp_path / 'bag' / 'metadata.yaml').unlink()
    path = tmp_path / 'bag' / 'bag.db3'

    def change(script):
        connection = sqlite3.connect(path)
        connection.executescript('PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = '
                                 "replace(sql, 'NOT NULL', '')")
        connection.close()
        connection = sqlite3.connect(path)
        connection.executescript(script)
        connection.close()

    return path, change


def read(path, topic='/image'):
    with open_bag(path) as reader:
        connection = image_connection(reader, topic)
        times = [record.time_ns // SECOND
                 for record in reader.records(reader.channels_of(connection))]
        return times, reader.problems(connection, len(times))


@pytest.mark.parametrize('topic', ['NULL', '7'])
def test_rows_of_unknown_topics_are_counted(database, topic):
    path, change = database
    change(f'UPDATE messages SET topic_id = {topic} WHERE id IN (3, 4)')
    times, (problem,) = read(path)
    assert times == [1, 2, 5, 6, 7, 8, 9] and '2 messages are of no known topic' in problem


def test_a_bag_without_topics_says_that_it_has_messages(database):
    path, change = database
    change('DELETE FROM topics')
    with pytest.raises(BagError, match='no images.*9 messages are of no known topic'):
        read(path, None)


def test_a_row_of_the_topic_in_another_encoding_is_told(database):
    path, change = database
    change("INSERT INTO topics SELECT 2, name, type, 'protobuf', offered_qos_profiles, "
           'type_description_hash FROM topics; UPDATE messages SET topic_id = 2 WHERE id > 6')
    times, (problem,) = read(path)
    assert times == [1, 2, 3, 4, 5, 6]
    assert f'/image: 3 messages of type {IMAGE}, encoded as protobuf' in problem


@pytest.mark.parametrize('value', ['NULL', "'soon'", "x'ff'"])
def test_a_row_without_timestamp_is_left_out_and_told(database, value):
    path, change = database
    change(f'UPDATE messages SET timestamp = {value} WHERE id = 3')
    with open_bag(path) as reader:
        assert (reader.start_ns, reader.end_ns) == (SECOND, 9 * SECOND)
    times, problems = read(path)
    assert times == [1, 2, 4, 5, 6, 7, 8, 9]
    assert 'message 3 has no timestamp' in problems[0]
    assert '9 messages are announced, 8 were found; give another copy' in problems[1]


@pytest.mark.parametrize('column', ['name', 'type', 'serialization_format',
                                    'offered_qos_profiles', 'type_description_hash'])
def test_texts_of_topics_may_be_stored_as_blobs(database, column):
    path, change = database
    change(f'UPDATE topics SET {column} = CAST({column} AS BLOB);'
           'UPDATE message_definitions SET topic_type = CAST(topic_type AS BLOB), '
           'encoding = CAST(encoding AS BLOB)')
    assert read(path) == (list(range(1, 10)), [])


def test_texts_that_are_not_utf_8_cost_no_other_topic(database):
    path, change = database
    change("INSERT INTO topics SELECT 2, CAST(x'2f696dff' AS TEXT), type, serialization_format, "
           "x'ff00', '' FROM topics; UPDATE messages SET topic_id = 2 WHERE id > 6")
    assert read(path)[0] == [1, 2, 3, 4, 5, 6]
    assert read(path, '/im\ufffd')[0] == [7, 8, 9]


@pytest.mark.parametrize('how', ['cut', 'a lost page', 'fewer cells', 'no pages'])
def test_damage_that_sqlite_passes_over_is_told(database, how):
    path, _ = database
    data = bytearray(path.read_bytes())
    page = int.from_bytes(data[16:18], 'big')
    (root,) = sqlite3.connect(path).execute(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'messages'").fetchone()
    leaf = (root - 1) * page if data[(root - 1) * page] == 13 else next(
        at for at in range(page, len(data), page) if data[at] == 13 and at > root * page)
    cells = int.from_bytes(data[leaf + 3:leaf + 5], 'big')
    if how == 'cut':
        del data[-page:]
    elif how == 'a lost page':
        place = data.index(noise(5, 60, 80).tobytes()[6000:6040]) // page * page
        data[place:place + page] = bytes(page)
    else:
        data[leaf + 3:leaf + 5] = (cells - 1 if how == 'fewer cells' else 0).to_bytes(2, 'big')
    path.write_bytes(data)
    try:
        times, problems = read(path.parent)
    except BagError as error:
        times, problems = [], [str(error)]
    assert len(times) < 9 or how == 'cut'
    assert any('bag.db3 is damaged (' in line for line in problems)
    if how == 'fewer cells':
        assert any(f'{len(times)} of 9 messages' in line for line in problems)


def test_a_time_that_mcap_cannot_hold_is_named(tmp_path):
    with McapBagWriter(tmp_path / 'bag') as writer:
        for number, time in enumerate([1, -1, 2**63, 2**64]):
            cannot = nullcontext() if time in (1, 2**63) else pytest.raises(
                BagError, match=f'/image was recorded at {time} ns, which mcap cannot hold: corr')
            with cannot:
                writer.write_message('/image', IMAGE, serialized(number), time)
    with open_bag(tmp_path / 'bag') as reader:
        assert [record.time_ns for record in reader.records()] == [1, 2**63]


@pytest.mark.parametrize(('option', 'name'), [
    *(('--topic', name) for name in ('', '/', 'a b', '/a//b', '/a/', '/1a', 'a/ä', '~a', '/a\n',
                                     '\udcff')), ('--frame-id', 'cam\udcff')])
def test_names_that_ros_does_not_allow_are_refused(tmp_path, option, name):
    write_image(tmp_path / 'images' / '1.png', noise())
    done = ubcn('bag', 'create', tmp_path / 'images', tmp_path / 'bag', option, name)
    assert done.exit_code == 1 and done.output.startswith('Error: ')
    assert done.output.count('\n') == 1 and f'{name!a} cannot be' in done.output
    assert option in done.output and not (tmp_path / 'bag').exists()


@pytest.mark.parametrize('name', ['image', '/image', '~/image', '/a_1/_b/C'])
def test_names_that_ros_allows_are_taken(tmp_path, name):
    create([noise(1)], tmp_path / 'bag', name)
    with open_bag(tmp_path / 'bag') as reader:
        assert [c.topic for c in reader.connections] == [name]


@pytest.mark.parametrize(('names', 'said'), [
    (['bag_0.mcap', 'bag_0.mcap'], ''), (['old\\bag_0.mcap'], ''),
    ([''], "relative_file_paths is ['']"), (['..'], "relative_file_paths is ['..']"),
    ('bag_0.mcap', "relative_file_paths is 'bag_0.mcap'"),
    ([None], 'relative_file_paths is [None]')])
def test_odd_file_names_in_metadata_are_read_or_named(tmp_path, names, said):
    create([noise(n) for n in (1, 2)], tmp_path / 'bag', '/image', rate_hz=1.0)
    edit_metadata(tmp_path / 'bag', relative_file_paths=names)
    assert found(tmp_path / 'bag') == ([1, 2], [])
    with open_bag(tmp_path / 'bag') as reader:
        assert [said in note and 'metadata.yaml' in note for note in reader.notes] == (
            [True] if said else [])


def test_a_file_that_metadata_does_not_name_is_noted(tmp_path):
    create([noise(1)], tmp_path / 'bag', '/image')
    write_mcap(tmp_path / 'bag' / 'stray.mcap', [5])
    assert found(tmp_path / 'bag') == ([1], [])
    with open_bag(tmp_path / 'bag') as reader:
        assert 'stray.mcap, which metadata.yaml does not name' in reader.notes[0]


def test_a_topic_without_name_is_no_known_one(database):
    path, change = database
    change('INSERT INTO topics (id) VALUES (2); UPDATE messages SET topic_id = 2 WHERE id > 6')
    times, (problem,) = read(path)
    assert times == [1, 2, 3, 4, 5, 6] and '3 messages are of no known topic' in problem


@pytest.mark.parametrize('other', [
    ('/image', IMAGE, 'jsonschema', b'{}', 'json', b'{}'),
    ('/image', COMPRESSED, 'ros2msg', b'', 'cdr', b'')], ids=['encoding', 'type'])
def test_metadata_counts_all_types_and_encodings_of_a_topic(tmp_path, other):
    create([noise(n) for n in (1, 2, 3)], tmp_path / 'bag', '/image')
    write_mcap(tmp_path / 'bag' / 'bag_0.mcap', [1, 2, 3], more=[other, other])
    for count, told in ((5, []), (7, ['/image: 5 messages are announced, 3 were found'])):
        edit_metadata(tmp_path / 'bag', count=count)
        numbers, (left_out, *problems) = found(tmp_path / 'bag')
        assert numbers == [1, 2, 3] and '/image: 2 messages of type ' in left_out
        assert [line.partition(';')[0] for line in problems] == told


def test_a_lost_table_is_told(database):
    path, change = database
    change('DROP TABLE messages')
    with pytest.raises(BagError, match=r'no images.*bag.db3 is damaged \(no such table: messages'):
        read(path, None)
