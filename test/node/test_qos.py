# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Who connects; QoS that parameters override: what cannot be, or has no effect, is named."""

import pytest

pytest.importorskip('rclpy')
from fake_engine import load  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import (  # noqa: E402
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

from ubcn_ros.node.qos import (  # noqa: E402
    check_overrides,
    input_qos,
    latched_qos,
    output_qos,
    unused_overrides,
)
from ubcn_ros.node.ubcn_node import UBCNNode  # noqa: E402

SUBSCRIPTION = 'qos_overrides./image.subscription.'


OFFERED = [QoSProfile(depth=5, reliability=reliability, durability=durability)
           for reliability in (ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT)
           for durability in (DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE)]


def connect(publisher, subscription):
    # a warning is of liveliness, which nobody sets
    return qos_check_compatible(publisher, subscription)[0] != QoSCompatibility.ERROR


def test_every_driver_and_every_viewer_connects():
    assert all(connect(driver, input_qos()) for driver in OFFERED)
    assert input_qos().depth == 1, 'older images than the newest are not of interest'
    viewers = [viewer for viewer in OFFERED if viewer.durability is DurabilityPolicy.VOLATILE]
    assert all(connect(output_qos(), viewer) for viewer in viewers)
    assert all(connect(latched_qos(), viewer) for viewer in OFFERED)
    assert latched_qos().durability is DurabilityPolicy.TRANSIENT_LOCAL


@pytest.mark.parametrize('policy, value', [
    ('reliability', 'reliable'), ('reliability', 'BEST_EFFORT'), ('durability', 'transient_local'),
    ('history', 'keep_all'), ('depth', 1), ('depth', 2**31 - 1), ('no such', 5)])
def test_what_ros_takes_is_taken(policy, value):
    check_overrides({SUBSCRIPTION + policy: value, 'iterations': 0, 'a.depth': 0})


@pytest.mark.parametrize('policy, value, allowed', [
    ('reliability', 'reliabel', 'system_default, reliable, best_effort'),
    ('reliability', 'unknown', 'best_effort'), ('durability', 'reliable', 'transient_local'),
    ('durability', True, 'volatile'), ('history', '', 'keep_last, keep_all'),
    ('history', 1, 'keep_last'),
    *(('depth', value, '1 to 2147483647')
      for value in (0, -5, '5', True, 2.0, None, 2**31, 10**12))])
def test_a_value_that_a_policy_cannot_have_is_named(policy, value, allowed):
    with pytest.raises(ValueError) as raised:
        check_overrides({SUBSCRIPTION + policy: value})
    text = str(raised.value)
    assert text.startswith(SUBSCRIPTION + policy) and allowed in text and repr(value) in text


@pytest.mark.parametrize('given', [
    'depht', 'qos_overrides.image.subscription.depth', 'qos_overrides./imag.subscription.depth',
    'qos_overrides./image.subscripton.depth'])
def test_an_override_of_nothing_is_named_with_the_nearest(given):
    given = given if '.' in given else SUBSCRIPTION + given
    declared = [SUBSCRIPTION + 'depth', SUBSCRIPTION + 'history', 'iterations']
    assert unused_overrides([given, SUBSCRIPTION + 'history', 'iterations'], declared) == [
        f"parameter '{given}' has no effect; did you mean {SUBSCRIPTION}depth?"]


@pytest.mark.parametrize('topic', ['/diagnostics', '/clock', '/rosout', '/parameter_events'])
def test_no_other_topic_is_offered_for_one_whose_qos_is_fixed(topic):
    name = f'qos_overrides.{topic}.publisher.depth'
    assert unused_overrides([name], [SUBSCRIPTION + 'depth']) == [
        f"parameter '{name}' has no effect; the QoS of this topic is fixed"]


@pytest.mark.usefixtures('ros')
def test_the_node_refuses_such_a_value_and_warns_of_such_a_name(capfd):
    def node(**values):  # not /ubcn, which other tests' requests are for
        return UBCNNode(load, namespace='/qos', parameter_overrides=[
            Parameter(name, value=value) for name, value in {'model': 'fast', **values}.items()])

    with pytest.raises(ValueError, match='reliability must be one of'):
        node(**{'qos_overrides./qos/image.subscription.reliability': 'best-effort'})
    made = node(**{'qos_overrides./qos/image.subscription.depth': 2,
                   'qos_overrides./image.subscription.depth': 3,
                   'qos_overrides./qos/labels/color.publisher.depth': 4})
    try:
        assert made.start()
    finally:
        made.stop(10)
        made.destroy_node()
    told = [line for line in capfd.readouterr().err.splitlines() if 'has no effect' in line]
    assert len(told) == 1 and 'qos_overrides./image.subscription.depth' in told[0]
