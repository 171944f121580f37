# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An interrupted bag of mcap files is continued, and equals one that was not interrupted."""

import os
import shutil
import signal
from contextlib import ExitStack

import pytest
from bag_files import file_limit, write_mcap
from hypothesis import given, settings
from hypothesis import strategies as st
from killed_writers import run_until_killed, write_records
from mcap.reader import make_reader
from test_mcap_writer import (
    EXTRAS,
    METADATA,
    STRING,
    information,
    read,
    read_with_mcap,
    read_with_rosbags,
    text,
)
from test_reach import lose

from ubcn_ros.bags import IMAGE, BagError, open_bag
from ubcn_ros.bags.storage.channels import ros_channel
from ubcn_ros.bags.storage.mcap_output import McapOutput
from ubcn_ros.bags.storage.mcap_writer import _ALL, McapBagWriter
from ubcn_ros.stopping import Stopped, stop_on_signals

OTHER = ros_channel('/late', IMAGE)
RECORDS = [text(number, OTHER if number % 5 > 2 else STRING, bytes([number]) * 50)
           for number in range(20)]


def write_on(folder, records=RECORDS, keep=_ALL, **options):
    """Go on with a bag as a process does: extras first, then what is missing."""
    with McapBagWriter.reopen(folder, keep, **options) as writer:
        begun = writer.messages
        if not begun:
            for attachment in EXTRAS:
                writer.attach(attachment)
            for name, metadata in METADATA:
                writer.add_metadata(name, metadata)
        for record in records[begun:]:
            writer.write(record)
        assert writer.messages == len(records)
    return begun


def write_chunks(folder, records=RECORDS, **options):
    """Write a chunk of every three messages."""
    with McapBagWriter(folder, **options) as writer:
        for attachment in EXTRAS:
            writer.attach(attachment)
        for name, metadata in METADATA:
            writer.add_metadata(name, metadata)
        for place, record in enumerate(records, 1):
            writer.write(record)
            if place % 3 == 0:
                writer.flush()
    return folder


def check(folder, records=RECORDS):
    """Every reader finds all, and the summary of each file is that of its data."""
    assert read(folder) == records
    with open_bag(folder) as reader:
        assert [a.data for a in reader.attachments()] == [a.data for a in EXTRAS]
        assert list(reader.metadata_records()) == METADATA
    assert [message[4] for message in read_with_mcap(folder)] == [r.time_ns for r in records]
    assert [message[3:] for message in read_with_rosbags(folder)] == [
        (record.time_ns, record.data) for record in records]
    assert information(folder)['message_count'] == len(records)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    return write_chunks(tmp_path_factory.mktemp('whole') / 'bag')


@pytest.mark.parametrize('keep', [0, 1, 3, 4, 19, 20, _ALL])
def test_a_closed_bag_is_kept_up_to_a_message(tmp_path, whole, keep):
    bag = shutil.copytree(whole, tmp_path / 'bag')
    assert write_on(bag, keep=keep) == min(keep, 20)
    check(bag)


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 1), keep=st.just(_ALL) | st.integers(0, 20))
def test_wherever_a_file_is_cut_off_it_goes_on(tmp_path_factory, whole, share, keep):
    bag = shutil.copytree(whole, tmp_path_factory.mktemp('cut') / 'bag')
    size = (bag / 'bag_0.mcap').stat().st_size
    os.truncate(bag / 'bag_0.mcap', round(size * share))
    (bag / 'metadata.yaml').unlink()
    there = {path: path.read_bytes() for path in bag.iterdir()}
    try:
        begun = write_on(bag, keep=keep)
    except BagError as error:
        assert f'of {keep} messages that were written, ' in str(error)
        assert {path: path.read_bytes() for path in bag.iterdir()} == there
        begun = write_on(bag)
        assert begun < keep
    else:
        assert begun <= 20 if keep == _ALL else begun == keep
    check(bag)


