# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags there and back, and bag to bag around an engine that counts."""


import numpy as np
import pytest
from random_images import noise

from ubcn_ros.bags import (
    BagError,
    McapBagWriter,
    create,
    deserialize,
    image_connection,
    make_header,
    make_image,
    open_bag,
    read_images,
)
from ubcn_ros.images.files import ImageFileError, write_image

IMAGE = 'sensor_msgs/msg/Image'


def test_images_there_and_back(tmp_path):
    images = [noise(n) for n in range(5)]
    assert create(images, tmp_path / 'bag', '/front/image', 8.0, frame_id='front') == 5
    back = list(read_images(tmp_path / 'bag'))
    assert all(np.array_equal(b.image, i) for b, i in zip(back, images, strict=True))
    assert {b.topic for b in back} == {'/front/image'}
    assert {b.header.frame_id for b in back} == {'front'}
    assert {b - a for a, b in zip([b.stamp_ns for b in back], [b.stamp_ns for b in back][1:],
                                  strict=False)} == {125_000_000}
    assert all(b.stamp_ns == b.recorded_ns > 0 for b in back)


def test_frames_are_written_as_they_come(tmp_path):
    frames = (noise(n) for n in range(3))
    assert create(frames, tmp_path / 'bag', '/front', 20.0, frame_id='front') == 3
    back = list(read_images(tmp_path / 'bag', '/front'))
    assert [b.stamp_ns - back[0].stamp_ns for b in back] == [0, 50_000_000, 100_000_000]
    assert np.array_equal(back[2].image, noise(2)) and back[2].header.frame_id == 'front'


def test_a_file_of_a_bag_is_read_without_its_folder(tmp_path):
    create([noise()], tmp_path / 'bag')
    assert len(list(read_images(next((tmp_path / 'bag').glob('*.mcap'))))) == 1


def test_a_folder_may_be_called_bag(tmp_path):
    create([noise()], tmp_path / 'drive.bag')
    assert len(list(read_images(tmp_path / 'drive.bag'))) == 1


def test_a_folder_becomes_a_compressed_bag_of_the_files_as_they_are(tmp_path):
    folder = tmp_path / 'images'
    for number in (1, 2, 10):
        write_image(folder / f'{number}.{"png" if number == 1 else "jpg"}', noise(number))
    assert create(folder, tmp_path / 'bag', compressed=True) == 3
    with open_bag(tmp_path / 'bag') as reader:
        connection = image_connection(reader)
        messages = [deserialize(record.data, connection.msgtype)
                    for record in reader.records()]
    assert connection.topic == '/camera/image_raw/compressed'
    assert [m.format for m in messages] == ['png', 'jpeg', 'jpeg']
    assert bytes(messages[2].data) == (folder / '10.jpg').read_bytes()
    assert np.array_equal(next(read_images(tmp_path / 'bag')).image, noise(1))


def test_topics_are_chosen_or_listed(tmp_path):
    with McapBagWriter(tmp_path / 'bag') as writer:
        for topic in ('/left/image', '/right/image'):
            writer.write_message(topic, IMAGE, make_image(make_header(1, 'c'), noise()), 1)
        writer.write_message('/header', 'std_msgs/msg/Header', make_header(1, 'c'), 1)
    assert next(read_images(tmp_path / 'bag', 'left/image')).topic == '/left/image'
    with pytest.raises(BagError, match='several image topics.*/left/image, /right/image'):
        list(read_images(tmp_path / 'bag'))
    with pytest.raises(BagError, match=r'no topic /front; its topics are .*/right/image \(sensor'):
        list(read_images(tmp_path / 'bag', '/front'))
    with pytest.raises(BagError, match='/header is of type std_msgs/msg/Header'):
        list(read_images(tmp_path / 'bag', '/header'))


def test_bags_that_cannot_be_are_clear_errors(tmp_path):
    with pytest.raises(BagError, match='no bag at'):
        list(read_images(tmp_path / 'absent'))
    (tmp_path / 'old.bag').write_bytes(b'#ROSBAG V2.0')
    with pytest.raises(BagError, match='ROS 1 bag'):
        list(read_images(tmp_path / 'old.bag'))
    (tmp_path / 'cut.mcap').write_bytes(b'\x89MCAP0\r\n' + b'x' * 40)
    with pytest.raises(BagError, match='cut.mcap cannot be read'):
        list(read_images(tmp_path / 'cut.mcap'))
    create([noise()], tmp_path / 'there')
    with pytest.raises(BagError, match='there cannot be written'):
        create([noise()], tmp_path / 'there')
    with pytest.raises(BagError, match='rate_hz is 0'):
        create([noise()], tmp_path / 'new', rate_hz=0)
    assert not (tmp_path / 'new').exists()


def test_an_empty_bag_says_that_it_has_no_images(tmp_path):
    with McapBagWriter(tmp_path / 'bag'):
        pass
    with pytest.raises(BagError, match='no images'):
        list(read_images(tmp_path / 'bag'))


def test_a_broken_file_in_the_folder_is_named(tmp_path):
    write_image(tmp_path / 'images' / '1.png', noise())
    (tmp_path / 'images' / '2.png').write_bytes(b'broken')
    for compressed in (False, True):
        with pytest.raises(ImageFileError, match='2.png'):
            create(tmp_path / 'images', tmp_path / f'bag{compressed}', compressed=compressed)
