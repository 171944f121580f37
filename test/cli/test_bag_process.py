# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn bag process`: what it says while it runs and at the end, and several bags at once."""

import io
import os
import signal
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from bag_files import write_rosbag2
from command_line import ubcn
from drives import drive, image, message, write_bag
from fleet_workers import Here

from ubcn_ros.bags import COMPRESSED, IMAGE, make_compressed, make_header, open_bag
from ubcn_ros.bags.process import read_sidecar
from ubcn_ros.bags.process import run as running
from ubcn_ros.cli.bag_progress import LINE_S, Progress

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def process(quick):
    return lambda *arguments: ubcn('bag', 'process', *arguments, *quick)


def test_it_says_what_was_done_and_what_not(tmp_path, process):
    depth = image('/depth', 0, 1005)
    depth = depth._replace(data=depth.data.replace(b'rgb8', b'8UC2'))
    source = write_bag(tmp_path / 'in.mcap', [depth, *drive(2)])
    done = process(source, tmp_path / 'out', '--every', 2)
    assert done.exit_code == 0, done.output
    assert "/depth (sensor_msgs/msg/Image) is not processed: encoding '8UC2'" in done.output
    assert done.output.endswith('2 images of /front/image_raw, /rear/image/compressed written to '
                                f'{tmp_path}/out\n')
    document = read_sidecar(tmp_path / 'out')
    assert document['model']['name'] == 'tiny' and document['processing_size'] == -1


def test_malformed_images_are_told_and_the_exit_code_says_so(tmp_path, process):
    bad = image('/front/image_raw', 0, 1500, encoding='bad')
    done = process(write_bag(tmp_path / 'in.mcap', [*drive(2), bad]), tmp_path / 'out',
                   '--topic', '/front/image_raw', '--exclude', '/rear/*')
    assert done.exit_code == 1
    assert 'Error: /front/image_raw, recorded at 1.500000000 s: encoding' in done.output
    assert '2 images of /front/image_raw written' in done.output
    with open_bag(tmp_path / 'out') as reader:
        assert not any(c.topic.startswith('/rear') for c in reader.connections)


def test_a_video_is_no_broken_camera(tmp_path, process):
    stream = make_compressed(make_header(1_000_000_000, 'rear'), b'\0\0\0\1\x67' + bytes(90))
    video = message('/rear/video', COMPRESSED, stream, 1001)
    done = process(write_bag(tmp_path / 'in.mcap', [*drive(2), video]), tmp_path / 'out')
    assert done.exit_code == 0 and '/rear/video (' in done.output, done.output


@pytest.mark.parametrize('pieces', [(), ('--pieces', '2')])
def test_a_camera_of_which_nothing_can_be_read_is_an_error(tmp_path, process, pieces, monkeypatch):
    # a worker of its own would import PyTorch once more
    monkeypatch.setattr('ubcn_ros.cli.bag_fleet._pool', lambda *_: nullcontext(Here()))
    records = [record._replace(data=record.data[:40]) if record.channel.topic.startswith('/rear')
               else record for record in drive(4)]
    done = process(write_bag(tmp_path / 'in.mcap', records), tmp_path / 'out', *pieces)
    assert done.exit_code == 1
    error, = (line for line in done.output.splitlines() if line.startswith('Error: '))
    assert '/rear/image/compressed (sensor_msgs/msg/CompressedImage) is not processed: ' in error
    document = read_sidecar(tmp_path / 'out')
    assert document['finished'] and document['problems'] == [error[error.index('/rear/'):]]


@pytest.mark.parametrize('video, remedy', [
    (False, '--resume goes on'), (True, '--resume without --video goes on')])
def test_a_signal_ends_it_with_its_exit_code_and_it_goes_on(tmp_path, process, monkeypatch, video,
                                                            remedy):
    if video:
        pytest.importorskip('av')
    source = write_bag(tmp_path / 'in.mcap', drive(4))
    real, calls = running.Tally.timings, []

    def stop(self):
        calls.append(1)
        if len(calls) == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self)

    monkeypatch.setattr(running, 'CHECKPOINT_S', 0)
    monkeypatch.setattr(running.Tally, 'timings', stop)
    done = process(source, tmp_path / 'out', *(('--video', tmp_path / 'seen.mp4') * video))
    assert done.exit_code == 143 and 'Stopped by SIGTERM: the outputs of ' in done.output
    assert done.output.endswith(f' written to {tmp_path / "out"}; {remedy}\n')
    monkeypatch.undo()
    assert '(--resume)' in process(source, tmp_path / 'out').output
    done = process(source, tmp_path / 'out', '--resume', '--pictures')
    assert done.exit_code == 1 and '--pictures was False and is True now' in done.output
    done = process(source, tmp_path / 'out', '--resume')
    assert done.exit_code == 0 and '8 images of ' in done.output


def test_sqlite_times_that_mcap_cannot_hold_are_one_line(tmp_path, process):
    write_rosbag2(tmp_path / 'in', [('/image', IMAGE, -5, image('/image', 1, 1).data)])
    done = process(tmp_path / 'in', tmp_path / 'out')
    assert done.exit_code == 1 and len(done.output.strip().splitlines()) == 1
    assert 'a message of /image was recorded at -5 ns, which mcap cannot hold' in done.output
    assert not (tmp_path / 'out').exists()


def job(seconds=100):
    return SimpleNamespace(start_ns=0, end_ns=seconds * 10 ** 9, out='out')


def tally(frames, seconds):
    return SimpleNamespace(frames=frames, position=SimpleNamespace(time_ns=seconds * 10 ** 9))


def test_without_a_terminal_there_is_a_line_a_minute(capsys):
    now = 0.0
    with Progress(job(), lambda: now, terminal=False) as progress:
        for second in range(1, 100):  # a second of the drive takes six
            now = 6.0 * second
            progress(tally(10 * second, second))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 99 * 6 // LINE_S
    assert lines[0] == 'out: 10%, 100 images, 1.5 per second, 10:00 left'
    assert lines[-1] == 'out: 90%, 900 images, 1.6 per second, 1:01 left'


def test_rate_and_time_left_are_those_of_this_run(capsys):
    now = 0.0
    with Progress(job(), lambda: now, terminal=False) as progress:
        progress(tally(1000, 80))
        now = 60.0
        progress(tally(1060, 90))
    assert capsys.readouterr().err == 'out: 90%, 1060 images, 1.0 per second, 1:00 left\n'


def test_on_a_terminal_a_bar_is_shown(monkeypatch):
    monkeypatch.setattr('sys.stderr', text := io.StringIO())
    now = 0.0
    with Progress(job(), lambda: now, terminal=True) as progress:
        for second in (1, 50, 75):
            now = float(second)
            progress(tally(second, second))
    assert '75%|' in text.getvalue() and '75 images, 1.0 per second' in text.getvalue()
