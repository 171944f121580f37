# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Encoded images are decoded whole or refused: their ends, their formats, their orientation."""

import io
import struct
import time
import zlib

import cv2
import messages
import numpy as np
import pytest
from random_images import animated_png

from ubcn_ros.images.decoding import decode
from ubcn_ros.images.formats import FILE_FORMATS, find_end, read_header
from ubcn_ros.images.malformed import MAX_PIXELS, MalformedImage

KINDS = {
    'baseline': [],
    'progressive': [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    'restarts': [cv2.IMWRITE_JPEG_RST_INTERVAL, 5],
    'own tables': [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
}


def picture(height=90, width=122, seed=0):
    random = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(random, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)


def jpeg(kind='baseline', image=None):
    return cv2.imencode('.jpg', picture() if image is None else image, KINDS[kind])[1].tobytes()


def segment(marker, body):
    return bytes((0xff, marker)) + struct.pack('>H', len(body) + 2) + body


def insert_segments(data, *segments):
    return data[:2] + b''.join(segments) + data[2:]


def without_tables(data):
    """Take the Huffman tables out, as MJPEG cameras do."""
    at, kept = 2, [data[:2]]
    while data[at + 1] != 0xda:
        size = 2 + int.from_bytes(data[at + 2:at + 4], 'big')
        if data[at + 1] != 0xc4:
            kept.append(data[at:at + size])
        at += size
    return b''.join(kept) + data[at:]


TAILS = {'zeros': bytes(600_000), 'ff': b'\xff' * 5000,
         'another image': jpeg(image=picture(seed=1)),
         'a video': b'\0\0\0\x18ftypmp42' + np.random.default_rng(0).bytes(50_000)}


@pytest.mark.parametrize('tail', TAILS)
@pytest.mark.parametrize('kind', KINDS)
def test_what_follows_a_jpeg_is_no_part_of_it(kind, tail):
    data = jpeg(kind)
    assert find_end(data) == find_end(data + TAILS[tail]) == len(data)
    assert np.array_equal(decode(data + TAILS[tail]), decode(data))


@pytest.mark.parametrize('tail', [b'', *TAILS.values(), b'\xff'], ids=['none', *TAILS, 'half'])
@pytest.mark.parametrize('kind', KINDS)
def test_a_jpeg_cut_anywhere_is_refused_whatever_follows(kind, tail):
    data = jpeg(kind)
    for size in np.linspace(700, len(data) - 1, 12).astype(int):
        with pytest.raises(MalformedImage, match='end before its end marker|end marker but'):
            decode(data[:size] + tail)


@pytest.mark.parametrize('height, width', [(68, 84), (65, 99), (66, 96), (80, 83)])
def test_a_cut_jpeg_is_refused_however_little_of_its_last_block_is_seen(height, width):
    data = jpeg(image=picture(height, width))
    for size in np.linspace(700, len(data) * 0.9, 12).astype(int):
        with pytest.raises(MalformedImage, match='an end marker but'):
            decode(data[:size] + b'\xff\xd9')


@pytest.mark.parametrize('kind', ['baseline', 'restarts', 'own tables'])
@pytest.mark.parametrize('grey', [False, True])
def test_a_cut_jpeg_with_an_end_marker_is_refused(kind, grey):
    data = jpeg(kind, picture()[..., 0] if grey else picture())
    for size in np.linspace(700, len(data) * 0.9, 12).astype(int):
        for tail in (b'', bytes(500)):  # as of a driver that fills its buffer up
            with pytest.raises(MalformedImage, match='an end marker but'):
                decode(data[:size] + b'\xff\xd9' + tail, mosaic='bayer_rggb8' if grey else None)


# options of OpenCV; before 4.7 it had none, and all files are 420
SAMPLINGS = {name: [cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                    getattr(cv2, f'IMWRITE_JPEG_SAMPLING_FACTOR_{name}')]
             for name in ('411', '420', '422', '440', '444')
             } if hasattr(cv2, 'IMWRITE_JPEG_SAMPLING_FACTOR') else {'420': []}


@pytest.mark.parametrize('progressive', [0, 1], ids=['sequential', 'progressive'])
@pytest.mark.parametrize('height, width', [(32, 33), (65, 127), (90, 122)])
def test_no_whole_jpeg_is_refused(height, width, progressive):
    image = picture(height, width)
    for interval in (0, 1, 4, 7, 100):
        options = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive,
                   cv2.IMWRITE_JPEG_RST_INTERVAL, interval]
        files = [cv2.imencode('.jpg', image[..., 0], options)[1].tobytes()]
        for sampling in SAMPLINGS.values():
            files.append(cv2.imencode('.jpg', image, [*options, *sampling])[1].tobytes())
        for data in files:
            assert np.array_equal(decode(data)[..., ::-1], cv2.imdecode(
                np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def test_a_cut_jpeg_of_inks_is_refused():
    file, pillow = io.BytesIO(), pytest.importorskip('PIL.Image')
    pillow.fromarray(picture()).convert('CMYK').save(file, 'JPEG')
    data = file.getvalue()
    assert decode(data).shape == (90, 122, 3)
    for size in np.linspace(900, len(data) * 0.9, 12).astype(int):
        with pytest.raises(MalformedImage, match='an end marker but'):
            decode(data[:size] + b'\xff\xd9')


def test_damaged_headers_are_read_or_refused_by_the_decoder():
    random = np.random.default_rng(0)
    for number in range(400):
        data = bytearray(jpeg(('restarts', 'progressive')[number % 2], picture(32, 40)))
        for place in random.integers(2, 700, 3):
            data[place] = random.integers(0, 256)
        try:
            assert decode(bytes(data)).dtype == np.uint8
        except MalformedImage:
            pass


@pytest.mark.parametrize('place, value, text', [
    (1, 0xc3, '8 bits a sample that is coded as SOF3'), (4, 12, '12 bits a sample .* SOF0')])
def test_a_jpeg_that_is_coded_as_few_are_is_named(place, value, text):
    data = bytearray(jpeg())
    data[data.index(b'\xff\xc0') + place] = value
    with pytest.raises(MalformedImage, match=text) as caught:
        decode(bytes(data))
    assert caught.value.text('file').endswith('convert it to a baseline JPEG (SOF0) of 8 bits')


def test_a_jpeg_that_is_grey_itself_is_decoded():
    data = jpeg(image=np.full((64, 64, 3), 128, np.uint8))
    assert (decode(data) == 128).all()


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('height, width', [(90, 122), (64, 96), (65, 99)])
def test_a_whole_jpeg_with_a_grey_corner_is_decoded_without_a_warning(kind, height, width, capfd):
    """As of a camera that sees a grey bonnet: libjpeg would warn of every image."""
    image = picture(height, width)
    image[-40:, -60:] = 128
    data = jpeg(kind, image)
    for whole in (data, data[:-2] + b'\xff\xff' + data[-2:]):
        assert (decode(whole)[-4:, -4:] == 128).all()
    assert not capfd.readouterr().err


def test_a_jpeg_whose_last_pixel_is_grey_is_decoded_once(monkeypatch):
    image = np.repeat(np.arange(64, dtype=np.uint8)[:, None] * 2 + 2, 64, 1)  # 128 in the last row
    data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    decodings = []
    decoded = cv2.imdecode
    monkeypatch.setattr(cv2, 'imdecode',
                        lambda *given: decodings.append(given) or decoded(*given))
    assert (decode(data)[-1, -1] == 128).all() and len(decodings) == 1


def test_the_image_inside_exif_is_not_the_image():
    thumbnail = jpeg(image=picture(32, 40, seed=2))
    data = insert_segments(jpeg(), segment(0xe1, b'Exif\0\0' + thumbnail))
    assert read_header(data)[1:3] == (90, 122)
    assert find_end(data) == len(data)
    assert np.array_equal(decode(data), decode(jpeg()))
    for size in (len(thumbnail) + 100, len(data) - 10):
        with pytest.raises(MalformedImage):
            decode(data[:size] + bytes(1000))


def test_jpeg_without_huffman_tables_and_with_fill_bytes():
    data = without_tables(jpeg())
    filled = data[:2] + b'\xff\xff\xff' + data[2:-2] + b'\xff\xff\xff' + data[-2:]
    for variant in (data, filled, filled + bytes(5000)):
        assert np.array_equal(decode(variant), decode(jpeg()))


@pytest.mark.parametrize('data', [
    b'\xff\xd8' + b'\xff\xfe\0\2' * 500_000, b'\xff\xd8' + b'\xff' * 2_000_000,
    jpeg()[:-2] + b'\xff\xd0' * 1_000_000, b'\xff\xd8' + b'\xff\xfe\0\0' * 500_000])
def test_two_megabytes_of_markers_are_refused_at_once(data):
    started = time.thread_time()
    with pytest.raises(MalformedImage):
        decode(data)
    assert time.thread_time() - started < 1


def test_png_is_checked_and_what_follows_it_ignored():
    data = messages.encode(picture(), '.png')
    assert np.array_equal(decode(data + b'\xff' * 5000), picture())
    for place in (29, data.index(b'IDAT') + 50, len(data) - 30):  # size, pixels, checksum
        damaged = bytearray(data)
        damaged[place] ^= 1
        with pytest.raises(MalformedImage, match='cannot be decoded'):
            decode(bytes(damaged))


@pytest.mark.parametrize('kind', ['first frame', 'no frame', 'told twice', 'damaged'])
def test_of_an_animated_png_the_default_image_is_taken(kind):
    """Of OpenCV 4.14 alone it is another image, or a crash where one is damaged."""
    data = messages.encode(picture(40, 50), '.png')
    animated = animated_png(data, b'\xff' if kind == 'damaged' else b'\0',
                            first=kind == 'first frame', told=1 + (kind == 'told twice'))
    assert np.array_equal(decode(animated), picture(40, 50))


def exif(orientation):
    return b'MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1' + struct.pack('>HHI', orientation, 0, 0)


def turned_png(image, orientation):
    data, body = messages.encode(image, '.png'), b'eXIf' + exif(orientation)
    chunk = struct.pack('>I', len(body) - 4) + body + struct.pack('>I', zlib.crc32(body))
    return data[:33] + chunk + data[33:]


def turned_webp(image, orientation):
    def chunk(name, body):
        return name + struct.pack('<I', len(body)) + body + bytes(len(body) % 2)
    height, width = image.shape[:2]
    size = (width - 1).to_bytes(3, 'little') + (height - 1).to_bytes(3, 'little')
    body = (b'WEBP' + chunk(b'VP8X', b'\x08\0\0\0' + size) + messages.encode(image, '.webp')[12:]
            + chunk(b'EXIF', exif(orientation)))
    return b'RIFF' + struct.pack('<I', len(body)) + body


def tiff(image, orientation=1, order='<', big=False, extra=None, sample_format=1):
    """Write a TIFF of one strip from its definition, fields first; ``extra``: kind of alpha."""
    height, width, channels = image.shape
    entry, offset = ('HHQ', 'Q') if big else ('HHI', 'I')
    # bits per sample is left for decoders to find inline: three shorts fit in BigTIFF alone
    fields = [(256, 3, width), (257, 3, height), (258, 3, 8 * image.itemsize), (259, 3, 1),
              (262, 3, 2), (273, 4, None), (274, 3, orientation), (277, 3, channels),
              (278, 3, height), (279, 4, image.nbytes), (339, 3, sample_format)]
    fields[-1:-1] = [(338, 3, extra)] * (extra is not None)
    head = (b'II' if order == '<' else b'MM') + (
        struct.pack(order + 'HHHQ', 43, 8, 0, 16) if big else struct.pack(order + 'HI', 42, 8))
    start = len(head) + (8 if big else 2) + len(fields) * (20 if big else 12) + struct.calcsize(
        order + offset)
    body = struct.pack(order + ('Q' if big else 'H'), len(fields))
    for tag, kind, value in fields:
        value = start if value is None else value
        packed = struct.pack(order + ('H' if kind == 3 else 'I'), value)
        body += struct.pack(order + entry, tag, kind, 1) + packed.ljust(8 if big else 4, b'\0')
    return head + body + struct.pack(order + offset, 0) + image.tobytes()


TURNED = {
    'JPEG': lambda image, to: insert_segments(jpeg(image=image[..., ::-1]),
                                              segment(0xe1, b'Exif\0\0' + exif(to))),
    'PNG': turned_png, 'WebP': turned_webp,
}
TIFFS = [('<', False), ('>', False), ('<', True), ('>', True)]  # order, and whether it is BigTIFF


@pytest.mark.parametrize('orientation', [1, 3, 6])
@pytest.mark.parametrize('name', TURNED)
def test_orientation_is_ignored(name, orientation):
    image = picture()
    data = TURNED[name](image, orientation)
    assert read_header(data, FILE_FORMATS)[:3] == (name, 90, 122)
    wanted = decode(jpeg(image=image[..., ::-1])) if name == 'JPEG' else image
    assert np.array_equal(decode(data, FILE_FORMATS), wanted)


@pytest.mark.parametrize('order, big', TIFFS)
def test_a_plain_tiff_is_decoded_as_it_is_stored(order, big):
    image = picture()
    assert read_header(tiff(image, 1, order, big), FILE_FORMATS)[:3] == ('TIFF', 90, 122)
    for stored in (image, (image * np.uint16(257)).astype(order + 'u2')):
        assert np.array_equal(decode(tiff(stored, 1, order, big), FILE_FORMATS), image)
    for extra in (0, 1):
        data = tiff(np.dstack([image, np.full_like(image[..., 0], 64)]), 1, order, big, extra)
        assert np.array_equal(decode(data, FILE_FORMATS), image), 'alpha is dropped'


@pytest.mark.parametrize('method', [1, 5, 8, 32946, 32773])
def test_a_compressed_tiff_is_decoded_and_refused_where_it_is_cut(method):
    data = cv2.imencode('.tiff', picture()[..., ::-1],
                        [cv2.IMWRITE_TIFF_COMPRESSION, method])[1].tobytes()
    assert np.array_equal(decode(data, FILE_FORMATS), picture())
    for size in (len(data) - 1, len(data) * 3 // 4, len(data) // 2, len(data) // 4):
        with pytest.raises(MalformedImage):
            decode(data[:size], FILE_FORMATS)


def with_field(data, tag, value):
    """Change a TIFF's field of one short."""
    place = data.index(struct.pack('<HHI', tag, 3, 1)) + 8
    return data[:place] + struct.pack('<H', value) + data[place + 2:]


def with_tag(data, tag, new):
    """Give a TIFF's field of one short another meaning."""
    return data.replace(struct.pack('<HHI', tag, 3, 1), struct.pack('<HHI', new, 3, 1))


@pytest.mark.parametrize('data, text', [
    *((tiff(picture(), 6, order, big), 'of orientation 6') for order, big in TIFFS),
    (tiff(picture(), 3), 'of orientation 3'),
    (tiff(np.dstack([picture(), picture()[..., 0]]), extra=2), 'of unassociated alpha'),
    (with_tag(with_field(tiff(picture()), 274, 2), 274, 284), 'of separate planes'),
    (with_tag(with_field(tiff(picture()), 274, 32), 274, 322), 'of tiles')])
def test_a_tiff_that_is_not_read_as_it_is_stored_is_refused(data, text):
    with pytest.raises(MalformedImage, match=text) as caught:
        decode(data, FILE_FORMATS)
    assert caught.value.text('file').endswith('as it is stored: convert it to PNG')


@pytest.mark.parametrize('method', [50000, 34925, 34712, 12345])
def test_a_compression_that_is_not_decoded_is_named(method):
    with pytest.raises(MalformedImage, match=f'a TIFF compressed by method {method} ') as caught:
        decode(with_field(tiff(picture()), 259, method), FILE_FORMATS)
    assert 'convert it to PNG' in caught.value.text('file')


@pytest.mark.parametrize('bits', [1, 2, 4, 6, 10, 12, 14])
def test_samples_of_other_bits_than_8_or_16_are_named(bits):
    data = with_field(tiff(picture().astype(np.uint16)), 258, bits)
    with pytest.raises(MalformedImage, match=f'a TIFF of samples of {bits} bits?:') as caught:
        decode(data, FILE_FORMATS)
    assert caught.value.text('file').endswith('convert it to unsigned samples of 8 or 16 bits')


@pytest.mark.parametrize('kind, sample_format, text', [
    (np.float32, 3, 'floating point samples of 32'), (np.float64, 3, 'floating point samples'),
    (np.int32, 2, 'signed samples of 32 bits'), (np.uint32, 1, 'TIFF of samples of 32 bits'),
    (np.int16, 2, 'signed samples of 16 bits'), (np.int8, 2, 'signed samples of 8 bits')])
def test_samples_that_are_no_colours_are_named(kind, sample_format, text):
    data = tiff(picture().astype(kind), sample_format=sample_format)
    with pytest.raises(MalformedImage, match=text) as caught:
        decode(data, FILE_FORMATS)
    assert caught.value.text('file').endswith('convert it to unsigned samples of 8 or 16 bits')
    assert 'again' not in caught.value.text('file')


def test_the_type_of_samples_is_found_where_each_channel_has_its_own():
    data = cv2.imencode('.tiff', picture().astype(np.float32),
                        [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes()
    with pytest.raises(MalformedImage, match='floating point samples of 32 bits'):
        decode(data, FILE_FORMATS)


@pytest.mark.parametrize('colours, deep, text', [
    (3, True, 'a TIFF of a palette in 16 bits'), (5, True, 'a TIFF of CMYK in 16 bits'),
    (6, True, 'a TIFF of YCbCr in 16 bits'), (32803, False, 'interpretation 32803 in 8 bits')])
def test_colours_that_are_not_decoded_are_named(colours, deep, text):
    image = picture() * np.uint16(257) if deep else picture()
    with pytest.raises(MalformedImage, match=text) as caught:
        decode(with_field(tiff(image), 262, colours), FILE_FORMATS)
    assert caught.value.text('file').endswith(': convert it to RGB or grey')


def test_a_tiff_of_more_than_four_channels_says_so():
    with pytest.raises(MalformedImage, match='a TIFF of 6 channels') as caught:
        decode(tiff(np.dstack([picture(), picture()])), FILE_FORMATS)
    assert caught.value.text('file').endswith('convert it to RGB or grey')


@pytest.mark.parametrize('suffix', ['.bmp', '.webp', '.tiff'])
def test_other_formats_are_for_files_alone(suffix):
    data = messages.encode(picture(), suffix)
    assert np.array_equal(decode(data, FILE_FORMATS), picture())
    with pytest.raises(MalformedImage, match='neither JPEG nor PNG: publish'):
        decode(data)


@pytest.mark.parametrize('suffix', ['.bmp', '.webp', '.tiff', '.png', '.jpg'])
def test_a_cut_file_is_refused_wherever_it_is_cut(suffix):
    data = messages.encode(picture(), suffix)
    for size in (0, 1, 5, 13, 20, 27, 40, 200, len(data) // 2, len(data) - 20):
        with pytest.raises(MalformedImage):
            decode(data[:size], FILE_FORMATS)


def huge(suffix):
    """Let a header claim 30,000 pixels a side, or what the format can."""
    data = bytearray(messages.encode(picture(), suffix))
    if suffix == '.bmp':
        data[18:26] = struct.pack('<ii', 30_000, -30_000)
    elif suffix == '.webp':  # VP8L: 14 bits a side
        data[21:25] = struct.pack('<I', (1 << 28) - 1)
    return bytes(data)


@pytest.mark.parametrize('data', [
    huge('.bmp'), huge('.webp'), tiff(np.zeros((1, 65_535, 3), np.uint8)).replace(
        struct.pack('<HHIH', 257, 3, 1, 1), struct.pack('<HHIH', 257, 3, 1, 65_535))])
def test_sizes_are_bounded_before_files_are_decoded(data, monkeypatch):
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('decoded'))
    with pytest.raises(MalformedImage, match=f'above the limit of {MAX_PIXELS}') as caught:
        decode(data, FILE_FORMATS)
    assert 'scale it down' in caught.value.text('file')


def test_damaged_files_are_read_or_refused():
    random, outcomes = np.random.default_rng(0), set()
    for number in range(300):
        data = bytearray(messages.encode(picture(40, 48), ('.bmp', '.webp', '.tiff')[number % 3]))
        place = random.integers(0, min(len(data), 300), 4)
        for at in (*place, *(len(data) - 1 - place)):  # a TIFF's fields are at its end
            data[at] = random.integers(0, 256)
        try:
            image = decode(bytes(data), FILE_FORMATS)
        except MalformedImage as error:
            outcomes.add(error.kind)
            assert error.text('file').startswith(error.problem)
        else:
            outcomes.add('image')
            assert image.dtype == np.uint8 and image.ndim == 3
    assert outcomes == {'image', 'compressed', 'format', 'size'}


@pytest.mark.parametrize('source, words', [
    ('message', 'the driver or the transport'), ('bag', 'recorded so'), ('file', 'copy or')])
def test_each_source_has_its_remedy(source, words):
    with pytest.raises(MalformedImage) as caught:
        decode(jpeg()[:-2])
    assert words in caught.value.text(source)
    assert 'driver' not in caught.value.problem and 'driver' in str(caught.value)
