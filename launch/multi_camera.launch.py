# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: I001 (this folder's name makes the sorter take launch for a package of ours)
"""
Start one node, with one model in memory, for several cameras: ubcn.launch.py with other defaults.

    ros2 launch ubcn_ros multi_camera.launch.py cameras:=front,left,right \
        'image:=/sensing/camera/{camera}/image_raw'

It takes all arguments of ubcn.launch.py. Each camera's outputs are below its name:
front/derained/image_raw, front/labels/image_raw, ...
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetLaunchConfiguration,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from ubcn_ros.node.launch_arguments import cameras_of_file, file_and_namespace

# The same place in the source tree and in an installed share directory.
NODE = Path(__file__).resolve().parent / 'ubcn.launch.py'
CAMERAS = 'front,left,right'

ARGUMENTS = (
    DeclareLaunchArgument('cameras', default_value='',
                          description='Names of the cameras, separated by commas; empty: as in '
                          f'params_file, or {CAMERAS} where it names none.'),
    DeclareLaunchArgument('image', default_value='{camera}/image_raw',
                          description='Image topic of a camera, {camera} standing for its name; '
                          'with input_transport compressed images are expected in '
                          'TOPIC/compressed.'),
)


def set_up(context):
    """Choose the cameras where neither an argument nor the parameter file names any."""
    if LaunchConfiguration('cameras').perform(context) \
            or cameras_of_file(*file_and_namespace(context, NODE.parent)):
        return []
    return [SetLaunchConfiguration('cameras', CAMERAS)]


def generate_launch_description():
    """Declare the arguments of several cameras, then what a single one has."""
    # a group, so that these arguments do not reach the launch file that includes this one
    return LaunchDescription([GroupAction([
        *ARGUMENTS, OpaqueFunction(function=set_up),
        IncludeLaunchDescription(PythonLaunchDescriptionSource(str(NODE)))])])
