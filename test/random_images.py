# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images for tests, (H, W, 3) uint8, others for every seed, and how alike two are."""

import struct
import zlib

import cv2
import numpy as np


def noise(seed=0, height=36, width=44):
    """Return independent pixels: what compresses worst."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def clouds(seed=0, height=48, width=64, low=0, high=256):
    """Return smooth colours from low to below high."""
    coarse = np.random.default_rng(seed).integers(low, high, (6, 8, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def cloudy_images(height, width, count):
    """Return clouds in the place of `benchmark.engine.rainy_images`: a street takes a second."""
    return [clouds(n, height, width, 40, 200) for n in range(count)]


def animated_png(data, row_filter=b'\0', first=False, told=1):
    """
    Return a PNG of 8 bits with an animation of two frames, whose pixels are 0.

    ``row_filter`` of the rows of frames, of which b'\\xff' is damaged; ``first``: the image is the
    first frame, else it is none; ``told``: how often it says that it is animated.
    """
    width, height, channels = *struct.unpack('>II', data[16:24]), {0: 1, 2: 3, 6: 4}[data[25]]
    pixels = zlib.compress((row_filter + bytes(width * channels)) * height)

    def chunk(name, body):
        return struct.pack('>I', len(body)) + name + body + struct.pack(
            '>I', zlib.crc32(name + body))

    def control(number):
        return chunk(b'fcTL', struct.pack('>IIIIIHHBB', number, width, height, 0, 0, 1, 10, 0, 0))

    def frame(number):
        return control(number) + chunk(b'fdAT', struct.pack('>I', number + 1) + pixels)

    start, end = (data.index(name) - 4 for name in (b'IDAT', b'IEND'))
    image = data[start:end]
    chunks = control(0) + image + frame(1) if first else image + frame(0) + frame(2)
    return (data[:start] + chunk(b'acTL', struct.pack('>II', 2, 0)) * told + chunks + data[end:])


def psnr(image, other):
    """Return the PSNR of two images of 0..255, dB."""
    return 10 * np.log10(255 ** 2 / np.mean((image.astype(float) - other) ** 2))
