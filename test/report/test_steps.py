# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Steps of the loop that a report computes again."""

from processed_bags import FRONT, clean, processed, rainy, sidecar

from ubcn_ros.report.bag import BagPaths, BagReportOptions, bag_report
from ubcn_ros.report.steps import Steps


def test_steps_are_of_the_size_that_the_camera_was_processed_at(tmp_path, fake_engine):
    sizes = set()

    class Sized(type(fake_engine)):
        processing_size = -1

        class info(fake_engine.info):
            trained_short_side, trained_focal_length = 96, 0.5

        def __call__(self, image, iterations, confidence, processing_size=None):
            sizes.add(processing_size)
            return super().__call__(image, iterations, confidence)

    bag = processed(tmp_path / 'bag')
    options = BagReportOptions(tmp_path / 'report.html', 4, None, 1)
    sidecar(bag, [{**FRONT, 'focal_length': 0.25}])  # a lens twice as wide as that of training
    made = bag_report(BagPaths(bag), options, Steps(Sized(), 1))
    assert sizes == {2 * 96}
    assert all(chart.lines[0].points for _, charts in made.charts for chart in charts)
    sidecar(bag)
    bag_report(BagPaths(bag), options, Steps(Sized(), 1))
    assert sizes == {2 * 96, None}


def test_the_psnr_of_steps_is_over_the_frames_in_which_all_are_finite(fake_engine):
    """The mean over a dry frame, too, would be infinite at T = 0, and another frame's after it."""
    steps = Steps(fake_engine, 2)
    for image, truth in ((rainy(1), clean(1)), (clean(2), clean(2)), (rainy(3), None)):
        steps(image, truth)
    alone = Steps(fake_engine, 2)
    alone(rainy(1), clean(1))
    chart, expected = (each.charts()[0].lines[0] for each in (steps, alone))
    assert chart == expected and chart.name == 'one frame' and len(chart.points) == 3
