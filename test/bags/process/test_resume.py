# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""However a run ends, what it went on with equals an uninterrupted one, message for message."""

import json
import os
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
from bag_files import file_limit, write_rosbag2
from drives import (
    MS,
    Engine,
    camera_info,
    drive,
    image,
    latched_drive,
    late_images,
    message,
    picture,
    processed,
    stored,
    write_bag,
)
from killed_writers import process_frames, process_without_sidecar, run_until_killed
from mcap.writer import CompressionType
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.typesys import Stores, get_typestore

from ubcn_ros.bags import CAMERA_INFO, IMAGE, BagError, open_bag
from ubcn_ros.bags.errors import BagLocked
from ubcn_ros.bags.process import Options, read_sidecar, run
from ubcn_ros.stopping import Stopped, stop_on_signals

FRAMES = 12  # of the drive's two cameras together


@pytest.fixture
def source(tmp_path):
    return write_bag(tmp_path / 'in.mcap', drive(), b'a note', {'driver': 'me'})


@pytest.fixture(autouse=True)
def checkpoints(monkeypatch):
    """After every record: a kill loses nothing else than what was being written."""
    monkeypatch.setattr(run, 'CHECKPOINT_S', 0)


@pytest.fixture
def one_checkpoint(checkpoints, monkeypatch):
    """Where it breaks."""
    monkeypatch.setattr(run, 'CHECKPOINT_S', 1000)


def check_resumed(source, out, options=None):
    """Go on, and compare with a run of its own; return the frames that were processed now."""
    engine, straight = Engine(), out.with_name('straight')
    result = processed(source, out, options, engine, resume=True)
    assert read_sidecar(out)['finished']
    assert result.errors == processed(source, straight, options).errors == result.tally.malformed
    assert stored(out) == stored(straight)
    with open_bag(out) as reader, open_bag(straight) as other:
        assert [c.topic for c in reader.channels] == [c.topic for c in other.channels]
        assert [a.data for a in reader.attachments()] == [a.data for a in other.attachments()]
    ours, theirs = (read_sidecar(folder) for folder in (out, straight))
    for key in ('cameras', 'topics', 'skipped', 'malformed', 'problems', 'settings'):
        assert ours[key] == theirs[key], key
    return engine.seen


def raise_at(number, error):
    def on_frame(seen):
        if seen == number:
            raise error
    return on_frame


@pytest.mark.parametrize('options', [
    Options(), Options(every=2, outputs_only=True), Options(split_bytes=30_000),
    Options(start_s=0.15, duration_s=0.3, drop_inputs=True)], ids=lambda o: repr(o)[-60:])
@pytest.mark.parametrize('number', [1, 3, 4])
def test_a_run_that_failed_goes_on(source, tmp_path, number, options):
    with pytest.raises(RuntimeError):
        processed(source, tmp_path / 'out', options,
                  Engine(raise_at(number, RuntimeError())))
    assert stored(tmp_path / 'out')  # readable
    check_resumed(source, tmp_path / 'out', options)


@pytest.mark.parametrize('number', [1, 4])
def test_what_was_latched_before_the_start_is_written_once(tmp_path, number):
    source, options = write_bag(tmp_path / 'in.mcap', latched_drive()), Options(start_s=0.3)
    with pytest.raises(RuntimeError):
        processed(source, tmp_path / 'out', options, Engine(raise_at(number, RuntimeError())))
    check_resumed(source, tmp_path / 'out', options)
    assert len(stored(tmp_path / 'out', '/tf_static')) == 4


@pytest.mark.parametrize('topic', ['/front/labels/image_raw', '/front/derained/camera_info'])
def test_an_item_that_was_written_in_part_is_written_once(source, tmp_path, monkeypatch, topic):
    write, found = run.McapBagWriter.write, []

    def fail(self, record):
        found.append(record.channel.topic)
        if found.count(topic) == 3:
            raise RuntimeError
        write(self, record)

    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(run.McapBagWriter, 'write', fail)
        processed(source, tmp_path / 'out')
    check_resumed(source, tmp_path / 'out')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_the_bag_and_no_frame_is_done_twice(source, tmp_path, number):
    def stop(seen):
        if seen == 6:
            os.kill(os.getpid(), number)

    done = []
    with pytest.raises(Stopped), stop_on_signals():
        processed(source, tmp_path / 'out', engine=Engine(stop),
                  progress=lambda tally: done.append(tally.frames))
    document = read_sidecar(tmp_path / 'out')
    assert document['finished'] is False and (tmp_path / 'out' / 'metadata.yaml').exists()
    written = document['tally']['written']
    frames = sum(n for topic, n in written.items() if 'labels/image' in topic)
    assert sum('labels/image' in r.channel.topic for r in stored(tmp_path / 'out')) == frames
    assert check_resumed(source, tmp_path / 'out') == FRAMES - frames


