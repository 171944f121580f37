# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image files there and back, their order, and what is said of broken ones."""

import os
import resource
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from ubcn_ros.images.files import (
    ImageFileError,
    find_images,
    left_out_notes,
    list_images,
    natural_key,
    read_image,
    write_image,
)


def picture(height=40, width=56):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 5, columns * 4, rows + columns], 2).astype(np.uint8)


@pytest.mark.parametrize('suffix', ['.png', '.PNG', '.bmp', '.webp', '.tif', '.tiff'])
def test_lossless_formats_there_and_back_are_exact(tmp_path, suffix):
    write_image(tmp_path / 'new' / f'a{suffix}', picture())
    assert np.array_equal(read_image(tmp_path / 'new' / f'a{suffix}'), picture())


def test_jpeg_there_and_back_is_near(tmp_path):
    image = picture()
    write_image(tmp_path / 'a.jpg', image)
    difference = read_image(tmp_path / 'a.jpg').astype(int) - image
    assert np.abs(difference).mean() < 4


def test_one_channel_is_written_as_one_channel(tmp_path):
    labels = picture()[..., 0]
    write_image(tmp_path / 'l.png', labels)
    stored = cv2.imread(str(tmp_path / 'l.png'), cv2.IMREAD_UNCHANGED)
    assert stored.shape == labels.shape and np.array_equal(stored, labels)


def test_numbers_in_names_are_counted(tmp_path):
    for name in ('f10.png', 'f9.jpg', 'f1.PNG', 'notes.txt', '3.jpeg', 'f2.tiff', 'f3.Bmp',
                 'f4.webp', '._f1.PNG', '.hidden.png', '.DS_Store', 'f5.png.partial'):
        (tmp_path / name).write_bytes(b'')
    (tmp_path / 'x.png').mkdir()
    assert [p.name for p in list_images(tmp_path)] == [
        'f1.PNG', 'f2.tiff', 'f3.Bmp', 'f4.webp', 'f9.jpg', 'f10.png', '3.jpeg']


