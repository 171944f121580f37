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
from launch.actions import IncludeLaunchDescription
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
    description = LaunchDescription([IncludeLaunchDescription(
        AnyLaunchDescriptionSource(str(path)), launch_arguments=arguments.items())])
    context = LaunchContext()
    context.extend_locals({'event': Began(description)})
    nodes = _nodes(description, context)
    for node in nodes:
        node._perform_substitutions(context)
    return nodes


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
    if isinstance(entity, Node):
        return [entity]
    return [node for part in entity.visit(context) or () for node in _nodes(part, context)]


def remappings(node: Node) -> set[tuple[str, str]]:
    """Return the node's rules, from and to."""
    return set(node.expanded_remapping_rules or ())


def parameters(node: Node) -> dict:
    """Return the parameters that the node gets, of files in their order."""
    merged = {}
    for path, _ in node._Node__expanded_parameter_arguments:
        for content in yaml.safe_load(Path(path).read_text()).values():
            merged.update(content['ros__parameters'])
    return merged
