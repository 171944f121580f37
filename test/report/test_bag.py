# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reports of processed bags: what belongs together, what is measured, what is said."""

import base64
import json
import math
import os
import shlex
from pathlib import Path
from urllib.parse import unquote_to_bytes

import cv2
import numpy as np
import pytest
from processed_bags import (
    FRONT,
    HEIGHT,
    SECOND,
    WIDTH,
    clean,
    confidence,
    debug,
    derained,
    labels,
    processed,
    rainy,
    sidecar,
    write_bag,
)

from ubcn_ros.bags import BagError, make_compressed, make_header
from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.images.files import read_image
from ubcn_ros.labels import numbered_labels
from ubcn_ros.report.bag import BagPaths, BagReportOptions, bag_report, play_command
from ubcn_ros.report.compare import compare
from ubcn_ros.report.recording import FrameKey
from ubcn_ros.report.steps import Steps
from ubcn_ros.report.tracks import stamp_text


def report(bag, other=None, frames=1000, full_size=None, step_frames=6, steps=None, **inputs):
    options = BagReportOptions(bag.parent / 'report.html', frames, full_size, step_frames)
    return bag_report(BagPaths(bag, other, **inputs), options, steps)


def picture(uri):
    """Decode a data URI, RGB."""
    data = base64.b64decode(uri.removeprefix('data:image/webp;base64,'))
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def said(made, *words):
    """Whether a line on what was not measured has all these words."""
    return any(all(word in line for word in words) for line in made.not_measured)


def test_frames_of_a_processed_bag(drive):
    made = report(drive / 'a')
    assert [f.stamp for f in made.frames] == [f'1.{n}00000000' for n in range(4)]
    assert [f.seconds for f in made.frames] == pytest.approx([0, .1, .2, .3])
    assert {f.topic for f in made.frames} == {'/front/image_raw'}
    assert {f.size for f in made.frames} == {(WIDTH, HEIGHT)}
    assert made.sides == ('input', 'derained')
    assert [v.key for v in made.views] == ['input', 'derained', 'labels', 'confidence']
    assert made.label_set.classes == CAMVID.classes
    for number, frame in enumerate(made.frames):
        assert frame.values['change'] == pytest.approx(30 - number)
        assert frame.values['confidence'] == pytest.approx((250 - 10 * number) / 2.55)
        assert np.array_equal(picture(frame.pictures['labels'])[..., 0], labels(number))
        assert np.abs(picture(frame.pictures['input']).astype(int) - rainy(number)).mean() < 4
    assert dict(made.facts)['model'] == 'tiny' and dict(made.facts)['T'] == '3'


def test_without_ground_truth_worst_says_what_it_is(drive, tmp_path):
    made = report(drive / 'a')
    assert made.worst.key == 'confidence' and made.ranked() == [3, 2, 1, 0]
    assert 'no ground truth' in made.worst_text and 'confidence' in made.worst_text
    bare = write_bag(tmp_path / 'bare', {'/cam/image': rainy, '/derained/image_raw': derained})
    made = report(bare)
    assert made.worst.key == 'change' and made.ranked() == [0, 1, 2, 3]
    assert 'no ground truth' in made.worst_text
    assert next(t for t in made.tiles if t.title == 'PSNR').value is None
    for words in (['PSNR', '--truth'], ['Confidence'], ['Latency'], ['Steps', '--model']):
        assert said(made, *words), words


def test_a_drive_without_rain_gives_psnr_and_labels_to_compare(drive):
    made = report(drive / 'a', truth=drive / 'dry')
    for number, frame in enumerate(made.frames):
        assert frame.values['psnr'] == pytest.approx(20 * math.log10(255 / (10 + number)), 1e-4)
        assert frame.values['psnr_input'] == pytest.approx(20 * math.log10(255 / 40), 1e-4)
        assert frame.values['labels_dry'] == pytest.approx(100 * (1 - 12 / HEIGHT))
    assert made.worst.key == 'psnr' and made.ranked() == [3, 2, 1, 0]
    assert {'truth', 'truth_labels'} <= {v.key for v in made.views}
    assert not said(made, 'PSNR')
    rows = {name: cells for name, _, cells in made.tables[0].rows}
    column = made.tables[0].columns.index('IoU with the labels of the dry drive, %')
    assert rows['Sky'][column] == pytest.approx(100 * 24 / 36)
    assert rows['Road'][column] == pytest.approx(100 * 12 / 24)
    assert rows['Car'][column] is None


