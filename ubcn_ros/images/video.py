# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Videos read, on PyAV (the extra `video`): what files say of themselves, frames and times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ubcn_ros.images.files import is_image_name
from ubcn_ros.images.malformed import MalformedImage, check_size

SUFFIXES = ('.mp4', '.m4v', '.mov', '.mkv', '.webm', '.avi', '.mpg', '.mpeg', '.ts', '.mts',
            '.m2ts', '.wmv', '.flv', '.3gp', '.ogv', '.mxf', '.y4m', '.mjpeg', '.mjpg', '.h264',
            '.264', '.h265', '.265', '.hevc')
"""Names of files that are taken for videos, in any case."""
DEFAULT_RATE_HZ = 15.0
"""Frames per second where nothing says how many."""
_HDR = {16: 'PQ', 18: 'HLG'}  # transfer functions by their number in ITU-T H.273
_UNSPECIFIED = 2  # matrix of colours, there, too
_FAST = ('yuv420p', 'yuvj420p', 'yuv422p', 'yuvj422p')
"""What FFmpeg has a quick conversion of, within 3 levels, for images of an even height."""

# ISO base media but for still images (HEIF, AVIF), Matroska, AVI, MPEG program stream, ASF, FLV
_STARTS = re.compile(rb'....(?:ftyp(?!hei|mif1|avif)|moov|mdat|wide)|\x1a\x45\xdf\xa3|'
                     rb'RIFF....AVI |\x00\x00\x01\xba|\x30\x26\xb2\x75|FLV\x01', re.DOTALL)


class VideoError(ValueError):
    """A video cannot be read or written; the text names it and the remedy."""


class VideoFrame(NamedTuple):
    """``image``: (H, W, 3) uint8 RGB, upright; ``time_s``: seconds since the first frame."""

    image: np.ndarray
    time_s: float


class VideoInfo(NamedTuple):
    """
    What a file says of its video.

    ``rate_hz``: frames per second, the mean where the rate varies; ``frames`` and ``duration_s``:
    0 where the file does not say; ``pixel_aspect``: width of a pixel of an upright frame, by its
    height; ``notes``: what of the file is not read, or not as it is meant, a sentence each.
    """

    rate_hz: float
    frames: int
    duration_s: float
    pixel_aspect: Fraction = Fraction(1)
    notes: tuple[str, ...] = ()


def is_video_name(path: Path | str) -> bool:
    """Return whether the file's name says that it is a video."""
    return Path(path).suffix.lower() in SUFFIXES


def is_video(path: Path | str) -> bool:
    """
    Return whether a file is a video, by its name or, where that does not say, by its first bytes.

    What is not a regular file is none.

    :raises VideoError: it cannot be read.
    """
    path = Path(path)
    if is_image_name(path) or path.exists() and not path.is_file():
        return False  # a folder, or a pipe: a byte that is read from it is gone
    if is_video_name(path):
        return True
    try:
        with path.open('rb') as file:
            return _STARTS.match(file.read(16)) is not None
    except OSError as error:
        raise VideoError(f'{path} cannot be read: {error.strerror or error}') from error


def video_info(path: Path | str) -> VideoInfo:
    """
    Read what a video file says of itself; its first frame is decoded, so that there is one.

    :raises VideoError: missing, not a video, or damaged before its first frame.
    """
    with _opened(path) as (container, stream):
        first = next(_decoded(container, stream, []), None)
        if first is None:
            raise VideoError(f'{path} holds no frame that can be decoded: copy or convert it '
                             'again')
        if stream.duration is not None:
            duration = float(stream.duration * stream.time_base)
        else:
            duration = (container.duration or 0) / 1e6
        if 'matroska' in container.format.name:  # there it is the end of the last frame, from 0
            duration = max(0.0, duration - (first.time or 0))
        aspect = stream.sample_aspect_ratio or Fraction(1)
        return VideoInfo(_rate(stream), stream.frames, duration,
                         1 / aspect if _quarter_turns(first) % 2 else aspect,
                         tuple(_notes(path, container, stream)))


def _notes(path: Path | str, container: Any, stream: Any) -> Iterator[str]:
    if (count := len(container.streams.video)) > 1:
        yield f'{path} holds {count} videos: the first is read'
    if transfer := _HDR.get(stream.codec_context.color_trc):
        yield (f'{path} is HDR ({transfer}) and read as if it were not: contrast and colours are '
               'others than those of usual images. Convert it to BT.709 before')


def length_s(path: Path | str) -> float:
    """
    Return the seconds from the first frame to the last, as far as the file can be read.

    All of the file is read, and nothing is decoded. What was cut off before the beginning, and is
    kept for the frames after it, does not count.

    :raises VideoError: missing, or not a video.
    """
    import av
    times, count = [], 0
    with _opened(path) as (container, stream), suppress(av.error.FFmpegError):
        rate = _rate(stream)  # PyAV 19 refuses to tell it of a file that is closed
        for packet in container.demux(stream):
            if packet.is_discard or not packet.size:
                continue
            count += 1
            if packet.pts is not None:
                times.append(packet.pts * stream.time_base)
    if times:
        return float(max(times) - min(times))
    return max(0, count - 1) / rate  # of a bare stream, which has no times


