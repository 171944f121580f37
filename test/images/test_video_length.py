# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A video that ends before its container says it does is read as far as it is whole, and told."""

import struct

import numpy as np
import pytest

from ubcn_ros.images.video import VideoError, read_video
from ubcn_ros.images.video_length import announced_bytes

ASF = bytes.fromhex('3026b2758e66cf11a6d900aa0062ce6c')
EBML = b'\x1a\x45\xdf\xa3\x80'
UNKNOWN = b'\x01' + b'\xff' * 7
BLOCK = b'\xa3\x84\x81\0\0\0'
KINDS = {'a.mkv': ('libx264', {}), 'a.webm': ('libvpx', {}), 'a.avi': ('mpeg4', {}),
         'live.mkv': ('libx264', {'live': '1'}), 'a.flv': ('flv', {}), 'a.wmv': ('wmv2', {}),
         'a.ts': ('libx264', {}), 'a.mts': ('libx264', {'mpegts_m2ts_mode': '1'})}
SOUND = {'.webm': 'libopus', '.flv': 'aac', '.wmv': 'aac'}


def write(path, sound):
    av = pytest.importorskip('av')
    codec, options = KINDS[path.name]
    rng = np.random.default_rng(0)
    with av.open(str(path), 'w', options=options) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        if sound:
            track = container.add_stream(SOUND.get(path.suffix, 'mp2'), rate=48000)
            frame = av.AudioFrame.from_ndarray(  # of 2 s, longer than the video
                rng.integers(-999, 999, (1, 96000), np.int16), format='s16', layout='mono')
            frame.sample_rate = 48000
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
        for number in range(12):  # times that are not even
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (48, 64, 3), np.uint8))
            frame.pts = number + 3 * (number > 6)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def read_of(path):
    """Return the number of frames, and the text of the error at their end."""
    count = 0
    try:
        for _ in read_video(path):
            count += 1
    except VideoError as error:
        return count, str(error)
    return count, None


@pytest.mark.parametrize('sound', [False, True], ids=['silent', 'sound'])
@pytest.mark.parametrize('name', KINDS)
def test_a_video_is_told_to_be_cut_wherever_it_is(tmp_path, name, sound):
    path = tmp_path / name
    write(path, sound)
    assert read_of(path) == (12, None)
    data, counts = path.read_bytes(), []
    for share in (0.5, 0.6, 0.7, 0.8, 0.9):
        size = int(share * len(data)) | 7  # not at the end of a packet
        path.write_bytes(data[:size])
        count, text = read_of(path)
        assert f'it ends after {size} of at least ' in text
        counts.append(count)
    assert counts == sorted(counts) and counts[0] < counts[-1] and counts[-1] > 0
    path.write_bytes(data + bytes(99))  # what follows is no part of it
    assert read_of(path)[1] is None


@pytest.mark.parametrize('data, announced', [
    (b'', None), (b'RI', None), (b'\0\0\0\x18ftypisom' + bytes(9), None),
    (b'RIFF' + struct.pack('<I', 4) + b'AVI ', 12),
    (b'RIFF' + struct.pack('<I', 40) + b'AVI ', 48),
    (b'RIFF' + struct.pack('<I', 0) + b'AVI ', None), (b'RIFF\xff\xff\xff\xffAVI ', None),
    (b'RIFF' + struct.pack('<I', 5) + b'AVI .\0RIFF' + struct.pack('<I', 9), 31),
    (b'\x47' + bytes(187) + b'\x47' + bytes(187), 376), (b'FLV\x01\5\0\0\0\x09', 9),
    (b'\x47' + bytes(187) + b'\x47' + bytes(20), 376), (b'\x47' + bytes(40), None),
    (b'\x47' + bytes(187) + b'\x47' + bytes(187) + b'junk', 376),
    (b'FLV\x01\5\0\0\0\x09\0\0\0\0\x09\0\0\7', 31), (b'FLV\x01', 0),
    (EBML + b'\x18\x53\x80\x67\x01' + b'\xff' * 6 + b'\0', 2**56 - 239),
    (ASF[:16], None), (ASF + b'\x1e' + bytes(13) + ASF[16:], None), (ASF + b'\xff' * 90, None),
    (ASF + b'\x1e' + bytes(13) + b'\x36' + ASF[1:] + b'\x32' + bytes(7), 80),
    (EBML, 5), (EBML[:3], None), (EBML + b'\x18\x53\x80\x67\x90', 26),
    (EBML + b'\x18\x53\x80\x67' + UNKNOWN + b'\x1f\x43\xb6\x75\x90', 38),
    (EBML + b'\x18\x53\x80\x67' + UNKNOWN + b'\x1f\x43\xb6\x75\xff' + BLOCK + BLOCK[:4], 34),
    (EBML + b'\x18\x53\x80\x67' + UNKNOWN + b'\x1f\x43\xb6\x75' + UNKNOWN + BLOCK + b'junk', 35)])
def test_what_containers_announce(tmp_path, data, announced):
    path = tmp_path / 'a'
    path.write_bytes(data)
    assert announced_bytes(path) == announced
