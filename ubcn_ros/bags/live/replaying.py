# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""For replay.launch.py: lead a node to the images of a bag, and say how the bag is played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ubcn_ros.bags.cameras import find_cameras
from ubcn_ros.bags.errors import BagError
from ubcn_ros.bags.messages import COMPRESSED, IMAGE
from ubcn_ros.bags.storage.reader import BagReader, open_bag
from ubcn_ros.node import topics as node_topics

_TRANSPORTS = {'raw': ('', IMAGE), 'compressed': (node_topics.COMPRESSED, COMPRESSED)}


@dataclass(frozen=True)
class ReplayInputs:
    """
    What leads a node to the images of a bag.

    `image` and `transports` are values of its launch arguments, `topics` those that it subscribes
    to then. `rosbag2` says whether the bag is a folder of rosbag2 with nothing odd, which
    `ros2 bag play` plays, too.
    """

    image: str
    transports: tuple[str, ...]
    topics: tuple[str, ...]
    rosbag2: bool = False


def find_inputs(path: Path | str, image: str = '', cameras: Sequence[str] = (),
                transports: Sequence[str] = (), namespace: str = '') -> ReplayInputs:
    """
    Find the images of a bag for a node.

    :param image: topic, {camera} standing for the name of one; '' for the bag's only camera.
    :param cameras: names; none for a node of one camera.
    :param transports: 'raw' or 'compressed', one for all cameras or one for each; none takes what
        the bag has, raw before compressed.
    :param namespace: of the node, for topics that do not begin with '/'.
    :raises BagError: the bag cannot be read, or has not these images.
    """
    with open_bag(path) as reader:
        if not image:
            if cameras:
                raise BagError('image is not given: with cameras, put {camera} where the image '
                               'topics differ')
            image = _only_camera(reader)
        base = node_topics.base_topic(image)
        if base != image:
            transports = transports or ('compressed',)
        names = cameras or ('',)
        wanted = transports if len(transports) == len(names) else [*transports[:1]] * len(names)
        found = [_transport(reader, _absolute(base.replace('{camera}', name), namespace), asked)
                 for name, asked in zip(names, wanted or [''] * len(names), strict=True)]
        rosbag2 = reader.path.is_dir() and not reader.notes and not reader.met
    return ReplayInputs(base, tuple(transport for transport, _ in found),
                        tuple(topic for _, topic in found), rosbag2)


def player_command(bag: str, ubcn: Sequence[str], wait_for: Sequence[str], rate: str = '1.0',
                   start: str = '0.0', loop: bool = False, topics: Sequence[str] = (),
                   exclude: Sequence[str] = ()) -> list[str]:
    """
    Return the command that plays a bag, with /clock.

    :param ubcn: program of which `bag play` plays it; none for `ros2 bag play`, which does not
        wait for subscribers, but for a second.
    :param wait_for: topics that need a subscriber before it begins.
    :param topics: those to play, none for all; `exclude`: those to leave out.
    """
    options = [bag, '--clock', '40', '--rate', rate, *(['--loop'] if loop else [])]
    if ubcn:
        several = (('--wait-for', wait_for), ('--topics', topics), ('--exclude', exclude))
        return [*ubcn, 'bag', 'play', *options, '--start', start,
                *(word for option, names in several for name in names for word in (option, name))]
    return ['ros2', 'bag', 'play', *options, '--start-offset', start, '--delay', '1.0',
            '--disable-keyboard-controls', *(['--topics', *topics] if topics else []),
            *(['--exclude-topics', *exclude] if exclude else [])]


def _only_camera(reader: BagReader) -> str:
    cameras, others = find_cameras(reader)
    if len(cameras) != 1:
        names = ', '.join(camera.topic for camera in cameras)
        reasons = '; '.join(f'{other.topic}: {other.reason}' for other in others)
        raise BagError(f'{reader.path} has ' + (
            f'several cameras, choose one: image:={cameras[0].topic} (there are {names})'
            if cameras else f'no camera ({reasons or "no images"})'))
    return cameras[0].topic


def _transport(reader: BagReader, topic: str, asked: str) -> tuple[str, str]:
    """Return the transport of an image topic, and the topic of its messages."""
    there = {(connection.topic, connection.msgtype) for connection in reader.connections
             if connection.msgcount}
    for name, (suffix, kind) in _TRANSPORTS.items():
        if asked in ('', name) and (topic + suffix, kind) in there:
            return name, topic + suffix
    images = sorted(name for name, kind in there if kind in (IMAGE, COMPRESSED))
    how = f' {asked}' if asked else ''
    raise BagError(f'{reader.path} has no{how} images of {topic}; it has images on '
                   f'{", ".join(images) or "no topic"}')


def _absolute(topic: str, namespace: str) -> str:
    inside = namespace.strip('/')
    return topic if topic.startswith('/') else f'/{inside}/{topic}'.replace('//', '/')
