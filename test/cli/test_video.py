# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn rain` and `ubcn derain` on videos and sequences: which frames come out, and when."""

import json
import os
import signal
import weakref
from fractions import Fraction

import cv2
import numpy as np
import pytest
from command_line import ubcn
from random_images import psnr

from ubcn_ros.data.rain_sequence import RainSequence
from ubcn_ros.images.files import read_image, write_image
from ubcn_ros.images.video import read_video, video_info
from ubcn_ros.images.video_writer import VideoWriter

av = pytest.importorskip('av')
TIMES = (0, 0.1, 0.2, 0.5, 0.6)
WIDE = Fraction(16, 11)  # pixels of PAL


def picture(number):
    image = np.full((48, 96, 3), (30, 60, 40), np.uint8)
    image[:16, :] = 210
    image[20:40, 12 * number:12 * number + 12] = 160
    return image


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*.png'))


@pytest.fixture
def clip(tmp_path):
    with VideoWriter(tmp_path / 'dry.mp4', pixel_aspect=WIDE) as writer:
        for number, time_s in enumerate(TIMES):
            writer.write(picture(number), time_s)
    return tmp_path / 'dry.mp4'


@pytest.fixture
def folder(tmp_path):
    for number in range(5):
        write_image(tmp_path / 'dry' / f'{number}.png', picture(number))
    return tmp_path / 'dry'


def test_a_rainy_video_has_the_dry_ones_frames_and_times(tmp_path, clip):
    done = ubcn('rain', clip, tmp_path / 'rainy.mp4', '--rate', 150)
    assert done.exit_code == 0 and done.output == '5 frames written\n'
    assert video_info(tmp_path / 'rainy.mp4').pixel_aspect == WIDE
    dry, rainy = list(read_video(clip)), list(read_video(tmp_path / 'rainy.mp4'))
    assert [frame.time_s for frame in rainy] == pytest.approx(TIMES, abs=1e-4)
    for before, after in zip(dry, rainy, strict=True):
        assert 8 < psnr(before.image, after.image) < 35


@pytest.mark.parametrize('name, start_s, cut', [
    ('a.mkv', 0, 0), ('a.mkv', 5, 0), ('b.mkv', 3600, 0), ('a.mp4', 0, 0), ('a.h264', 0, 0),
    ('a.mp4', 0, 2)])
def test_a_ramp_ends_with_the_last_frame_wherever_a_video_begins(tmp_path, monkeypatch, name,
                                                                 start_s, cut):
    import av
    with av.open(str(tmp_path / name), 'w') as container:
        stream = container.add_stream('libx264', rate=10, options={'bf': '0'})
        stream.height, stream.width, stream.pix_fmt = 48, 96, 'yuv420p'
        images = [av.VideoFrame.from_ndarray(picture(number), format='rgb24')
                  for number in range(6 + cut)]
        for number, frame in enumerate(images):
            frame.pts = number + 10 * start_s
        for frame in (*images, None):
            for packet in stream.encode(frame):
                packet.pts, packet.dts = packet.pts - cut, packet.dts - cut  # before 0: cut off
                container.mux(packet)
    rates, rained = [], RainSequence.__call__

    def noted(sequence, image, time_s, *depth):
        rates.append(sequence.rate(time_s))
        return rained(sequence, image, time_s, *depth)

    monkeypatch.setattr(RainSequence, '__call__', noted)
    done = ubcn('rain', tmp_path / name, tmp_path / 'out.mp4', '--rate', '0:150', '--variation', 0)
    assert done.exit_code == 0, done.output
    assert rates[0] == 0 and rates[-1] == pytest.approx(150, abs=0.5) and len(rates) == 6


def test_a_ramp_needs_two_frames_of_a_video(tmp_path):
    with VideoWriter(tmp_path / 'one.mp4') as writer:
        writer.write(picture(0), 0)
    done = ubcn('rain', tmp_path / 'one.mp4', tmp_path / 'out.mp4', '--rate', '0:150')
    assert done.exit_code == 1 and 'needs time: give several frames, of a bag' in done.output
    assert not (tmp_path / 'out.mp4').exists()


def test_long_gaps_of_a_video_and_of_slow_images_stay(tmp_path, folder):
    with VideoWriter(tmp_path / 'slow.mp4', 1000) as writer:
        for number, time_s in enumerate((0, 0.1, 90, 90.1, 180)):
            writer.write(picture(number), time_s)
    for source, options, times in ((tmp_path / 'slow.mp4', (), [0, 0.1, 90, 90.1, 180]),
                                   (folder, ('--fps', 0.01), [0, 100, 200, 300, 400])):
        assert ubcn('rain', source, tmp_path / 'out.mp4', *options).exit_code == 0
        assert [frame.time_s for frame in read_video(tmp_path / 'out.mp4')] == pytest.approx(
            times, abs=1e-3)


