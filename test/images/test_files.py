# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image files there and back, their order, and what is said of broken ones."""

import numpy as np
import pytest

from ubcn_ros.images.files import ImageFileError, list_images, read_image, write_image


def picture(height=40, width=56):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 5, columns * 4, rows + columns], 2).astype(np.uint8)


def test_png_there_and_back_is_exact_and_jpeg_near(tmp_path):
    image = picture()
    write_image(tmp_path / 'new' / 'a.png', image)
    assert np.array_equal(read_image(tmp_path / 'new' / 'a.png'), image)
    write_image(tmp_path / 'a.jpg', image)
    difference = read_image(tmp_path / 'a.jpg').astype(int) - image
    assert np.abs(difference).mean() < 4


def test_one_channel_is_written_as_one_channel(tmp_path):
    import cv2
    labels = picture()[..., 0]
    write_image(tmp_path / 'l.png', labels)
    stored = cv2.imread(str(tmp_path / 'l.png'), cv2.IMREAD_UNCHANGED)
    assert stored.shape == labels.shape and np.array_equal(stored, labels)


def test_numbers_in_names_are_counted(tmp_path):
    for name in ('f10.png', 'f9.jpg', 'f1.PNG', 'notes.txt', '3.jpeg'):
        (tmp_path / name).write_bytes(b'')
    (tmp_path / 'x.png').mkdir()
    assert [p.name for p in list_images(tmp_path)] == ['f1.PNG', 'f9.jpg', 'f10.png', '3.jpeg']


@pytest.mark.parametrize('name, content, text', [
    ('absent.png', None, 'No such file'),
    ('text.png', b'hello', 'neither JPEG nor PNG'),
])
def test_unreadable_files_are_named(tmp_path, name, content, text):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageFileError, match=text) as caught:
        read_image(tmp_path / name)
    assert name in str(caught.value)


def test_a_cut_file_is_an_error(tmp_path):
    write_image(tmp_path / 'a.png', picture())
    data = (tmp_path / 'a.png').read_bytes()
    (tmp_path / 'a.png').write_bytes(data[:len(data) // 2])
    with pytest.raises(ImageFileError, match='a.png'):
        read_image(tmp_path / 'a.png')


def test_folders_without_images_say_so(tmp_path):
    with pytest.raises(ImageFileError, match='holds no images'):
        list_images(tmp_path)
    with pytest.raises(ImageFileError, match='not a folder'):
        list_images(tmp_path / 'absent')
