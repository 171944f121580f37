# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: I001 (this folder's name makes the sorter take launch for a package of ours)
"""
Start one node, with one model in memory, for several cameras.

    ros2 launch ubcn_ros multi_camera.launch.py cameras:=front,left,right \
        image:=/sensing/camera/{camera}/image_raw

Each camera's outputs are below its name: front/derained/image_raw, front/labels/image_raw, ...
"""

import os
import re
import sys
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

# The same place in the source tree and in an installed share directory.
CONFIG = Path(__file__).resolve().parent.parent / 'config'
PROFILES = 'FASTRTPS_DEFAULT_PROFILES_FILE'

ARGUMENTS = (
    DeclareLaunchArgument('cameras', default_value='front,left,right',
                          description='Names of the cameras, separated by commas.'),
    DeclareLaunchArgument('image', default_value='{camera}/image_raw',
                          description='Image topic of a camera, {camera} standing for its name; '
                          'with input_transport compressed images are expected in '
                          'TOPIC/compressed.'),
    DeclareLaunchArgument('camera_info', default_value='{camera}/camera_info',
                          description='camera_info topic of a camera, in the same way.'),
    DeclareLaunchArgument('namespace', default_value='',
                          description='Namespace of the node and of its outputs.'),
    DeclareLaunchArgument('params_file', default_value=str(CONFIG / 'ubcn.yaml'),
                          description='Parameter file; the arguments here override it.'),
    DeclareLaunchArgument('model', default_value='',
                          description='Name in models/ or path of a .safetensors file; empty: as '
                          'in params_file.'),
    DeclareLaunchArgument('device', default_value='',
                          description='auto, cpu, cuda or cuda:N; empty: as in params_file.'),
    DeclareLaunchArgument('shared_memory', default_value='true', choices=['true', 'false'],
                          description='Whether Fast DDS gets the large shared-memory segment of '
                          f'config/fastdds.xml, unless {PROFILES} is set already.'),
)


def set_up(context):
    """Put the actions together for the arguments' values."""
    given = {argument.name: LaunchConfiguration(argument.name).perform(context)
             for argument in ARGUMENTS}
    cameras = [name for name in re.split(r'[\s,]+', given['cameras']) if name]
    if not cameras:
        raise RuntimeError("argument cameras:='' names no camera")
    for name in ('image', 'camera_info'):
        if len(cameras) > 1 and '{camera}' not in given[name]:
            raise RuntimeError(f"argument {name}:='{given[name]}' is the same topic for all "
                               'cameras: put {camera} where their names differ')
    actions = []
    if given['shared_memory'] == 'true' and not os.environ.get(PROFILES):
        actions.append(SetEnvironmentVariable(PROFILES, str(CONFIG / 'fastdds.xml')))
    overrides = {'cameras': cameras,
                 **{name: given[name] for name in ('model', 'device') if given[name]}}
    remappings = []
    for camera in cameras:
        image = given['image'].replace('{camera}', camera)
        remappings += [(f'{camera}/image', image),
                       (f'{camera}/image/compressed', f'{image}/compressed'),
                       (f'{camera}/camera_info', given['camera_info'].replace('{camera}', camera))]
    actions.append(Node(
        **_executable(), name='ubcn', namespace=given['namespace'], output='screen',
        parameters=[given['params_file'], overrides], remappings=remappings))
    return actions


def _executable():
    """Name what to run: the installed executable, or the module where colcon built nothing."""
    try:
        get_package_prefix('ubcn_ros')
    except (PackageNotFoundError, OSError):  # OSError: AMENT_PREFIX_PATH is not set
        return {'executable': sys.executable, 'arguments': ['-m', 'ubcn_ros.node.main']}
    return {'package': 'ubcn_ros', 'executable': 'ubcn_node'}


def generate_launch_description():
    """Declare the arguments and set up the node."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=set_up)])