@pytest.mark.parametrize('place', [0, 1, 5, 11])
def test_a_kill_loses_nothing_that_was_written(source, tmp_path, place):
    run_until_killed(process_frames, source, tmp_path / 'out', place)
    if place:
        with open_bag(tmp_path / 'out') as reader:
            assert reader.damage  # it says so
    assert FRAMES - check_resumed(source, tmp_path / 'out') <= place


@pytest.mark.parametrize('size', [600, 20_000, 60_000])
def test_a_full_disk_is_told_and_gone_on_with_once_there_is_room(source, tmp_path, size):
    with file_limit(size), pytest.raises(BagError, match='takes no larger file.*--split-size'):
        processed(source, tmp_path / 'out')
    check_resumed(source, tmp_path / 'out')


def test_a_bag_that_does_not_say_how_it_was_made_stays_as_it_is(source, tmp_path):
    with pytest.raises(RuntimeError):
        processed(source, tmp_path / 'out', engine=Engine(raise_at(1, RuntimeError())))
    (tmp_path / 'out' / 'process.json').unlink()
    before = {path: path.read_bytes() for path in (tmp_path / 'out').iterdir()}
    with pytest.raises(BagError, match=r'has no process.json.* give another path, or remove it'):
        processed(source, tmp_path / 'out', resume=True)
    assert {path: path.read_bytes() for path in (tmp_path / 'out').iterdir()} == before


def flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 255
    file.write_bytes(data)


@pytest.mark.parametrize('damage, number', [
    (flip, 1), (lambda file: os.truncate(file, 20_000), 0), (lambda file: os.truncate(file, 0), 1),
    (Path.unlink, 1)], ids=['flipped', 'cut', 'empty', 'removed'])
