# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Images that look alike, by a perceptual hash: whether each cell is brighter than its neighbour.

A difference hash of 64 bits does not tell streets from each other: sky above and road below give
frames of different drives 8 bits of difference, and neighbours at 15 Hz up to 7. With 16 x 16
cells, compared across and down (512 bits), measured on CamVid and on rendered drives:

================================================  ==================================
the same image at two thirds, JPEG quality 60     9 (median), at most 22
less contrast, more brightness                    9, at most 19
2 % cut off on each side                          50, at most 89
neighbours at 15 Hz from a moving car             42, 95 % below 65
neighbours at 1 Hz                                131, 162 and 178 on three drives
the most similar frames of different streets      138 (of 28,000 pairs), 150 on CamVid
================================================  ==================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

BITS = 512
NEAR = 80
"""Most bits that near-duplicates differ in: between copies and frames of different streets."""

_CELLS = 16
_ROWS_AT_ONCE = 512
_FEWEST_FRAMES, _MOST_FRAMES = 8, 4096  # of a recording, to judge how alike neighbours are


def difference_hash(image: np.ndarray) -> str:
    """
    Hash an image by how it looks: images that look alike differ in few bits.

    :param image: (H, W, 3) uint8 RGB.
    :return: 128 hexadecimal digits.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_CELLS + 1, _CELLS + 1), interpolation=cv2.INTER_AREA)
    cell, right, below = small[:-1, :-1], small[:-1, 1:], small[1:, :-1]
    return np.packbits(np.stack((right > cell, below > cell))).tobytes().hex()


def unpack(hashes: Sequence[str]) -> np.ndarray:
    """Return the bits of hashes, (N, 512) float32 of -1 and 1: products count what agrees."""
    packed = np.frombuffer(bytes.fromhex(''.join(hashes)), np.uint8)
    return np.unpackbits(packed).reshape(-1, BITS).astype(np.float32) * 2 - 1


def most_similar(bits: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Find for each image the one of the others that looks most like it.

    :param bits: (N, 512) of ``unpack``.
    :param others: (M, 512), M at least 1; where it is the same array, no image is its own.
    :return: (N,) indices into the others, and (N,) numbers of bits that differ.
    """
    indices, differences = [], []
    for start in range(0, len(bits), _ROWS_AT_ONCE):
        part = bits[start:start + _ROWS_AT_ONCE]
        agreeing = part @ others.T
        if others is bits:
            agreeing[np.arange(len(part)), start + np.arange(len(part))] = -BITS - 1
        best = agreeing.argmax(1)
        indices.append(best)
        differences.append((BITS - agreeing[np.arange(len(part)), best]) / 2)
    return np.concatenate(indices), np.concatenate(differences).astype(int)


def recording_of(name: str) -> tuple[tuple[str, str], int] | None:
    """Split a name at its last number: ('0016E5_', '') and 7959 of '0016E5_07959'."""
    found = re.fullmatch(r'(.*?)([0-9]{1,18})([^0-9]*)', name, re.DOTALL)
    return found and ((found[1], found[3]), int(found[2]))


def split_recordings(train: Sequence[str], other: Sequence[str], bits: np.ndarray
                     ) -> Iterator[tuple[list[int], int, int]]:
    """
    Find recordings of which one split has frames between those of another.

    Frames of one recording have names that differ in the last number alone, and neighbours that
    look more alike than nine tenths of its pairs; numbered photographs have not. A number that is
    in both splits says that each counts for itself.

    :param train: names of one split.
    :param other: names of the other.
    :param bits: of ``unpack``, of both, one after the other.
    :return: yields, for each such recording, the indices into ``other`` of the frames that lie
        between frames of ``train``, and into ``train`` of the frames before and after the first.
    """
    recordings: dict[tuple[str, str], tuple[dict[int, int], dict[int, int]]] = {}
    for place, names in enumerate((train, other)):
        for index, name in enumerate(names):
            if found := recording_of(name):
                recordings.setdefault(found[0], ({}, {}))[place][found[1]] = index
    for ours, theirs in recordings.values():
        if not ours or not theirs or ours.keys() & theirs.keys():
            continue
        between = [number for number in sorted(theirs) if min(ours) < number < max(ours)]
        indices = {**ours, **{number: len(train) + i for number, i in theirs.items()}}
        order = [indices[number] for number in sorted(indices)]
        if between and _follow_each_other(bits, np.array(order)):
            before = max(number for number in ours if number < between[0])
            after = min(number for number in ours if number > between[0])
            yield [theirs[number] for number in between], ours[before], ours[after]


def _follow_each_other(bits: np.ndarray, order: np.ndarray) -> bool:
    """Whether neighbours in this order look more alike than others do."""
    count = len(order)
    if count < _FEWEST_FRAMES:
        return False
    places = np.unique(np.linspace(0, count - 2, _MOST_FRAMES).astype(int))

    def agreeing(shift: int) -> np.ndarray:
        return (bits[order[places]] * bits[order[(places + shift) % count]]).sum(1)

    others = np.concatenate([agreeing(count // part) for part in (2, 3, 4)])
    return bool(np.median(agreeing(1)) > np.percentile(others, 90))