@pytest.mark.parametrize('command', ['rain', 'derain'])
def test_times_that_a_video_cannot_have_are_told_once(tmp_path, folder, quick, command):
    done = ubcn(command, folder, tmp_path / 'out.mp4', '--fps', 1e-5,
                *(quick if command == 'derain' else ()))
    assert done.exit_code == 0 and done.output.count('Warning: ') == 1, done.output
    assert f'Warning: 4 of 5 frames of {tmp_path}/out.mp4 are not shown at their' in done.output
    assert len(list(read_video(tmp_path / 'out.mp4'))) == 5


@pytest.mark.parametrize('command', ['rain', 'derain'])
def test_an_image_of_another_size_is_left_out_of_a_video_and_told(tmp_path, folder, quick,
                                                                  command):
    write_image(folder / '2.png', picture(2)[:32, :64])
    facts = tmp_path / 'facts.json'
    done = ubcn(command, folder, tmp_path / 'out.mp4', *(
        (*quick, '--json', facts, '--labels', tmp_path / 'labels') if command == 'derain' else ()))
    assert done.exit_code == 1 and '4 of 5 images written' in done.output
    assert done.output.count('Error: ') == 1
    assert (f'Error: {folder}/2.png: a frame is 64 x 32, but the first one of {tmp_path}/out.mp4 '
            'was 96 x 48: scale it before') in done.output
    frames = list(read_video(tmp_path / 'out.mp4'))
    assert [frame.time_s * 15 for frame in frames] == pytest.approx([0, 1, 3, 4], abs=1e-2)
    if command == 'derain':
        done = ['0.png', '1.png', '3.png', '4.png']
        assert [*json.loads(facts.read_text())['images']] == done == names(tmp_path / 'labels')


def test_frames_of_another_size_are_left_out_of_a_video_and_counted(tmp_path):
    import av
    parts = []
    for size in ((48, 96), (64, 128)):
        with av.open(str(tmp_path / 'part.ts'), 'w') as container:
            stream = container.add_stream('mpeg2video', rate=25)
            stream.height, stream.width = size
            stream.pix_fmt = 'yuv420p'
            for number in range(3):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(
                    np.full((*size, 3), 40 * number, np.uint8), format='rgb24')))
            container.mux(stream.encode(None))
        parts.append((tmp_path / 'part.ts').read_bytes())
    (tmp_path / 'in.ts').write_bytes(b''.join(parts))
    done = ubcn('rain', tmp_path / 'in.ts', tmp_path / 'out.mp4')
    assert done.exit_code == 1
    count, left_out = len(list(read_video(tmp_path / 'out.mp4'))), done.output.count('128 x 64')
    assert f'{count} of {count + left_out} frames written' in done.output
    assert count >= 2 and left_out == 3
    assert f'{tmp_path}/in.ts, frame {count}: a frame is 128 x 64, but the first' in done.output


def test_what_is_not_written_in_full_has_no_facts(tmp_path, folder, quick):
    (tmp_path / 'labels' / '2.png').mkdir(parents=True)
    done = ubcn('derain', folder, tmp_path / 'out', *quick, '--labels', tmp_path / 'labels',
                '--json', tmp_path / 'facts.json')
    assert done.exit_code == 1 and f'{tmp_path}/labels/2.png cannot be written' in done.output
    assert [*json.loads((tmp_path / 'facts.json').read_text())['images']] == ['0.png', '1.png']


def test_frames_of_a_video_as_images_are_those_of_the_sequence(tmp_path, clip):
    done = ubcn('rain', clip, tmp_path / 'out', '--rate', '20:200', '--seed', 3, '--variation', 0)
    assert done.exit_code == 0, done.output
    assert names(tmp_path / 'out') == [f'00000{n}.png' for n in range(5)]
    last = list(read_video(clip))[4]
    rain = RainSequence((20, 200), 3, 0.6, variation=0)
    assert np.array_equal(read_image(tmp_path / 'out' / '000004.png'), rain(last.image, 0.6))


def test_a_folder_is_a_sequence_where_that_is_said(tmp_path, folder):
    for out, options in (('alone', ()), ('after', ('--sequence', '--fps', 10))):
        assert ubcn('rain', folder, tmp_path / out, '--rate', 120, *options).exit_code == 0
    rain = RainSequence(120, 0)
    for number in range(5):
        name = f'{number}.png'
        after = read_image(tmp_path / 'after' / name)
        assert np.array_equal(after, rain(picture(number), number / 10))
        assert not np.array_equal(after, read_image(tmp_path / 'alone' / name))


