# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Videos keep frames, colours and times, and are whole whatever ends their writing."""

import os
import resource
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import ubcn

from ubcn_ros.images.files import read_image
from ubcn_ros.images.video import VideoError, VideoInfo, is_video, read_video, video_info
from ubcn_ros.images.video_writer import VideoWriter
from ubcn_ros.stopping import Stopped, stop_on_signals

av = pytest.importorskip('av')
COLORS = ((220, 20, 60), (0, 0, 142), (107, 142, 35), (255, 255, 255), (0, 0, 0), (128, 64, 128))


def flag(number, height=48, width=96):
    """Six columns of colour, the first of them marked by the frame's number in rows."""
    image = np.repeat(np.array(COLORS, np.uint8), width // 6, 0)[None].repeat(height, 0)
    image[:2 * number + 2, :width // 6] = 255
    return image


def write(path, times, size=(48, 96)):
    with VideoWriter(path) as writer:
        for number, time_s in enumerate(times):
            writer.write(flag(number, *size), time_s)
    return path


def times_of(path):
    return [frame.time_s for frame in read_video(path)]


def test_frames_and_colours_come_back(tmp_path):
    frames = list(read_video(write(tmp_path / 'new' / 'a.mp4', np.arange(5) / 10)))
    assert len(frames) == 5
    for number, frame in enumerate(frames):
        assert frame.image.shape == (48, 96, 3) and frame.image.dtype == np.uint8
        expected = flag(number).astype(int)
        assert np.abs(frame.image[24, 8::16].astype(int) - expected[24, 8::16]).max() <= 6
        assert (frame.image[:, 8].mean(1) > 200).sum() == pytest.approx(2 * number + 2, abs=1)
    assert [*tmp_path.rglob('*')] == [tmp_path / 'new', tmp_path / 'new' / 'a.mp4']


@pytest.mark.parametrize('size, colorspace', [
    ((720, 96), 'ITU709'), ((48, 1284), 'ITU709'), ((480, 1278), 'ITU601')])
def test_colours_without_a_tag_are_those_of_the_size(tmp_path, size, colorspace):
    path = tmp_path / 'a.mp4'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=10)
        (stream.height, stream.width), stream.pix_fmt = size, 'yuv420p'
        frame = av.VideoFrame.from_ndarray(flag(0, *size), format='rgb24').reformat(
            format='yuv420p', dst_colorspace=colorspace)
        container.mux([*stream.encode(frame), *stream.encode()])
    image, = (frame.image for frame in read_video(path))
    row, column = size[0] // 2, size[1] // 12
    found, expected = (each[row, column::2 * column].astype(int)
                       for each in (image, flag(0, *size)))
    assert np.abs(found - expected).max() <= 6


@pytest.mark.parametrize('name, height', [
    ('yuv420p', 64), ('yuv420p', 65), ('yuv422p', 64), ('yuv444p', 64), ('nv12', 64),
    ('yuv420p10le', 64), ('yuv422p10le', 64), ('yuv420p12le', 64)])
def test_grey_of_limited_range_comes_back(tmp_path, name, height):
    """Of 8 bits and of more, in the layouts that decoders use."""
    greys, path = range(0, 256, 15), str(tmp_path / 'a.nut')
    with av.open(path, 'w') as container:
        stream = container.add_stream('rawvideo', rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, height, name
        for grey in greys:
            frame = av.VideoFrame(64, height, name)
            shift = frame.format.components[0].bits - 8
            for plane, value in zip(frame.planes, (16 + grey * 219 / 255, 128, 128), strict=False):
                sample = np.array(round(value * 2**shift), '<u2' if shift else 'u1').tobytes()
                plane.update(sample * (plane.buffer_size // len(sample)))
            container.mux(stream.encode(frame))
    found = [frame.image for frame in read_video(path)]
    assert len(found) == len(greys)
    assert all(np.abs(image.astype(int) - grey).max() <= 1
               for image, grey in zip(found, greys, strict=True))


@pytest.mark.parametrize('times, kept, moved', [
    (np.arange(120) * 1001 / 60000, np.arange(120) * 1001 / 60000, 0),  # not in whole ticks
    ([7.0, 7.1, 7.15, 9.0, 9.01], [0, 0.1, 0.15, 2.0, 2.01], 0),  # a rate that varies
    ([5, 5.1, 1.0, 1.1], [0, 0.1, 0.2, 0.3], 1),  # a clock that was set back
    ([0.0, 1.7e9, 1.7e9 + 0.5], [0, 1 / 15, 1 / 15 + 0.5], 1),  # one that was not set yet
    ([3.0, 3.0, 3.0], [0, 1 / 15, 2 / 15], 2)])
def test_times_are_kept_as_far_as_they_grow(tmp_path, times, kept, moved):
    path = tmp_path / 'a.mp4'
    with VideoWriter(path) as writer:
        for number, time_s in enumerate(times):
            writer.write(flag(number), time_s)
    assert times_of(path) == pytest.approx(kept, abs=1e-5)
    told = f'{moved} of {len(times)} frames of {path} are not shown at their times'
    assert writer.note is None if moved == 0 else writer.note.startswith(told)


def test_gaps_are_kept_as_far_as_an_mp4_holds_them(tmp_path):
    with VideoWriter(tmp_path / 'a.mp4', float('inf')) as writer:
        for number, hour in enumerate((0, 6.6, 13.2, 19.9, 20)):
            writer.write(flag(number), 3600 * hour)
    assert '1 of 5 frames' in writer.note and 'more than 23861 s' in writer.note
    hours = [time_s / 3600 for time_s in times_of(tmp_path / 'a.mp4')]
    assert hours == pytest.approx([0, 6.6, 13.2, 19.8, 19.9])


@pytest.mark.parametrize('times, duration', [
    (np.arange(8) / 20, 0.4), ([0, 0.1, 0.2, 0.5, 0.6], 0.7), ([0, 1], 2)])
def test_what_a_file_says_of_itself(tmp_path, times, duration):
    info = video_info(write(tmp_path / 'a.mp4', times))
    count = len(times)
    assert info == VideoInfo(pytest.approx(count / duration, rel=0.01), count,
                             pytest.approx(duration, abs=0.001))
    data = (tmp_path / 'a.mp4').read_bytes()
    assert data.index(b'moov') < data.index(b'mdat'), 'a browser plays it while it loads'


@pytest.mark.parametrize('transfer, videos, said', [
    (1, 1, []), (16, 1, ['is HDR (PQ)']), (18, 2, ['holds 2 videos: the first', 'is HDR (HLG)'])])
def test_what_is_not_read_as_it_is_meant_is_said(tmp_path, transfer, videos, said):
    path = tmp_path / 'a.mp4'
    with av.open(str(path), 'w') as container:
        streams = [container.add_stream('libx264', rate=10) for _ in range(videos)]
        for stream in streams:
            stream.height, stream.width, stream.pix_fmt = 48, 96, 'yuv420p'
            stream.codec_context.color_trc = transfer
        for stream in streams:
            frame = av.VideoFrame.from_ndarray(flag(0))
            container.mux([*stream.encode(frame), *stream.encode()])
    notes = video_info(path).notes
    assert len(notes) == len(said) and all(a in b for a, b in zip(said, notes, strict=True))
    for command in (('rain', path, tmp_path / 'out'),
                    ('bag', 'create', path, tmp_path / 'bag')):
        assert [line for line in ubcn(*command).stderr.splitlines() if 'Warning' in line] == [
            f'Warning: {note}' for note in notes]


def test_a_name_with_colons_is_that_of_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path('2026-01-31T10:30:00.mp4'), [0, 0.1])
    assert times_of('2026-01-31T10:30:00.mp4') == pytest.approx([0, 0.1])


@pytest.mark.parametrize('shape', [(32, 16386, 3), (16386, 32, 3)])
def test_a_frame_that_no_video_can_hold_is_named(tmp_path, shape):
    said = f'a frame is {shape[1]} x {shape[0]}, but a video is 16384 pixels wide'
    with pytest.raises(VideoError, match=said), VideoWriter(tmp_path / 'a.mp4') as writer:
        writer.write(np.zeros(shape, np.uint8), 0)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize('size', [(33, 36), (48, 42), (35, 54)])
def test_odd_sides_are_padded_by_the_edge(tmp_path, size):
    height, width = size
    image = next(read_video(write(tmp_path / 'a.mp4', [0], size))).image
    assert image.shape == (height + height % 2, width // 6 * 6 + width // 6 * 6 % 2, 3)
    assert np.abs(image[-1].astype(int) - image[-3]).mean() < 4


def show_by(path, a, b, c, d):
    """Let players show a pixel of (x, y) at (a x + c y, b x + d y)."""
    data = bytearray(path.read_bytes())
    place = data.index(b'tkhd') + 44
    matrix = np.array([a, b, 0, c, d, 0]) * 65536
    data[place:place + 24] = matrix.astype('>i4').tobytes()
    path.write_bytes(data)


def turn_to_the_right(path):
    show_by(path, 0, 1, -1, 0)


def test_the_turn_that_a_phone_notes_is_done(tmp_path):
    path = write(tmp_path / 'a.mp4', [0, 0.1])
    turn_to_the_right(path)
    image = next(read_video(path)).image
    assert image.shape == (96, 48, 3)
    expected = np.rot90(flag(0), -1)[8::16, 24].astype(int)
    assert np.abs(image[8::16, 24] - expected).max() <= 6


@pytest.mark.parametrize('matrix, shown', [
    ((1, 0, 0, 1), lambda image: image), ((-1, 0, 0, -1), lambda image: image[::-1, ::-1]),
    ((-1, 0, 0, 1), np.fliplr), ((1, 0, 0, -1), np.flipud),
    ((0, 1, -1, 0), lambda image: np.rot90(image, -1)), ((0, -1, 1, 0), np.rot90),
    ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
    ((0, -1, -1, 0), lambda image: image[::-1, ::-1].swapaxes(0, 1))])
def test_every_quarter_turn_and_mirroring_is_done(tmp_path, matrix, shown):
    path = write(tmp_path / 'a.mp4', [0])
    stored = next(read_video(path)).image
    show_by(path, *matrix)
    assert np.array_equal(next(read_video(path)).image, shown(stored))


@pytest.mark.parametrize('quarter', [False, True])
def test_the_form_of_pixels_is_kept_upright(tmp_path, quarter):
    with VideoWriter(tmp_path / 'a.mp4', pixel_aspect=Fraction(16, 11)) as writer:
        writer.write(flag(0), 0)
    if quarter:
        turn_to_the_right(tmp_path / 'a.mp4')
    aspect = video_info(tmp_path / 'a.mp4').pixel_aspect
    assert aspect == (Fraction(11, 16) if quarter else Fraction(16, 11))


@pytest.mark.parametrize('name', ['00001.M2TS', 'a.264', 'a.hevc', 'a.mjpeg', 'a.y4m'])
def test_videos_that_their_bytes_do_not_tell_are_known_by_name(tmp_path, name):
    (tmp_path / name).write_bytes(b'\xff\xd8\xff')  # as of a JPEG
    assert is_video(tmp_path / name)


def test_videos_are_known_by_name_or_content(tmp_path):
    path = write(tmp_path / 'a.mp4', [0])
    (tmp_path / 'nameless').write_bytes(path.read_bytes())
    (tmp_path / 'text').write_text('ftyp')
    (tmp_path / 'heif').write_bytes(b'\0\0\0\x18ftypheic')
    found = [is_video(tmp_path / name) for name in ('a.mp4', 'nameless', 'text', 'heif', '.')]
    assert found == [True, True, False, False, False]


def test_nothing_is_read_from_a_pipe_to_know_whether_it_is_a_video(tmp_path):
    pipe, data = tmp_path / 'pipe', cv2.imencode('.png', flag(0))[1].tobytes()
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,), daemon=True)
    writer.start()
    assert not is_video(pipe)
    assert read_image(pipe).shape == (48, 96, 3)
    writer.join()


@pytest.mark.parametrize('share', [0.35, 0.7, 0.98])
def test_of_a_cut_file_what_is_whole_is_read(tmp_path, share):
    path = tmp_path / 'a.mp4'
    rng = np.random.default_rng(0)
    with VideoWriter(path) as writer:
        for number in range(10):
            writer.write(rng.integers(0, 255, (48, 96, 3), np.uint8), number / 10)
    data = path.read_bytes()
    path.write_bytes(data[:int(share * len(data))])
    read = []
    with pytest.raises(VideoError, match='damaged.* copy or download it again'):
        read.extend(iter_into(read, path))
    assert abs(len(read) - 10 * share) <= 5


@pytest.mark.parametrize('name, said', [
    ('a.ts', pytest.raises(VideoError, match='damaged in a place .a frame is ')),
    ('a.mkv', nullcontext())])  # whose reader leaves out what is not whole
def test_a_frame_that_a_recording_ends_in_is_said_or_left_out(tmp_path, name, said):
    path = tmp_path / name
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=10, options={'bf': '0'})
        stream.width, stream.height, stream.pix_fmt = 96, 96, 'yuv420p'
        rng = np.random.default_rng(0)
        for _ in range(6):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (96, 96, 3), np.uint8),
                                               format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert len(times_of(path)) == 6
    data = path.read_bytes()
    path.write_bytes(data[:int(0.6 * len(data))])
    read = []
    with said:
        read.extend(iter_into(read, path))
    assert 2 <= len(read) <= 5


