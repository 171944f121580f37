# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the panes of a comparison are, and what is in them."""

import numpy as np
import pytest

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.images.panes import PaneVideo
from ubcn_ros.images.video import read_video

pytest.importorskip('av')


def filmed(path, *frames):
    with PaneVideo(path, CAMVID) as video:
        for number, (grey, label, size) in enumerate(frames):
            image = np.full((*size, 3), grey, np.uint8)
            video.write_panes(image, 255 - image, np.full(size, label, np.uint8), 3 + number / 4)
    written = list(read_video(path))
    assert len(written) == len(frames)
    return written


def colours(image, row):
    """What is in the middle of each pane."""
    return image[row, image.shape[1] // 6::image.shape[1] // 3].astype(int)


def test_panes_in_their_order_with_the_frames_times(tmp_path):
    frames = filmed(tmp_path / 'a.mp4', *((60 * k, k, (48, 64)) for k in range(4)))
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.25, 0.5, 0.75], abs=1e-4)
    for k, (image, _) in enumerate(frames):
        assert image.shape == (48, 192, 3)
        expected = [[60 * k] * 3, [255 - 60 * k] * 3, CAMVID.colors[k]]
        assert np.abs(colours(image, 24) - expected).max() <= 6


def test_captions_are_on_panes_that_have_room(tmp_path):
    (wide, _), = filmed(tmp_path / 'a.mp4', (200, 1, (100, 160)))
    assert (wide[80:, :40] < 100).any() and (wide[80:, 160:200] > 150).any()
    assert np.ptp(wide[:60, :150].astype(int)) < 8


def test_large_frames_are_shrunk_and_other_sizes_fitted(tmp_path):
    frames = filmed(tmp_path / 'a.mp4', (200, 1, (100, 2560)), (90, 2, (100, 640)),
                    (90, 255, (40, 1280)))
    assert {frame.image.shape for frame in frames} == {(50, 3840, 3)}
    second, third = (image for image, _ in frames[1:])
    assert np.abs(colours(second, 25) - [[90] * 3, [165] * 3, CAMVID.colors[2]]).max() <= 6
    assert second[25, :200].max() <= 6, 'black beside a narrow image'
    assert third[:3].max() <= 8 and third[25, 600].min() > 80