@pytest.fixture
def tree(tmp_path):
    """A folder with images at three levels, links among its folders, and what is no image."""
    for name in ('b.png', 'sub2/c.png', 'sub10/d.jpg', 'sub10/deep/e.png', 'sub10/notes.txt',
                 '.cache/f.png', 'sub2/._c.png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    (tmp_path / 'sub10' / 'up').symlink_to(tmp_path)
    (tmp_path / 'sub10' / 'again').symlink_to(tmp_path / 'sub2')
    (tmp_path / 'lost.png').symlink_to(tmp_path / 'nothing.png')
    (tmp_path / 'itself').symlink_to(tmp_path / 'itself')
    return tmp_path


def relative(paths, folder):
    return [str(path.relative_to(folder)) for path in paths]


def test_a_folder_is_searched_at_its_first_level(tree):
    found = find_images(tree)
    assert relative(found.images, tree) == ['b.png', 'lost.png']
    assert sorted(relative(found.folders, tree)) == ['sub10', 'sub2']
    assert (found.others, found.hidden) == (1, 1)
    assert list_images(tree) == found.images


def test_sub_folders_are_searched_once_each(tree):
    found = find_images(tree, recursive=True)
    assert relative(found.images, tree)[:2] == ['b.png', 'lost.png']
    assert sorted(path.name for path in found.images[2:]) == ['c.png', 'd.jpg', 'e.png']
    assert found.folders == [] and (found.others, found.hidden) == (2, 2)


def test_sub_folders_can_be_left_out(tree):
    found = find_images(tree, True, [tree / 'sub2', tree / 'sub10' / 'deep', tree / 'absent'])
    assert relative(found.images, tree) == ['b.png', 'lost.png', 'sub10/d.jpg']


def test_folders_that_cannot_be_read_are_named(tree, monkeypatch):
    iterdir = Path.iterdir  # permissions do not stop root

    def guarded(self):
        if self.name == 'deep':
            raise PermissionError(13, 'Permission denied')
        return iterdir(self)

    monkeypatch.setattr(Path, 'iterdir', guarded)
    found = find_images(tree, recursive=True)
    assert len(found.images) == 4
    assert found.unreadable == [f'{tree}/sub10/deep cannot be read: Permission denied']
    with pytest.raises(ImageFileError, match='deep cannot be read: Permission denied'):
        find_images(tree / 'sub10' / 'deep')


def test_a_link_to_nothing_is_an_error_when_read(tree):
    with pytest.raises(ImageFileError, match='lost.png cannot be read: No such file'):
        read_image(tree / 'lost.png')


def test_only_files_are_images(tree):
    """A pipe would be waited for without an end."""
    os.mkfifo(tree / 'pipe.png')
    (tree / 'to_pipe.png').symlink_to(tree / 'pipe.png')
    (tree / 'to_device.png').symlink_to('/dev/null')
    (tree / 'to_file.png').symlink_to(tree / 'b.png')
    (tree / 'circle.png').symlink_to(tree / 'circle.png')
    found = find_images(tree)
    assert relative(found.images, tree) == ['b.png', 'circle.png', 'lost.png', 'to_file.png']
    assert found.others == 1 + 3


def leave_room(size):
    """Let files of this process grow to so many bytes, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    return limits


@pytest.mark.parametrize('before', [None, b'what was there'])
def test_a_full_disk_leaves_no_cut_file_behind(tmp_path, before):
    target, noise = tmp_path / 'a.png', np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    if before is not None:
        target.write_bytes(before)
    limits = leave_room(2000)
    try:
        with pytest.raises(ImageFileError, match='File too large: make room, or choose another'):
            write_image(target, noise.astype(np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before] * (before is not None)


def test_a_write_that_is_interrupted_leaves_what_was_there(tmp_path, monkeypatch):
    write_image(tmp_path / 'a.png', picture())
    before, seen = (tmp_path / 'a.png').read_bytes(), []

    def interrupt(*_):
        seen.extend(list_images(tmp_path))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'replace', interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_image(tmp_path / 'a.png', picture() // 2)
    assert seen == [tmp_path / 'a.png'], 'what is half written is not an image'
    assert list(tmp_path.iterdir()) == seen and seen[0].read_bytes() == before


def test_a_link_that_is_written_to_stays_one(tmp_path):
    (tmp_path / 'far').mkdir()
    (tmp_path / 'a.png').symlink_to(tmp_path / 'far' / 'b.png')
    write_image(tmp_path / 'a.png', picture())
    assert (tmp_path / 'a.png').is_symlink()
    assert np.array_equal(read_image(tmp_path / 'far' / 'b.png'), picture())


def test_places_that_cannot_be_written_to_are_named(tmp_path):
    (tmp_path / 'file').write_text('')
    (tmp_path / 'folder.png').mkdir()
    for name, text in (('file/a.png', 'exists|Not a directory'), ('folder.png', 'Is a directory'),
                       ('a.gif', "written as '.gif'"), ('a', "written as ''")):
        with pytest.raises(ImageFileError, match=text) as caught:
            write_image(tmp_path / name, picture())
        assert str(tmp_path / name) in str(caught.value) and 'room' not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['file', 'folder.png']


@pytest.mark.parametrize('name, content, text', [
    ('absent.png', None, 'No such file'),
    ('text.png', b'hello', 'neither JPEG nor PNG nor BMP nor WebP nor TIFF: convert it to PNG'),
    ('empty.png', b'', 'an image of 0 bytes: copy or download it again'),
    ('lfs.png', b'version https://git-lfs.github.com/spec/v1\n', 'Git LFS: .* git lfs pull'),
    ('small.png', cv2.imencode('.png', picture(8, 8))[1].tobytes(), 'too small: at least 32 x 32'),
    ('cut.bmp', cv2.imencode('.bmp', picture())[1].tobytes()[:900], 'copy or download it again'),
    ('cut.jpg', cv2.imencode('.jpg', picture())[1].tobytes()[:-9], 'copy or download it again'),
])
def test_unreadable_files_are_named(tmp_path, name, content, text):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageFileError, match=text) as caught:
        read_image(tmp_path / name)
    assert name in str(caught.value)
    assert not any(word in str(caught.value) for word in ('publish', 'driver', 'transport'))


def test_the_name_does_not_decide_the_format(tmp_path):
    (tmp_path / 'scan.png').write_bytes(cv2.imencode('.tif', picture()[..., ::-1])[1].tobytes())
    assert np.array_equal(read_image(tmp_path / 'scan.png'), picture())


def test_samples_of_16_bits_are_scaled_and_alpha_is_dropped(tmp_path):
    deep = np.dstack([picture().astype(np.uint16) * 257, np.full((40, 56), 9, np.uint16)])
    for suffix in ('.png', '.tiff'):
        cv2.imwrite(str(tmp_path / f'a{suffix}'), deep[..., [2, 1, 0, 3]])
        assert np.array_equal(read_image(tmp_path / f'a{suffix}'), picture())


@pytest.mark.parametrize('largest, dark', [(99, 0), (1023, 1), (4095, 1), (16383, 0), (65535, 0)])
@pytest.mark.parametrize('suffix', ['.png', '.tiff'])
@pytest.mark.parametrize('channels', [1, 3])
def test_samples_of_12_bits_in_16_are_noted(tmp_path, largest, dark, suffix, channels):
    stored = np.linspace(0, largest, 40 * 56 * channels).astype(np.uint16)
    cv2.imwrite(str(tmp_path / f'a{suffix}'), stored.reshape(40, 56, channels))
    found = Counter()
    read_image(tmp_path / f'a{suffix}', found)
    assert found['dark'] == dark
    assert ['nearly black' in note for note in left_out_notes(found)] == [True] * dark


def test_the_first_page_of_a_tiff_is_read(tmp_path):
    pages = [picture()[..., ::-1], 255 - picture()]
    cv2.imwritemulti(str(tmp_path / 'a.tiff'), pages)
    assert np.array_equal(read_image(tmp_path / 'a.tiff'), picture())


def test_a_cut_file_is_an_error(tmp_path):
    write_image(tmp_path / 'a.png', picture())
    data = (tmp_path / 'a.png').read_bytes()
    (tmp_path / 'a.png').write_bytes(data[:len(data) // 2])
    with pytest.raises(ImageFileError, match='a.png'):
        read_image(tmp_path / 'a.png')


def test_too_little_memory_is_no_fault_of_a_file(tmp_path, monkeypatch):
    enlarge = cv2.resize

    def too_large(*_):
        return enlarge(np.zeros((2, 2), np.uint8), (1 << 30, 1 << 30))
    write_image(tmp_path / 'a.png', np.zeros((40, 50, 3), np.uint8))
    monkeypatch.setattr('cv2.imdecode', too_large)
    monkeypatch.setattr('cv2.imencode', too_large)
    for use in (read_image, lambda path: write_image(path, np.zeros((40, 50, 3), np.uint8))):
        with pytest.raises(cv2.error, match='Insufficient memory'):
            use(tmp_path / 'a.png')


def test_folders_without_images_say_so(tmp_path):
    with pytest.raises(ImageFileError, match='holds no images'):
        list_images(tmp_path)
    with pytest.raises(ImageFileError, match='not a folder'):
        list_images(tmp_path / 'absent')


def test_only_0_to_9_are_numbers_in_names():
    names = ['a10', 'a9', 'a9²', '²', '٣', '①', 'a']
    assert sorted(sorted(names), key=natural_key)[:4] == ['a', 'a9', 'a9²', 'a10']


def test_a_folder_with_a_link_to_it_goes_by_its_own_name(tmp_path):
    (tmp_path / 'all/days/monday').mkdir(parents=True)
    (tmp_path / 'far').mkdir()
    for folder in ('all/days/monday', 'far'):
        write_image(tmp_path / folder / 'a.png', np.zeros((32, 32, 3), np.uint8))
    for link, to in (('a', 'all/days/monday'), ('days/b', 'all/days/monday'), ('z', 'far'),
                     ('y', 'far')):
        (tmp_path / 'all' / link).symlink_to(tmp_path / to)
    found = find_images(tmp_path / 'all', recursive=True).images
    assert [path.relative_to(tmp_path / 'all').as_posix() for path in found] == [
        'days/monday/a.png', 'y/a.png']
    assert [path.name for path in find_images(tmp_path / 'all').folders] == ['days', 'a', 'y']
