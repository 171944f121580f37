# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Videos written, on PyAV (the extra `video`): MP4 that plays, each frame at its time.

>>> with VideoWriter('copy.mp4') as writer:
...     for frame in read_video('drive.mp4'):
...         writer.write(frame.image, frame.time_s)
"""

from __future__ import annotations

import atexit
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ubcn_ros.images.video import DEFAULT_RATE_HZ, VideoError
from ubcn_ros.stopping import signals_held
from ubcn_ros.whole_files import NO_ROOM

LONGEST_GAP_S = 60.0
"""Between images of a camera, whose clock may be set; what is longer is shown for no longer."""
_CLOCK_HZ = 90_000
_MOST_TICKS = (1 << 31) - 2  # between two frames, as MP4's writer has them; one for rounding
_LONGEST_SIDE = 16384  # of x264
_BT709, _STUDIO_RANGE = 1, 1  # H.273, of high definition; FFmpeg's AVCOL_RANGE_MPEG
# visually lossless for streaks and masks; a keyframe every 50 frames, for players that seek; no
# frames out of order, as MP4 then counts the duration of a rate that varies wrongly
_ENCODER = {'crf': '18', 'preset': 'veryfast', 'g': '50', 'bf': '0'}


class FrameSizeError(VideoError):
    """A frame is of another size than those of its video, or larger than any may be."""


class VideoWriter:
    """
    Write an MP4 (H.264, yuv420p, BT.709, index in front) that browsers and players take.

    A context manager. The file gets its name when it is closed, whole, also where an exception or
    a signal closes it; without a frame there is none. A full disk removes what was written. Sides
    that are odd are padded by repeating the last row or column. Each frame is shown at its own
    time; where times do not grow, or jump by more than a gap may last, as at a reset of a clock, a
    frame follows as the one before it did, and ``note`` tells how many.

    :param path: of the file, which is replaced; missing folders are made.
    :param longest_gap_s: between two frames, seconds; MP4 holds 6.6 hours at most.
    :param pixel_aspect: width of a pixel by its height.
    :raises ImportError: PyAV is missing.
    """

    def __init__(self, path: Path | str, longest_gap_s: float = LONGEST_GAP_S,
                 pixel_aspect: Fraction = Fraction(1)):
        import av  # so that it is missed before the work
        self.path, self.frames = Path(path), 0
        self._longest_gap_s = min(longest_gap_s, _MOST_TICKS / _CLOCK_HZ)
        final = Path(os.path.realpath(path))  # a link stays one
        self._final, self._partial = final, final.with_name(f'.{uuid.uuid4().hex}.partial')
        self._av, self._container, self._stream = av, None, None
        self._pixel_aspect = pixel_aspect
        self._shape: tuple[int, ...] = ()
        self._time_s = 0.0
        self._tick, self._step = 0, round(_CLOCK_HZ / DEFAULT_RATE_HZ)
        self._origin_s, self._origin = 0.0, 0  # time and tick that later ones count from
        self._moved = 0

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def note(self) -> str | None:
        """Say how many frames are not shown at their times, if there are some."""
        if not self._moved:
            return None
        return (f'{self._moved} of {self.frames} frames of {self.path} are not shown at their '
                f'times, which do not grow, or jump by more than {self._longest_gap_s:.0f} s: '
                'each follows as the one before it did')

    def close(self) -> None:
        """
        Finish the file; again, it does nothing.

        :raises VideoError: it cannot be written.
        """
        with signals_held():
            atexit.unregister(self.close)
            if self._container is not None:
                with self._failing():
                    if self.frames:
                        self._encode(None)
                    self._container.close()
                    if self.frames:
                        os.replace(self._partial, self._final)
                self._container = None

    def write(self, image: np.ndarray, time_s: float) -> None:
        """
        Write one frame.

        :param image: (H, W, 3) uint8 RGB, of the same size each time.
        :param time_s: when it is shown, seconds from any origin.
        :raises FrameSizeError: another size than the first frame's, or too large.
        :raises VideoError: it cannot be written.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise VideoError(f'a frame is {image.shape} {image.dtype}, but (H, W, 3) uint8 is '
                             'needed')
        if max(image.shape) > _LONGEST_SIDE:
            raise FrameSizeError(f'a frame is {_size(image.shape)}, but a video is '
                                 f'{_LONGEST_SIDE} pixels wide or high at most: scale it before, '
                                 'or write images')
        if self._shape not in ((), image.shape):
            raise FrameSizeError(f'a frame is {_size(image.shape)}, but the first one of '
                                 f'{self.path} was {_size(self._shape)}: scale it before')
        with signals_held(), self._failing():
            if self._container is None:
                self._open(image.shape)
                # a signal between the end of a `with` block and `close` would leave it open
                atexit.register(self.close)
            self._encode(self._frame(image, time_s))
            self.frames += 1

    def _open(self, shape: tuple[int, ...]) -> None:
        self._final.parent.mkdir(parents=True, exist_ok=True)
        self._container = self._av.open(str(self._partial), 'w', format='mp4',
                                        options={'movflags': 'faststart'})
        stream = self._container.add_stream('libx264', rate=round(DEFAULT_RATE_HZ),
                                            options=dict(_ENCODER))
        stream.height, stream.width = (side + side % 2 for side in shape[:2])
        stream.pix_fmt = 'yuv420p'
        context = stream.codec_context
        context.time_base = Fraction(1, _CLOCK_HZ)
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _STUDIO_RANGE
        if self._pixel_aspect != 1:
            context.sample_aspect_ratio = self._pixel_aspect
        self._stream, self._shape = stream, shape

    def _frame(self, image: np.ndarray, time_s: float) -> Any:
        grows = self.frames and 0 < time_s - self._time_s <= self._longest_gap_s
        if grows:  # steps that are rounded one by one would drift
            tick = self._origin + round((time_s - self._origin_s) * _CLOCK_HZ)
            self._step = max(1, tick - self._tick)
        if self.frames:
            self._moved += not grows
            self._tick += self._step
        if not grows:
            self._origin_s, self._origin = time_s, self._tick
        self._time_s = time_s
        pad = [(0, side % 2) for side in image.shape[:2]]
        if any(more for _, more in pad):
            image = np.pad(image, [*pad, (0, 0)], mode='edge')
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format='rgb24')
        frame = frame.reformat(format='yuv420p',
                               dst_colorspace=self._av.video.reformatter.Colorspace.ITU709)
        frame.pts, frame.time_base = self._tick, Fraction(1, _CLOCK_HZ)
        return frame

    def _encode(self, frame: Any) -> None:
        """Encode a frame, or, for None, those that the encoder still holds."""
        for packet in self._stream.encode(frame):
            packet.duration = self._step  # else the last frame is shown for another time
            self._container.mux(packet)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Turn a failure into a VideoError, and leave nothing behind it."""
        try:
            yield
        except (self._av.error.FFmpegError, OSError) as error:
            if self._container is not None:
                with suppress(self._av.error.FFmpegError, OSError):
                    self._container.close()
                self._container = None
            with suppress(OSError):
                self._partial.unlink(missing_ok=True)
            number = getattr(error, 'errno', None)
            remedy = 'make room, or ' if number in NO_ROOM else ''
            raise VideoError(f'{self.path} cannot be written: {error.strerror or error}: {remedy}'
                             'choose another place') from error


def _size(shape: tuple[int, ...]) -> str:
    return f'{shape[1]} x {shape[0]}'
