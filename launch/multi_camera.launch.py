# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: I001 (this folder's name makes the sorter take launch for a package of ours)
"""
Start one node, with one model in memory, for several cameras: ubcn.launch.py with other defaults.

    ros2 launch ubcn_ros multi_camera.launch.py cameras:=front,left,right \
        image:=/sensing/camera/{camera}/image_raw

It takes all arguments of ubcn.launch.py. Each camera's outputs are below its name:
front/derained/image_raw, front/labels/image_raw, ...
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

# The same place in the source tree and in an installed share directory.
NODE = Path(__file__).resolve().parent / 'ubcn.launch.py'

ARGUMENTS = (
    DeclareLaunchArgument('cameras', default_value='front,left,right',
                          description='Names of the cameras, separated by commas.'),
    DeclareLaunchArgument('image', default_value='{camera}/image_raw',
                          description='Image topic of a camera, {camera} standing for its name; '
                          'with input_transport compressed images are expected in '
                          'TOPIC/compressed.'),
)


def generate_launch_description():
    """Declare the arguments of several cameras, then what a single one has."""
    return LaunchDescription([
        *ARGUMENTS, IncludeLaunchDescription(PythonLaunchDescriptionSource(str(NODE)))])
