# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The layouts of RViz and Foxglove show what the node publishes, by topic, type and QoS."""

import json
from pathlib import Path

import yaml
from rosbags.typesys import Stores, get_typestore

from ubcn_ros.node.topics import COLOR, DERAINED, DIAGNOSTICS, IMAGE, ON_DEMAND, OVERLAY, RAIN

CONFIG = Path(__file__).parents[2] / 'config'
FOXGLOVE = json.loads((CONFIG / 'ubcn.foxglove.json').read_text())
IMAGES = [f'/{name}' for name in (IMAGE, DERAINED, COLOR, OVERLAY)]
TYPES = {f'/{IMAGE}': 'sensor_msgs/msg/Image',
         DIAGNOSTICS: 'diagnostic_msgs/msg/DiagnosticArray',
         **{f'/{name}': kind for name, kind in ON_DEMAND.items()}}


def rviz_displays():
    layout = yaml.safe_load((CONFIG / 'ubcn.rviz').read_text())
    return layout['Visualization Manager']['Displays']


def test_the_images_are_those_that_a_person_looks_at():
    assert {TYPES[topic] for topic in IMAGES} == {'sensor_msgs/msg/Image'}
    assert [display['Topic']['Value'] for display in rviz_displays()] == IMAGES
    assert {display['Class'] for display in rviz_displays()} == {'rviz_default_plugins/Image'}
    assert [config['imageMode']['imageTopic'] for name, config in FOXGLOVE['configById'].items()
            if name.startswith('Image!')] == IMAGES


def test_rviz_connects_to_the_node_and_to_cameras_of_any_reliability(ros):
    from rclpy.qos import (
        DurabilityPolicy,
        HistoryPolicy,
        QoSCompatibility,
        QoSProfile,
        ReliabilityPolicy,
        qos_check_compatible,
    )

    from ubcn_ros.node.qos import output_qos

    def named(text):
        return text.upper().replace(' ', '_')

    camera = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    for display in rviz_displays():
        topic = display['Topic']
        profile = QoSProfile(
            depth=topic['Depth'], history=HistoryPolicy[named(topic['History Policy'])],
            reliability=ReliabilityPolicy[named(topic['Reliability Policy'])],
            durability=DurabilityPolicy[named(topic['Durability Policy'])])
        offered = camera if topic['Value'] == f'/{IMAGE}' else output_qos()
        compatible, reason = qos_check_compatible(offered, profile)
        assert compatible != QoSCompatibility.ERROR, (topic['Value'], reason)


def test_foxglove_plots_numbers_that_the_node_publishes():
    types = get_typestore(Stores.ROS2_JAZZY)
    plots = [config for name, config in FOXGLOVE['configById'].items() if name.startswith('Plot!')]
    values = [path['value'] for plot in plots for path in plot['paths']]
    assert len(values) == 3
    for value in values:
        topic, _, field = value.partition('.')
        fields = dict(types.get_msgdef(TYPES[topic]).fields)
        assert fields[field][1][0] in ('int32', 'float64'), value


def test_foxglove_shows_the_diagnostics():
    config = FOXGLOVE['configById']['DiagnosticSummary!diagnostics']
    assert TYPES[config['topicToRender']] == 'diagnostic_msgs/msg/DiagnosticArray'


def test_every_panel_has_its_place_and_its_configuration():
    def panels(part):
        if isinstance(part, str):
            return [part]
        assert part['direction'] in ('row', 'column') and 0 < part['splitPercentage'] < 100
        return [*panels(part['first']), *panels(part['second'])]

    placed = panels(FOXGLOVE['layout'])
    assert sorted(placed) == sorted(FOXGLOVE['configById'])
    # what an exported layout has beside the panels, and an import asks for
    assert FOXGLOVE.keys() == {'configById', 'globalVariables', 'userNodes', 'playbackConfig',
                               'layout'}


def test_the_publishers_have_the_types_of_the_table(ros):
    from fake_engine import FakeLabels

    from ubcn_ros.node.outputs import Outputs
    node = ros.create_node('layouts')
    outputs = Outputs(node, '', FakeLabels(), lambda topic, policy: None, rain=True)
    try:
        found = dict(node.get_publisher_names_and_types_by_node('layouts', '/'))
        table = {**ON_DEMAND, **RAIN}
        assert {name: found[f'/{name}'] for name in table} == {
            name: [kind] for name, kind in table.items()}
    finally:
        outputs.destroy()
        node.destroy_node()
