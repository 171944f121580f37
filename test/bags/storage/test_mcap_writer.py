# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags of mcap files: what goes in comes out, by each reader, and metadata.yaml says so."""

import pytest
import yaml
from bag_files import SECOND, edit_metadata, write_rosbag2
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.records import Attachment
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import Reader
from test_records import CHANNELS, IN_ORDER, strings, write

from ubcn_ros.bags import IMAGE, BagError, Channel, Record, open_bag
from ubcn_ros.bags.messages import LABEL_INFO, TYPES
from ubcn_ros.bags.storage.channels import QOS, ros_channel
from ubcn_ros.bags.storage.mcap_writer import McapBagWriter
from ubcn_ros.bags.storage.metadata import write_metadata
from ubcn_ros.bags.storage.offered_qos import recorded_offers

STRING = ros_channel('/text', 'std_msgs/msg/String')
OLD_QOS = '- history: 1\n  depth: 7\n  reliability: 2\n  durability: 1\n' + ''.join(
    f'  {name}:\n    sec: 1\n    nsec: 0\n' for name in (
        'deadline', 'lifespan', 'liveliness_lease_duration')) + (
    '  liveliness: 1\n  avoid_ros_namespace_conventions: false')
EXTRAS = [Attachment(1, 2, 'calibration', 'text/yaml', b'fx: 1'),
          Attachment(0, 2**64 - 1, '', '', b'')]
METADATA = [('vehicle', {'name': 'ä', 'empty': ''}), ('vehicle', {})]


def text(time, channel=STRING, data=b'\0\1\0\0\2\0\0\0a\0'):
    return Record(channel, time, time + 1, time % 7, data)


def write_bag(folder, records, channels=(), **options):
    with McapBagWriter(folder, **options) as writer:
        for attachment in EXTRAS:
            writer.attach(attachment)
        for name, metadata in METADATA:
            writer.add_metadata(name, metadata)
        for channel in channels:
            writer.add_channel(channel)
        for record in records:
            writer.write(record)
    return folder


def read(path):
    with open_bag(path) as reader:
        found = list(reader.records())
        assert reader.damage == [] and reader.notes == []
        return found


def read_with_mcap(folder):
    """What the official reader finds in the files, in their order."""
    found = []
    for path in sorted(folder.glob('*.mcap')):
        with path.open('rb') as file:
            found += [(c.topic, c.message_encoding, s and (s.name, s.encoding, s.data), c.metadata,
                       m.log_time, m.publish_time, m.sequence, m.data)
                      for s, c, m in make_reader(file, validate_crcs=True).iter_messages()]
    return found


def as_mcap(record):
    channel = record.channel
    schema = (channel.schema_name, channel.schema_encoding, channel.definition)
    return (channel.topic, channel.encoding, schema if channel.schema_name else None,
            dict(channel.metadata), record.time_ns, record.publish_ns, record.sequence,
            record.data)


def read_with_rosbags(folder):
    with Reader(folder) as reader:
        return [(c.topic, c.msgtype, c.msgdef.data, time, data)
                for c, time, data in reader.messages()]


def information(folder):
    return yaml.safe_load((folder / 'metadata.yaml').read_text())['rosbag2_bagfile_information']


def test_all_that_a_bag_has_is_copied_as_it_is(tmp_path):
    with open_bag(write(tmp_path / 'x.mcap')) as source, \
            McapBagWriter(tmp_path / 'bag') as writer:
        for attachment in source.attachments():
            writer.attach(attachment)
        for name, metadata in source.metadata_records():
            writer.add_metadata(name, metadata)
        for record in source.records():
            writer.write(record)
        assert writer.messages == len(IN_ORDER)
    assert read(tmp_path / 'bag') == IN_ORDER
    assert read_with_mcap(tmp_path / 'bag') == [as_mcap(record) for record in IN_ORDER]
    with open_bag(tmp_path / 'bag') as reader, open_bag(tmp_path / 'x.mcap') as source:
        assert set(reader.channels) == set(CHANNELS)
        assert list(reader.attachments()) == list(source.attachments())
        assert list(reader.metadata_records()) == list(source.metadata_records()) == METADATA
    with (tmp_path / 'bag' / 'bag_0.mcap').open('rb') as file:
        reader = make_reader(file)
        assert [a.data for a in reader.iter_attachments()] == [b'fx: 1', b'']
        assert [(m.name, m.metadata) for m in reader.iter_metadata()] == METADATA


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([STRING, ros_channel('/text', IMAGE), STRING._replace(
    metadata=(('publisher', '2'),))]), st.integers(0, 2**63 - 2), st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1), st.binary(max_size=9)).map(lambda fields: Record(*fields)),
    max_size=9))