def test_the_last_frames_of_a_damaged_file_are_read(tmp_path):
    """Those before the damage in the order of the file are shown after it: B-frames."""
    path = tmp_path / 'a.mp4'
    with av.open(str(path), 'w', options={'movflags': 'faststart'}) as container:
        stream = container.add_stream('libx264', rate=10, options={'bf': '3', 'threads': '1'})
        stream.width, stream.height, stream.pix_fmt = 96, 48, 'yuv420p'
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(flag(number), format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert len(times_of(path)) == 20
    path.write_bytes(path.read_bytes()[:-10] + bytes(10))
    read = []
    with pytest.raises(VideoError, match='damaged in'):
        read.extend(iter_into(read, path))
    assert len(read) >= 19


def iter_into(read, path):
    for frame in read_video(path):
        read.append(frame)
    return ()


@pytest.mark.parametrize('content', [None, b'', b'text' * 99, b'\0\0\0\x18ftypisom' + bytes(99)])
def test_what_is_no_video_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / 'a.mp4'
    if content is not None:
        path.write_bytes(content)
    for read in (video_info, times_of):
        with pytest.raises(VideoError, match=f'{path}.*: .+|No such file'):
            read(path)


def test_another_size_is_refused_and_the_file_is_whole(tmp_path):
    with pytest.raises(VideoError, match='a frame is 96 x 60, but the first .* 96 x 48'):
        with VideoWriter(tmp_path / 'a.mp4') as writer:
            writer.write(flag(0), 0)
            writer.write(flag(1), 1)
            writer.write(flag(2, 60), 2)
    assert len(times_of(tmp_path / 'a.mp4')) == 2


def test_without_a_frame_there_is_no_file(tmp_path):
    with VideoWriter(tmp_path / 'a.mp4'):
        pass
    with pytest.raises(VideoError, match='uint8'), VideoWriter(tmp_path / 'a.mp4') as writer:
        writer.write(np.zeros((48, 96, 3), float), 0)
    assert not [*tmp_path.iterdir()]


def test_a_full_disk_is_said_and_leaves_the_old_file(tmp_path):
    path = write(tmp_path / 'a.mp4', [0, 1, 2])
    rng, before = np.random.default_rng(0), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(VideoError, match='a.mp4 cannot be written: .*: make room'):
            with VideoWriter(path) as writer:
                for number in range(60):
                    writer.write(rng.integers(0, 255, (96, 96, 3), np.uint8), number)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [*tmp_path.iterdir()] == [path] and len(times_of(path)) == 3


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(VideoError, match='file/a.mp4 cannot be written: .*choose another place'):
        write(tmp_path / 'file' / 'a.mp4', [0])


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_the_file(tmp_path, number):
    with pytest.raises(Stopped), stop_on_signals(), VideoWriter(tmp_path / 'a.mp4') as writer:
        for count in range(100):
            writer.write(flag(count % 10), count / 10)
            if count == 30:
                os.kill(os.getpid(), number)
    assert len(times_of(tmp_path / 'a.mp4')) == 31


def test_a_process_that_ends_closes_what_is_open(tmp_path):
    """As where a signal comes between the end of a `with` block and its `__exit__`."""
    code = ('import numpy, sys\n'
            'from ubcn_ros.images.video_writer import VideoWriter\n'
            'writer = VideoWriter(sys.argv[1])\n'
            'for number in range(3):\n'
            '    writer.write(numpy.zeros((48, 64, 3), numpy.uint8), number)\n'
            'raise KeyboardInterrupt')
    subprocess.run([sys.executable, '-c', code, tmp_path / 'a.mp4'], capture_output=True,
                   timeout=120)
    assert times_of(tmp_path / 'a.mp4') == pytest.approx([0, 1, 2], abs=1e-4)
    assert [*tmp_path.iterdir()] == [tmp_path / 'a.mp4']


def test_without_pyav_the_package_imports_and_says_what_to_install(tmp_path):
    code = ('import sys; sys.modules["av"] = None\n'
            'from ubcn_ros.cli.commands import one_line\n'
            'import ubcn_ros.images.video_writer as video, click\n'
            'try:\n'
            '    with one_line():\n'
            '        video.VideoWriter("a.mp4")\n'
            'except click.ClickException as error:\n'
            '    print(error.message)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          timeout=120, check=True)
    assert "pip install 'ubcn_ros[video]'" in done.stdout
