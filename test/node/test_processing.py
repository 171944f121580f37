# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a camera's images are processed at: the parameter, and a focal length that came in time."""

from types import SimpleNamespace

import pytest

from ubcn_ros.node.processing import CameraProcessing, focal_length

MODEL = SimpleNamespace(trained_short_side=360, trained_focal_length=1.5)


def camera_info(focal, height=1080, width=1920, region=(0, 0), binning=0):
    k = [0.0] * 9
    k[4] = focal * min(height, width)
    return SimpleNamespace(k=k, height=height, width=width, binning_x=binning, binning_y=binning,
                           roi=SimpleNamespace(height=region[0], width=region[1]))


@pytest.mark.parametrize('size', [(1080, 1920), (1920, 1080)])
def test_a_focal_length_is_a_share_of_the_short_side(size):
    assert focal_length(camera_info(0.75, *size)) == 0.75
    assert focal_length(camera_info(0.75, *size, binning=2)) == 0.75
    half = size[0] // 2, size[1] // 2
    assert focal_length(camera_info(0.75, *size, region=half, binning=3)) == 1.5


@pytest.mark.parametrize('info', [camera_info(0.0), camera_info(1.0, 0, 0),
                                  camera_info(float('nan')), camera_info(float('inf'))])
def test_a_camera_that_is_not_calibrated_says_nothing(info):
    assert focal_length(info) is None
    processing = CameraProcessing(MODEL)
    assert processing.take(info) == '' and processing.begin() == -1


def test_a_focal_length_before_the_first_image_counts():
    processing = CameraProcessing(MODEL)
    text = processing.take(camera_info(0.75))
    assert 'a focal length of 0.75 short sides' in text and 'short side of 720' in text
    assert processing.take(camera_info(0.75)) == ''  # a camera says it with every image
    assert processing.begin() == 720
    assert processing.take(camera_info(0.75)) == ''


@pytest.mark.parametrize('focal, side', [(5e-324, 8192), (1e-9, 8192), (1e300, 32)])
def test_whatever_a_camera_info_says_there_is_a_size(focal, side):
    processing = CameraProcessing(MODEL)
    processing.take(camera_info(focal, 1, 1))
    assert processing.begin() == side


def test_a_focal_length_that_comes_late_changes_nothing_and_is_said_once():
    processing = CameraProcessing(MODEL)
    assert processing.begin() == -1
    texts = [processing.take(camera_info(0.75)) for _ in range(3)]
    assert 'came after the first image' in texts[0] and 'configured again' in texts[0]
    assert texts[1:] == ['', ''] and processing.begin() == -1


def test_the_first_images_wait_a_second_for_a_focal_length():
    processing = CameraProcessing(MODEL)
    assert processing.waits(5.0) and processing.waits(5.9)  # a driver publishes the image first
    assert 'short side of 720' in processing.take(camera_info(0.75))
    assert not processing.waits(5.95) and processing.begin() == 720


def test_without_a_camera_info_images_wait_no_longer():
    processing = CameraProcessing(MODEL)
    assert processing.waits(5.0) and not processing.waits(6.0)
    assert processing.begin() == -1 and not processing.waits(6.1)


@pytest.mark.parametrize(('model', 'asked'), [
    (None, -1), (SimpleNamespace(trained_short_side=360, trained_focal_length=None), -1),
    (MODEL, 0), (MODEL, 480)])
def test_images_that_do_not_go_by_focal_length_wait_for_none(model, asked):
    processing = CameraProcessing(model)
    processing.asked = asked
    assert not processing.waits(5.0)


def test_a_focal_length_that_changes_later_changes_nothing():
    processing = CameraProcessing(MODEL)
    processing.take(camera_info(0.75))
    processing.begin()
    assert 'came after the first image' in processing.take(camera_info(1.5))
    assert processing.begin() == 720


@pytest.mark.parametrize('asked', [0, 480])
def test_a_size_that_is_asked_for_counts(asked):
    processing = CameraProcessing(MODEL)
    processing.asked = asked
    assert processing.take(camera_info(0.75)) == '' and processing.begin() == asked
    processing.asked = -1
    assert processing.begin() == 720 and processing.size(200) == 200


@pytest.mark.parametrize('seconds, side', [(0.5, 720), (1.5, -1)])
@pytest.mark.parametrize('asked', [-1, 480])
def test_the_trained_size_later_is_what_it_is_at_the_start(asked, seconds, side):
    processing = CameraProcessing(MODEL)
    processing.asked = asked
    for now in (5.0, 5.0 + seconds):
        if not processing.waits(now):
            assert processing.begin() == asked
    processing.take(camera_info(0.75))
    processing.asked = -1
    assert not processing.waits(5.0 + seconds) and processing.begin() == side


def test_a_camera_that_is_opened_again_before_an_image_went_through_waits_anew():
    processing = CameraProcessing(MODEL)
    assert processing.waits(5.0)
    processing.restart()
    assert processing.waits(50.0) and not processing.waits(51.0)
    processing.restart()
    assert not processing.waits(60.0), 'settled until the node is configured again'


@pytest.mark.parametrize('model', [
    None, SimpleNamespace(trained_short_side=360, trained_focal_length=None)])
def test_a_model_without_a_focal_length_goes_by_size(model):
    processing = CameraProcessing(model)
    assert processing.take(camera_info(0.75)) == '' and processing.begin() == -1
    assert processing.take(camera_info(0.75)) == ''