def tile(made, title):
    return next(t for t in made.tiles if t.title == title)


def test_figures_beside_each_other_are_of_the_same_frames(tmp_path):
    """Where it does not rain the input equals the truth: its PSNR is infinite, B's is not."""
    front = {'/front/image_raw': lambda n: rainy(n) if n else clean(n),
             '/front/labels/image_raw': labels}
    a = write_bag(tmp_path / 'a', {**front, '/front/derained/image_raw': lambda n: derained(
        n, 10 if n else 1)})
    b = write_bag(tmp_path / 'b', {'/front/derained/image_raw': lambda n: derained(n, 20),
                                   '/front/labels/confidence': confidence})
    truth = write_bag(tmp_path / 'dry', {'/front/image_raw': clean})

    def mean(rest):
        return np.mean([20 * math.log10(255 / (rest + n)) for n in (1, 2, 3)])

    before = 20 * math.log10(255 / 40)
    alone, pair = report(a, truth=truth), report(a, b, truth=truth)
    assert tile(alone, 'PSNR').value == f'{before:.1f} → {mean(10):.1f} dB'
    assert tile(alone, 'PSNR').text.endswith('against the drive without rain; over 3 of 4 frames')
    assert tile(pair, 'PSNR').value == f'{before:.1f} → {mean(10):.1f} | {mean(20):.1f} dB'
    assert tile(pair, 'Confidence').value == '– | 92.2 %'
    dry = report(a, truth=a)
    assert tile(dry, 'PSNR').value.startswith('∞ → ') and 'over' not in tile(dry, 'PSNR').text


def test_frames_without_a_truth_are_counted(tmp_path):
    a = processed(tmp_path / 'a')
    truth = write_bag(tmp_path / 'dry', {FRONT['topic']: lambda n: clean(n) if n < 1 else None})
    made = report(a, truth=truth)
    assert tile(made, 'PSNR').value == '16.1 → 28.1 dB'
    assert tile(made, 'PSNR').text.endswith('; over 1 of 4 frames')
    assert said(made, 'Images without rain of 3 of 4 frames of /front/image_raw', str(truth))
    some = write_bag(tmp_path / 'some', {
        FRONT['derained']: derained, '/front/labels/confidence':
        lambda n: confidence(n) if n else None})
    assert tile(report(some), 'Confidence').text.endswith('; over 3 of 4 frames')


def test_a_drive_without_rain_that_has_labels_alone_is_told(drive, tmp_path):
    truth = write_bag(tmp_path / 'dry', {FRONT['labels']: labels})
    made = report(drive / 'a', truth=truth)
    assert 'labels_dry' in made.frames[0].values and said(made, 'PSNR', 'no images to compare')
    assert tile(made, 'PSNR').value is None
    assert tile(made, 'PSNR').text == 'the drive without rain has no images'


@pytest.mark.parametrize('stamp_ns, text', [
    (-500_000_000, '-0.500000000'), (0, '0.000000000'), (1_000_000_001, '1.000000001')])
def test_a_stamp_is_written_as_seconds(stamp_ns, text):
    assert stamp_text(FrameKey(stamp_ns, 0)) == text
    assert stamp_text(FrameKey(stamp_ns, 1)) == f'{text} (2)'


def test_a_pair_is_compared(drive):
    made = report(drive / 'a', drive / 'b')
    assert made.sides == ('derained', 'derained_b')
    for frame in made.frames:
        assert frame.values['labels_equal'] == pytest.approx(100 * (1 - 6 / HEIGHT))
        assert frame.values['apart'] == pytest.approx(10)
    assert made.worst.key == 'labels_equal' and 'which of them is wrong' in made.worst_text
    columns, rows = made.tables[0].columns, {n: c for n, _, c in made.tables[0].rows}
    assert rows['Sky'][columns.index('IoU of B against A, %')] == pytest.approx(100 * 24 / 30)
    made = report(drive / 'a', drive / 'b', truth=drive / 'dry')
    assert made.worst.key == 'psnr_gain' and all(f.values['psnr_gain'] < 0 for f in made.frames)


def test_labels_that_a_alone_lacks_have_their_classes(drive, tmp_path):
    derains = write_bag(tmp_path / 'a', {FRONT['topic']: rainy, FRONT['derained']: derained})
    made = report(derains, drive / 'b')
    assert 'labels_b' in {view.key for view in made.views}
    assert made.label_set.classes == CAMVID.classes and said(made, 'Labels of A: not recorded')
    bare = write_bag(tmp_path / 'b', {FRONT['labels']: labels})
    for made in (report(derains, bare), report(derains, truth=bare)):
        assert made.label_set == numbered_labels(4) and said(made, 'Names of classes', str(bare))


