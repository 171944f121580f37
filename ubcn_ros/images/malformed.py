# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What cannot be an image, and what to do about it where it came from."""

from __future__ import annotations

from typing import NamedTuple

MIN_SIDE = 32
"""Smallest height and width, pixels, that the network takes."""
MAX_PIXELS = 1 << 26
"""Largest height x width that is decoded, pixels (8192 x 8192)."""


class Remedy(NamedTuple):
    """What to do about an image that came in a live message, in a bag's message, in a file."""

    message: str
    bag: str
    file: str


RECORDED_SO = 'it was recorded so, or the bag is damaged'
CUT = Remedy('the driver or the transport cuts messages short', RECORDED_SO,
             'copy or download it again')
DAMAGED = Remedy('the driver or the transport damages messages', RECORDED_SO,
                 'copy or download it again')


class MalformedImage(ValueError):
    """
    Something that cannot be an image; the text names the value and the remedy for a message.

    `kind` groups reasons for counting: 'encoding', 'size', 'step', 'data', 'format' or
    'compressed';
    `problem` is the text without a remedy.
    """

    def __init__(self, kind: str, problem: str, remedy: Remedy):
        super().__init__(f'{problem}: {remedy.message}')
        self.kind, self.problem, self.remedy = kind, problem, remedy

    def text(self, source: str) -> str:
        """
        Say what is wrong, and the remedy for where the image came from.

        :param source: 'message', 'bag' or 'file'.
        """
        return f'{self.problem}: {getattr(self.remedy, source)}'


def check_size(height: int, width: int) -> None:
    """
    Check a size that a header claims, before anything of it is allocated.

    :raises MalformedImage: empty, smaller than MIN_SIDE, or of more than MAX_PIXELS.
    """
    size = f'size {width} x {height}'
    if height == 0 or width == 0:
        raise MalformedImage('size', f'{size} is empty', Remedy(
            'the driver published an empty image', RECORDED_SO, 'save it again'))
    if height < MIN_SIDE or width < MIN_SIDE:
        needed = f'at least {MIN_SIDE} x {MIN_SIDE} pixels are needed'
        raise MalformedImage('size', f'{size} is too small', Remedy(needed, needed, needed))
    if height * width > MAX_PIXELS:
        raise MalformedImage('size', f'{size} is above the limit of {MAX_PIXELS} pixels', Remedy(
            'publish a smaller image', 'record a smaller image', 'scale it down'))
