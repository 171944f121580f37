# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every encoding, written out from its definition, is read back; nothing malformed passes."""

import array
import struct
import zlib
from types import SimpleNamespace

import cv2
import messages
import numpy as np
import pytest
from random_images import noise

from ubcn_ros.images import messages as image_messages
from ubcn_ros.images.formats import read_header
from ubcn_ros.images.malformed import MAX_PIXELS
from ubcn_ros.images.messages import (
    ENCODINGS,
    MalformedImage,
    compressed_to_rgb,
    fill_image,
    output_encoding,
    to_rgb,
)

BAYER = [name for name in ENCODINGS if name.startswith('bayer_')]
PAIRED = ['yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv', 'nv12', 'nv21']
YUV = [*PAIRED, 'nv24']
GREY = ['mono8', 'mono16', '8UC1', '16UC1']
EXACT = ['rgb8', 'bgr8', 'rgba8', 'bgra8', 'rgb16', 'bgr16', 'rgba16', 'bgra16',
         '8UC3', '8UC4', '16UC3', '16UC4']


def blocks(height=34, width=38):
    """Noise of one colour per 2 x 2 pixels, so that chroma at half resolution loses nothing."""
    small = np.random.default_rng(1).integers(0, 256, (height // 2, width // 2, 3), np.uint8)
    return small.repeat(2, 0).repeat(2, 1)


def test_the_groups_below_cover_every_encoding():
    assert sorted(EXACT + GREY + BAYER + YUV) == sorted(ENCODINGS)


@pytest.mark.parametrize('bigendian', [0, 1])
@pytest.mark.parametrize('padding', [0, 1, 26])
@pytest.mark.parametrize('encoding', EXACT)
def test_colour_is_read_exactly(encoding, padding, bigendian):
    rgb = noise()
    assert np.array_equal(to_rgb(messages.sample(encoding, rgb, padding, bigendian)), rgb)


@pytest.mark.parametrize('bigendian', [0, 1])
@pytest.mark.parametrize('padding', [0, 1, 26])
@pytest.mark.parametrize('encoding', GREY)
def test_grey_is_read_exactly(encoding, padding, bigendian):
    grey = noise()[..., :1].repeat(3, 2)
    assert np.array_equal(to_rgb(messages.sample(encoding, grey, padding, bigendian)), grey)


@pytest.mark.parametrize('encoding', ['mono16', '16UC1'])
def test_16_bits_are_scaled_from_their_whole_range(encoding):
    values = np.linspace(0, 65535, 32 * 64).round().astype('<u2').reshape(32, 64)
    read = to_rgb(messages.image(values, encoding, 32, 64))[..., 0]
    assert np.abs(read - values / 257.0).max() <= 0.5


@pytest.mark.parametrize('bigendian', [0, 1])
@pytest.mark.parametrize('padding', [0, 7])
@pytest.mark.parametrize('encoding', BAYER)
def test_bayer_keeps_the_colour_of_a_plain_surface(encoding, padding, bigendian):
    rgb = np.tile(np.uint8([200, 100, 50]), (34, 38, 1))
    assert np.array_equal(to_rgb(messages.sample(encoding, rgb, padding, bigendian)), rgb)


@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize('encoding', YUV)
def test_yuv_is_read_within_rounding(encoding, padding):
    rgb = blocks()
    difference = to_rgb(messages.sample(encoding, rgb, padding)).astype(int) - rgb
    assert np.abs(difference).max() <= 3


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_result_is_what_the_engine_takes(encoding):
    image = to_rgb(messages.sample(encoding, blocks()))
    assert image.shape == (34, 38, 3) and image.dtype == np.uint8


def test_rgb8_is_read_without_a_copy():
    message = messages.sample('rgb8', noise(), padding=5)
    assert np.shares_memory(to_rgb(message), np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize('encoding', [
    *(name for name in EXACT + GREY + BAYER if name.endswith('8')), 'mono16', 'yuv422',
    'yuv422_yuy2'])
def test_agrees_with_cv_bridge(encoding):
    cv_bridge = pytest.importorskip('cv_bridge')
    sensor_msgs = pytest.importorskip('sensor_msgs.msg')
    fields = vars(messages.sample(encoding, blocks()))
    message = sensor_msgs.Image(**{k: v for k, v in fields.items() if k != 'header'})
    theirs = cv_bridge.CvBridge().imgmsg_to_cv2(message, 'rgb8').astype(int)
    assert np.abs(to_rgb(message) - theirs).max() <= 1


def test_png_is_exact_and_jpeg_close():
    rgb = np.indices((64, 96)).sum(0)[..., None].repeat(3, 2).astype(np.uint8)
    rgb[..., 2] //= 3
    assert np.array_equal(compressed_to_rgb(messages.compressed(messages.encode(rgb, '.png'))),
                          rgb)
    jpeg = compressed_to_rgb(messages.compressed(messages.encode(rgb, '.jpg')))
    assert np.abs(jpeg.astype(int) - rgb).max() < 16


COLOUR = np.uint8([200, 100, 50])


def mosaic(suffix, text, pattern='rggb', dtype=np.uint8):
    """Compress a mosaic of COLOUR as image_transport does."""
    sampled = messages.mosaic(np.tile(COLOUR, (64, 66, 1)), pattern).astype(dtype)
    return messages.compressed(
        messages.encode(sampled * (257 if dtype == np.uint16 else 1), suffix), text)


@pytest.mark.parametrize('text', [
    '{0}; png compressed {0}', '{0}; jpeg compressed {0}', '{0}; jpeg compressed ',
    '{0}; jpeg compressed', '{0};png compressed {0}', '{0}', 'png; {0}', '{0} png'])
@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_a_mosaic_in_a_compressed_image_is_interpolated(pattern, text):
    read = compressed_to_rgb(mosaic('.png', text.format(f'bayer_{pattern}8'), pattern))
    assert read.shape == (64, 66, 3) and (read == COLOUR).all()


def test_a_mosaic_of_16_bits_and_one_in_a_jpeg():
    text = 'bayer_bggr16; png compressed bayer_bggr16'
    assert (compressed_to_rgb(mosaic('.png', text, 'bggr', np.uint16)) == COLOUR).all()
    read = compressed_to_rgb(mosaic('.jpg', 'bayer_gbrg8; jpeg compressed bayer_gbrg8', 'gbrg'))
    assert np.abs(np.median(read, (0, 1)) - COLOUR).max() < 8


@pytest.mark.parametrize('text', [
    'bayer_rggb8; png compressed mono8', 'bayer_rggb8; jpeg compressed bgr8', 'mono8', 'jpeg', '',
    'mono8; jpeg compressed ', 'rgb8; drop', ';;;', 'bayer_xxxx8'])
def test_one_channel_stays_grey_where_format_does_not_say_mosaic(text):
    message = mosaic('.png', text)
    stored = messages.mosaic(np.tile(COLOUR, (64, 66, 1)), 'rggb')
    assert np.array_equal(compressed_to_rgb(message), np.dstack([stored] * 3))


@pytest.mark.parametrize('text', [
    'bayer_rggb8; jpeg compressed bgr8', 'bayer_rggb8; png compressed bayer_rggb8'])
def test_three_channels_are_colour_whatever_format_says(text):
    data = messages.encode(noise(), '.png')
    assert np.array_equal(compressed_to_rgb(messages.compressed(data, text)), noise())


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_size_is_read_from_the_header_alone(suffix):
    data = messages.encode(noise(0, 40, 70), suffix)
    for part in (data, data[:len(data) - 100]):
        header = read_header(part)
        assert (header.height, header.width) == (40, 70)


def bomb_png(height, width):
    """A PNG of a few hundred bytes whose header promises a huge image."""
    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + \
            struct.pack('>I', zlib.crc32(name + data))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2,
                                                              0, 0, 0))
            + chunk(b'IDAT', zlib.compress(bytes(100_000))) + chunk(b'IEND', b''))