def test_what_b_alone_leaves_unlabeled_has_a_row(drive, tmp_path):
    other = write_bag(tmp_path / 'b', {FRONT['labels']: lambda n: np.where(
        labels(n) == 3, np.uint8(255), labels(n))})
    made = report(drive / 'a', other)
    shares = {name: cells[made.tables[0].columns.index('share in B, %')]
              for name, _, cells in made.tables[0].rows}
    assert shares['unlabeled'] == 50


def test_models_of_other_classes_are_not_compared_by_ids(drive, tmp_path):
    other = processed(tmp_path / 'other')
    document = json.loads((other / 'process.json').read_text())
    document['model']['label_set']['classes'][0] = 'Heaven'
    (other / 'process.json').write_text(json.dumps(document))
    made = report(drive / 'a', other)
    assert all('labels_equal' not in f.values for f in made.frames)
    assert said(made, 'different classes', 'Heaven')


def test_outputs_alone_are_paired_with_a_bag_of_inputs_by_stamp(tmp_path):
    # the node missed a frame; two cameras of the input have the same stamps
    outputs = write_bag(tmp_path / 'out', {
        '/rear/derained/image_raw': lambda n: None if n == 1 else derained(n),
        '/rear/labels/image_raw': lambda n: None if n == 1 else labels(n)})
    inputs = write_bag(tmp_path / 'in', {'/front/image_raw': clean, '/rear/image_raw': rainy,
                                         '/rear/depth': lambda n: labels(n)})
    made = report(outputs, input=inputs)
    assert [f.stamp[:3] for f in made.frames] == ['1.0', '1.2', '1.3']
    assert [f.values['change'] for f in made.frames] == pytest.approx([30, 28, 27])
    assert {f.topic for f in made.frames} == {'/rear/image_raw'}
    assert said(made, 'no result of 1 image of /rear/image_raw')
    assert said(made, 'Names of classes')
    assert [name for name, _, _ in made.tables[0].rows] == ['0', '1', '2', '3']
    alone = report(outputs)
    assert 'input' not in {v.key for v in alone.views} and said(alone, '--input')


REAR = {key: topic.replace('front', 'rear') for key, topic in FRONT.items()}


def test_pictures_of_another_camera_are_not_taken_for_its_own(tmp_path):
    """Their stamps are equal; what a camera lacks is said."""
    both = {camera[kind]: make for camera in (FRONT, REAR)
            for kind, make in (('derained', derained), ('labels', labels))}
    a = sidecar(write_bag(tmp_path / 'a', both), [FRONT, REAR])
    front = write_bag(tmp_path / 'front', {FRONT['topic']: clean, FRONT['labels']: labels})
    made = report(a, input=front, truth=front)
    has = {f.topic: f.values.keys() & {'change', 'psnr', 'labels_dry'} for f in made.frames}
    assert has == {FRONT['topic']: {'change', 'psnr', 'labels_dry'}, REAR['topic']: set()}
    for what in ('Input', 'Images without rain', 'Labels without rain'):
        assert said(made, f'{what} of {REAR["topic"]}: in none')
    recorded = report(write_bag(tmp_path / 'recorded', both), truth=front)
    assert {f.topic for f in recorded.frames if 'psnr' in f.values} == {'/front'}
    pair = report(a, front)
    assert {f.topic for f in pair.frames} == {FRONT['topic']} and said(pair, REAR['topic'])
    two = write_bag(tmp_path / 'two', {'/left/image': clean, '/right/image': clean})
    with pytest.raises(BagError, match='of its name or alone: give the same drive'):
        report(write_bag(tmp_path / 'bare', {'/derained/image_raw': derained}), truth=two)


def test_an_input_that_process_json_names_is_no_other(tmp_path):
    bag = sidecar(write_bag(tmp_path / 'bag', {
        FRONT['derained']: derained, REAR['topic']: rainy}))
    assert 'input' not in {view.key for view in report(bag).views}
    truth = write_bag(tmp_path / 'dry', {'/cam': clean, '/labels/color': clean})
    made = report(bag, truth=truth)  # alone in both
    assert {f.topic for f in made.frames if 'psnr' in f.values} == {FRONT['topic']}