def test_an_output_that_lost_messages_is_told_at_once_and_not_changed(
        source, tmp_path, damage, number):
    out, engine, options = tmp_path / 'out', Engine(), Options(split_bytes=60_000)
    with pytest.raises(RuntimeError):
        processed(source, out, options, Engine(raise_at(11, RuntimeError())))
    damage(out / f'out_{number}.mcap')
    before = {path: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(BagError, match=r'out_\d.mcap cannot be continued: of \d+ messages that '
                                       r'were written, \d+ are whole; nothing was changed'):
        processed(source, out, options, engine, resume=True)
    assert {path: path.read_bytes() for path in out.iterdir()} == before and engine.seen == 0


def test_a_kill_right_at_the_start_is_gone_on_with(source, tmp_path):
    run_until_killed(process_without_sidecar, source, tmp_path / 'out')
    (tmp_path / 'out' / '.0a.partial').write_bytes(b'{"fini')  # of its process.json
    assert check_resumed(source, tmp_path / 'out') == FRAMES
    (tmp_path / 'empty' / 'out').mkdir(parents=True)
    assert check_resumed(source, tmp_path / 'empty' / 'out') == FRAMES


def test_a_bag_that_cannot_say_how_it_was_made_is_not_left(source, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError

    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(run, 'write_sidecar', fail)
        processed(source, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
    assert check_resumed(source, tmp_path / 'out') == FRAMES


@pytest.mark.parametrize('first', [0, 9])
def test_images_on_both_sides_of_the_break_have_their_camera_info(tmp_path, first):
    """One that changes, also one that begins after the break."""
    records = []
    for number in range(12):
        time = 1000 + 100 * number
        records += [image('/front/image_raw', number, time)] + (number >= first) * [
            camera_info('/front/camera_info', 1, time, width=40 + number)]
    source = write_bag(tmp_path / 'in.mcap', records)
    for number in (4, 8):
        out = tmp_path / str(number) / 'out'
        with pytest.raises(RuntimeError):
            processed(source, out, engine=Engine(raise_at(number, RuntimeError())))
        assert check_resumed(source, out) <= 12 - number + 1
        assert len(stored(out, '/front/derained/camera_info')) == 12


def test_images_behind_the_break_have_the_camera_info_of_their_stamp(tmp_path):
    source = write_bag(tmp_path / 'in.mcap', late_images(20, delay_ms=900))
    for number in (1, 2, 7):
        with pytest.raises(RuntimeError):
            processed(source, tmp_path / str(number) / 'out',
                      engine=Engine(raise_at(number, RuntimeError())))
        check_resumed(source, tmp_path / str(number) / 'out')


@pytest.mark.usefixtures('one_checkpoint')
def test_damage_that_was_met_before_the_break_is_told(tmp_path):
    """Of an attachment, and of images that are not read again."""
    source = write_bag(tmp_path / 'in.mcap', drive(60), b'a note',
                       compression=CompressionType.NONE)
    data = bytearray(source.read_bytes())
    for whole in (b'a note', drive(2)[-4].data):
        data[data.index(whole)] ^= 255
    source.write_bytes(data)
    straight = processed(source, tmp_path / 'straight')
    with pytest.raises(RuntimeError):
        processed(source, tmp_path / 'out', engine=Engine(raise_at(110, RuntimeError())))
    assert processed(source, tmp_path / 'out', resume=True).errors == straight.errors
    assert sum('is damaged at byte' in line for line in straight.errors) == 2


def damaged_sqlite(folder):
    """Write a bag that has lost a page with rows of the table of messages."""
    write_rosbag2(folder, [(r.channel.topic, r.channel.msgtype, r.time_ns, bytes(r.data))
                           for r in drive(60)])
    (file,) = folder.glob('*.db3')
    with closing(sqlite3.connect(file)) as database:
        (page,) = database.execute('PRAGMA page_size').fetchone()
        (root,) = database.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'messages'").fetchone()
    data = bytearray(file.read_bytes())
    leaf = next(at for at in range(root * page, len(data), page) if data[at] == 13)
    data[leaf:leaf + page] = b'\xff' * page
    file.write_bytes(data)
    return folder


def damaged_ros1(path):
    """Write a bag of images of which some, each for another reason, cannot be converted."""
    types = get_typestore(Stores.ROS1_NOETIC)
    make_image, header, stamp = (types.types[name] for name in (
        IMAGE, 'std_msgs/msg/Header', 'builtin_interfaces/msg/Time'))
    with Ros1Writer(path) as writer:
        topic = writer.add_connection('/front/image_raw', IMAGE, typestore=types)
        for number in range(120):
            value = make_image(header(number, stamp(number, 0), 'front'), 32, 40, 'rgb8', 0, 120,
                               picture(number).reshape(-1))
            data = bytes(types.serialize_ros1(value, IMAGE))
            cut = 10 + number if number % 20 == 7 else None
            writer.write(topic, (1 + number) * 100 * MS, data[:cut])
    return path


@pytest.mark.usefixtures('one_checkpoint')
@pytest.mark.parametrize('make, told', [(damaged_sqlite, 'messages are left'),
                                        (damaged_ros1, 'could not be converted')])
def test_damage_on_both_sides_of_the_break_is_told_once(tmp_path, make, told):
    source = make(tmp_path / 'in.bag')
    straight = processed(source, tmp_path / 'straight')
    with pytest.raises(RuntimeError):
        processed(source, tmp_path / 'out', engine=Engine(raise_at(70, RuntimeError())))
    assert processed(source, tmp_path / 'out', resume=True).errors == straight.errors
    assert sum(told in line for line in straight.errors) == 1


def test_a_latched_camera_info_is_found_again(tmp_path):
    records = [camera_info('/camera_info', 3, 1000),
               message('/camera_info', CAMERA_INFO, b'broken', 1005),
               *(image('/image', n, 1010 + 1000 * n) for n in range(30))]
    source = write_bag(tmp_path / 'in.mcap', records)
    with pytest.raises(RuntimeError):
        processed(source, tmp_path / 'out', engine=Engine(raise_at(20, RuntimeError())))
    check_resumed(source, tmp_path / 'out')
    assert len(stored(tmp_path / 'out', '/derained/camera_info')) == 30


def test_a_run_that_is_finished_stays_as_it_is(source, tmp_path):
    processed(source, tmp_path / 'out')
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / 'out').iterdir()}
    engine = Engine()
    assert processed(source, tmp_path / 'out', engine=engine, resume=True).tally.frames == FRAMES
    assert engine.seen == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / 'out').iterdir()} == before
    with pytest.raises(BagError, match='exists already; give a path'):
        processed(source, tmp_path / 'out')


