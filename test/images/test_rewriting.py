# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""There and back: pixels that are put into a message are read from it again."""

import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from random_images import animated_png

from ubcn_ros.images.encodings import ENCODINGS, LAYOUTS, rows_and_bytes
from ubcn_ros.images.messages import compressed_to_rgb, to_rgb
from ubcn_ros.images.rewriting import compressed_fields, image_fields

H, W = 36, 48
GREY = np.repeat(np.linspace(20, 230, H * W).reshape(H, W, 1), 3, 2).astype(np.uint8)
COLOUR = np.empty((H, W, 3), np.uint8)
COLOUR[:] = (180, 90, 40)
COLOUR[H // 2:] = (40, 140, 200)
NO_WAY_BACK = ('nv24', *(() if hasattr(cv2, 'COLOR_RGB2YUV_UYVY') else (  # before OpenCV 4.10
    name for name in ENCODINGS if name.startswith(('yu', 'uy')))))


def message_of(encoding, padding, bigendian=0):
    rows, row_bytes = rows_and_bytes(encoding, H, W)
    data = np.random.default_rng(0).integers(0, 256, rows * (row_bytes + padding), np.uint8)
    return SimpleNamespace(encoding=encoding, height=H, width=W, is_bigendian=bigendian,
                           step=row_bytes + padding, data=data)


@pytest.mark.parametrize('padding', [0, 8])
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_pixels_come_back_from_every_encoding(encoding, padding):
    message = message_of(encoding, padding, bigendian=padding // 8)
    image = GREY if LAYOUTS[encoding].conversion == cv2.COLOR_GRAY2RGB else COLOUR
    before = message.data.copy()
    changed = SimpleNamespace(**{**vars(message), **image_fields(message, image)})
    back = to_rgb(changed).astype(int)
    edges = encoding.startswith(('bayer', 'yu', 'uy', 'nv'))
    inner = np.abs(back - image)[2:H // 2 - 2] if edges else np.abs(back - image)
    assert inner.max() <= (4 if encoding.startswith(('yu', 'uy', 'nv')) else 1)
    if encoding not in NO_WAY_BACK:
        assert (changed.encoding, changed.step) == (encoding, message.step)
        assert changed.data.shape == message.data.shape
        row_bytes = rows_and_bytes(encoding, H, W)[1]
        rows = [data.reshape(-1, message.step)[:, row_bytes:] for data in (changed.data, before)]
        assert np.array_equal(*rows), 'padding stays'
    assert np.array_equal(message.data, before)


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', '8UC1', '8UC3'])
def test_its_own_pixels_change_nothing(encoding):
    message = message_of(encoding, 4)
    assert np.array_equal(image_fields(message, to_rgb(message))['data'], message.data)


@pytest.mark.parametrize('encoding', NO_WAY_BACK)
def test_what_has_no_way_back_becomes_rgb8(encoding):
    fields = image_fields(message_of(encoding, 0), COLOUR)
    assert fields['encoding'] == 'rgb8' and fields['step'] == 3 * W
    assert np.array_equal(fields['data'].reshape(H, W, 3), COLOUR)


@pytest.mark.parametrize('suffix, pixels, text', [
    ('.jpg', COLOUR, 'bgr8; jpeg compressed bgr8'), ('.png', COLOUR, 'png'),
    ('.jpg', GREY[..., 0], 'mono8; jpeg compressed mono8'), ('.png', GREY[..., 0], 'png'),
    ('.png', GREY[..., 0].astype(np.uint16) * 257, 'mono16; png compressed mono16'),
    ('.png', COLOUR.astype(np.uint16) * 257, 'bgr16; png compressed bgr16'),
    ('.png', np.dstack([COLOUR, GREY[..., 0]]), 'bgra8; png compressed bgra8'),
    ('.png', np.dstack([COLOUR, GREY[..., 0]]).astype(np.uint16) * 257, 'bgra16; png'),
    ('.png', GREY[..., 0], 'bayer_rggb8; png compressed bayer_rggb8')])
def test_compressed_stays_as_it_is_compressed(suffix, pixels, text):
    data = cv2.imencode(suffix, pixels)[1].reshape(-1)
    message = SimpleNamespace(format=text, data=data)
    image = COLOUR if pixels.ndim == 3 or 'bayer' in text else GREY
    changed = SimpleNamespace(**compressed_fields(message, 255 - image))
    assert changed.format == text and bytes(changed.data[:2]) == bytes(data[:2])
    stored = cv2.imdecode(changed.data, cv2.IMREAD_UNCHANGED)
    assert stored.dtype == pixels.dtype and stored.shape == pixels.shape
    assert pixels.shape[2:] != (4,) or np.array_equal(stored[..., 3], pixels[..., 3])
    difference = np.abs(compressed_to_rgb(changed).astype(int) - (255 - image))
    assert difference[:H // 2 - 8].max() <= 8


def test_alpha_is_that_of_the_default_image_of_an_animated_png():
    data = cv2.imencode('.png', np.dstack([COLOUR, GREY[..., 0]]))[1].tobytes()
    message = SimpleNamespace(format='bgra8; png compressed bgra8',
                              data=np.frombuffer(animated_png(data), np.uint8))
    stored = cv2.imdecode(compressed_fields(message, COLOUR)['data'], cv2.IMREAD_UNCHANGED)
    assert np.array_equal(stored[..., 3], GREY[..., 0])


def test_alpha_stays_also_where_a_png_names_a_transparent_colour():
    """COLOUR's upper half (in BGR here), as its chunk tRNS says."""
    data = cv2.imencode('.png', COLOUR)[1].tobytes()
    named = b'tRNS' + struct.pack('>3H', *COLOUR[0, 0, ::-1])
    chunk = struct.pack('>I', 6) + named + struct.pack('>I', zlib.crc32(named))
    before = np.frombuffer(data[:33] + chunk + data[33:], np.uint8)  # behind the header
    message = SimpleNamespace(format='bgra8; png compressed bgra8', data=before)
    stored = cv2.imdecode(compressed_fields(message, 255 - COLOUR)['data'], cv2.IMREAD_UNCHANGED)
    assert np.array_equal(stored[..., 2::-1], 255 - COLOUR)
    assert (stored[:H // 2, :, 3] == 0).all() and (stored[H // 2:, :, 3] == 255).all()