def damaged_png():
    data = bytearray(messages.encode(noise(), '.png'))
    place = data.index(b'IDAT')
    data[place + 4:place + 60] = b'\xff' * 56
    return bytes(data)


def bomb_jpeg(height, width):
    data = bytearray(messages.encode(noise(), '.jpg'))
    place = data.index(b'\xff\xc0')
    data[place + 5:place + 9] = struct.pack('>HH', height, width)
    return bytes(data)


@pytest.mark.parametrize('bomb', [bomb_png(60_000, 60_000), bomb_png(2**31 - 1, 2**31 - 1),
                                  bomb_jpeg(65_535, 65_535)])
def test_decompression_bombs_are_refused_before_decoding(bomb, monkeypatch):
    monkeypatch.setattr(image_messages.cv2, 'imdecode', lambda *_: pytest.fail('decoded'))
    with pytest.raises(MalformedImage, match='above the limit') as caught:
        compressed_to_rgb(messages.compressed(bomb))
    assert caught.value.kind == 'size'


def test_more_pixels_than_bytes_can_hold_are_refused_before_decoding(monkeypatch):
    monkeypatch.setattr(image_messages.cv2, 'imdecode', lambda *_: pytest.fail('decoded'))
    for bomb in (bomb_jpeg(4000, 4000), bomb_png(8000, 8000)):
        with pytest.raises(MalformedImage, match='cannot hold'):
            compressed_to_rgb(messages.compressed(bomb))


def test_a_png_chunk_that_claims_gigabytes_is_refused_before_decoding(monkeypatch):
    monkeypatch.setattr(image_messages.cv2, 'imdecode', lambda *_: pytest.fail('decoded'))
    data = bytearray(messages.encode(noise(), '.png'))
    place = data.index(b'IDAT')
    data[place - 4:place] = struct.pack('>I', 2**31 - 1)
    with pytest.raises(MalformedImage, match='end before its end marker'):
        compressed_to_rgb(messages.compressed(bytes(data)))


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_the_plainest_large_image_is_not_taken_for_a_bomb(suffix):
    data = messages.encode(np.zeros((2160, 3840, 3), np.uint8), suffix)
    assert compressed_to_rgb(messages.compressed(data)).shape == (2160, 3840, 3)