@pytest.mark.parametrize('damage', [
    lambda file: file.unlink(), lambda file: os.truncate(file, file.stat().st_size // 2),
    lambda file: write_bag(file, drive(1))], ids=['removed', 'cut', 'another'])
def test_a_finished_bag_that_is_not_what_was_written_is_told(source, tmp_path, damage):
    processed(source, tmp_path / 'out')
    damage(tmp_path / 'out' / 'out_0.mcap')
    with pytest.raises(BagError, match=r'out is not what was written: .*; check its disk, remove'):
        processed(source, tmp_path / 'out', resume=True)


@pytest.mark.parametrize('options', [Options(split_bytes=30_000), Options(split_ns=100 * MS)])
def test_it_goes_on_with_smaller_files(source, tmp_path, options):
    """As a disk needs it that takes no larger ones."""
    with pytest.raises(RuntimeError):
        processed(source, tmp_path / 'out', engine=Engine(raise_at(5, RuntimeError())))
    result = processed(source, tmp_path / 'out', options, resume=True)
    assert result.errors == [] and result.tally.frames == FRAMES
    assert len(list((tmp_path / 'out').glob('*.mcap'))) > 1


def test_nothing_to_go_on_with_begins_at_the_beginning(source, tmp_path):
    assert check_resumed(source, tmp_path / 'out') == FRAMES


@pytest.mark.parametrize('options, text', [
    (Options(iterations=2), '--iterations was 3 and is 2 now'),
    (Options(cameras=('/front/image_raw',)), r"--topic was \[\] and is \['/front/image_raw'\]"),
    (Options(compress='png'), "--compress was None and is 'png'"),
    (Options(engine=(('processing_size', 96),)), 'it was made without --processing-size, as '
                                                     'by another version: go on with that'),
    (Options(engine=(('allow_partial', True),)), 'it was made without --allow-partial-model, '),
    (Options(start_s=0.1), '--start was 0.0 and is 0.1')])
def test_other_settings_are_refused_by_name(source, tmp_path, options, text):
    with pytest.raises(RuntimeError):
        processed(source, tmp_path / 'out', engine=Engine(raise_at(5, RuntimeError())))
    with pytest.raises(BagError, match=f'out cannot be continued: {text}'):
        processed(source, tmp_path / 'out', options, resume=True)
    with pytest.raises(BagError, match=r'an interrupted run left it; go on with it \(--resume\)'):
        processed(source, tmp_path / 'out')


def test_an_output_of_another_version_is_refused_as_that(source, tmp_path):
    with pytest.raises(RuntimeError):
        processed(source, tmp_path / 'out', engine=Engine(raise_at(5, RuntimeError())))
    document = json.loads((tmp_path / 'out' / 'process.json').read_text())
    for settings, text in (({}, 'without --model'),
                           ({**document['settings'], 'tiles': 2}, 'with --tiles')):
        document['settings'] = settings
        (tmp_path / 'out' / 'process.json').write_text(json.dumps(document))
        with pytest.raises(BagError, match=f'made {text}, as by another version: go on with that'):
            processed(source, tmp_path / 'out', resume=True)


def test_another_model_or_bag_is_refused(source, tmp_path):
    with pytest.raises(RuntimeError):
        processed(source, tmp_path / 'out', engine=Engine(raise_at(5, RuntimeError())))
    other = Engine()
    other.precision = 'bf16'
    with pytest.raises(BagError, match="--precision was 'fp32' and is 'bf16' now"):
        processed(source, tmp_path / 'out', engine=other, resume=True)
    source = write_bag(tmp_path / 'other.mcap', drive(7))
    with pytest.raises(BagError, match='IN /front/image_raw was 6 and is 7 now'):
        processed(source, tmp_path / 'out', resume=True)


def test_two_runs_do_not_write_one_bag(source, tmp_path):
    def second(seen):
        if seen == 5:
            for resume in (True, False):
                with pytest.raises(BagLocked, match='is being written by another process'):
                    processed(source, tmp_path / 'out', resume=resume)

    processed(source, tmp_path / 'out', engine=Engine(second))


def test_of_an_output_that_another_run_has_just_made_that_is_told(source, tmp_path, monkeypatch):
    """Before anything is in it; also where it was not there when this run began."""
    out, lexists = tmp_path / 'out', os.path.lexists
    out.mkdir()
    with run.locked(out):
        for there in (True, False):
            monkeypatch.setattr(os.path, 'lexists', lambda path, there=there:
                                there if path == out else lexists(path))
            with pytest.raises(BagLocked):
                processed(source, out)
    assert os.listdir(out) == []


def test_an_output_that_is_resumed_before_it_is_held_stays_the_others(
        source, tmp_path, monkeypatch):
    locked, engine, other = run.locked, Engine(), Engine()

    def late(folder):
        monkeypatch.setattr(run, 'locked', locked)
        processed(source, folder, engine=other, resume=True)
        return locked(folder)

    monkeypatch.setattr(run, 'locked', late)
    with pytest.raises(BagError, match='out cannot be written: it exists already'):
        processed(source, tmp_path / 'out', engine=engine)
    assert (engine.seen, other.seen) == (0, FRAMES)
    assert check_resumed(source, tmp_path / 'out') == 0


def test_an_output_that_another_run_has_just_begun_is_not_touched(source, tmp_path, monkeypatch):
    locked, begun, taken, told = run.locked, Event(), Event(), []

    def names():  # whenever asked, this run may be writing its checkpoint
        return sorted(n for n in os.listdir(tmp_path / 'out') if not n.endswith('.partial'))

    def late(folder):
        monkeypatch.setattr(run, 'locked', locked)
        begun.set()
        assert taken.wait(60)
        return locked(folder)

    def refuse(seen):
        if seen == 3:
            there = names()
            taken.set()
            told.append(first.exception(60))
            assert names() == there

    monkeypatch.setattr(run, 'locked', late)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(processed, source, tmp_path / 'out')
        assert begun.wait(60)
        processed(source, tmp_path / 'out', engine=Engine(refuse), resume=True)
    assert [type(error) for error in told] == [BagLocked]
    assert check_resumed(source, tmp_path / 'out') == 0


def test_an_output_that_appears_is_not_taken_from_whom_it_is(source, tmp_path, monkeypatch):
    out, is_dir = tmp_path / 'out', Path.is_dir

    def appears(path):
        there = is_dir(path)
        if path == out and not there:
            out.mkdir()
            held.__enter__()
        return there

    held = run.locked(out)
    monkeypatch.setattr(Path, 'is_dir', appears)
    with pytest.raises(BagError):
        processed(source, out, resume=True)
    assert os.listdir(out) == []


def test_the_output_is_held_until_its_last_word_is_written(source, tmp_path, monkeypatch):
    check, refused = run.check_output, []

    def second(*arguments):
        monkeypatch.setattr(run, 'check_output', check)
        with pytest.raises(BagLocked) as caught:
            processed(source, tmp_path / 'out', resume=True)
        refused.append(caught.value)
        check(*arguments)

    monkeypatch.setattr(run, 'check_output', second)
    processed(source, tmp_path / 'out')
    assert refused and processed(source, tmp_path / 'out', resume=True).tally.read


def test_outputs_that_got_lost_are_found_at_the_end(source, tmp_path, monkeypatch):
    real = run.McapBagWriter.write

    def lose(self, record):
        if record.time_ns != 1110 * MS:
            real(self, record)

    monkeypatch.setattr(run.McapBagWriter, 'write', lose)
    with pytest.raises(BagError, match=r'/front/derained/image_raw: 6 messages were written, 5 '
                                       'are there'):
        processed(source, tmp_path / 'out')
    assert json.loads((tmp_path / 'out' / 'process.json').read_text())['finished'] is False