def test_cameras_of_other_names_are_told_by_stamps_of_their_own(tmp_path):
    """As a node with remapped topics leaves them."""
    def times(make, camera):
        return lambda n: make(n) if n % 2 == camera else None

    bag = write_bag(tmp_path / 'bag', {
        f'/{name}/{topic}': times(make, n) for n, name in enumerate('ab')
        for topic, make in (('derained/image_raw', derained), ('driver/image', rainy))})
    assert {f.topic for f in report(bag).frames} == {'/a/driver/image', '/b/driver/image'}


@pytest.mark.parametrize('stamps', [[0, 0, 0, 0], [7, 5, 7, 6]])
def test_stamps_that_come_twice_or_fall_back_lose_no_frame(tmp_path, stamps):
    bag = processed(tmp_path / 'bag', stamps=stamps)
    truth = write_bag(tmp_path / 'dry', {'/front/image_raw': clean}, stamps=stamps)
    made = report(bag, truth=truth)
    assert [f.values['change'] for f in made.frames] == pytest.approx([30, 29, 28, 27])
    assert [f.values['psnr'] for f in made.frames] == pytest.approx(
        [20 * math.log10(255 / (10 + n)) for n in range(4)], 1e-4)
    assert len({f.stamp for f in made.frames}) == 4


@pytest.mark.parametrize('early, late', [
    ([0.0, 0.1], [1.7e9, 1.7e9 + 0.1]), ([0.0], [61.0, 61.1, 61.2]), ([0.0, 0.1, 0.2], [100.0])])
def test_a_clock_that_is_set_leaves_no_gap_on_the_axis(tmp_path, early, late):
    times = [SECOND + round(time * SECOND) for time in (*early, *late)]
    made = report(processed(tmp_path / 'bag', times=times))
    assert [frame.seconds for frame in made.frames] == pytest.approx([0, .1, .2, .3], abs=1e-6)
    assert [frame.title for frame in made.frames] == [f'{time:.2f} s' for time in (*early, *late)]
    assert tile(made, 'Frames').text.endswith('0.3 s of the drive')
    assert said(made, '1 gap of more than 60 s')


def test_frames_that_are_not_shown_leave_no_gap_to_close(tmp_path):
    times = [SECOND + 50 * n * SECOND for n in range(5)]
    made = report(processed(tmp_path / 'bag', count=5, times=times), frames=2)
    assert [frame.seconds for frame in made.frames] == [50, 150] and not said(made, 'gap')


def test_a_recording_of_the_node_says_its_latency(tmp_path):
    bag = write_bag(tmp_path / 'bag', {
        '/camera/image_raw': rainy, '/derained/image_raw': derained,
        '/labels/image_raw': labels, '/labels/confidence': confidence,
        '/debug/frame': lambda n, header: debug(header, 20 + n)})
    made = report(bag)
    assert [f.values['latency_ms'] for f in made.frames] == [20, 21, 22, 23]
    assert next(t for t in made.tiles if t.title == 'Latency').value == '21.5 ms'


def test_cameras_are_told_apart_and_chosen(tmp_path):
    topics = {}
    for camera, rest in ((FRONT, 10), (REAR, 20)):
        topics |= {camera['topic']: rainy, camera['labels']: labels,
                   camera['derained']: lambda n, rest=rest: derained(n, rest)}
    bag = sidecar(write_bag(tmp_path / 'bag', topics), [FRONT, REAR])
    made = report(bag)
    changes = {topic: [f.values['change'] for f in made.frames if f.topic == topic]
               for topic in ('/front/image_raw', '/rear/image_raw')}
    assert changes == {'/front/image_raw': [30, 29, 28, 27],
                       '/rear/image_raw': [20, 19, 18, 17]}
    assert [len(report(bag, frames=count).frames) for count in (1, 3, 5, 9)] == [1, 2, 4, 8]
    pairs = [(f.topic, f.stamp) for f in report(bag, frames=5).frames]  # of the same moments
    assert {stamp for topic, stamp in pairs if 'front' in topic} == {
        stamp for topic, stamp in pairs if 'rear' in topic}
    one = report(bag, frames=1)
    assert said(one, 'not shown: /front/image_raw', '--frames 1')
    assert one.tiles[0].text.startswith('of 1 camera,')
    chosen = report(bag, topics=('rear/image_raw',))
    assert {f.topic for f in chosen.frames} == {'/rear/image_raw'}
    with pytest.raises(BagError, match=r"no camera '/side'.*/front/image_raw, /rear/image_raw"):
        report(bag, topics=('/side',))


