# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Calibration files of camera_calibration are read, and what is wrong in one is named."""

import pytest
import yaml

from ubcn_ros.bags import BagError
from ubcn_ros.bags.calibration import read_calibration

WRITTEN = """
image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [438.78, 0., 305.59, 0., 437.35, 243.73, 0., 0., 1.]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.3614, 0.1109, -0.0002, 0.0004, 0.]
rectification_matrix:
  rows: 3
  cols: 3
  data: [0., 1., 0., -1., 0., 0., 0., 0., 1.]
projection_matrix:
  rows: 3
  cols: 4
  data: [393.65, 0., 322.79, 0., 0., 394.42, 241.16, 0., 0., 0., 1., 0.]
"""


@pytest.fixture
def read(tmp_path):
    def of(content):
        path = tmp_path / 'camera.yaml'
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return read_calibration(path)
    return of


def test_a_file_as_it_is_written(read):
    info = read(WRITTEN)
    assert (info.width, info.height, info.distortion_model) == (640, 480, 'plumb_bob')
    assert list(info.k) == [438.78, 0, 305.59, 0, 437.35, 243.73, 0, 0, 1]
    assert list(info.d) == [-0.3614, 0.1109, -0.0002, 0.0004, 0]
    assert list(info.r) == [0, 1, 0, -1, 0, 0, 0, 0, 1]
    assert list(info.p) == [393.65, 0, 322.79, 0, 0, 394.42, 241.16, 0, 0, 0, 1, 0]


def test_what_follows_from_the_camera_matrix_may_be_left_out(read):
    content = {key: value for key, value in yaml.safe_load(WRITTEN).items()
               if key.startswith(('image', 'camera'))}
    info = read(content)
    assert list(info.r) == [1, 0, 0, 0, 1, 0, 0, 0, 1] and list(info.d) == []
    assert list(info.p) == [438.78, 0, 305.59, 0, 0, 437.35, 243.73, 0, 0, 0, 1, 0]


@pytest.mark.parametrize('changes, words', [
    ({'image_width': None}, 'image_width is None'), ({'image_height': '480'}, "is '480'"),
    ({'image_height': 0}, 'image_height is 0'), ({'image_width': True}, 'is True'),
    ({'camera_matrix': {'data': [1, 2]}}, 'camera_matrix is not 3 x 3 finite numbers'),
    ({'camera_matrix': {'rows': 3}}, 'camera_matrix has no data'),
    ({'camera_matrix': None}, 'camera_matrix has no data|is not 3 x 3'),
    ({'projection_matrix': {'data': ['a'] * 12}}, 'projection_matrix has no data of numbers'),
    ({'rectification_matrix': {'data': [float('nan')] * 9}}, 'rectification_matrix is not 3 x 3'),
    ({'distortion_coefficients': {'data': 'x'}}, 'distortion_coefficients has no data'),
], ids=str)
def test_what_is_wrong_is_named_with_the_file(read, changes, words):
    with pytest.raises(BagError, match=f'camera.yaml is not a calibration: .*({words})'):
        read({**yaml.safe_load(WRITTEN), **changes})


@pytest.mark.parametrize('text', ['', '[1]', 'words', '{', 'calibrated: 2023-02-30', '[' * 5000,
                                  WRITTEN.replace('438.78', '9' * 400)], ids=lambda text: text[:9])
def test_other_files_are_named(read, text):
    with pytest.raises(BagError, match='camera.yaml (is not|cannot .* as) a calibration.*; give'):
        read(text)


def test_without_a_camera_matrix_it_is_no_calibration(read):
    with pytest.raises(BagError, match='camera_matrix is missing'):
        read({'image_width': 64, 'image_height': 48})
