# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Name the outputs of the cameras of a bag, as a node with that camera would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ubcn_ros.bags.errors import BagError
from ubcn_ros.node.topics import base_topic


def find_prefixes(topics: Sequence[str]) -> dict[str, str]:
    """
    Find what the names of each camera's outputs begin with: its topic without the last part.

    Where that would be the same for two, the last part is kept.

    >>> find_prefixes(['/front/image_raw', '/rear/image_raw/compressed'])
    {'/front/image_raw': '/front/', '/rear/image_raw/compressed': '/rear/'}
    >>> find_prefixes(['/image_raw', '/image_color'])
    {'/image_raw': '/image_raw/', '/image_color': '/image_color/'}

    :param topics: image topics of cameras, each once.
    :raises BagError: two differ in their leading / alone, as bags of ROS 1 may have them.
    """
    longer = {topic: [f'/{topic}/'.replace('//', '/'), f'/{base_topic(topic)}/'.replace('//', '/')]
              for topic in topics}
    prefixes = {topic: names[-1].rstrip('/').rpartition('/')[0] + '/'
                for topic, names in longer.items()}
    while twice := {prefix for prefix, count in Counter(prefixes.values()).items() if count > 1}:
        alike = [topic for topic, prefix in prefixes.items() if prefix in twice]
        if not any(longer[topic] for topic in alike):
            raise BagError(f'outputs of {" and ".join(alike)} would get the same names: choose '
                           'one of these topics (--topic)')
        for topic in alike:
            if longer[topic]:
                prefixes[topic] = longer[topic].pop()
    return prefixes


def check_free(outputs: Iterable[str], there: Iterable[str]) -> None:
    """
    Check that outputs do not mix with what is copied.

    :param outputs: topics of outputs.
    :param there: topics that are copied from the input.
    :raises BagError: a topic is both.
    """
    if both := sorted({*outputs} & {*there}):
        raise BagError(
            f'the bag has {", ".join(both)} already, as a recording of the node or an earlier '
            "run leaves it, and outputs would get that name: leave it out (--exclude "
            f"'{both[0]}'), or write the outputs alone (--outputs-only)")