def test_damage_before_the_end_costs_what_follows(tmp_path, whole):
    bag = shutil.copytree(whole, tmp_path / 'bag')
    with (bag / 'bag_0.mcap').open('r+b') as file:
        offset = make_reader(file).get_summary().chunk_indexes[2].chunk_start_offset
        file.seek(offset + 70)
        file.write(b'\xff' * 20)
    with pytest.raises(BagError, match='of 14 messages that were written, 6 are whole; nothing '):
        write_on(bag, keep=14)
    assert write_on(bag) == 6
    check(bag)


def test_messages_of_a_chunk_that_is_kept_in_part_are_on_the_disk_at_once(tmp_path, whole):
    bag = shutil.copytree(whole, tmp_path / 'bag')
    with McapBagWriter.reopen(bag, keep=5), open_bag(bag) as reader:
        assert list(reader.records()) == RECORDS[:5]


@pytest.mark.parametrize(('name', 'after'), [('write', False), ('flush', False), ('flush', True)])
def test_killed_while_a_chunk_is_kept_in_part_it_loses_nothing(tmp_path, whole, monkeypatch, name,
                                                               after):
    bag, original = shutil.copytree(whole, tmp_path / 'bag'), getattr(McapOutput, name)

    def killed(*arguments):
        if after:
            original(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(McapOutput, name, killed)
        with pytest.raises(KeyboardInterrupt), McapBagWriter.reopen(bag, keep=5):
            pass
    assert write_on(bag, keep=5) == 5
    check(bag)


def test_the_summary_of_a_file_that_went_on_is_as_the_library_writes_it(tmp_path, whole):
    bag = write_chunks(tmp_path / 'bag', RECORDS[:9])
    os.truncate(bag / 'bag_0.mcap', (bag / 'bag_0.mcap').stat().st_size - 30)
    with McapBagWriter.reopen(bag) as writer:
        for place, record in enumerate(RECORDS[9:], 10):
            writer.write(record)
            if place % 3 == 0:
                writer.flush()
    files = [folder / 'bag_0.mcap' for folder in (bag, whole)]
    summaries = []
    for path in files:
        with path.open('rb') as file:
            summaries.append(make_reader(file, validate_crcs=True).get_summary())
    one, other = (vars(summary) for summary in summaries)
    for name in ('schemas', 'channels', 'attachment_indexes', 'metadata_indexes'):
        assert one[name] == other[name]
    counts = [vars(summary.statistics) for summary in summaries]
    assert counts[0] == counts[1]
    assert [(c.message_start_time, c.message_end_time, sorted(c.message_index_offsets))
            for c in one['chunk_indexes']] == [
        (c.message_start_time, c.message_end_time, sorted(c.message_index_offsets))
        for c in other['chunk_indexes']]


@pytest.mark.parametrize('keep', [0, 4, 5, 10, 14, _ALL])
def test_a_split_bag_goes_on_in_the_file_that_has_the_last_message(tmp_path, keep):
    options = {'split_ns': 5}
    bag = write_chunks(tmp_path / 'bag', RECORDS[:14], **options)
    os.truncate(bag / 'bag_2.mcap', (bag / 'bag_2.mcap').stat().st_size - 10)
    assert write_on(bag, keep=keep, **options) == min(keep, 14)
    check(bag)
    assert information(bag)['relative_file_paths'] == [f'bag_{n}.mcap' for n in range(4)]
    assert [f['message_count'] for f in information(bag)['files']] == [5, 5, 5, 5]


@pytest.mark.parametrize('flushed', [0, 1, 7])
def test_after_a_kill_at_any_moment_nothing_is_missing_or_twice(tmp_path, flushed):
    bag = tmp_path / 'bag'
    run_until_killed(write_records, bag, RECORDS[:10], flushed)
    assert not (bag / 'metadata.yaml').exists()
    begun = write_on(bag)
    assert begun >= flushed
    assert read(bag) == RECORDS


def test_a_signal_closes_the_bag_and_it_goes_on(tmp_path):
    with pytest.raises(Stopped), stop_on_signals(), McapBagWriter(tmp_path / 'bag') as writer:
        for record in RECORDS:
            writer.write(record)
            if record.time_ns == 7:
                os.kill(os.getpid(), signal.SIGTERM)
    assert read(tmp_path / 'bag') == RECORDS[:8]
    assert write_on(tmp_path / 'bag') == 8
    assert read(tmp_path / 'bag') == RECORDS


def test_after_a_full_disk_it_goes_on(tmp_path):
    records = [text(number, data=os.urandom(3000)) for number in range(9)]
    with (ExitStack() as limited, pytest.raises(BagError, match='bag .*give a path on another'),
          McapBagWriter(tmp_path / 'bag') as writer):
        for place, record in enumerate(records):
            if place == 4:
                limited.enter_context(file_limit(15_000))
            writer.write(record)
            writer.flush()
    with open_bag(tmp_path / 'bag') as reader:
        found = list(reader.records())
    assert found == records[:len(found)] and len(found) >= 4
    assert write_on(tmp_path / 'bag', records) == len(found)
    assert read(tmp_path / 'bag') == records


@pytest.mark.parametrize('chunk', [0, 1])
def test_of_a_bag_with_a_lost_sector_nothing_is_removed(tmp_path, monkeypatch, chunk):
    """A copy of the disk may have what is there."""
    bag = write_chunks(tmp_path / 'bag', split_ns=8)
    first = bag / 'bag_0.mcap'
    with open_bag(first) as reader:
        place = reader._storages[0]._blocks[chunk].offset
    os.truncate(first, first.stat().st_size - 10)
    before = {path: path.read_bytes() for path in bag.iterdir()}
    assert len(before) == 4
    with monkeypatch.context() as patched:
        lose(patched, place, place + 512)
        with pytest.raises(BagError, match='cannot be read'), \
                McapBagWriter.reopen(bag, keep=5, split_ns=8):
            pass
    assert {path: path.read_bytes() for path in bag.iterdir()} == before
    assert write_on(bag, keep=5, split_ns=8) == 5


def test_a_bag_that_goes_on_can_be_interrupted_again(tmp_path, whole):
    bag = shutil.copytree(whole, tmp_path / 'bag')
    for size in (2000, 2500, 2300, 3100):
        os.truncate(bag / 'bag_0.mcap', min(size, (bag / 'bag_0.mcap').stat().st_size))
        with McapBagWriter.reopen(bag) as writer:
            for record in RECORDS[writer.messages:17]:
                writer.write(record)
                writer.flush()
    write_on(bag)
    check(bag)


def test_a_folder_that_was_renamed_goes_on_under_the_names_of_its_files(tmp_path):
    bag = write_chunks(tmp_path / 'bag', RECORDS[:9], split_ns=4).rename(tmp_path / 'moved')
    write_on(bag, split_ns=4)
    check(bag)
    names = sorted(path.name for path in bag.glob('*.mcap'))
    assert len(names) > 3 and names == [f'bag_{number}.mcap' for number in range(len(names))]
    (bag / 'other_0.mcap').write_bytes(b'of another bag')
    bag = bag.rename(tmp_path / 'bag')
    assert write_on(bag, keep=5, split_ns=4) == 5


def test_what_cannot_be_resumed_is_named(tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'several').mkdir()
    for name in ('a_0.mcap', 'b_0.mcap'):
        (tmp_path / 'several' / name).touch()
    for folder, files in (('empty', r'\(none\)'), ('several', 'a_0.mcap, b_0.mcap')):
        with pytest.raises(BagError, match=f'its files are {files}, not of one bag that ubcn '
                                           f'made, as {folder}_0.mcap; '), \
                McapBagWriter.reopen(tmp_path / folder):
            pass
    path = write_mcap(tmp_path / 'other' / 'other_0.mcap', [1, 2], use_chunking=False)
    size = path.stat().st_size
    with pytest.raises(BagError, match="other_0.mcap cannot be resumed: 'test' made it"), \
            McapBagWriter.reopen(tmp_path / 'other'):
        pass
    assert path.stat().st_size == size
