# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files of data sets: what is stored is what is read, and everything else has a clear error."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image
from random_images import animated_png

from ubcn_ros.data.files import (
    DataSetError,
    check_size,
    read_color_labels,
    read_image,
    read_labels,
    read_png,
)

IDENTITY = {i: i for i in range(256)}


def packed(ids, depth):
    """Rows as a PNG has them before compression: no filter, then packed bits or bytes."""
    bits = np.unpackbits(ids.astype('>u2').view(np.uint8).reshape(*ids.shape, 2), axis=2)
    rows = np.packbits(bits[:, :, 16 - depth:].reshape(len(ids), -1), axis=1)
    return b''.join(b'\0' + row.tobytes() for row in rows)


def png(ids, depth=8, colour=0, width=None, interlaced=False, lost=0):
    """Bytes of a PNG of any depth and colour type, the last ``lost`` of its pixels left out."""
    def chunk(kind, data):
        body = kind + data
        return struct.pack('>I', len(data)) + body + struct.pack('>I', zlib.crc32(body))
    height, own = ids.shape
    passes = [ids] if not interlaced else [ids[::8, ::8], ids[::8, 4::8], ids[4::8, ::4],
                                           ids[::4, 2::4], ids[2::4, ::2], ids[::2, 1::2],
                                           ids[1::2]]
    pixels = b''.join(packed(part, depth) for part in passes if part.size)
    compressed = zlib.compress(pixels[:len(pixels) - lost])
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack(
        '>IIBBBBB', width or own, height, depth, colour, 0, 0, interlaced))
        + (chunk(b'PLTE', bytes(range(255, 255 - 3 * min(1 << depth, 85), -1)))
           if colour == 3 else b'')
        + chunk(b'IDAT', compressed[:40]) + chunk(b'IDAT', compressed[40:])
        + chunk(b'IEND', b''))


@pytest.mark.parametrize('colour', [0, 3], ids=['grey', 'palette'])
@pytest.mark.parametrize('depth', [1, 2, 4, 8])
def test_what_is_stored_is_read(tmp_path, depth, colour):
    ids = np.random.default_rng(0).integers(0, 1 << depth, (33, 37)).astype(np.uint16)
    (tmp_path / 'a.png').write_bytes(png(ids, depth, colour))
    read = read_labels(tmp_path / 'a.png', IDENTITY)
    assert read.dtype == np.uint8 and np.array_equal(read, ids)


def test_interlaced_and_transparent_palettes(tmp_path):
    ids = np.random.default_rng(0).integers(0, 21, (33, 37), np.uint8)
    image = Image.fromarray(ids)
    image.putpalette(bytes(range(63)))
    image.save(tmp_path / 'a.png', transparency=3)
    assert np.array_equal(read_labels(tmp_path / 'a.png', IDENTITY), ids)


def test_sixteen_bits_are_read_where_they_are_meant(tmp_path):
    values = np.random.default_rng(0).integers(0, 1 << 16, (33, 37)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / 'a.png'), values)
    assert np.array_equal(read_png(tmp_path / 'a.png', 16, 'disparity'), values)
    with pytest.raises(DataSetError, match='PNG .grey, 16 bits.: convert it to .*8-bit'):
        read_png(tmp_path / 'a.png', 8, 'class ids')
    cv2.imwrite(str(tmp_path / 'b.png'), values.astype(np.uint8))
    with pytest.raises(DataSetError, match='PNG .grey, 8 bits.: convert it to .*16-bit'):
        read_png(tmp_path / 'b.png', 16, 'disparity')


def test_numbers_become_what_they_mean(tmp_path):
    ids = np.full((32, 32), 7, np.uint8)
    ids[0] = 255
    cv2.imwrite(str(tmp_path / 'a.png'), ids)
    assert np.unique(read_labels(tmp_path / 'a.png', {7: 0, 255: 255})).tolist() == [0, 255]
    with pytest.raises(DataSetError, match=r'a\.png holds 7, which no class has: .* 0, 255; say '
                       'their classes as names in a YAML, or .* ignore; or change them to 255'):
        read_labels(tmp_path / 'a.png', {0: 0, 255: 255})


