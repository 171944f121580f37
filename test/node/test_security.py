# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SROS 2: the policy grants just what the node uses; enforced security is never gone without."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip('rclpy')
from fake_engine import load  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

from ubcn_ros.node.ubcn_node import UBCNNode  # noqa: E402

POLICY = Path(__file__).parents[2] / 'config' / 'ubcn_policy.xml'
# granted, and used only with a parameter or a package that this machine may lack
OPTIONAL = {'subscribe': {'/image/compressed', '/clock'}, 'publish': {'/labels/label_info'},
            'reply': {'/ubcn/get_type_description'}}


def granted():
    """Names by what is allowed, of the one profile in the policy."""
    profile, = ElementTree.parse(POLICY).findall('enclaves/enclave/profiles/profile')
    assert (profile.get('ns'), profile.get('node')) == ('/', 'ubcn')
    names = {}
    for group in profile:
        (direction, rule), = group.attrib.items()
        assert rule == 'ALLOW' and direction in OPTIONAL
        entries = [entry.text for entry in group]
        assert len(entries) == len(set(entries)) and not set(entries) & names.get(direction, set())
        names.setdefault(direction, set()).update(entries)
    return names


def used(**parameters):
    """Names by what the node does, active with these parameters."""
    node = UBCNNode(load, parameter_overrides=[
        Parameter(name, value=value) for name, value in parameters.items()])
    try:
        assert node.start()
        own = ('ubcn', '/')
        assert not node.get_client_names_and_types_by_node(*own)
        return {
            'subscribe': {name for name, _ in node.get_subscriber_names_and_types_by_node(*own)},
            'publish': {name for name, _ in node.get_publisher_names_and_types_by_node(*own)},
            'reply': {name for name, _ in node.get_service_names_and_types_by_node(*own)}}
    finally:
        assert node.trigger_deactivate() and node.trigger_cleanup() and node.stop(10.0)
        node.destroy_node()


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_the_policy_grants_just_what_the_node_uses(ros, transport):
    allowed = granted()
    for direction, names in used(model='rain', input_transport=transport,
                                 use_sim_time=True).items():
        assert names <= allowed[direction], direction
        spare = OPTIONAL[direction] | ({'/image'} if direction == 'subscribe' else set())
        assert allowed[direction] - names <= spare, direction


def test_no_wildcards():
    assert all('*' not in name for names in granted().values() for name in names)


@pytest.mark.parametrize('enclave', ['missing', 'empty'])
def test_enforced_security_that_cannot_be_had_ends_the_node(start, tmp_path, enclave):
    (tmp_path / 'enclaves' / 'empty').mkdir(parents=True)
    node = start(fake_engine=True, environment={
        'ROS_SECURITY_ENABLE': 'true', 'ROS_SECURITY_STRATEGY': 'Enforce',
        'ROS_SECURITY_KEYSTORE': str(tmp_path), 'ROS_SECURITY_ENCLAVE_OVERRIDE': f'/{enclave}'})
    assert node.wait() == 2, node.output
    assert 'ubcn_node: ROS cannot be started: ' in node.output and 'Traceback' not in node.output
    assert 'needs an enclave of ROS_SECURITY_KEYSTORE' in node.output
