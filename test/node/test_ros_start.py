# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where ROS cannot be started, one line says why and what helps."""

import os
import subprocess
import sys

import pytest
from bag_files import pictures, write_rosbag2

from ubcn_ros.bags.live.node_process import ReplayError, starting_ros
from ubcn_ros.node.ros_start import refuse_others, why_not_started


@pytest.mark.parametrize('reason, enforced, remedy', [
    ("failed to initialize logging: Failed to create log directory '/a/.ros/log': 2", '',
     'ROS_LOG_DIR'),
    ('failed to initialize logging: Failed to get logging directory', '', 'ROS_LOG_DIR'),
    ("couldn't find all security files", 'true', 'ROS_SECURITY_KEYSTORE'),
    ("couldn't find all security files", '', ''),
    ('failed to initialize rcl: ROS_DOMAIN_ID is not an integral number', '', '')])
def test_the_remedy_goes_by_the_reason(monkeypatch, reason, enforced, remedy):
    monkeypatch.setenv('ROS_SECURITY_ENABLE', enforced)
    text = why_not_started(RuntimeError(f'{reason}, at\nrcl.c:1'))
    assert text.startswith(f'ROS cannot be started: RuntimeError: {reason}, at rcl.c:1')
    assert '\n' not in text
    for word in ('ROS_LOG_DIR', 'ROS_SECURITY_KEYSTORE'):
        assert (word in text) == (word == remedy)
    with pytest.raises(ReplayError, match='ROS cannot be started'), starting_ros():
        raise RuntimeError(reason)


@pytest.mark.parametrize('name, of_ros', [
    ('rclpy', True), ('rclpy._rclpy_pybind11', True), ('sensor_msgs.msg', True), (None, False),
    ('numpy', False), ('torch', False)])
def test_what_is_missing_is_of_ros_or_not(name, of_ros):
    text = why_not_started(ModuleNotFoundError(f'No module named {name}', name=name))
    assert f'No module named {name}' in text
    assert text.startswith('ROS cannot be started: ') == ('Source a ROS 2' in text) == of_ros
    with pytest.raises(ReplayError, match='No module named'), starting_ros():
        raise ModuleNotFoundError(f'No module named {name}', name=name)


class UnknownROSArgsError(RuntimeError):
    """As rclpy's."""


@pytest.mark.parametrize('flag, meant', [('--parms-file', '--params-file'),
                                         ('--log-levl', '--log-level'), ('--remaps', '--remap')])
def test_a_misspelt_flag_is_named_with_the_nearest(flag, meant):
    text = why_not_started(UnknownROSArgsError(str([flag, 'x.yaml'])))
    assert text.endswith(f'did you mean {meant}?') and flag in text


@pytest.mark.parametrize('arguments, others', [
    ([], ''), (['--ros-args', '-p', 'iterations:=2'], ''), (['--ros-args', '--'], ''),
    (['-p', 'iterations:=2'], '-p iterations:=2'), (['--iterations', '2'], '--iterations 2'),
    (['--ros-args', '-p', 'iterations:=2', '--', 'foo'], 'foo')])
def test_arguments_that_are_not_for_ros_are_refused(arguments, others):
    pytest.importorskip('rclpy')
    if not others:
        return refuse_others(arguments)
    with pytest.raises(ValueError, match=f'arguments {others} would have no effect: .*--ros-args'):
        refuse_others(arguments)


def test_a_bag_that_cannot_be_played_is_one_line(tmp_path):
    """As without a home, in a container."""
    pytest.importorskip('rclpy')
    bag = write_rosbag2(tmp_path / 'bag', pictures([1]))
    environment = {name: value for name, value in os.environ.items() if name != 'ROS_LOG_DIR'}
    ended = subprocess.run([sys.executable, '-m', 'ubcn_ros.cli', 'bag', 'play', bag],
                           env={**environment, 'HOME': '/proc/none'}, capture_output=True,
                           text=True, timeout=120)
    said = [line for line in ended.stderr.splitlines() if 'Error: ' in line]
    assert ended.returncode == 1 and len(said) == 1 and 'Traceback' not in ended.stderr
    assert '/proc/none/.ros/log' in said[0] and 'ROS_LOG_DIR' in said[0]