def test_sub_folders_are_cameras(tmp_path, folder):
    for name in ('0.png', '1.png'):
        write_image(folder / 'left' / name, picture(int(name[0])))
    done = ubcn('rain', folder, tmp_path / 'out', '--recursive', '--sequence', '--rate', 90)
    assert done.exit_code == 0 and len(names(tmp_path / 'out')) == 7
    left = RainSequence(90, 0, camera='left')
    for number in (0, 1):
        assert np.array_equal(read_image(tmp_path / 'out' / 'left' / f'{number}.png'),
                              left(picture(number), number / 15))


def test_a_ramp_ends_with_the_last_image_of_each_sub_folder(tmp_path, folder):
    for name in ('left/0', 'left/1', 'right/0'):
        write_image(folder / f'{name}.png', picture(0))
    done = ubcn('rain', folder, tmp_path / 'out', '--recursive', '--sequence', '--rate', '0:90',
                '--fps', 2)
    assert done.exit_code == 0, done.output
    rain = RainSequence((0, 90), 0, 0.5, camera='left')
    assert np.array_equal(read_image(tmp_path / 'out/left/1.png'), rain(picture(0), 0.5))
    right = RainSequence((0, 90), 0, 2.0, camera='right')
    assert np.array_equal(read_image(tmp_path / 'out/right/0.png'), right(picture(0), 0))


def test_the_rain_of_a_sub_folder_is_not_kept(tmp_path, monkeypatch):
    for number in range(4):
        write_image(tmp_path / 'dry' / str(number) / '0.png', picture(number))
    alive, counts, rained = weakref.WeakSet(), [], RainSequence.__call__

    def noted(sequence, *frame):
        alive.add(sequence)
        counts.append(len(alive))
        return rained(sequence, *frame)

    monkeypatch.setattr(RainSequence, '__call__', noted)
    done = ubcn('rain', tmp_path / 'dry', tmp_path / 'out', '--recursive', '--sequence')
    assert done.exit_code == 0 and counts == [1, 1, 1, 1]


def test_sub_folders_follow_each_other_in_a_video(tmp_path, folder):
    for number in range(3):
        write_image(folder / 'left' / f'{number}.png', picture(number))
    done = ubcn('rain', folder, tmp_path / 'out.mp4', '--recursive', '--fps', 4)
    assert done.exit_code == 0 and done.output == '8 of 8 images written\n'
    assert [frame.time_s for frame in read_video(tmp_path / 'out.mp4')] == pytest.approx(
        np.arange(8) / 4, abs=1e-4)


def test_a_folder_to_a_video(tmp_path, folder):
    done = ubcn('rain', folder, tmp_path / 'rainy.mp4', '--rate', 0, '--fps', 4)
    assert done.exit_code == 0 and done.output == '5 of 5 images written\n'
    frames = list(read_video(tmp_path / 'rainy.mp4'))
    assert [frame.time_s for frame in frames] == pytest.approx([0, .25, .5, .75, 1], abs=1e-4)
    assert all(psnr(frame.image, picture(n)) > 28 for n, frame in enumerate(frames))


def test_speed_and_wind_are_those_given(tmp_path, folder, monkeypatch):
    seen = []
    monkeypatch.setattr(RainSequence, '__call__', lambda self, image, time_s: (
        seen.append(self.parameters), image)[1])
    ubcn('rain', folder, tmp_path / 'out', '--sequence', '--speed', 33, '--wind', -7)
    assert {(p.speed_m_s, p.wind_m_s[0]) for p in seen} == {(33, -7)}


