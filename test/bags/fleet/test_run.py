# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags that several workers process, some of which end: the same messages as of one process."""

import signal
import time
from dataclasses import replace
from itertools import pairwise

import pytest
from bag_files import write_rosbag2
from drives import Engine, drive, imu, jpeg, processed, stored, write_bag
from fleet_workers import Here, Inverting

from ubcn_ros.bags.fleet import Fleet, Workers, pair_outputs, tasks
from ubcn_ros.bags.fleet.run import Assignment, progress
from ubcn_ros.bags.fleet.status import status
from ubcn_ros.bags.process import Options, read_sidecar
from ubcn_ros.bags.process import run as process_run
from ubcn_ros.bags.process.jobs import pieces_folder
from ubcn_ros.stopping import Stopped


def run(tmp_path, sources, workers=2, setup=None, **options):
    told = []
    fleet = Fleet(pair_outputs(sources, tmp_path / 'out'), Options(), tell=told.append, **options)
    with Workers(workers, setup or Inverting(tmp_path)) as pool:
        fleet.run(pool)
    return fleet, told


def test_a_tree_with_a_damaged_bag_and_killed_workers(tmp_path):
    folder = tmp_path / 'in'
    write_bag(folder / 'a.mcap', drive(12), b'a note', {'driver': 'me'})
    write_bag(folder / 'day' / 'b.mcap', drive(4))
    write_bag(folder / 'day' / 'none.mcap', [imu(0, 1)])
    (folder / 'day' / 'cut.mcap').write_bytes((folder / 'a.mcap').read_bytes()[:200])
    fleet, told = run(tmp_path, [folder], setup=Inverting(tmp_path, ends=2), pieces=2)
    assert {str(bag.source.relative_to(folder)): bag.state for bag in fleet.bags} == {
        'a.mcap': 'finished', 'day/b.mcap': 'finished', 'day/cut.mcap': 'failed',
        'day/none.mcap': 'failed'}
    assert sorted(path.name for path in (tmp_path / 'out').rglob('process.json')) == [
        'process.json'] * 2
    for name in ('a', 'day/b'):
        processed(folder / f'{name}.mcap', tmp_path / 'straight' / name)
        assert stored(tmp_path / 'out' / name) == stored(tmp_path / 'straight' / name)
        assert read_sidecar(tmp_path / 'out' / name)['pieces'] == 2
        assert not pieces_folder(tmp_path / 'out' / name).exists()
    killed = [line for line in told if 'was ended by SIGKILL; another worker goes on' in line]
    assert len(killed) == 2 == sum(bag.retries for bag in fleet.bags)
    assert any('none.mcap has no camera' in line for line in told)


def here(monkeypatch, tmp_path, sources, engine=None, **options):
    """Likewise, in this process; ``engine`` takes the place of the one that inverts."""
    monkeypatch.setattr(process_run, 'load_engine', lambda options: engine or Engine())
    monkeypatch.setattr(process_run, 'CHECKPOINT_S', 0)
    told = []
    fleet = Fleet(pair_outputs(sources, tmp_path / 'out'), Options(), tell=told.append, **options)
    fleet.run(Here())
    return fleet, told


@pytest.mark.parametrize('first, error, attempts', [
    (1, OSError('no room'), 4), (3, OSError('no room'), 4), (3, ValueError('no such model'), 1)])
def test_a_piece_that_always_fails_is_given_up_and_others_are_not(
        tmp_path, monkeypatch, first, error, attempts):
    """Attempts that came further do not count: the first of three frames did."""
    sources = [write_bag(tmp_path / name, drive(2)) for name in ('a.mcap', 'b.mcap')]
    seen = []

    def fail(number):
        seen.append(number)
        if first <= len(seen) < first + attempts:
            raise error

    fleet, told = here(monkeypatch, tmp_path, sources, Engine(fail))
    assert [bag.state for bag in fleet.bags] == ['failed', 'finished']
    assert str(error) in fleet.bags[0].error and len(told) == attempts + 1
    assert ('given up after 4 attempts that came no further' in fleet.bags[0].error) == (
        attempts > 1)
    fleet, _ = here(monkeypatch, tmp_path, sources, resume=True)
    assert [bag.state for bag in fleet.bags] == ['finished', 'finished']
    for name in 'ab':
        processed(tmp_path / f'{name}.mcap', tmp_path / 'straight' / name)
        assert stored(tmp_path / 'out' / name) == stored(tmp_path / 'straight' / name)


def test_of_a_bag_that_fails_skipped_topics_and_notes_are_told_too(tmp_path, monkeypatch):
    """Each once, whether in one piece or in several, as of a bag that does not fail."""
    source = write_rosbag2(tmp_path / 'in', [
        (r.channel.topic, r.channel.msgtype, r.time_ns, r.data)
        for r in [*drive(4), jpeg('/front/image_raw/compressed', 9, 1450)] if 'image' in
        r.channel.topic])
    write_bag(source / 'more.mcap', drive(1))

    def fail(number):
        if number == 7:
            raise ValueError('no more')

    for run, (pieces, engine) in enumerate(((2, Engine(fail)), (2, Engine()), (1, Engine()))):
        fleet, told = here(monkeypatch, tmp_path / f'{run}', [source], engine, pieces=pieces)
        assert fleet.bags[0].state == ('failed' if engine.on_frame else 'finished')
        for text in ('/front/image_raw/compressed (sensor_msgs/msg/CompressedImage) is not '
                     'processed', 'more.mcap, which metadata.yaml does not name, was not read'):
            line, = (line for line in told if text in line)
            assert str(source) in line