def test_a_slow_camera_is_shown_beside_a_fast_one(tmp_path):
    bag = write_bag(tmp_path / 'bag', {
        '/front/image_raw': rainy, '/front/derained/image_raw': derained,
        '/rear/image_raw': lambda n: rainy(n) if n == 3 else None,
        '/rear/derained/image_raw': lambda n: derained(n) if n == 3 else None}, 12)
    topics = [f.topic for f in report(bag, frames=4).frames]
    assert sorted(topics) == ['/front/image_raw'] * 3 + ['/rear/image_raw']


def test_fewer_frames_are_spread_evenly_and_said(drive):
    made = report(drive / 'a', frames=2)
    assert [f.seconds for f in made.frames] == pytest.approx([.1, .3])
    assert said(made, '2 of 4 frames', '--frames')


def test_each_frame_has_the_command_that_plays_it(drive):
    for frame in report(drive / 'a').frames:
        assert frame.command == play_command(drive / 'a', frame.seconds)


@pytest.mark.parametrize('seconds', [0.0, 0.1, 1.0005, 12_345.6789, 1e6 + 0.25])
def test_a_frame_is_played_from_its_time_on(seconds):
    *command, start, _, duration = shlex.split(play_command(Path('a drive'), seconds))
    assert command == ['ubcn', 'bag', 'play', 'a drive', '--start']
    assert 0 <= seconds - float(start) < 0.0011 < float(duration)


@pytest.mark.parametrize('name', [b'full size', b'f\xffull'])
def test_pictures_at_full_size_lie_beside(drive, tmp_path, name):
    folder = tmp_path / os.fsdecode(name)
    made = report(drive / 'a', full_size=folder)
    assert len(list(folder.iterdir())) == 16
    file = drive / os.fsdecode(unquote_to_bytes(made.frames[2].files['derained']))
    assert np.array_equal(read_image(file), derained(2))


def test_steps_are_computed_again_on_the_worst_frames(drive, fake_engine):
    made = report(drive / 'a', truth=drive / 'dry', step_frames=2,
                  steps=Steps(fake_engine, 3))
    assert [len(f.steps) for f in made.frames] == [0, 0, 3, 3]
    for t, step in enumerate(made.frames[3].steps, 1):
        shown = picture(step['derained']).astype(int)
        assert np.abs(shown - (rainy(3) - np.uint8(10 * t))).mean() < 4
    (title, charts), = made.charts
    assert '2 worst frames' in title
    lines = {c.title: dict(c.lines[0].points) for c in charts}
    assert lines['PSNR'] == pytest.approx(
        {t: 20 * math.log10(255 / (40 - 10 * t)) for t in range(4)}, 1e-4)
    assert lines['Labels that a step changes'] == pytest.approx({2: 100 / 48, 3: 100 / 48})
    assert lines['Latency'] == {1: 5, 2: 10, 3: 15}
    assert said(made, 'Steps of the model that made the bag', 'fake')


def test_steps_are_of_frames_that_have_an_input(tmp_path, fake_engine):
    bag = sidecar(write_bag(tmp_path / 'a', {
        FRONT['topic']: lambda n: rainy(n) if n < 3 else None,
        FRONT['derained']: derained, FRONT['confidence']: confidence}))
    made = report(bag, step_frames=3, steps=Steps(fake_engine, 1))
    assert [len(f.steps) for f in made.frames] == [0, 1, 1, 0]
    (title, charts), = made.charts
    assert '2 worst frames' in title and charts[0].lines[0].name == 'mean of 2 frames'


def test_steps_show_what_was_not_recorded(tmp_path, fake_engine):
    bag = write_bag(tmp_path / 'bag', {FRONT['topic']: rainy, FRONT['derained']: derained})
    assert report(bag).label_set is None
    made = report(bag, step_frames=1, steps=Steps(fake_engine, 2))
    assert [view.key for view in made.views] == ['input', 'derained', 'labels', 'confidence']
    assert made.label_set == fake_engine.label_set


def test_what_is_malformed_is_left_out_and_said(tmp_path):
    cut = write_bag(tmp_path / 'cut', {
        '/front/image_raw': lambda n: rainy(n) if n != 1 else rainy(n)[:32],
        '/front/derained/image_raw': derained})
    made = report(cut)
    assert len(made.frames) == 3 and said(made, '1.100000000', 'differ in size')