def test_derain_a_video_to_images_with_labels(tmp_path, clip, quick, tiny_engine):
    done = ubcn('derain', clip, tmp_path / 'out', '--labels', tmp_path / 'labels', '--overlay',
                tmp_path / 'overlay', *quick)
    assert done.exit_code == 0, done.output
    for name in ('out', 'labels', 'overlay'):
        assert names(tmp_path / name) == [f'00000{n}.png' for n in range(5)]
    frame = tiny_engine(list(read_video(clip))[2].image, iterations=1)
    assert np.array_equal(read_image(tmp_path / 'out' / '000002.png'), frame.derained)
    labels = cv2.imread(str(tmp_path / 'labels' / '000002.png'), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(labels, frame.labels)


@pytest.mark.parametrize('source', ['clip', 'folder'])
def test_panes_show_input_result_and_labels(tmp_path, source, quick, tiny_engine, request):
    given = request.getfixturevalue(source)
    done = ubcn('derain', given, tmp_path / 'derained.mp4', '--video', tmp_path / 'panes.mp4',
                *(('--fps', 5) if source == 'folder' else ()), *quick)
    assert done.exit_code == 0, done.output
    times = TIMES if source == 'clip' else np.arange(5) / 5
    panes, derained = (list(read_video(tmp_path / name)) for name in ('panes.mp4', 'derained.mp4'))
    for video in (panes, derained):
        assert [frame.time_s for frame in video] == pytest.approx(times, abs=1e-4)
    for name in ('panes.mp4', 'derained.mp4'):
        assert video_info(tmp_path / name).pixel_aspect == (WIDE if source == 'clip' else 1)
    frame = tiny_engine(picture(3), iterations=1)
    label_colours = tiny_engine.label_set.colorize(frame.labels)
    for place, image in enumerate((picture(3), frame.derained, label_colours)):
        assert psnr(panes[3].image[:, 96 * place:96 * place + 96], image) > 19
    assert psnr(derained[3].image, frame.derained) > 25


def test_of_a_damaged_video_what_is_whole_is_done(tmp_path, clip):
    data = clip.read_bytes()
    clip.write_bytes(data[:-20])
    done = ubcn('rain', clip, tmp_path / 'out')
    assert done.exit_code == 1
    error, summary = done.output.splitlines()
    assert error.startswith(f'Error: {clip} is damaged')
    assert summary == f'{len(names(tmp_path / "out"))} frames written'


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_what_was_done(tmp_path, clip, number, monkeypatch):
    def stopped(self, image, time_s, depth=None, render=RainSequence.__call__):
        if time_s > 0.3:
            os.kill(os.getpid(), number)
        return render(self, image, time_s)

    monkeypatch.setattr(RainSequence, '__call__', stopped)
    done = ubcn('rain', clip, tmp_path / 'rainy.mp4')
    assert done.exit_code == 128 + number
    assert f'3 of 5 frames written to {tmp_path}/rainy.mp4' in done.output
    assert len(list(read_video(tmp_path / 'rainy.mp4'))) == 3


def test_of_a_bare_stream_nobody_knows_how_many_there_are(tmp_path, clip, monkeypatch):
    bare = tmp_path / 'dry.h264'
    with av.open(str(clip)) as source, av.open(str(bare), 'w') as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)

    def stopped(self, image, time_s, depth=None, render=RainSequence.__call__):
        if time_s > 0:
            os.kill(os.getpid(), signal.SIGINT)
        return render(self, image, time_s)

    monkeypatch.setattr(RainSequence, '__call__', stopped)
    done = ubcn('rain', bare, tmp_path / 'out')
    assert f'Stopped by SIGINT: 1 frames written to {tmp_path}/out' in done.output


@pytest.mark.parametrize('arguments, text', [
    (('rain', 'dry.mp4', 'dry.mp4'), 'OUTPUT and INPUT are the same'),
    (('rain', 'dry.mp4', 'out.png'), 'give a name that ends in .mp4, or a folder'),
    (('rain', 'dry.mp4', 'out.avi'), 'videos are written as MP4, not as .avi'),
    (('rain', 'dry.mp4', 'out.gif'), 'nothing is written as .gif: give a name that ends in .mp4'),
    (('derain', 'dry/0.png', 'out.HEIC'), 'in .png, .jpg, .jpeg, .bmp, .webp, .tif, .tiff for'),
    (('derain', 'dry', 'out.png'), 'dry is a folder, and cannot be written to out.png'),
    (('derain', 'dry', 'out', '--labels', 'labels.png'), 'labels.png ends like a file'),
    (('rain', 'dry/0.png', 'out.mp4'), 'dry/0.png is not a video'),
    (('rain', 'dry', 'out', '--rate', '0:50'), '--rate 0:50) needs time'),
    (('rain', 'text.mp4', 'out'), 'text.mp4 is not a video'),
    (('derain', 'dry.mp4', 'out.mp4', '--video', 'out.mp4'), '--video and OUTPUT are the same'),
    (('derain', 'dry.mp4', 'out', '--labels', 'out'), '--labels and OUTPUT are the same'),
    (('derain', 'dry', 'out', '--video', 'panes.avi'), '.mp4')])
def test_what_cannot_be_is_one_line(tmp_path, clip, folder, monkeypatch, arguments, text):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('ubcn_ros.runtime.Engine.load', lambda *_, **__: pytest.fail('loaded'))
    (tmp_path / 'text.mp4').write_text('some words')
    before = clip.read_bytes()
    done = ubcn(*arguments)
    assert done.exit_code in (1, 2) and isinstance(done.exception, SystemExit), done.output
    assert done.output.count('Error: ') == 1 and text in done.output
    assert clip.read_bytes() == before and not [*tmp_path.glob('out*')]
