# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rain rate and visibility of the real node over real DDS."""

import time

import pytest

pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from ros_client import image_message, wait_until  # noqa: E402
from std_msgs.msg import Float32  # noqa: E402


@pytest.mark.integration
def test_the_rain_is_told_of_each_frame_as_in_its_numbers(start, client, rain_model):
    node = start(model=str(rain_model), device='cpu', precision='fp32', iterations=1,
                 warm_up_width=64, warm_up_height=48)
    node.wait_for_log('active: waiting for images on /image')
    assert 'does not estimate the rain' not in node.output
    rates = client.record('/rain/rate', Float32)
    visibilities = client.record('/rain/visibility', Float32)
    frames = client.record('/debug/frame', DiagnosticArray)
    client.wait_for_subscriber('/image')

    def told():
        client.publisher('/image').publish(image_message())
        time.sleep(0.1)
        return rates and visibilities and frames

    wait_until(told, 'the rain of an image', 120.0)
    values = {item.key: item.value for item in frames[0].status[0].values}
    assert f'{rates[0].data:.2f}' == values['rain rate (mm/hr)']
    assert f'{visibilities[0].data:.1f}' == values['visibility (m)']
    report = client.diagnostics()
    assert report['rain rate (last, mm/hr)'] == values['rain rate (mm/hr)']
    assert report['visibility (median, m)'] == values['visibility (m)']
    assert node.stop() == 0 and 'Traceback' not in node.output
