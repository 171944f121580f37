# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: I001 (this folder's name makes the sorter take launch for a package of ours)
"""
Start the node, for one camera or, with `cameras`, for several.

    ros2 launch ubcn_ros ubcn.launch.py image:=/camera/image_raw device:=cuda iterations:=2

Every parameter of the node is an argument, too. `ros2 launch ubcn_ros ubcn.launch.py --show-args`
lists them all.
"""

import os
from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, LogInfo, OpaqueFunction
from launch.logging import get_logger, launch_config
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from ubcn_ros.node.launch_arguments import (
    TRUTH,
    cameras_of_file,
    explain_unused,
    file_and_namespace,
    is_installed,
    is_true,
    parameter_arguments,
    parameter_values,
    profile_environment,
    unknown_arguments,
    value_of_file,
    write_overrides,
)
from ubcn_ros.node.middleware import FAST_DDS
from ubcn_ros.node.topics import COLOR, COMPRESSED, DERAINED, IMAGE, OVERLAY
from ubcn_ros.python_command import python_command

# The same place in the source tree and in an installed share directory.
FOLDER = Path(__file__).resolve().parent
CONFIG = FOLDER.parent / 'config'

ARGUMENTS = (
    DeclareLaunchArgument('image', default_value=IMAGE,
                          description="The camera's image topic, {camera} standing for its name "
                          'where cameras gives any; images are expected there with '
                          'input_transport raw, in TOPIC/compressed with compressed.'),
    DeclareLaunchArgument('camera_info', default_value='',
                          description="The camera's camera_info topic, in the same way; empty: "
                          'beside the image topic.'),
    DeclareLaunchArgument('namespace', default_value='',
                          description='Namespace of the node and of its outputs.'),
    DeclareLaunchArgument('enclave', default_value='',
                          description='Security enclave of the node (SROS 2), like /ubcn; empty: '
                          'none is given, and with security enabled ROS takes /.'),
    DeclareLaunchArgument('params_file', default_value=str(CONFIG / 'ubcn.yaml'),
                          description='Parameter file; the arguments below override it.'),
    *parameter_arguments(),
    DeclareLaunchArgument('shared_memory', default_value='true', choices=TRUTH,
                          description='Whether Fast DDS gets the large shared-memory segment of '
                          f'config/fastdds.xml, unless {" or ".join(FAST_DDS)} is set already, or '
                          'FASTDDS_BUILTIN_TRANSPORTS, which that file would override, to others '
                          'than DEFAULT.'),
    DeclareLaunchArgument('rviz', default_value='false', choices=TRUTH,
                          description='Whether to open RViz on input and outputs, of several '
                          'cameras those of the first.'),
)


def set_up(context):
    """Put the actions together for the arguments' values."""
    given = {argument.name: LaunchConfiguration(argument.name).perform(context)
             for argument in ARGUMENTS}
    for text in unknown_arguments(context, FOLDER, list(given)):
        get_logger('launch.user').warning(text)
    overrides = parameter_values(given)
    of_file = file_and_namespace(context, FOLDER)
    if not given['params_file'] or not of_file[0].is_file():  # else launch_ros goes on without it
        raise RuntimeError(f"argument params_file:='{given['params_file']}' is not a file: give "
                           'the path of a parameter file')
    if text := explain_unused(*of_file):
        get_logger('launch.user').warning(text)
    in_file = cameras_of_file(*of_file)
    cameras = [name for name in overrides.get('cameras', in_file) if name]
    if in_file and cameras != in_file:
        get_logger('launch.user').warning(
            f"argument cameras:='{given['cameras']}' overrides {', '.join(in_file)} of the "
            'parameter file')
    if given['image'] in ('', IMAGE):  # nobody asks for other topics than the cameras' own
        given['image'] = '{camera}/' + IMAGE if cameras else IMAGE
    _check_topics(given, cameras)
    profile = profile_environment(context, FOLDER)
    actions = [Node(
        **_executable(), name='ubcn', namespace=given['namespace'], output='screen',
        parameters=[of_file[0],
                    *([write_overrides(overrides, *of_file)] if overrides else [])],
        remappings=[pair for camera in cameras or [''] for pair in _remappings(given, camera)],
        ros_arguments=['--enclave', given['enclave']] if given['enclave'] else None,
        additional_env=profile)]
    if is_true(given['rviz']):
        first = cameras[0] if cameras else ''
        transport = overrides.get('input_transport',
                                  value_of_file(*of_file, 'input_transport')) or 'raw'
        actions += _rviz([of_file[1].strip('/'), first],
                         given['image'].replace('{camera}', first),
                         transport if isinstance(transport, str) else transport[0], profile)
    return actions


def _check_topics(given, cameras):
    """Check that there are cameras to stand for {camera}."""
    for name in ('image', 'camera_info'):
        if not cameras and '{camera}' in given[name]:
            raise RuntimeError(f"argument cameras:='{given['cameras']}' names no camera to stand "
                               f"for {{camera}} in {name}:='{given[name]}', and neither does the "
                               'parameter file')


def _remappings(given, camera):
    """Lead the inputs of a camera, '' for one without a name, to its topics."""
    inside = f'{camera}/' if camera else ''
    return [(inside + name, given[name].replace('{camera}', camera))
            for name in ('image', 'camera_info') if given[name]]


def _executable():
    """Name what to run: the installed executable, or the module where colcon built nothing."""
    if is_installed('ubcn_ros'):
        return {'package': 'ubcn_ros', 'executable': 'ubcn_node'}
    executable, *arguments = python_command('-m', 'ubcn_ros.node.main')
    return {'executable': executable, 'arguments': arguments}


def _rviz(names, image, transport, environment):
    """Open RViz with the topics of ubcn.rviz renamed to those of a namespace and a camera."""
    compressed = transport == 'compressed'
    missing = [package for package in ('rviz2', *['compressed_image_transport'] * compressed)
               if not is_installed(package)]
    distribution = os.environ.get('ROS_DISTRO') or 'jazzy'
    said = [LogInfo(msg=f'rviz:=true, but {package} is not installed: sudo apt install '
                    f'ros-{distribution}-{package.replace("_", "-")}') for package in missing]
    if 'rviz2' in missing:
        return said
    inside = ''.join(f'/{name}' for name in names if name)
    namespace = f'/{names[0]}' if names[0] else ''
    image = image if image.startswith('/') else f'{namespace}/{image}'
    topics = {f'/{IMAGE}': image}
    layout = CONFIG / 'ubcn.rviz'
    if compressed:
        topics[f'/{IMAGE}{COMPRESSED}'] = image + COMPRESSED
        layout = _layout_of_compressed(layout)
    if inside:
        topics |= {f'/{name}': f'{inside}/{name}' for name in (DERAINED, COLOR, OVERLAY)}
    return [*said, Node(package='rviz2', executable='rviz2', name='rviz',
                        arguments=['-d', str(layout)], remappings=list(topics.items()),
                        additional_env=environment)]


def _layout_of_compressed(layout):
    """Write a layout for a compressed input beside the log: the topic's name tells RViz of it."""
    topic = f'Value: /{IMAGE}'
    written = Path(launch_config.log_dir) / 'ubcn_compressed.rviz'
    written.write_text(layout.read_text().replace(f'{topic}\n', f'{topic}{COMPRESSED}\n'))
    return written


def generate_launch_description():
    """Declare the arguments and set up the node."""
    # a group, so that these arguments do not reach the launch file that includes this one
    return LaunchDescription([GroupAction([*ARGUMENTS, OpaqueFunction(function=set_up)])])