def test_any_records_are_read_by_every_reader(tmp_path_factory, records):
    bag = write_bag(tmp_path_factory.mktemp('any') / 'bag', records)
    ordered = sorted(records, key=lambda record: record.time_ns)
    assert read(bag) == ordered
    assert read_with_mcap(bag) == [as_mcap(record) for record in ordered]
    assert sorted(read_with_rosbags(bag), key=repr) == sorted(
        ((r.channel.topic, r.channel.msgtype, r.channel.definition.decode(), r.time_ns, r.data)
         for r in records), key=repr)


TEXT = st.text(st.characters(exclude_categories=['Cs']), max_size=6)
TIME = st.integers(0, 2**64 - 1)
PAIRS = st.dictionaries(TEXT, TEXT, max_size=3)
ANY_CHANNEL = st.builds(
    lambda topic, name, *fields: Channel(topic, name, *fields[:1], name, *fields[1:]), TEXT,
    st.sampled_from(['a', 'a/msg/B', 'foxglove.Pose']), TEXT, TEXT, st.binary(max_size=9),
    PAIRS.map(lambda pairs: tuple(sorted(pairs.items()))))


@settings(max_examples=25, deadline=None)
@given(channels=st.lists(ANY_CHANNEL, min_size=1, max_size=4, unique=True),
       attachments=st.lists(st.builds(Attachment, TIME, TIME, TEXT, TEXT, st.binary(max_size=9)),
                            max_size=3),
       metadata=st.lists(st.tuples(TEXT, PAIRS), max_size=3))
def test_any_channel_attachment_and_metadata_record_stays_as_it_is(
        tmp_path_factory, channels, attachments, metadata):
    bag = tmp_path_factory.mktemp('any') / 'bag'
    records = [text(number, channel) for number, channel in enumerate(channels * 2)]
    with McapBagWriter(bag) as writer:
        for attachment in attachments:
            writer.attach(attachment)
        for entry in metadata:
            writer.add_metadata(*entry)
        for record in records:
            writer.write(record)
    assert read(bag) == records
    assert read_with_mcap(bag) == [as_mcap(record) for record in records]
    with open_bag(bag) as reader, (bag / 'bag_0.mcap').open('rb') as file:
        assert reader.channels == channels
        assert list(reader.attachments()) == attachments
        assert list(reader.metadata_records()) == metadata
        official = make_reader(file)
        assert list(official.iter_attachments()) == attachments
        assert [(m.name, m.metadata) for m in official.iter_metadata()] == metadata