@pytest.mark.parametrize('channels, kind', [(3, 'RGB'), (4, 'RGBA')])
def test_colour_images_are_not_ids(tmp_path, channels, kind):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((32, 32, channels), np.uint8))
    with pytest.raises(DataSetError, match=rf'a\.png is a PNG .{kind}, 8 bits.: convert it to'):
        read_labels(tmp_path / 'a.png', IDENTITY)


def test_a_jpeg_is_not_ids_whatever_its_name(tmp_path):
    _, data = cv2.imencode('.jpg', np.zeros((32, 32), np.uint8))
    (tmp_path / 'a.png').write_bytes(data)
    with pytest.raises(DataSetError, match=r'a\.png is a JPEG, whose compression changes'):
        read_labels(tmp_path / 'a.png', IDENTITY)


@pytest.mark.parametrize('data', [b'', b'no picture', b'\x89PNG\r\n\x1a\n'])
def test_what_is_no_png(tmp_path, data):
    (tmp_path / 'a.png').write_bytes(data)
    with pytest.raises(DataSetError, match=rf'a\.png is not a PNG \({len(data)} bytes\)'):
        read_labels(tmp_path / 'a.png', IDENTITY)


def test_of_an_animated_png_the_default_image_is_read(tmp_path):
    """Whatever its frames hold; OpenCV 4.14 alone would crash."""
    ids = np.random.default_rng(0).integers(0, 256, (33, 37)).astype(np.uint16)
    (tmp_path / 'a.png').write_bytes(animated_png(png(ids), b'\xff'))
    assert np.array_equal(read_labels(tmp_path / 'a.png', IDENTITY), ids)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataSetError, match=r'a\.png cannot be read: No such file'):
        read_labels(tmp_path / 'a.png', IDENTITY)


def test_every_damaged_byte_and_every_cut_is_noticed(tmp_path):
    data = png(np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint16))
    path, end = tmp_path / 'a.png', len(data) - 12  # what follows is the end marker
    places = np.random.default_rng(1).choice(np.arange(8, end), 150, replace=False)
    broken = [data[:i] + bytes([data[i] ^ 0x20]) + data[i + 1:] for i in places]
    broken += [data[:i] for i in places[:50]]
    for case in broken:
        path.write_bytes(case)
        with pytest.raises(DataSetError, match=r'a\.png') as error:
            read_labels(path, IDENTITY)
        assert '\n' not in str(error.value)


JPEG = cv2.imencode('.jpg', np.zeros((40, 40), np.uint8))[1].tobytes()
GREY = png(np.full((40, 40), 3, np.uint16))
SMALL = png(np.zeros((31, 40), np.uint16))


@pytest.mark.parametrize('data, of_image, of_labels', [
    (None, 'missing', 'missing'), (b'', 'damaged', 'damaged'), (b'text', 'damaged', 'format'),
    (JPEG, None, 'format'), (JPEG[:300], 'damaged', 'format'), (GREY, None, 'ids'),
    (GREY[:20], 'damaged', 'damaged'), (GREY[:60], 'damaged', 'damaged'), (SMALL, 'size', None),
    (png(np.zeros((1 << 14, 1), np.uint16), width=1 << 14), 'size', 'size'),
    (png(np.zeros((40, 40), np.uint16), 16), None, 'channels')])
def test_errors_are_grouped_by_kind(tmp_path, data, of_image, of_labels):
    path = tmp_path / 'a.png'
    if data is not None:
        path.write_bytes(data)
    for read, kind in ((read_image, of_image), (lambda p: read_labels(p, {0: 0}), of_labels)):
        if kind is None:
            read(path)
            continue
        with pytest.raises(DataSetError) as error:
            read(path)
        assert error.value.kind == kind
    for size, remedy in (((3, 4), 'resize one'), ((3, 2), 'one is turned')):
        with pytest.raises(DataSetError, match=remedy) as error:
            check_size(path, np.zeros((2, 3)), path, np.zeros(size))
        assert error.value.kind == 'mismatch'


