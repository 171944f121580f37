# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: I001 (this folder's name makes the sorter take launch for a package of ours)
"""
Start the node, for one camera or, with `cameras`, for several.

    ros2 launch ubcn_ros ubcn.launch.py image:=/camera/image_raw device:=cuda iterations:=2

`ros2 launch ubcn_ros ubcn.launch.py --show-args` lists every argument.
"""

import os
import re
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
    DeclareLaunchArgument('cameras', default_value='',
                          description='Names of several cameras that share the model, separated '
                          'by commas; outputs are below the name: front/labels/image_raw.'),
    DeclareLaunchArgument('image', default_value='image',
                          description="The camera's image topic, {camera} standing for its name "
                          'where cameras gives any; images are expected there with '
                          'input_transport raw, in TOPIC/compressed with compressed.'),
    DeclareLaunchArgument('camera_info', default_value='camera_info',
                          description="The camera's camera_info topic, in the same way."),
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
                          description='Whether to open RViz on input and outputs, of several '
                          'cameras those of the first.'),
)

OVERRIDES = {'model': str, 'device': str, 'iterations': int,
             'autostart': lambda text: text == 'true'}


def set_up(context):
    """Put the actions together for the arguments' values."""
    given = {argument.name: LaunchConfiguration(argument.name).perform(context)
             for argument in ARGUMENTS}
    cameras = [name for name in re.split(r'[\s,]+', given['cameras']) if name]
    for name in ('image', 'camera_info'):
        if len(cameras) > 1 and '{camera}' not in given[name]:
            raise RuntimeError(f"argument {name}:='{given[name]}' is the same topic for all "
                               'cameras: put {camera} where their names differ')
        if not cameras and '{camera}' in given[name]:
            raise RuntimeError(f"argument cameras:='{given['cameras']}' names no camera to stand "
                               f"for {{camera}} in {name}:='{given[name]}'")
    actions = []
    if given['shared_memory'] == 'true' and not os.environ.get(PROFILES):
        actions.append(SetEnvironmentVariable(PROFILES, str(CONFIG / 'fastdds.xml')))
    overrides = {'cameras': cameras} if cameras else {}
    for name, convert in OVERRIDES.items():
        if given[name]:
            try:
                overrides[name] = convert(given[name])
            except ValueError:
                raise RuntimeError(f"argument {name}:='{given[name]}' is no integer") from None
    actions.append(Node(
        **_executable(), name='ubcn', namespace=given['namespace'], output='screen',
        parameters=[given['params_file'], overrides] if overrides else [given['params_file']],
        remappings=[pair for camera in cameras or [''] for pair in _remappings(given, camera)]))
    if given['rviz'] == 'true':
        first = cameras[0] if cameras else ''
        actions.append(_rviz([given['namespace'].strip('/'), first],
                             given['image'].replace('{camera}', first)))
    return actions


def _remappings(given, camera):
    """Lead the inputs of a camera, '' for one without a name, to its topics."""
    inside = f'{camera}/' if camera else ''
    image, info = (given[name].replace('{camera}', camera) for name in ('image', 'camera_info'))
    return [(f'{inside}image', image), (f'{inside}image/compressed', f'{image}/compressed'),
            (f'{inside}camera_info', info)]


def _executable():
    """Name what to run: the installed executable, or the module where colcon built nothing."""
    try:
        get_package_prefix('ubcn_ros')
    except NOT_INSTALLED:
        return {'executable': sys.executable, 'arguments': ['-m', 'ubcn_ros.node.main']}
    return {'package': 'ubcn_ros', 'executable': 'ubcn_node'}


def _rviz(names, image):
    """Open RViz with the topics of ubcn.rviz renamed to those of a namespace and a camera."""
    try:
        get_package_prefix('rviz2')
    except NOT_INSTALLED:
        return LogInfo(msg='rviz:=true, but rviz2 is not installed: sudo apt install '
                       'ros-jazzy-rviz2')
    inside = ''.join(f'/{name}' for name in names if name)
    namespace = f'/{names[0]}' if names[0] else ''
    topics = {'/image': image if image.startswith('/') else f'{namespace}/{image}'}
    if inside:
        topics |= {name: inside + name for name in
                   ('/derained/image_raw', '/labels/color', '/overlay/image_raw')}
    return Node(package='rviz2', executable='rviz2', name='rviz',
                arguments=['-d', str(CONFIG / 'ubcn.rviz')], remappings=list(topics.items()))


def generate_launch_description():
    """Declare the arguments and set up the node."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=set_up)])