def test_metadata_has_the_layout_of_rosbag2(tmp_path):
    other = ros_channel('/labels/label_info', LABEL_INFO, depth=1, latched=True)
    old = Channel('/old', 'std_msgs/msg/String', 'cdr', metadata=((QOS, OLD_QOS),))
    twin = STRING._replace(metadata=(*STRING.metadata, ('x', 'y')))
    write_bag(tmp_path / 'bag', [text(5), text(9, twin), text(3, old)], [other],
              custom_data={'driver': 'ä'})
    found = information(tmp_path / 'bag')
    topics = found.pop('topics_with_message_count')
    assert found == {
        'version': 9, 'storage_identifier': 'mcap', 'duration': {'nanoseconds': 6},
        'starting_time': {'nanoseconds_since_epoch': 3}, 'message_count': 3,
        'compression_format': '', 'compression_mode': '',
        'relative_file_paths': ['bag_0.mcap'], 'custom_data': {'driver': 'ä'},
        'ros_distro': found['ros_distro'], 'files': [
            {'path': 'bag_0.mcap', 'starting_time': {'nanoseconds_since_epoch': 3},
             'duration': {'nanoseconds': 6}, 'message_count': 3}]}
    assert [(t['message_count'], t['topic_metadata']['name'], t['topic_metadata']['type'])
            for t in topics] == [(0, '/labels/label_info', LABEL_INFO),
                                 (2, '/text', 'std_msgs/msg/String'),
                                 (1, '/old', 'std_msgs/msg/String')]
    for topic in topics:
        assert set(topic['topic_metadata']) == {
            'name', 'type', 'serialization_format', 'offered_qos_profiles',
            'type_description_hash'}
    latched, usual, old_style = (t['topic_metadata'] for t in topics)
    assert latched['offered_qos_profiles'][0]['durability'] == 'transient_local'
    assert usual['type_description_hash'] == TYPES.hash_rihs01('std_msgs/msg/String')
    assert old_style['offered_qos_profiles'][0]['reliability'] == 'best_effort'
    assert set(old_style['offered_qos_profiles'][0]) == set(usual['offered_qos_profiles'][0])
    with open_bag(tmp_path / 'bag') as reader:
        assert reader.custom_data == {'driver': 'ä'}
    with AnyReader([tmp_path / 'bag']) as reader:
        qos = [c.ext.offered_qos_profiles[0] for c in reader.connections]
        assert [(q.durability, q.reliability, q.depth) for q in qos] == [
            (QosDurability.TRANSIENT_LOCAL, QosReliability.RELIABLE, 1),
            (QosDurability.VOLATILE, QosReliability.RELIABLE, 5),
            (QosDurability.TRANSIENT_LOCAL, QosReliability.BEST_EFFORT, 7)]
        assert (reader.start_time, reader.end_time, reader.message_count) == (3, 10, 3)
        assert [reader.deserialize(data, c.msgtype).data for c, _, data in reader.messages()] == [
            'a', 'a', 'a']


@pytest.mark.parametrize('qos', ['', 'a: [', '- 1', '[{}]', '- history: keep_last'])
def test_a_qos_that_cannot_be_read_is_kept_and_left_out_of_metadata(tmp_path, qos):
    channel = STRING._replace(metadata=((QOS, qos),))
    assert recorded_offers([channel]) == []
    assert read(write_bag(tmp_path / 'bag', [text(1, channel)])) == [text(1, channel)]


def test_an_empty_bag_is_one(tmp_path):
    write_bag(tmp_path / 'bag', [], [STRING])
    with open_bag(tmp_path / 'bag') as reader:
        assert reader.channels == [STRING] and list(reader.records()) == []
        assert len(list(reader.attachments())) == 2 and reader.damage == []
    with AnyReader([tmp_path / 'bag']) as reader:
        assert reader.message_count == 0


@pytest.mark.parametrize('stored', [True, False])
def test_what_sqlite3_does_not_store_is_from_the_standard(tmp_path, stored):
    source = write_rosbag2(tmp_path / 'in', strings())
    if not stored:
        import sqlite3
        database = sqlite3.connect(source / 'in.db3')
        database.executescript('DROP TABLE message_definitions; UPDATE schema SET '
                               'schema_version = 3; UPDATE topics SET type_description_hash = ""')
        database.close()
    with open_bag(source) as reader:
        records = list(reader.records())
    (channel,) = {record.channel for record in read(write_bag(tmp_path / 'bag', records))}
    assert channel.definition == STRING.definition and channel.schema_encoding == 'ros2msg'
    assert read_with_rosbags(tmp_path / 'bag') == [
        ('/s', 'std_msgs/msg/String', STRING.definition.decode(), r.time_ns, r.data)
        for r in records]


def test_small_messages_count_with_what_is_stored_beside_them(tmp_path):
    bag = write_bag(tmp_path / 'bag', [text(number) for number in range(3000)],
                    split_bytes=50_000)
    assert len(list(bag.glob('*.mcap'))) == 4


def test_an_unknown_type_without_definition_is_kept(tmp_path):
    channel = Channel('/own', 'own_msgs/msg/Own', 'cdr')
    (found,) = read(write_bag(tmp_path / 'bag', [text(1, channel)]))
    assert found.channel == channel._replace(schema_name='own_msgs/msg/Own')