@pytest.mark.parametrize('interlaced', [False, True], ids=['rows', 'interlaced'])
@pytest.mark.parametrize('depth, colour', [(1, 3), (2, 0), (4, 3), (8, 0), (16, 0)])
def test_pixels_that_were_never_written_are_not_class_0(tmp_path, depth, colour, interlaced):
    bits = max(depth, 8)
    for height, width in ((64, 48), (33, 37), (5, 3), (1, 1)):
        ids = np.random.default_rng(0).integers(0, 1 << depth, (height, width)).astype(np.uint16)
        (tmp_path / 'a.png').write_bytes(png(ids, depth, colour, interlaced=interlaced))
        assert np.array_equal(read_png(tmp_path / 'a.png', bits, 'numbers'), ids)
        row = 1 + -(-width * depth // 8)
        for lost in {1, row, height * row // 2}:
            (tmp_path / 'a.png').write_bytes(png(ids, depth, colour, None, interlaced, lost))
            with pytest.raises(DataSetError, match='damaged .rows of it are missing.: '):
                read_png(tmp_path / 'a.png', bits, 'numbers')


def test_a_size_is_bounded_before_anything_is_decoded(tmp_path):
    (tmp_path / 'a.png').write_bytes(png(np.zeros((1 << 14, 1), np.uint16), width=1 << 14))
    with pytest.raises(DataSetError, match='16384x16384, above the limit'):
        read_labels(tmp_path / 'a.png', IDENTITY)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_images_are_as_stored_whatever_exif_says(tmp_path, orientation):
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ('a.png', 'plain.png', 'a.jpg', 'plain.jpg'):
        Image.fromarray(image).save(tmp_path / name,
                                    **({} if 'plain' in name else {'exif': exif}))
    assert np.array_equal(read_image(tmp_path / 'a.png'), image)
    assert np.array_equal(read_image(tmp_path / 'a.jpg'), read_image(tmp_path / 'plain.jpg'))


def test_a_jpeg_that_is_cut_short_is_an_error(tmp_path):
    path = tmp_path / 'a.jpg'
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = path.read_bytes()
    for share in (0.2, 0.5, 0.9):
        path.write_bytes(data[:int(share * len(data))])
        with pytest.raises(DataSetError, match=r'a\.jpg'):
            read_image(path)


def test_colours_become_classes_and_black_is_a_colour(tmp_path):
    colors, meaning = [(0, 0, 0), (9, 8, 7), (255, 255, 255)], {0: 255, 1: 0, 2: 1}
    image = np.zeros((33, 40, 3), np.uint8)
    image[1], image[2] = colors[1], 255
    for channels in (3, 4):
        stored = np.dstack([image[..., ::-1], np.full((33, 40), 128, np.uint8)])[..., :channels]
        cv2.imwrite(str(tmp_path / 'a.png'), stored)
        found = read_color_labels(tmp_path / 'a.png', colors, meaning)
        assert found.dtype == np.uint8 and found[:4, 0].tolist() == [255, 0, 1, 255]
    cv2.imwrite(str(tmp_path / 'a.png'), image[..., 2] // 255 * 255)
    assert read_color_labels(tmp_path / 'a.png', colors, meaning)[1:3, 0].tolist() == [255, 1]


def test_every_cut_of_a_coloured_png_is_noticed(tmp_path):
    image = np.random.default_rng(0).integers(0, 2, (40, 40, 1), np.uint8).repeat(3, 2) * 255
    data = cv2.imencode('.png', image)[1].tobytes()
    for end in range(0, len(data) - 12, 5):
        (tmp_path / 'a.png').write_bytes(data[:end])
        with pytest.raises(DataSetError, match=r'a\.png'):
            read_color_labels(tmp_path / 'a.png', [(0, 0, 0), (255, 255, 255)], {0: 0, 1: 1})


@pytest.mark.parametrize('width, height', [(0, 5), (5, 0), (0, 0)])
def test_a_png_without_pixels_is_damaged(tmp_path, width, height):
    data = bytearray(png(np.zeros((5, 5), np.uint8)))
    data[16:24] = struct.pack('>II', width, height)
    (tmp_path / 'a.png').write_bytes(data)
    with pytest.raises(DataSetError, match=f'a.png is damaged .{width}x{height} pixels.: '):
        read_labels(tmp_path / 'a.png', IDENTITY)