def test_nor_is_a_plain_png_of_one_bit_per_pixel():
    data = cv2.imencode('.png', np.zeros((1200, 1600), np.uint8), (
        cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 9))[1].tobytes()
    assert len(data) < 1200 * 1600 / 2000
    assert not compressed_to_rgb(messages.compressed(data)).any()


@pytest.mark.parametrize('change, kind, words', [
    ({'step': 10}, 'step', "step 10 is shorter than a row: 38 pixels of 'rgb8' take 114"),
    ({'step': 200}, 'data', '3876 bytes of data, but 34 rows of step 200 take 6800'),
    ({'data': array.array('B', bytes(50))}, 'data', '50 bytes of data'),
    ({'data': array.array('B')}, 'data', '0 bytes of data'),
    ({'height': 0}, 'size', 'size 38 x 0 is empty: the driver published an empty image'),
    ({'width': 0}, 'size', 'size 0 x 34'),
    ({'height': 31}, 'size', 'size 38 x 31 is too small: at least 32 x 32'),
    ({'width': 2**32 - 1, 'height': 2**32 - 1}, 'size', f'above the limit of {MAX_PIXELS}'),
    ({'encoding': 'thermal7'}, 'encoding', "encoding 'thermal7' .* publish one of rgb8"),
    ({'encoding': ''}, 'encoding', "encoding ''"),
    ({'encoding': '32FC1'}, 'encoding', "encoding '32FC1' is not known: publish one of rgb8"),
    ({'encoding': '8UC2'}, 'encoding', 'publish one of uyvy or yuv422_yuy2'),
])
def test_malformed_images_are_named_with_a_remedy(change, kind, words):
    message = messages.sample('rgb8', noise(0, 34, 38))
    vars(message).update(change)
    with pytest.raises(MalformedImage, match=words) as caught:
        to_rgb(message)
    assert caught.value.kind == kind


def test_nv24_has_chroma_for_every_pixel():
    rgb = noise(0, 33, 35)
    for padding in (0, 3):
        difference = to_rgb(messages.sample('nv24', rgb, padding)).astype(int) - rgb
        assert np.abs(difference).max() <= 3


@pytest.mark.parametrize('encoding', PAIRED)
def test_odd_width_of_paired_pixels_is_refused(encoding):
    message = messages.sample(encoding, blocks())
    message.width -= 1
    with pytest.raises(MalformedImage, match='odd'):
        to_rgb(message)


@pytest.mark.parametrize('encoding', ['nv12', 'nv21'])
def test_odd_height_of_halved_chroma_is_refused(encoding):
    message = messages.sample(encoding, blocks())
    message.height -= 1
    with pytest.raises(MalformedImage, match='38 x 33 is odd.*: crop to an even width and height'):
        to_rgb(message)


@pytest.mark.parametrize('data, words', [
    (b'', 'an image of 0 bytes: the driver'),
    (b'GIF89a' + bytes(100), "beginning with '47 49 46 38' are neither"),
    (messages.encode(noise(), '.jpg')[:200], 'without a size|end marker'),
    (messages.encode(noise(), '.jpg')[:-40], 'end before its end marker'),
    (messages.encode(noise(), '.png')[:-40], 'end before its end marker'),
    (messages.encode(noise(), '.png')[:20], 'without a size'),
    (messages.encode(noise(0, 16, 16), '.png'), 'too small'),
    (damaged_png(), 'cannot be decoded'),
])
def test_malformed_compressed_images_are_named(data, words):
    with pytest.raises(MalformedImage, match=words):
        compressed_to_rgb(messages.compressed(data))


@pytest.mark.parametrize('given_encoding, wanted', [
    *((name, 'bgr8') for name in ('bgr8', 'bgra8', 'bgr16', 'bgra16', '8UC3', '8UC4', '16UC3')),
    *((name, 'rgb8') for name in ('rgb8', 'rgba8', 'rgb16', 'rgba16', 'mono16', '8UC1', 'nv12',
                                  'uyvy', 'bayer_bggr8', 'no such encoding'))])
def test_derained_comes_in_the_colour_order_of_the_input(given_encoding, wanted):
    assert output_encoding(given_encoding) == wanted


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8'])
@pytest.mark.parametrize('view', [slice(None), slice(None, None, -1)])
def test_filling_and_reading_gives_the_image_back(encoding, view):
    rgb, header = noise()[:, view], object()
    message = fill_image(SimpleNamespace(), header, rgb, encoding)
    assert np.array_equal(to_rgb(message), rgb)
    assert message.header is header and message.step == rgb.shape[1] * 3
    assert isinstance(message.data, array.array)


def test_filling_a_mask():
    labels = noise(0, 34, 38)[..., 0]
    message = fill_image(SimpleNamespace(), None, labels, 'mono8')
    assert (message.height, message.width, message.step) == (34, 38, 38)
    assert message.data.tobytes() == labels.tobytes()


def test_filling_refuses_other_encodings():
    with pytest.raises(ValueError, match='yuyv'):
        fill_image(SimpleNamespace(), None, noise(), 'yuyv')