@pytest.mark.parametrize(('options', 'starts'), [
    ({'split_bytes': 4000}, [0, 3, 6, 9]), ({'split_ns': 4 * SECOND}, [0, 4, 8]),
    ({'split_ns': 4 * SECOND, 'split_bytes': 4000}, [0, 3, 6, 9]), ({}, [0])])
def test_a_bag_is_split_by_size_or_duration(tmp_path, options, starts):
    records = [text(number * SECOND, data=bytes(1000)) for number in range(10)]
    bag = write_bag(tmp_path / 'bag', records, **options)
    files = sorted(bag.glob('*.mcap'))
    assert [file.name for file in files] == [f'bag_{n}.mcap' for n in range(len(starts))]
    found = information(bag)
    assert found['relative_file_paths'] == [file.name for file in files]
    assert [f['starting_time']['nanoseconds_since_epoch'] // SECOND
            for f in found['files']] == starts
    assert sum(f['message_count'] for f in found['files']) == found['message_count'] == 10
    assert found['duration']['nanoseconds'] == 9 * SECOND
    assert read(bag) == records == sum((read(file) for file in files), [])
    assert [r[3] for r in read_with_rosbags(bag)] == [record.time_ns for record in records]
    with open_bag(bag) as reader:
        assert len(list(reader.attachments())) == len(list(reader.metadata_records())) == 2


def test_files_of_several_bags_become_one(tmp_path):
    bag = write_bag(tmp_path / 'a', [text(1), text(2)])
    (write_bag(tmp_path / 'b', [text(3)]) / 'b_0.mcap').rename(bag / 'b_0.mcap')
    write_metadata(bag, ['a_0.mcap', 'b_0.mcap'])
    assert read(bag) == [text(1), text(2), text(3)]
    assert len(read_with_rosbags(bag)) == information(bag)['message_count'] == 3


def test_a_description_of_another_file_by_rosbag2_is_not_the_last(tmp_path):
    def described(**changes):
        bag = write_bag(tmp_path / 'described', [])
        edit_metadata(bag, **changes)
        said = yaml.safe_dump(information(bag))
        for file in bag.iterdir():
            file.unlink()
        bag.rmdir()
        with McapBagWriter(tmp_path / 'bag') as writer:
            writer.add_metadata('rosbag2', {'serialized_metadata': said})
        with open_bag(tmp_path / 'bag') as reader:
            first, *others = [m['serialized_metadata'] for _, m in reader.metadata_records()]
        assert first == said
        writer.remove()
        return [yaml.safe_load(other)['version'] for other in others]

    assert described() == []
    assert described(version=8) == [9]
    assert described(compression_mode='FILE') == [9]


@pytest.mark.parametrize(('change', 'said'), [
    ({'time_ns': -1}, 'recorded at -1 ns'), ({'publish_ns': 2**64}, f'published at {2**64} ns')])
def test_a_time_that_mcap_cannot_hold_is_named_and_the_bag_stays_whole(tmp_path, change, said):
    with McapBagWriter(tmp_path / 'bag') as writer:
        writer.write(text(1))
        with pytest.raises(BagError, match=f'/text was {said}, which mcap cannot hold: correct'):
            writer.write(text(2)._replace(**change))
    assert read(tmp_path / 'bag') == [text(1)]


def test_what_begins_without_a_message_is_left_by_no_exception(tmp_path):
    with pytest.raises(KeyboardInterrupt), McapBagWriter(tmp_path / 'bag') as writer:
        writer.attach(EXTRAS[0])
        raise KeyboardInterrupt
    assert not (tmp_path / 'bag').exists()
    write_bag(tmp_path / 'bag', [])
    with pytest.raises(KeyboardInterrupt), McapBagWriter.reopen(tmp_path / 'bag'):
        raise KeyboardInterrupt
    assert read(tmp_path / 'bag') == []


def test_mistakes_are_named(tmp_path):
    with pytest.raises(BagError, match='it exists already'), McapBagWriter(tmp_path):
        pass
    (tmp_path / 'file').write_text('')
    with pytest.raises(BagError, match='Not a directory; give a path'), \
            McapBagWriter(tmp_path / 'file' / 'bag'):
        pass
