# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags are made of images with calibration and rain."""

import os

import cv2
import numpy as np
import pytest
import yaml
from bag_files import SECOND
from command_line import ubcn
from random_images import noise
from test_calibration import WRITTEN

from ubcn_ros.bags import CAMERA_INFO, BagError, create, deserialize, open_bag, read_images
from ubcn_ros.bags.process import Options, plan
from ubcn_ros.bags.rain import rain_bag
from ubcn_ros.images.files import write_image


@pytest.fixture
def calibration(tmp_path):
    path = tmp_path / 'camera.yaml'
    path.write_text(yaml.safe_dump({**yaml.safe_load(WRITTEN), 'image_width': 44,
                                    'image_height': 36}))
    return path


@pytest.mark.parametrize('topic, info_topic', [
    ('/front/image_raw', '/front/camera_info'), ('/image', '/camera_info')])
@pytest.mark.parametrize('compressed', [False, True])
def test_a_camera_info_goes_with_each_image(tmp_path, calibration, topic, info_topic, compressed):
    create([noise(n) for n in range(3)], tmp_path / 'bag', topic, compressed=compressed,
           frame_id='front', calibration=calibration)
    images = list(read_images(tmp_path / 'bag'))
    with open_bag(tmp_path / 'bag') as reader:
        info, = (c for c in reader.connections if c.msgtype == CAMERA_INFO)
        infos = [(record.time_ns, deserialize(record.data, CAMERA_INFO))
                 for record in reader.records(reader.channels_of(info))]
    assert info.topic == info_topic
    assert [time for time, _ in infos] == [image.recorded_ns for image in images]
    assert [message.header for _, message in infos] == [image.header for image in images]
    assert {(m.width, m.height, m.k[0]) for _, m in infos} == {(44, 36, 438.78)}


def test_the_calibration_of_other_images_is_refused(tmp_path, calibration):
    with pytest.raises(BagError, match='image 2 is 40 x 36 pixels, but .*camera.yaml is of 44 x '):
        create([noise(), noise(width=40)], tmp_path / 'bag', calibration=calibration)
    assert not (tmp_path / 'bag').exists()


def test_rain_is_rendered_at_the_times_of_the_images(tmp_path):
    times = []

    def rain(image, time_s):
        times.append(time_s)
        return 255 - image

    for time in (1700000000, 1700000002, 1700000003):
        write_image(tmp_path / 'in' / f'{time}.png', noise(time % 10))
    create(tmp_path / 'in', tmp_path / 'bag', rain=rain)
    assert times == [0, 2, 3]
    images = list(read_images(tmp_path / 'bag'))
    assert [image.stamp_ns for image in images] == [
        1700000000 * SECOND, 1700000002 * SECOND, 1700000003 * SECOND]
    assert np.array_equal(images[1].image, 255 - noise(2))


def test_the_command_renders_the_same_rain_for_the_same_seed(tmp_path):
    for number in range(2):
        write_image(tmp_path / 'in' / f'{number}.png', noise())
    bags = {}
    for name, options in (('dry', []), ('a', ['--rain', '100']), ('b', ['--rain', '100']),
                          ('c', ['--rain', '100', '--seed', '1'])):
        done = ubcn('bag', 'create', tmp_path / 'in', tmp_path / name, *options)
        assert done.exit_code == 0, done.output
        assert done.output.endswith(f'2 images written to {tmp_path / name}; stamps: numbers in '
                                    'the names, at 15 Hz\n')
        bags[name] = np.stack([image.image for image in read_images(tmp_path / name)])
    assert np.array_equal(bags['dry'][1], noise()) and np.array_equal(bags['a'], bags['b'])
    for one, other in ((bags['a'], bags['dry']), (bags['a'], bags['c']), bags['a']):
        assert not np.array_equal(one, other)


def test_a_name_that_metadata_cannot_hold_is_refused_before_the_work(tmp_path):
    bag, strange = tmp_path / 'bag', tmp_path / os.fsdecode(b'b\xe4g')
    create([noise()], bag)
    write_image(tmp_path / 'images' / 'a.png', noise())
    for made in (lambda: create(tmp_path / 'images', strange, rate_hz=5.0),
                 lambda: rain_bag(bag, strange, lambda *_: None),
                 lambda: plan(bag, strange, Options(), 3)):
        with pytest.raises(BagError, match='its name is not UTF-8.*choose another name'):
            made()
    assert not strange.exists()
    create([noise()], strange / 'bag')  # whose folder may have any name