def test_of_a_bag_that_fails_no_other_piece_is_begun(tmp_path, monkeypatch):
    """Until it is continued; it is told once, also where several pieces fail."""
    source, seen = write_bag(tmp_path / 'in.mcap', drive(8)), []

    def fail(number):
        seen.append(number)
        raise ValueError('no such model')

    fleet, told = here(monkeypatch, tmp_path, [source], Engine(fail), pieces=4)
    assert fleet.bags[0].state == 'failed' and len(seen) == 1 and fleet.waiting == 0
    assert told == [f'{tmp_path / "out"} failed: no such model']
    # as of workers that ran meanwhile
    piece = Assignment(fleet.bags[0], tasks.RunPiece(fleet.bags[0].jobs[1], False))
    for outcome in (tasks.TaskOutcome('2', error='no such model'),
                    tasks.TaskOutcome('2', error='was ended', lost=True)):
        fleet._take(piece, outcome)
    assert len(told) == 1 and fleet.waiting == 0 and fleet.bags[0].retries == 0
    monkeypatch.setattr('ubcn_ros.bags.fleet.status.progress', lambda job: (3, 0.5))
    fleet.running['2'] = piece
    fleet.bags.append(replace(fleet.bags[0], error=None))  # as many images, and none is done
    assert status(fleet, 0.0, 1.0).share == 0.5
    again, _ = here(monkeypatch, tmp_path, [source], resume=True)
    assert again.bags[0].state == 'finished'


def test_that_each_piece_reads_all_of_a_bag_is_told_once(tmp_path, monkeypatch):
    source = write_bag(tmp_path / 'in.mcap', drive(4))
    source.write_bytes(source.read_bytes()[:-40])  # its footer
    _, told = here(monkeypatch, tmp_path, [source], pieces=3)
    line, = (line for line in told if 'pieces' in line)
    assert f'each of the 3 pieces of {source} goes through all of it' in line
    (tmp_path / 'cut.pieces' / '0001-of-0003').mkdir(parents=True)
    jobs = tasks.PlanBag(source, tmp_path / 'cut', Options(), None, resume=True)()
    assert len(jobs) == 3 and not jobs[0].notes, 'nobody says --pieces'


def test_attempts_that_come_further_go_on_for_ever(tmp_path, monkeypatch):
    source, seen = write_bag(tmp_path / 'in.mcap', drive(10)), []

    def fail(number):
        seen.append(number)
        if len(seen) % 3 == 0:
            raise RuntimeError

    fleet, told = here(monkeypatch, tmp_path, [source], Engine(fail))
    assert fleet.bags[0].state == 'finished' and fleet.bags[0].retries == 9
    assert all('attempt 2 of 4' in line for line in told[:-1])
    processed(source, tmp_path / 'straight')
    assert stored(tmp_path / 'out') == stored(tmp_path / 'straight')


def test_a_signal_ends_the_workers_and_another_number_of_them_goes_on(tmp_path, monkeypatch):
    source, out = write_bag(tmp_path / 'in.mcap', drive(20)), tmp_path / 'out'

    def stop(fleet):
        # of a piece without a message nothing stays
        if any(progress(job)[0] for job in fleet.bags[0].jobs):
            raise Stopped(signal.SIGTERM)

    fleet = Fleet([(source, out)], Options(), pieces=3)
    with pytest.raises(Stopped), Workers(2, Inverting(tmp_path)) as pool:
        fleet.run(pool, stop)
    assert not out.exists() and pieces_folder(out).exists()
    for options, text in (({}, 'exists already; go on with it'),
                          ({'resume': True, 'pieces': 2}, '--pieces was 3 and is 2 now')):
        again, told = here(monkeypatch, tmp_path, [source], **options)
        assert again.bags[0].state == 'failed' and text in told[0]
    again, told = here(monkeypatch, tmp_path, [source], resume=True)
    assert again.bags[0].state == 'finished' and read_sidecar(out)['pieces'] == 3
    processed(source, tmp_path / 'straight')
    assert stored(out) == stored(tmp_path / 'straight')
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    again, told = here(monkeypatch, tmp_path, [source], resume=True, pieces=2)
    assert told == [f'40 images of {source} written to {out}']
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_a_bag_that_another_process_holds_waits_and_others_do_not(tmp_path, monkeypatch):
    """Until that has ended; it is tried now and then."""
    monkeypatch.setattr(tasks, 'PAUSE_S', 0.3)
    sources = [write_bag(tmp_path / name, drive(2)) for name in ('a.mcap', 'b.mcap')]
    out, tried = tmp_path / 'out' / 'a', []

    def stop(number):
        raise ValueError

    processed(sources[1], tmp_path / 'out' / 'b')
    with pytest.raises(ValueError):
        processed(sources[0], out, engine=Engine(stop))
    held = process_run.locked(out)

    def locked(folder):
        tried.append((folder.name, time.monotonic()))
        if [name for name, _ in tried].count('a') == 3:
            held.__exit__(None, None, None)
        return process_run_locked(folder)

    process_run_locked = process_run.locked
    monkeypatch.setattr(process_run, 'locked', locked)
    held.__enter__()
    fleet, told = here(monkeypatch, tmp_path, sources, resume=True)
    assert [bag.state for bag in fleet.bags] == ['finished', 'finished']
    assert [name for name, _ in tried] == ['a', 'b', 'a', 'a']
    times = [at for name, at in tried if name == 'a']
    assert all(later - earlier >= 0.3 for earlier, later in pairwise(times))
    assert sum('is being written by another process' in line for line in told) == 2
