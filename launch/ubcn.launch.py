# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: I001 (this folder's name makes the sorter take launch for a package of ours)
"""
Start the node for one camera.

    ros2 launch ubcn_ros ubcn.launch.py image:=/camera/image_raw device:=cuda iterations:=2

`ros2 launch ubcn_ros ubcn.launch.py --show-args` lists every argument.
"""

import os
import sys
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

# The same place in the source tree and in an installed share directory.
CONFIG = Path(__file__).resolve().parent.parent / 'config'
PROFILES = 'FASTRTPS_DEFAULT_PROFILES_FILE'
TRUTH = ['true', 'false']
NOT_INSTALLED = (PackageNotFoundError, OSError)  # OSError: AMENT_PREFIX_PATH is not set

ARGUMENTS = (
    DeclareLaunchArgument('image', default_value='image',
                          description="The camera's image topic; images are expected there with "
                          'input_transport raw, in TOPIC/compressed with compressed.'),
    DeclareLaunchArgument('camera_info', default_value='camera_info',
                          description="The camera's camera_info topic."),
    DeclareLaunchArgument('namespace', default_value='',
                          description='Namespace of the node and of its outputs.'),
    DeclareLaunchArgument('params_file', default_value=str(CONFIG / 'ubcn.yaml'),
                          description='Parameter file; the arguments below override it.'),
    DeclareLaunchArgument('model', default_value='',
                          description='Name in models/ or path of a .safetensors file; empty: as '
                          'in params_file.'),
    DeclareLaunchArgument('device', default_value='',
                          description='auto, cpu, cuda or cuda:N; empty: as in params_file.'),
    DeclareLaunchArgument('iterations', default_value='',
                          description='Steps per frame, 1 to 10; empty: as in params_file.'),
    DeclareLaunchArgument('autostart', default_value='', choices=['', *TRUTH],
                          description='Whether the node configures and activates by itself; empty:'
                          ' as in params_file.'),
    DeclareLaunchArgument('shared_memory', default_value='true', choices=TRUTH,
                          description='Whether Fast DDS gets the large shared-memory segment of '
                          f'config/fastdds.xml, unless {PROFILES} is set already.'),
    DeclareLaunchArgument('rviz', default_value='false', choices=TRUTH,
                          description='Whether to open RViz on input and outputs.'),
)

OVERRIDES = {'model': str, 'device': str, 'iterations': int,
             'autostart': lambda text: text == 'true'}


def set_up(context):
    """Put the actions together for the arguments' values."""
    given = {argument.name: LaunchConfiguration(argument.name).perform(context)
             for argument in ARGUMENTS}
    actions = []
    if given['shared_memory'] == 'true' and not os.environ.get(PROFILES):
        actions.append(SetEnvironmentVariable(PROFILES, str(CONFIG / 'fastdds.xml')))
    overrides = {}
    for name, convert in OVERRIDES.items():
        if given[name]:
            try:
                overrides[name] = convert(given[name])
            except ValueError:
                raise RuntimeError(f"argument {name}:='{given[name]}' is no integer") from None
    actions.append(Node(
        **_executable(), name='ubcn', namespace=given['namespace'], output='screen',
        parameters=[given['params_file'], overrides] if overrides else [given['params_file']],
        remappings=[('image', given['image']),
                    ('image/compressed', f"{given['image']}/compressed"),
                    ('camera_info', given['camera_info'])]))
    if given['rviz'] == 'true':
        actions.append(_rviz(given['namespace'].strip('/'), given['image']))
    return actions


def _executable():
    """Name what to run: the installed executable, or the module where colcon built nothing."""
    try:
        get_package_prefix('ubcn_ros')
    except NOT_INSTALLED:
        return {'executable': sys.executable, 'arguments': ['-m', 'ubcn_ros.node.main']}
    return {'package': 'ubcn_ros', 'executable': 'ubcn_node'}


def _rviz(namespace, image):
    """Open RViz with the topics of ubcn.rviz renamed to the node's."""
    try:
        get_package_prefix('rviz2')
    except NOT_INSTALLED:
        return LogInfo(msg='rviz:=true, but rviz2 is not installed: sudo apt install '
                       'ros-jazzy-rviz2')
    inside = f'/{namespace}' if namespace else ''
    topics = {'/image': image if image.startswith('/') else f'{inside}/{image}'}
    if namespace:
        topics |= {name: inside + name for name in
                   ('/derained/image_raw', '/labels/color', '/overlay/image_raw')}
    return Node(package='rviz2', executable='rviz2', name='rviz',
                arguments=['-d', str(CONFIG / 'ubcn.rviz')], remappings=list(topics.items()))


def generate_launch_description():
    """Declare the arguments and set up the node."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=set_up)])