def test_a_mask_that_is_a_jpeg_is_refused(tmp_path):
    """Its ids beside edges are those of classes that nobody predicted."""
    def compressed(number):
        data = cv2.imencode('.png' if number else '.jpg', labels(number))[1].tobytes()
        return make_compressed(make_header(SECOND + number * SECOND // 10, 'camera'), data)

    bag = write_bag(tmp_path / 'bag', {FRONT['derained']: derained,
                                       FRONT['labels'] + '/compressed': compressed})
    made = report(bag)
    assert [frame.stamp for frame in made.frames] == ['1.100000000', '1.200000000', '1.300000000']
    assert 'labels is a JPEG' in made.errors[0] and 'PNG' in made.errors[0]


@pytest.mark.parametrize('named, largest', [(True, 10), (False, 199)])
def test_ids_that_are_no_class_are_refused(tmp_path, named, largest):
    topics = {FRONT['topic']: rainy, FRONT['derained']: derained, FRONT['labels']: lambda n: (
        labels(n) + np.uint8((0, largest - 3, largest - 2, 252)[n]))}
    bags = [write_bag(tmp_path / name, topics) for name in 'ab']
    if named:
        list(map(sidecar, bags))
    made, found = report(bags[0]), compare(BagPaths(*bags))
    assert [frame.stamp for frame in made.frames] == ['1.000000000', '1.100000000']
    for error, number in zip(made.errors, (largest + 1, 252), strict=True):
        assert f'labels has the id {number}, but ids are 0 to {largest} ' in error
    assert len(found.frames) == 2 == len(found.cameras[0].malformed)
    assert sum(cells[0] for _, _, cells in made.tables[0].rows) == pytest.approx(100)


def test_bags_without_a_frame_that_can_be_read_are_clear_errors(tmp_path):
    bag = write_bag(tmp_path / 'bag', {'/front/image_raw': rainy, '/front/derained/image_raw':
                                       lambda n: derained(n)[:32]})
    with pytest.raises(BagError, match='no frame can be read; .*differ in size'):
        report(bag)


def test_steps_of_another_models_classes_show_no_labels(drive, fake_engine):
    fake_engine = type('Other', (type(fake_engine),), {'label_set': numbered_labels(3)})()
    made = report(drive / 'a', step_frames=1, steps=Steps(fake_engine, 2))
    assert [step.keys() for step in made.frames[3].steps] == [{'derained', 'confidence'}] * 2
    assert said(made, 'Labels of the steps', 'other classes')


def test_what_the_processing_left_out_is_said(tmp_path):
    bag = sidecar(processed(tmp_path / 'bag'), finished=False, problems=['the file is cut'],
                  skipped=[{'topic': '/depth', 'type': '', 'reason': 'depth'}],
                  malformed=[f'message {n}: cut short' for n in range(9)])
    made = report(bag)
    for words in (['--resume'], ['/depth was not processed: depth'], ['message 0: cut short'],
                  ['7 more', str(bag)]):
        assert said(made, *words), words
    (bag / 'process.json').write_text('{')
    with pytest.raises(BagError, match=r'process\.json cannot be read'):
        report(bag)


def test_what_the_engine_took_is_shown_where_no_latency_was_recorded(tmp_path):
    bag = sidecar(processed(tmp_path / 'bag'), device='cpu', precision='bf16',
                  timings={'engine_ms': {'total': 80.0}, 'frames_per_s': 12.0})
    made = report(bag)
    tile = next(t for t in made.tiles if t.title == 'Engine')
    assert (tile.value, tile.text) == ('80.0 ms', 'mean of a frame on cpu, bf16')
    assert dict(made.facts)['processed at'] == '12 frames per second'


def test_bags_that_do_not_belong_together_are_clear_errors(drive, tmp_path):
    later = [900 * SECOND + n for n in range(4)]
    other = write_bag(tmp_path / 'other', {'/front/image_raw': clean}, stamps=later)
    with pytest.raises(BagError, match='no image with a stamp of .* the same drive without rain'):
        report(drive / 'a', truth=other)
    outputs = write_bag(tmp_path / 'out', {'/front/derained/image_raw': derained})
    with pytest.raises(BagError, match='give the bag that was processed'):
        report(outputs, input=other)
    with pytest.raises(BagError, match='no frame in common'):
        report(drive / 'a', processed(tmp_path / 'later', stamps=later))
    apart = write_bag(tmp_path / 'apart', {
        FRONT['derained']: lambda n: derained(n) if n < 2 else None,
        FRONT['labels']: lambda n: labels(n) if n >= 2 else None})
    with pytest.raises(BagError, match='apart has no frame .* labels share no stamp'):
        report(apart)
    with pytest.raises(BagError, match='no derained image and no labels'):
        report(other)
