# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What files hold beside the image that is read of them: an orientation, pages, frames."""

import io
import struct

import cv2
import messages
import numpy as np
import pytest
from random_images import animated_png, noise

from ubcn_ros.images.formats import holds_several, orientation

Image = pytest.importorskip('PIL.Image')


def saved(kind, noted=None, more=(), **options):
    exif, file = Image.Exif(), io.BytesIO()
    if noted is not None:
        exif[0x0112] = noted
    Image.fromarray(noise(1)).save(file, kind, exif=exif, save_all=bool(more),
                                   append_images=[*map(Image.fromarray, more)], **options)
    return file.getvalue()


@pytest.mark.parametrize('noted, found', [*((each, each) for each in range(1, 9)), (0, 1), (9, 1)])
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP'])
def test_an_orientation_is_found(kind, noted, found):
    data = saved(kind, noted)
    assert orientation(data) == orientation(memoryview(data)) == found
    assert {orientation(data[:cut]) for cut in range(len(data))} == {found, 1}


def pages(*kinds, loop=False):
    """Return a TIFF of pages without pixels, of these NewSubfileTypes."""
    body = b'II*\0' + struct.pack('<I', 8)
    for number, kind in enumerate(kinds, 1):
        after = 8 * loop if number == len(kinds) else 8 + 18 * number
        body += struct.pack('<HHHIII', 1, 254, 4, 1, kind, after)
    return body


@pytest.mark.parametrize('data, several', [
    (pages(0), False), (pages(0, 0), True), (pages(0, 2), True), (pages(0, 1, 4, 5), False),
    (pages(1, 0), True), (pages(1, loop=True), False),
    (saved('TIFF', more=[noise(2)]), True), (saved('TIFF', more=[noise(2)], big_tiff=True), True),
    (saved('WEBP', more=[noise(2)]), True), (saved('PNG', more=[noise(2)]), True),
    (animated_png(messages.encode(noise(1), '.png')), True), (saved('WEBP', noted=6), False)])
def test_pages_and_frames_beside_the_first_are_found(data, several):
    assert holds_several(data) == holds_several(memoryview(data)) == several
    for cut in range(0, len(data), 7):
        holds_several(data[:cut])  # whatever it says of one that is cut, it says it


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.bmp', '.tiff'])
def test_a_single_upright_image_is_one(suffix):
    data = cv2.imencode(suffix, np.ascontiguousarray(noise(1)))[1].tobytes()
    assert orientation(data) == 1 and not holds_several(data)
