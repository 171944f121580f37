# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: I001 (our folder launch/ makes the sorter take launch for a package of ours)
"""What launch files share: arguments of the node's parameters, made from their table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from os.path import expanduser
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription
import yaml
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch_ros.utilities import make_namespace_absolute, prefix_namespace

from ubcn_ros.node.middleware import fast_dds_profile
from ubcn_ros.node.parameters import SPECS, USE_SIM_TIME, Settings, nearest

TRUTH = ['true', 'false', 'True', 'False']
"""What an argument that switches something may be, as in other launch files of ROS 2."""
_OF_LAUNCH = {'emulate_tty', 'launch-prefix', 'launch-prefix-filter', 'ros_namespace',
              'sigkill_timeout', 'sigterm_timeout'}
"""Names that launch and launch_ros read by themselves, of those whose values are strings."""
_MISSPELT = 0.75
"""Likeness from which a name is one of ours misspelt: use_rviz is another's, iteration is ours."""


def parameter_arguments() -> list[DeclareLaunchArgument]:
    """Declare an argument for each parameter; empty leaves it to the parameter file."""
    return [DeclareLaunchArgument(
        spec.name, default_value='',
        description=f'{spec.description} {spec.constraint[0].upper()}{spec.constraint[1:]}; '
                    'empty: as in params_file.') for spec in (*SPECS, USE_SIM_TIME)]


def parameter_values(given: dict[str, str]) -> dict[str, Any]:
    """
    Read the parameters that were given as arguments.

    :param given: text by name; empty where it was not given.
    :raises RuntimeError: a value that the node would refuse.
    """
    values = {}
    for spec in (*SPECS, USE_SIM_TIME):
        if text := given[spec.name]:
            value = spec.parse(text)
            if reason := spec.refusal(value):
                raise RuntimeError(f"argument {spec.name}:='{text}': {reason}")
            values[spec.name] = value
    for spec in SPECS:
        if spec.per_camera and {'cameras', spec.name} <= values.keys():  # else the file may say
            try:
                Settings.of(values).for_cameras(spec.name)
            except ValueError as error:
                raise RuntimeError(f"argument {spec.name}:='{given[spec.name]}': {error}"
                                   ) from error
    return values


def is_true(text: str) -> bool:
    """Read an argument that is one of TRUTH."""
    return text.lower() == 'true'


def file_and_namespace(context: LaunchContext, folder: Path) -> tuple[Path, str]:
    """
    Return the parameter file, the shipped one where none is given, and the node's namespace.

    Shells leave the `~` of `params_file:=~/robot.yaml`: it is the home folder here.
    The namespace, like '/car/front', is below those that were pushed unless it begins with '/'.

    :param folder: of our launch files.
    """
    given = context.launch_configurations
    file = given.get('params_file') or folder.parent / 'config' / 'ubcn.yaml'
    namespace = prefix_namespace(given.get('ros_namespace'), given.get('namespace', ''))
    return Path(expanduser(file)), make_namespace_absolute(namespace) or '/'


def cameras_of_file(file: Path, namespace: str) -> list[str]:
    """Read the cameras that a parameter file names for the node, as `value_of_file`."""
    cameras = value_of_file(file, namespace, 'cameras')
    return [str(camera) for camera in cameras if camera] if isinstance(cameras, list) else []


def value_of_file(file: Path, namespace: str, parameter: str) -> Any:
    """
    Read a parameter of the node from a parameter file; None where it is not there.

    :param file: of parameters, as ROS reads it; any other file has none.
    :param namespace: of the node, like '/' and '/car'.
    """
    values = [values[parameter] for _, values in _sections_for(file, _node_name(namespace))
              if parameter in values]
    return values[-1] if values else None  # as rclpy does


def write_overrides(values: Mapping[str, Any], file: Path, namespace: str) -> Path:
    """
    Write a parameter file for the node that overrides another given before it.

    Of sections for one node rclpy takes the last, in the order in which any file first names them:
    the values of launch_ros, which stand in one of the node's full name, may come too early.

    :param values: by name.
    :param file, namespace: as in `value_of_file`.
    :return: the file, kept as launch_ros keeps those that it writes.
    """
    node = _node_name(namespace)
    sections = dict.fromkeys([*(name for name, _ in _sections_for(file, node)), node])
    given = {name: [''] if value == [] else value  # an empty list has no type
             for name, value in values.items()}
    with NamedTemporaryFile('w', encoding='utf-8', prefix='launch_params_', suffix='.yaml',
                            delete=False) as written:
        # JSON is YAML with all strings quoted: ROS reads others, like y and 1e3, as other types
        json.dump({section: {'ros__parameters': given} for section in sections}, written,
                  ensure_ascii=False)
    return Path(written.name)