def read_video(path: Path | str) -> Iterator[VideoFrame]:
    """
    Yield the frames of a video file, one in memory at a time.

    A rotation or mirroring that a phone notes is applied, in quarter turns; sound is left out.
    Colours of a file that does not say how they are coded are taken for BT.709 from 1280 x 720 on,
    one of the sides being enough, and for BT.601 below, as players do. Of a damaged file
    what can be decoded is yielded before the error. MP4 and MOV tell how many frames they have; of
    others one that is cut may be read to its end without an error, and Matroska and WebM always
    are.

    :raises VideoError: missing, not a video, or frames of a size out of range; or, at the end,
        that something of it could not be read.
    """
    damage: list[str] = []
    with _opened(path) as (container, stream):
        stream.thread_type = 'SLICE'  # threads of frames say no errors of the last ones
        start, time_s, step = None, None, 1 / _rate(stream)
        for number, frame in enumerate(_decoded(container, stream, damage)):
            try:
                check_size(frame.height, frame.width)
            except MalformedImage as error:
                raise VideoError(f'{path}, frame {number}: {error.text("file")}') from error
            if frame.time is not None:
                start = frame.time if start is None else start
                time_s = frame.time - start
            else:
                time_s = 0.0 if time_s is None else time_s + step
            yield VideoFrame(_upright(_rgb(frame), frame), time_s)
    if damage:
        places = 'a place' if len(damage) == 1 else f'{len(damage)} places'
        raise VideoError(f'{path} is damaged in {places} ({damage[0]}): what is whole was read; '
                         'copy or download it again')


@contextmanager
def _opened(path: Path | str) -> Iterator[tuple[Any, Any]]:
    """Open a file and its first video stream."""
    import av
    try:
        container = av.open(f'file:{path}')  # a name such as 10:30.mp4 is not an address
    except (av.error.FFmpegError, OSError) as error:
        if Path(path).is_file() and isinstance(error, av.error.InvalidDataError):
            raise VideoError(f'{path} is not a video, or was never closed: give an MP4, MOV, MKV, '
                             'AVI or WebM file') from error
        raise VideoError(f'{path} cannot be read: {error.strerror or error}') from error
    with container:
        if not container.streams.video:
            raise VideoError(f'{path} holds no video: give a file that does')
        yield container, container.streams.video[0]


def _decoded(container: Any, stream: Any, damage: list[str]) -> Iterator[Any]:
    """Yield PyAV's frames; what cannot be read or decoded goes to `damage`."""
    import av
    announced = len(stream.index_entries)  # of all frames in MP4 and MOV
    packets, number = container.demux(stream), 0
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                break
            number += packet.size > 0
            if packet.is_corrupt:
                damage.append('a frame is cut short')
            frames = packet.decode()
        except av.error.FFmpegError as error:
            damage.append(error.strerror or str(error))
            continue  # also where reading failed: the generator of packets has ended then
        for frame in frames:
            if frame.is_corrupt and not packet.is_corrupt:
                damage.append('a frame is not whole')
            yield frame
    if number < announced:
        damage.append(f'it ends after {number} of {announced} frames')


def _rgb(frame: Any) -> np.ndarray:
    from av.video.reformatter import Interpolation as How
    options: dict[str, Any] = {}  # where no matrix is specified, FFmpeg takes BT.601
    if frame.colorspace == _UNSPECIFIED and (frame.height >= 720 or frame.width >= 1280):
        options['src_colorspace'] = 'ITU709'
    if frame.format.name not in _FAST or frame.height % 2:
        # by its usual conversion of others, white of limited range becomes 253
        options['interpolation'] = How.BILINEAR | How.ACCURATE_RND | How.FULL_CHR_H_INT
    return frame.to_ndarray(format='rgb24', **options)


def _upright(image: np.ndarray, frame: Any) -> np.ndarray:
    if (matrix := frame.side_data.get('DISPLAYMATRIX')) is not None:
        a, b, _, c, d, *_ = np.frombuffer(matrix, np.int32).tolist()
        if a * d < b * c:  # mirrored: upside down before the turn, which is that of the x axis
            image = image[::-1]
    return np.ascontiguousarray(np.rot90(image, _quarter_turns(frame)))


def _quarter_turns(frame: Any) -> int:
    return round(frame.rotation / 90) % 4  # degrees counter-clockwise


def _rate(stream: Any) -> float:
    return float(stream.average_rate or stream.guessed_rate or DEFAULT_RATE_HZ)
