# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn bag process` on many bags and with several workers: what it writes and what it tells."""

import errno
import io
import json
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import ubcn
from drives import drive, imu, jpeg, stored, write_bag
from fleet_workers import Here

from ubcn_ros.bags.fleet import Fleet
from ubcn_ros.bags.fleet.run import Assignment
from ubcn_ros.bags.fleet.status import summary
from ubcn_ros.bags.fleet.tasks import RunPiece
from ubcn_ros.bags.process import Options, Tally, plan, read_sidecar
from ubcn_ros.bags.process import run as running
from ubcn_ros.bags.process.job_reader import Position
from ubcn_ros.bags.process.sidecar import CameraTally
from ubcn_ros.cli.fleet_table import FleetTable

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def process(quick):
    return lambda *arguments: ubcn('bag', 'process', *arguments, *quick)


@pytest.fixture
def worker_here(monkeypatch):
    """Let this process be the worker: one of its own would import PyTorch once more."""
    monkeypatch.setattr('ubcn_ros.cli.bag_fleet._pool', lambda *_: nullcontext(Here()))


@pytest.mark.usefixtures('worker_here')
def test_what_is_not_processed_is_told_of_each_bag(tmp_path, process):
    folder = tmp_path / 'in'
    for name in 'ab':
        write_bag(folder / f'{name}.mcap', [
            *drive(2), jpeg('/front/image_raw/compressed', 9, 1900)])
    done = process(folder, tmp_path / 'out', '--workers', 1)
    assert done.exit_code == 0, done.output
    for name in 'ab':
        assert (f'{name}.mcap: /front/image_raw/compressed (sensor_msgs/msg/CompressedImage) is '
                'not processed: the other transport of /front/image_raw') in done.output


@pytest.mark.usefixtures('worker_here')
def test_of_a_bag_that_failed_no_recording_is_written(tmp_path, process, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rerun', SimpleNamespace())
    source = write_bag(tmp_path / 'in.mcap', [imu(0, 1)])
    done = process(source, tmp_path / 'out', '--workers', 1, '--rrd', tmp_path / 'x.rrd')
    assert done.exit_code == 1 and 'in.mcap has no camera' in done.output
    assert done.output.count('Error: ') == 1 and 'process.json' not in done.output


@pytest.mark.usefixtures('worker_here')
def test_another_run_leaves_the_record_of_what_is_whole(tmp_path, process):
    """Also where a bag is new: nothing is begun where one is there already."""
    folder, out = tmp_path / 'in', tmp_path / 'out'
    for name in 'ac':
        write_bag(folder / f'{name}.mcap', drive(1))
    assert process(folder, out, '--workers', 1).exit_code == 0
    before = (out / 'summary.json').read_text()
    there = 'exists already; go on with it (--resume)'
    for new, arguments, text in (
            ('', (), there), ('', ('--resume', '--every', 2), '--every was 1'), ('b', (), there)):
        for name in new:
            write_bag(folder / f'{name}.mcap', drive(1))
        done = process(folder, out, *arguments)
        assert done.exit_code == 1 and text in done.output, done.output
        assert sorted(path.name for path in out.iterdir()) == ['a', 'c', 'summary.json']
        assert (out / 'summary.json').read_text() == before
    assert process(folder, out, '--resume').exit_code == 0
    assert len(json.loads((out / 'summary.json').read_text())['bags']) == 3


def test_two_workers_write_what_one_process_writes(tmp_path, process):
    """Of a folder with a damaged bag and one without a camera."""
    folder = tmp_path / 'in'
    write_bag(folder / 'a.mcap', drive(6))
    write_bag(folder / 'day' / 'none.mcap', [imu(0, 1)])
    (folder / 'day' / 'b.mcap').write_bytes((folder / 'a.mcap').read_bytes()[:-20_000])
    done = process(folder, tmp_path / 'out', '--workers', 2, '--pieces', 2, '--threads', 1)
    assert done.exit_code == 1, done.output
    assert '2 of 3 bags written' in done.output and 'none.mcap has no camera' in done.output
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    bags = {Path(bag['output']).name: (bag['state'], bag['pieces']) for bag in summary['bags']}
    assert bags == {'a': ('finished', 2), 'b': ('finished', 2), 'none': ('failed', 0)}
    assert not summary['finished'] and summary['bags'][1]['problems']
    assert summary['frames'] == sum(bag['frames'] for bag in summary['bags']) > 12
    for name in ('a', 'day/b'):
        alone = process(folder / f'{name}.mcap', tmp_path / 'one' / name)
        assert alone.exit_code == (name != 'a'), alone.output
        assert stored(tmp_path / 'out' / name) == stored(tmp_path / 'one' / name)
        ours, theirs = (read_sidecar(tmp_path / place / name) for place in ('out', 'one'))
        assert ours['problems'] == theirs['problems'] and ours['cameras'] == theirs['cameras']


@pytest.mark.usefixtures('worker_here')
def test_a_signal_ends_it_and_it_goes_on_with_what_is_there(tmp_path, process, monkeypatch):
    source, out = write_bag(tmp_path / 'in.mcap', drive(4)), tmp_path / 'out'
    real, calls = running.Tally.timings, []

    def stop(self):
        calls.append(1)
        if len(calls) == 2:  # of its first piece
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self)

    monkeypatch.setattr(running, 'CHECKPOINT_S', 0)
    monkeypatch.setattr(running.Tally, 'timings', stop)
    done = process(source, out, '--workers', 1, '--pieces', 2, '--topic', '/front/image_raw')
    assert done.exit_code == 143, done.output
    assert done.output == 'Stopped by SIGTERM: 0 of 1 bags written; --resume goes on\n'
    assert not out.exists()
    done = process(source, out, '--topic', '/front/image_raw')
    assert done.exit_code == 1 and 'go on with it (--resume)' in done.output
    done = process(source, out, '--topic', '/front/image_raw', '--resume')
    assert done.exit_code == 0 and f'4 images of {source} written' in done.output, done.output
    assert read_sidecar(out)['pieces'] == 2 and not (tmp_path / 'summary.json').exists()


