# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: I001 (our folder launch/ makes the sorter take launch for a package of ours)
"""Launch files carried out up to, and without, starting the nodes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import ExecuteProcess, IncludeLaunchDescription
from launch.events import IncludeLaunchDescription as Began
from launch.launch_description_sources import AnyLaunchDescriptionSource
from launch.logging import get_logger
from launch_ros.actions import Node

FOLDER = Path(__file__).parents[2] / 'launch'
SINGLE, SEVERAL = FOLDER / 'ubcn.launch.py', FOLDER / 'multi_camera.launch.py'


def launch(path: Path, **arguments: str) -> Node:
    """Do what `ros2 launch PATH NAME:=VALUE ...` does; return the one node, not started."""
    node, = launch_all(path, **arguments)
    return node


def launch_all(path: Path, **arguments: str) -> list[Node]:
    """Do the same for a launch file of several nodes."""
    return carry_out(LaunchDescription([include(path, **arguments)]))[0]


def include(path: Path, **arguments: str) -> IncludeLaunchDescription:
    """Include a launch file with these arguments."""
    return IncludeLaunchDescription(AnyLaunchDescriptionSource(str(path)),
                                    launch_arguments=arguments.items())


def carry_out(description: LaunchDescription) -> tuple[list[Node], LaunchContext]:
    """Do what is described; return the nodes, not started, and the context afterwards."""
    context = LaunchContext()
    context.extend_locals({'event': Began(description)})
    return list(_nodes(description, context)), context


@contextmanager
def warnings() -> Iterator[list[str]]:
    """Collect what launch files warn of."""
    texts: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: texts.append(record.getMessage())
    logger = get_logger('launch.user')
    logger.addHandler(handler)
    yield texts
    logger.removeHandler(handler)


def _nodes(entity, context):
    if isinstance(entity, Node):  # whose substitutions mean what is set at this point
        entity._perform_substitutions(context)
        yield entity
        return
    for part in entity.visit(context) or ():
        yield from _nodes(part, context)


def remappings(node: Node) -> set[tuple[str, str]]:
    """Return the node's rules, from and to."""
    return set(node.expanded_remapping_rules or ())


def variables(process: ExecuteProcess) -> dict[str, str]:
    """Return what is added to the environment of this process alone."""
    added = process.process_description.additional_env or []
    return {name.text: value.text for (name,), (value,) in added}


def parameters(node: Node) -> dict:
    """Return the parameters that the node gets, of files in their order."""
    merged = {}
    for path, _ in node._Node__expanded_parameter_arguments:
        for content in yaml.safe_load(Path(path).read_text()).values():
            merged.update(content['ros__parameters'])
    return merged