def test_a_video_becomes_a_bag(tmp_path):
    pytest.importorskip('av')
    from ubcn_ros.images.video_writer import VideoWriter
    with VideoWriter(tmp_path / 'a.mp4') as writer:
        for number in range(3):
            writer.write(np.full((36, 44, 3), 60 * number, np.uint8), number / 4)
    assert create(tmp_path / 'a.mp4', tmp_path / 'bag', compressed=True) == 3
    images = list(read_images(tmp_path / 'bag'))
    assert [i.stamp_ns - images[0].stamp_ns for i in images] == [0, SECOND // 4, SECOND // 2]
    assert [abs(int(i.image.mean()) - 60 * n) < 6 for n, i in enumerate(images)] == [True] * 3


def cut_video(path):
    pytest.importorskip('av')
    from ubcn_ros.images.video_writer import VideoWriter
    with VideoWriter(path) as writer:
        for number in range(10):
            writer.write(noise(number), number / 10)
    data = path.read_bytes()
    path.write_bytes(data[:int(0.7 * len(data))])


@pytest.mark.parametrize('options', [(), ('--compressed',), ('--rate', '5', '--rain', '50')])
def test_of_a_cut_video_what_is_whole_becomes_the_bag(tmp_path, options):
    cut_video(tmp_path / 'a.mp4')
    done = ubcn('bag', 'create', tmp_path / 'a.mp4', tmp_path / 'bag', *options)
    images = list(read_images(tmp_path / 'bag'))
    assert done.exit_code == 1 and 3 <= len(images) <= 8
    assert 'a.mp4 is damaged' in done.output and 'what is whole was read' in done.output
    assert f'\n{len(images)} images written to {tmp_path / "bag"}; ' in done.output


@pytest.mark.parametrize('broken', [(0,), (2,), (4,), (1, 3)])
@pytest.mark.parametrize('name, text', [
    ('{}.png', b'broken'), ('170000000{}.png', b''), ('{}.png', noise().tobytes()[:99])])
def test_broken_images_are_named_and_left_out(tmp_path, broken, name, text):
    whole = [number for number in range(5) if number not in broken]
    for number in range(5):
        write_image(tmp_path / 'in' / name.format(number), noise(number))
    for number in broken:
        (tmp_path / 'in' / name.format(number)).write_bytes(text)
    done = ubcn('bag', 'create', tmp_path / 'in', tmp_path / 'bag', '--rate', '1')
    assert done.exit_code == 1 and done.output.count('Error: ') == len(broken)
    assert all(name.format(number) in done.output for number in broken)
    assert f'\n{len(whole)} images written to {tmp_path / "bag"}; ' in done.output
    images = list(read_images(tmp_path / 'bag'))
    first = images[0].stamp_ns - whole[0] * SECOND
    assert [(image.stamp_ns - first) / SECOND for image in images] == whole
    assert all(np.array_equal(image.image, noise(number))
               for image, number in zip(images, whole, strict=True))


@pytest.mark.parametrize('broken', [False, True])
def test_what_is_not_read_of_a_file_is_a_warning(tmp_path, broken):
    write_image(tmp_path / 'in' / '0.png', noise())
    cv2.imwritemulti(str(tmp_path / 'in' / '1.tif'), [noise(1), noise(2)])
    if broken:
        (tmp_path / 'in' / '2.png').write_bytes(b'broken')
    done = ubcn('bag', 'create', tmp_path / 'in', tmp_path / 'bag')
    assert done.exit_code == broken
    assert '\nWarning: 1 image file holds several pages' in '\n' + done.output


def test_without_a_whole_image_there_is_no_bag(tmp_path):
    (tmp_path / 'in').mkdir()
    for number in range(2):
        (tmp_path / 'in' / f'{number}.png').write_bytes(b'broken')
    done = ubcn('bag', 'create', tmp_path / 'in', tmp_path / 'bag')
    assert done.exit_code == 1 and not (tmp_path / 'bag').exists()
    assert [name in done.output for name in ('0.png', '1.png', 'bag was not made: no image')] == [
        True] * 3


def test_where_nobody_is_told_of_damage_it_is_raised_and_no_bag_is_left(tmp_path):
    cut_video(tmp_path / 'a.mp4')
    with pytest.raises(ValueError, match='a.mp4 is damaged'):
        create(tmp_path / 'a.mp4', tmp_path / 'bag')
    assert not (tmp_path / 'bag').exists()
