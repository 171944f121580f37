# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Processed bags are compared frame by frame: images, labels, latency, by equal stamps."""

import csv
import json
import math
from html import unescape

import numpy as np
import pytest
from bag_files import edit_metadata
from command_line import ubcn
from processed_bags import (
    FRONT,
    HEIGHT,
    clean,
    debug,
    derained,
    labels,
    processed,
    rainy,
    sidecar,
    write_bag,
)

from ubcn_ros.bags import IMAGE, BagError, McapBagWriter, make_header, make_image
from ubcn_ros.report.compare import compare
from ubcn_ros.report.measures import iou_of, pair_counts
from ubcn_ros.report.tracks import BagPaths

S = 1_000_000_000


def bag_compare(*arguments):
    return ubcn('bag', 'compare', *arguments)


def of_255(difference):
    return 20 * math.log10(255 / difference)


def test_two_bags_are_compared_where_both_have_the_frame(tmp_path):
    a, b = tmp_path / 'a', tmp_path / 'b'
    processed(a, count=4)
    processed(b, rest=4, shift=6, count=3)
    seen = []
    found = compare(BagPaths(a, b), lambda *counts: seen.append(counts))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    camera, = found.cameras
    assert (camera.camera, camera.only_a, camera.only_b) == ('/front/image_raw', 1, 0)
    assert [row.stamp_ns for row in camera.frames] == [S + n * S // 10 for n in range(3)]
    for row in camera.frames:
        assert row.values == {
            'psnr_between': pytest.approx(of_255(6)),
            'labels_equal': pytest.approx(100 - 600 / HEIGHT),
            'miou': pytest.approx(50 * (24 / 30 + 18 / 24))}
    assert camera.miou == pytest.approx(50 * (24 / 30 + 18 / 24))
    assert camera.iou == {'Sky': pytest.approx(80), 'Road': pytest.approx(75)}


def test_against_the_drive_without_rain(tmp_path):
    a = processed(tmp_path / 'a')
    truth = write_bag(tmp_path / 'truth', {FRONT['topic']: clean})
    camera, = compare(BagPaths(tmp_path / 'a', truth=truth)).cameras
    assert [row.values for row in camera.frames] == [
        {'psnr': pytest.approx(of_255(10 + n)), 'psnr_input': pytest.approx(of_255(40))}
        for n in range(4)] and a
    b = write_bag(tmp_path / 'b', {FRONT['derained']: lambda n: derained(n, 20)})
    camera, = compare(BagPaths(tmp_path / 'a', b, truth=truth)).cameras
    assert camera.frames[1].values['psnr_gain'] == pytest.approx(of_255(21) - of_255(11))
    assert camera.summary()['psnr_gain']['worst'] == pytest.approx(of_255(20) - of_255(10))
    assert camera.miou is None and camera.iou == {}


REAR = {key: topic.replace('front', 'rear') for key, topic in FRONT.items()}


def two_cameras(path, late_ns=0):
    """Write a bag of two cameras; stamps of the labels of the second one are late."""
    with McapBagWriter(path) as writer:
        for time in range(S, S + 4 * S // 10, S // 10):
            for camera, late in ((FRONT, 0), (REAR, late_ns)):
                for key, image in (('topic', rainy(0)), ('derained', derained(0)),
                                   ('labels', labels(0))):
                    header = make_header(time + late * (key == 'labels'), 'camera')
                    writer.write_message(camera[key], IMAGE, make_image(
                        header, image, 'rgb8' if image.ndim == 3 else 'mono8'), time)
    return path


def test_a_camera_whose_outputs_share_no_stamp_is_named_and_ends_with_1(tmp_path):
    whole, late = two_cameras(tmp_path / 'whole'), two_cameras(tmp_path / 'late', late_ns=1)
    page = ('--out', tmp_path / 'page.html')
    for done in (bag_compare(whole, late), ubcn('report', late, *page),
                 ubcn('report', whole, late, *page)):
        line, = done.stderr.splitlines()
        assert done.exit_code == 1 and line.startswith('Error: ') and REAR['labels'] in line
        assert 'Error: /rear: ' in line and FRONT['labels'] not in line
    text = unescape((tmp_path / 'page.html').read_text())
    assert 'no stamp is in all of' in text and 'comes too fast' not in text
    found = compare(BagPaths(whole, late))
    assert [camera.camera for camera in found.cameras] == [FRONT['topic']]


def test_frames_of_one_bag_alone_and_those_that_lack_an_output_are_counted_apart(tmp_path):
    a = write_bag(tmp_path / 'a', {
        FRONT['derained']: derained, FRONT['labels']: lambda n: labels(n) if n != 2 else None})
    b = processed(tmp_path / 'b', count=6)
    done = bag_compare(a, b)
    assert done.output.splitlines()[0] == \
        '/front/image_raw: 3 frames, 2 of B alone, 1 without all outputs'
    camera, = compare(BagPaths(a, b)).cameras
    assert (camera.only_a, camera.only_b, camera.incomplete) == (0, 2, 1)


@pytest.mark.parametrize('swapped', [False, True])
def test_a_camera_that_one_bag_alone_has_is_named(tmp_path, swapped):
    one, two = processed(tmp_path / 'one'), two_cameras(tmp_path / 'two')
    found = compare(BagPaths(*((two, one) if swapped else (one, two))))
    assert [camera.camera for camera in found.cameras] == [FRONT['topic']]
    assert found.said == [f'/rear: {one} has no frame of it']


def test_labels_of_other_classes_are_not_compared_by_ids(tmp_path):
    bags = [processed(tmp_path / name) for name in ('a', 'b', 'dry')]
    for bag, name in zip(bags[1:], ('Heaven', 'Heights'), strict=True):
        file = bag / 'process.json'
        file.write_text(file.read_text().replace('"Sky"', f'"{name}"'))
    found = compare(BagPaths(bags[0], bags[1], truth=bags[2]))
    camera, = found.cameras
    assert camera.miou is None and camera.iou == {}
    assert {name for row in camera.frames for name in row.values} == {
        'psnr_gain', 'psnr_between', 'psnr', 'psnr_b', 'psnr_input'}
    (of_b, of_dry) = [line for line in found.said if 'different classes' in line]
    assert 'Sky' in of_b and 'Heaven' in of_b and 'Heights' in of_dry


@pytest.mark.parametrize('stamps', [[0] * 6, [S, S, S, 2 * S, 2 * S, 3 * S]])
def test_frames_of_equal_stamps_are_those_recorded_at_one_time(tmp_path, stamps):
    """A frame that is left out moves no other."""
    kept = {0, 2, 5}
    a = sidecar(write_bag(tmp_path / 'a', {
        FRONT['topic']: rainy, FRONT['derained']: lambda n: derained(n) if n in kept else None,
    }, count=6, stamps=stamps))
    truth = write_bag(tmp_path / 'dry', {FRONT['topic']: clean}, count=6, stamps=stamps)
    found = compare(BagPaths(a, truth=truth))
    assert [row.values['psnr'] for row in found.cameras[0].frames] == [
        pytest.approx(of_255(10 + n)) for n in sorted(kept)]
    assert found.said == [] and 'recorded at' in found.cameras[0].frames[1].text


@pytest.mark.parametrize('times', [[S] * 6, [1, 2, 2, 3, 3, 3]])
def test_frames_recorded_at_one_time_with_one_stamp_are_all_compared(tmp_path, times):
    """In their order, as nothing else tells them apart, which is said."""
    a = sidecar(write_bag(tmp_path / 'a', {FRONT['derained']: derained}, 6, [0] * 6, times))
    truth = write_bag(tmp_path / 'dry', {FRONT['topic']: clean}, 6, [0] * 6, times)
    found = compare(BagPaths(a, truth=truth))
    frames = found.cameras[0].frames
    assert [row.values['psnr'] for row in frames] == [
        pytest.approx(of_255(10 + n)) for n in range(6)]
    assert len({row.text for row in frames}) == 6 and 'in their order' in found.said[0]


def test_what_is_missing_in_a_bag_is_told_and_ends_with_1(tmp_path):
    """By the comparison, and by the report."""
    for name in ('a', 'b', 'damaged', 'fewer', 'stopped'):
        processed(tmp_path / name, count=8)
    edit_metadata(tmp_path / 'damaged', relative_file_paths=['damaged_0.mcap', 'damaged_1.mcap'])
    edit_metadata(tmp_path / 'fewer', count=9)
    sidecar(tmp_path / 'stopped', finished=False)
    page = ('--out', tmp_path / 'page.html')
    assert bag_compare(tmp_path / 'a', tmp_path / 'b').exit_code == 0
    assert ubcn('report', tmp_path / 'a', tmp_path / 'b', *page).exit_code == 0
    for name, text in (('damaged', 'damaged_1.mcap'), ('fewer', '9 messages are announced, 8'),
                       ('stopped', 'not processed to its end')):
        bag = tmp_path / name
        compared = bag_compare(tmp_path / 'a', bag, '--json', tmp_path / 'x.json')
        line, = json.loads((tmp_path / 'x.json').read_text())['lacking']
        assert text in line and str(bag) in line
        for done in (compared, ubcn('report', tmp_path / 'a', '--truth', bag, *page),
                     ubcn('report', bag, *page)):
            assert done.exit_code == 1 and done.stderr.splitlines() == [f'Error: {line}']


def test_equal_images_are_counted_and_not_averaged(tmp_path):
    for name, rest in (('a', 10), ('b', 10)):
        write_bag(tmp_path / name, {FRONT['derained']: lambda n, r=rest, name=name: derained(
            n, r + (name == 'b' and n > 1))})
    camera, = compare(BagPaths(tmp_path / 'a', tmp_path / 'b')).cameras
    assert camera.summary()['psnr_between'] == {
        'frames': 4, 'equal': 2, 'mean': pytest.approx(of_255(1)), 'mean_of': 2,
        'worst': pytest.approx(of_255(1)), 'worst_stamp': '1.200000000'}


def test_the_worst_frame_may_be_one_that_a_left_as_it_is(tmp_path):
    """Where one image equals the truth, the gain is infinite; where both do, there is none."""
    rests = {'a': (0, 0, 10, 10), 'b': (0, 20, 0, 11)}
    for name, rest in rests.items():
        write_bag(tmp_path / name, {FRONT['derained']: lambda n, rest=rest: clean(n) + np.uint8(
            rest[n])})
    truth = write_bag(tmp_path / 'truth', {FRONT['topic']: clean})
    camera, = compare(BagPaths(tmp_path / 'a', tmp_path / 'b', truth=truth)).cameras
    gain = of_255(11) - of_255(10)
    assert [row.values.get('psnr_gain') for row in camera.frames] == [
        None, -math.inf, math.inf, pytest.approx(gain)]
    assert camera.summary()['psnr_gain'] == {
        'frames': 3, 'equal': 0, 'mean': pytest.approx(gain), 'mean_of': 1, 'worst': -math.inf,
        'worst_stamp': '1.100000000'}


def test_gains_are_differences_of_the_means_beside_them(tmp_path):
    """B spoils the dry frames, and is equal to A in rain."""
    rests = {'a': (0, 10, 0, 12), 'b': (1, 10, 1, 12), 'before': (0, 40, 0, 40)}
    made = {name: lambda n, rest=rest: clean(n) + np.uint8(rest[n])
            for name, rest in rests.items()}
    for name in ('a', 'b'):
        write_bag(tmp_path / name, {FRONT['topic']: made['before'],
                                    FRONT['derained']: made[name]})
    truth = write_bag(tmp_path / 'truth', {FRONT['topic']: clean})
    camera, = compare(BagPaths(tmp_path / 'a', tmp_path / 'b', truth=truth)).cameras
    found = camera.summary()
    both = pytest.approx((of_255(10) + of_255(12)) / 2)
    assert {name: (figure['mean'], figure['mean_of']) for name, figure in found.items()} == {
        'psnr': (both, 2), 'psnr_b': (both, 2), 'psnr_gain': (0, 2),
        'psnr_input': (pytest.approx(of_255(40)), 2), 'psnr_between': (pytest.approx(of_255(1)),
                                                                       2)}
    assert {name: figure['equal'] for name, figure in found.items()} == {
        'psnr': 2, 'psnr_b': 0, 'psnr_gain': 0, 'psnr_input': 2, 'psnr_between': 2}


def test_latency_is_that_which_the_node_told(tmp_path):
    for name, milliseconds in (('a', 20.0), ('b', 30.0)):
        write_bag(tmp_path / name, {
            '/derained/image_raw': derained, '/debug/frame':
            lambda n, header, ms=milliseconds: debug(header, ms + n)})
    camera, = compare(BagPaths(tmp_path / 'a', tmp_path / 'b')).cameras
    assert [row.values['latency_ms_b'] for row in camera.frames] == [30, 31, 32, 33]
    latency = camera.summary()['latency_ms']
    assert (latency['mean'], latency['worst'], latency['worst_stamp']) == (21.5, 23, '1.300000000')


def test_the_engines_time_is_that_of_process_json(tmp_path):
    processed(tmp_path / 'a')
    sidecar(processed(tmp_path / 'b', rest=11) and tmp_path / 'b',
            timings={'engine_ms': {'total': 12.5, 'derain': 3.0}})
    assert compare(BagPaths(tmp_path / 'a', tmp_path / 'b')).engine_ms == {'b': 12.5}


@pytest.mark.parametrize('truth, other, iou', [
    ([0, 0, 1, 1], [0, 0, 1, 1], {0: 1, 1: 1}),
    ([0, 0, 0, 1], [0, 0, 1, 1], {0: 2 / 3, 1: 1 / 2}),
    ([0, 0, 255, 255], [0, 1, 1, 0], {0: 1 / 2}),  # what the first leaves out does not count
    ([0, 0, 0, 0], [255, 0, 0, 3], {0: 1 / 2}),
    ([255, 255], [0, 1], {}),
], ids=str)
def test_iou_is_over_the_classes_of_the_first(truth, other, iou):
    found = iou_of(pair_counts(np.uint8([truth]), np.uint8([other])))
    assert {n: v for n, v in enumerate(found) if not math.isnan(v)} == pytest.approx(iou)


def test_bags_of_other_drives_are_refused(tmp_path):
    processed(tmp_path / 'a')
    write_bag(tmp_path / 'b', {FRONT['derained']: derained}, stamps=[5, 6, 7, 8])
    with pytest.raises(BagError, match='no frame in common'):
        compare(BagPaths(tmp_path / 'a', tmp_path / 'b'))


def test_the_command_shows_tables_and_writes_each_frame(tmp_path):
    processed(tmp_path / 'a')
    processed(tmp_path / 'b', rest=4, shift=6)
    done = bag_compare(tmp_path / 'a', tmp_path / 'b', '--csv', tmp_path / 'rows.csv', '--json',
                       tmp_path / 'all.json', '--worst', 2)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == '/front/image_raw: 4 frames'
    assert ['PSNR of B against A', 'dB', '4', '-', '32.57', '4', '32.57', '1.000000000'] == [
        cell.strip() for cell in lines[3].split('  ') if cell.strip()]
    assert f'Play the worst: ubcn bag play {tmp_path}/a --start 0.000 --duration 0.5' in lines
    assert sum(line.startswith('1.') for line in lines) == 2
    rows = list(csv.DictReader((tmp_path / 'rows.csv').open()))
    content = json.loads((tmp_path / 'all.json').read_text())
    assert len(rows) == 4 == len(content['cameras'][0]['rows'])
    assert rows[1]['stamp_ns'] == str(S + S // 10)
    assert float(rows[1]['miou']) == content['cameras'][0]['rows'][1]['miou']
    assert content['cameras'][0]['summary']['psnr_between']['frames'] == 4


def test_files_are_written_where_nothing_can_be_printed(tmp_path, unheard):
    processed(tmp_path / 'a')
    processed(tmp_path / 'b')
    done = bag_compare(tmp_path / 'a', tmp_path / 'b', '--csv', tmp_path / 'rows.csv', '--json',
                       tmp_path / 'all.json')
    assert done.exit_code == 1
    assert (tmp_path / 'rows.csv').exists() and (tmp_path / 'all.json').exists()


def test_json_on_standard_output_is_nothing_but_that(tmp_path):
    processed(tmp_path / 'a')
    processed(tmp_path / 'b', count=3)
    done = bag_compare(tmp_path / 'a', tmp_path / 'b', '--json', '-', '--csv',
                       tmp_path / 'rows.csv')
    assert json.loads(done.stdout)['cameras'][0]['only_a'] == 1


def test_infinite_figures_are_null_in_json_as_the_help_says(tmp_path):
    processed(tmp_path / 'a')
    done = bag_compare(tmp_path / 'a', tmp_path / 'a', '--json', '-')
    (camera,) = json.loads(done.stdout)['cameras']
    assert {row['psnr_between'] for row in camera['rows']} == {None}
    assert 'with null for infinite figures' in ' '.join(bag_compare('--help').output.split())


def test_malformed_frames_are_left_out_and_told(tmp_path):
    processed(tmp_path / 'a')
    write_bag(tmp_path / 'b', {FRONT['derained']: lambda n: (
        np.zeros((40, 40, 3), np.uint8) if n == 2 else rainy(n)), FRONT['labels']: labels})
    done = bag_compare(tmp_path / 'a', tmp_path / 'b')
    assert done.exit_code == 1 and '3 frames' in done.output
    line, = (line for line in done.output.splitlines() if line.startswith('Error: '))
    assert 'stamp 1.200000000' in line and 'differ in size' in line


def test_of_many_malformed_frames_the_first_are_told_and_the_rest_counted(tmp_path, monkeypatch):
    monkeypatch.setattr('ubcn_ros.cli.output._SHOWN', 1)
    processed(tmp_path / 'a')
    write_bag(tmp_path / 'b', {FRONT['derained']: lambda n: (
        np.zeros((40, 40, 3), np.uint8) if n else rainy(n)), FRONT['labels']: labels})
    done = bag_compare(tmp_path / 'a', tmp_path / 'b')
    first, rest = (line for line in done.output.splitlines() if line.startswith('Error: '))
    assert done.exit_code == 1 and 'differ in size' in first and rest == 'Error: and 2 more'


def test_one_bag_alone_is_not_enough(tmp_path):
    result = bag_compare(tmp_path / 'a')
    assert result.exit_code == 2 and 'give a second bag to compare with, or --truth' in \
        result.output
