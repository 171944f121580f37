# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: I001 (this folder's name makes the sorter take launch for a package of ours)
"""
Play a bag to the node, by the time of its recording, and show it in RViz.

    ros2 launch ubcn_ros replay.launch.py bag:=/data/drive rate:=0.5 iterations:=2

`ros2 bag play` plays a whole bag of rosbag2 where it is installed, `ubcn bag play` all others; it
begins when the node is active. Without RViz, the end of the bag ends the launch. All arguments of
ubcn.launch.py are arguments here, too.
"""

import math
import os
from collections import defaultdict
from functools import partial
from pathlib import Path

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    GroupAction,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetLaunchConfiguration,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessExit, OnProcessIO
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from ubcn_ros.bags import BagError
from ubcn_ros.bags.live.replaying import find_inputs, player_command
from ubcn_ros.node.launch_arguments import (
    TRUTH,
    cameras_of_file,
    file_and_namespace,
    is_installed,
    is_true,
    parameter_values,
    profile_environment,
)
from ubcn_ros.node.parameters import SPECS, USE_SIM_TIME
from ubcn_ros.python_command import python_command

# The same place in the source tree and in an installed share directory.
NODE = Path(__file__).resolve().parent / 'ubcn.launch.py'
UBCN = python_command('-m', 'ubcn_ros.cli')
ACTIVE = 'active: waiting for images'  # in the node's log
LAST_SECONDS = 2.0  # in which the node processes the last images

ARGUMENTS = (
    DeclareLaunchArgument('bag', description='The bag to play: a folder, or a file of one.'),
    DeclareLaunchArgument('rate', default_value='1.0',
                          description='Times as fast as it was recorded.'),
    DeclareLaunchArgument('start', default_value='0.0',
                          description='Seconds of the recording to leave out at its beginning.'),
    DeclareLaunchArgument('loop', default_value='false', choices=TRUTH,
                          description='Whether to begin again at the end.'),
    DeclareLaunchArgument('topics', default_value='',
                          description='Topics to play, separated by commas; empty: all.'),
    DeclareLaunchArgument('exclude', default_value='',
                          description='Topics to leave out, separated by commas, like outputs of '
                          'the node that were recorded, too.'),
    DeclareLaunchArgument('image', default_value='',
                          description="The camera's image topic, {camera} standing for its name "
                          "where cameras gives any; empty: the bag's only camera. Raw or "
                          'compressed as in the bag, unless the argument input_transport says '
                          'it.'),
    DeclareLaunchArgument('use_sim_time', default_value='true', choices=TRUTH,
                          description='Whether the node goes by the time of the recording.'),
    DeclareLaunchArgument('rviz', default_value='true', choices=TRUTH,
                          description='Whether to open RViz on input and outputs, of several '
                          'cameras those of the first.'),
)


def set_up(context):
    """Lead the node to the images of the bag, and play it once the node is active."""
    def given(name):
        return LaunchConfiguration(name, default='').perform(context)

    def listed(name):
        return [item for item in given(name).replace(' ', '').split(',') if item]

    bag = os.path.expanduser(given('bag'))  # shells leave the ~ of bag:=~/drive
    parameters = parameter_values({spec.name: given(spec.name)
                                   for spec in (*SPECS, USE_SIM_TIME)})
    transports = parameters.get('input_transport', [])
    file, namespace = file_and_namespace(context, NODE.parent)
    in_file = cameras_of_file(file, namespace)
    for name, least in (('rate', 0.001), ('start', 0.0)):
        if (value := _number(given(name))) is None or value < least:
            raise RuntimeError(f"argument {name}:='{given(name)}' must be a number, "
                               f'{least:g} or more')
    try:
        inputs = find_inputs(
            bag, given('image'),
            [name for name in parameters.get('cameras', in_file) if name],
            [transports] if isinstance(transports, str) else transports, namespace)
    except BagError as error:
        raise RuntimeError(f"argument bag:='{given('bag')}': {error}") from error
    ubcn = [] if inputs.rosbag2 and is_installed('ros2bag') else UBCN
    player = [ExecuteProcess(
        name='player', output='screen', on_exit=partial(_player_ended, is_true(given('rviz'))),
        additional_env=profile_environment(context, NODE.parent), cmd=player_command(
            bag, ubcn, inputs.topics, given('rate'), given('start'), is_true(given('loop')),
            listed('topics'), listed('exclude')))]

    heard = defaultdict(bytes)  # the end of what came in each stream: lines come in pieces

    def start(event):
        stream = event.pid, event.from_stdout
        heard[stream] = text = heard[stream][-len(ACTIVE):] + event.text
        return [player.pop()] if player and ACTIVE.encode() in text else None

    return [SetLaunchConfiguration('image', inputs.image),
            SetLaunchConfiguration('input_transport', ','.join(inputs.transports)),
            LogInfo(msg=f"The bag is played once the node's log says '{ACTIVE}'"),
            RegisterEventHandler(OnProcessIO(on_stdout=start, on_stderr=start)),
            RegisterEventHandler(OnProcessExit(target_action=_is_node, on_exit=_node_ended))]


def _is_node(action):
    """Tell the node's process from that of RViz, which may be closed."""
    return isinstance(action, Node) and action.node_name.endswith('/ubcn')


def _node_ended(event, context):
    """End the launch by an error: else the player would play to nobody, or wait for ever."""
    if not context.is_shutdown:
        raise RuntimeError(f'the node ended with exit code {event.returncode}: see what it says '
                           'above')


def _number(text):
    """Read a number as it is typed; None for what is none, or not finite."""
    try:
        return float(text) if math.isfinite(float(text)) else None
    except ValueError:
        return None


def _player_ended(rviz, event, context):
    """End the launch, by an error where the player failed; RViz is for the user to close."""
    if context.is_shutdown:
        return None
    if event.returncode:  # else that of the launch is 0
        raise RuntimeError(f'the player ended with exit code {event.returncode}')
    if rviz:
        return [LogInfo(msg='The bag has ended: Ctrl-C ends node and RViz')]
    return [LogInfo(msg='The bag has ended'),
            TimerAction(period=LAST_SECONDS, actions=[Shutdown(reason='the bag has ended')])]


def generate_launch_description():
    """Declare the arguments of the player, then what the node has."""
    # a group, so that these arguments do not reach the launch file that includes this one
    return LaunchDescription([GroupAction([
        *ARGUMENTS, OpaqueFunction(function=set_up),
        IncludeLaunchDescription(PythonLaunchDescriptionSource(str(NODE)))])])