@pytest.mark.usefixtures('worker_here')
def test_a_summary_that_cannot_be_written_replaces_no_result(tmp_path, process, monkeypatch):
    folder, out = tmp_path / 'in', tmp_path / 'out'
    write_bag(folder / 'a.mcap', drive(1))
    write_bag(folder / 'b.mcap', [imu(0, 1)])
    (out / 'summary.json' / 'in the way').mkdir(parents=True)
    done = process(folder, out, '--workers', 1)
    assert done.exit_code == 1 and '1 of 2 bags written' in done.output, done.output
    assert 'summary.json cannot be written: ' in done.output and 'no camera' in done.output
    monkeypatch.setattr(Fleet, 'run', lambda *_: os.kill(os.getpid(), signal.SIGINT))
    assert process(folder, out, '--resume').exit_code == 130


def test_of_a_bag_that_is_gone_the_size_is_0(tmp_path, monkeypatch):
    def gone(path):
        raise OSError(errno.ESTALE, 'Stale file handle')
    monkeypatch.setattr(Path, 'is_dir', gone)
    fleet = Fleet([(tmp_path / 'in.mcap', tmp_path / 'out')], Options())
    assert summary(fleet, 1.0)['input_bytes'] == 0


@pytest.mark.parametrize('more, text', [
    (('--video', 'x.mp4', '--workers', '2'), 'several workers would write it'),
    (('--model', 'missing', '--workers', '2'), "no model 'missing'")])
def test_what_cannot_be_is_told_before_the_work(tmp_path, more, text):
    source = write_bag(tmp_path / 'in.mcap', drive(1))
    done = ubcn('bag', 'process', f'{source}', f'{tmp_path}/out', *more)
    assert done.exit_code in (1, 2) and text in done.output


@pytest.mark.parametrize('option, name', [('--rrd', 'x.rrd'), ('--video', 'x.mp4')])
def test_layers_are_of_one_bag(tmp_path, option, name):
    for bag in 'ab':
        write_bag(tmp_path / 'in' / f'{bag}.mcap', drive(1))
    done = ubcn('bag', 'process', f'{tmp_path}/in', f'{tmp_path}/out', option, name)
    assert done.exit_code == 2 and f'{option} {name} is of one bag, not of 2' in done.output


def working(tmp_path, now):
    """A fleet of three bags: one failed, one in four pieces with two at work."""
    fleet = Fleet([(tmp_path / 'in.mcap', tmp_path / 'out' / name) for name in 'abc'], Options())
    source = write_bag(tmp_path / 'in.mcap', drive(20))
    bag = fleet.bags[0]
    bag.jobs = plan(source, bag.out, Options(), 4)
    fleet.bags[1].error = 'damaged'
    for number in (0, 1):
        job = bag.jobs[number]
        write_progress(job, 0.5 * number, 5 * number)
        fleet.running[f'w{number}'] = Assignment(bag, RunPiece(job, False), begun_s=now)
    return fleet


def write_progress(job, share, frames):
    job.out.mkdir(parents=True, exist_ok=True)
    position = Position(job.start_ns + share * (job.end_ns - job.start_ns), 0, {})
    tally = Tally(position, cameras={'/front': CameraTally(frames)})
    (job.out / 'process.json').write_text(json.dumps({
        'finished': False, 'tally': tally.to_json()}))


@pytest.mark.parametrize('terminal', [False, True])
def test_the_table_says_what_each_worker_is_at(tmp_path, monkeypatch, terminal):
    monkeypatch.setattr('sys.stderr', text := io.StringIO())
    monkeypatch.setenv('COLUMNS', '120')
    now, fleet = 0.0, working(tmp_path, 0.0)
    with FleetTable(tmp_path / 'out', lambda: now, terminal) as table:
        table(fleet)
        now = 60.0
        table(fleet)
        table.tell('a worker ended')
    shown = text.getvalue()
    total = ('0 of 3 bags, 1 failed; 2 workers busy, 0 pieces wait; 5 images, 12%, 0.1 per '
             'second, 7:00 left')
    assert total in shown and 'a worker ended\n' in shown
    assert ('out/a  2/4    w1           5         0.1  1:00  processing' in shown) == terminal
    assert ('out/a  1/4    w0           0                    processing' in shown) == terminal
    assert ('\x1b[5A' in shown) == terminal


def test_lines_fit_the_terminal_with_letters_that_are_two_columns_wide(tmp_path, monkeypatch):
    monkeypatch.setattr('sys.stderr', text := io.StringIO())
    monkeypatch.setenv('COLUMNS', '40')
    fleet = working(tmp_path, 0.0)
    table = FleetTable(tmp_path / 'out', iter([0.0, 9.0]).__next__, True)
    monkeypatch.setattr(table, 'lines', lambda *_: ['\u96e8' * 30])
    table(fleet)
    assert text.getvalue() == '\u96e8' * 19 + '\n'


def test_more_workers_than_lines_are_counted(tmp_path):
    fleet = working(tmp_path, 0.0)
    table = FleetTable(tmp_path / 'out', lambda: 0.0, False)
    from ubcn_ros.bags.fleet.status import status
    lines = table.lines(status(fleet, 0.0, 1.0), 1)
    assert len(lines) == 5 and lines[3] == 'and 1 more workers'