def explain_unused(file: Path, namespace: str) -> str:
    """
    Say where a parameter file is for other nodes alone, which ROS passes over in silence.

    :param file, namespace: as in `value_of_file`.
    :return: '' where it has a section for the node, or is not a parameter file.
    """
    node, sections = _node_name(namespace), [name for name, _ in _read_sections(file)]
    if not sections or _sections_for(file, node):
        return ''
    return (f"params_file:='{file}' has nothing for {node}, its sections are "
            f'{", ".join(sections)}: name one {node}, or /** for all nodes')


def _node_name(namespace: str) -> str:
    return f'{namespace.rstrip("/")}/ubcn'


def _sections_for(file: Path, node: str) -> list[tuple[str, dict[str, Any]]]:
    try:
        # as rclpy does: /* stands for any name, /** for any number of them
        return [(name, values) for name, values in _read_sections(file)
                if re.fullmatch(name.replace('/*', r'(/\w+)'), node)]
    except re.error:  # no name that ROS takes
        return []


def _read_sections(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """Read a parameter file by the names of nodes; nothing where it is not one."""
    try:
        return list(_sections(yaml.safe_load(file.read_text()), ''))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return []  # the node says what is wrong with it


def _sections(values: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what a parameter file has for names of nodes, like '/car/ubcn'."""
    if not isinstance(values, dict):
        return
    for key, value in values.items():
        if key != 'ros__parameters':
            yield from _sections(value, f'{name}/{str(key).strip("/")}')
        elif isinstance(value, dict):
            yield name, value


def profile_environment(context: LaunchContext, folder: Path) -> dict[str, str]:
    """
    Return the variables that give a process of ours room for images, as `shared_memory` says.

    They are for `additional_env`: set for the whole launch, they would change the DDS of others.

    :param folder: of our launch files.
    """
    if not is_true(context.launch_configurations.get('shared_memory', 'true')):
        return {}
    return fast_dds_profile(context.environment, folder.parent / 'config' / 'fastdds.xml')


def is_installed(package: str) -> bool:
    """Say whether a ROS package is installed."""
    try:
        get_package_prefix(package)
    except (PackageNotFoundError, OSError):  # OSError: AMENT_PREFIX_PATH is not set
        return False
    return True


def unknown_arguments(context: LaunchContext, folder: Path, known: Sequence[str]) -> list[str]:
    """
    Look for arguments that nobody declares, as misspelt ones are ignored by launch.

    :param context: of the running launch.
    :param folder: of our launch files.
    :param known: names of our arguments.
    :return: where the launch file is another's that includes ours, a sentence for each that is
        one of ours misspelt: it may have arguments of its own that cannot be seen from here. Empty
        where it includes ours later, after an event: nothing of it can be seen then.
    :raises RuntimeError: there is one, and the launch file is one of ours.
    """
    event = context.get_locals_as_dict().get('event')
    description = getattr(event, 'launch_description', None)  # what the launch began with
    if description is None:
        return []
    declared = {argument.name for argument in description.get_launch_arguments()}
    strangers = [name for name, value in context.launch_configurations.items()
                 if name not in declared.union(known, _OF_LAUNCH) and isinstance(value, str)]
    if strangers and _launched_file(description).parent == folder:
        raise RuntimeError('; '.join(
            f"argument '{name}' is not known and has no effect; "
            f'{nearest(name, [*known, *sorted(declared.difference(known))])}'
            for name in strangers))
    return [f"argument '{name}' is not one of ubcn.launch.py; {nearest(name, known)}"
            for name in strangers if get_close_matches(name, known, 1, _MISSPELT)]


def _launched_file(description: LaunchDescription) -> Path:
    """Return the file that `ros2 launch` was given; an empty path for other descriptions."""
    entities = description.entities
    if len(entities) == 1 and isinstance(entities[0], IncludeLaunchDescription):
        return Path(entities[0].launch_description_source.location).resolve()
    return Path()
