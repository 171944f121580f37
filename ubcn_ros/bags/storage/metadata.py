# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Read and write metadata.yaml of a bag.

Layout: https://github.com/ros2/rosbag2, rosbag2_storage/yaml.hpp, version 9 (Jazzy).
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.rosbag2.metadata import dump_qos_v9

from ubcn_ros.bags.errors import reason
from ubcn_ros.bags.storage.channels import HASH, dump_yaml, read_yaml
from ubcn_ros.bags.storage.mcap_file import McapFile
from ubcn_ros.bags.storage.offered_qos import recorded_offers
from ubcn_ros.bags.storage.reach import check_in_reach
from ubcn_ros.bags.storage.records import Channel
from ubcn_ros.whole_files import write_whole

VERSION = 9
NAME = 'metadata.yaml'
_ROOT = 'rosbag2_bagfile_information'


class BagMetadata(NamedTuple):
    """What metadata.yaml says; `counts` by topic and type."""

    files: list[str]
    counts: Counter[tuple[str, str]]
    custom_data: dict[str, str]


class _ValueError(ValueError):
    """A value of metadata.yaml that cannot be; the text names it."""


def read_metadata(folder: Path) -> tuple[BagMetadata | None, list[str]]:
    """
    Read metadata.yaml; None where that cannot be. Also return what is odd, a line each.

    :raises BagOutOfReach: its disk or server is gone.
    """
    path = folder / NAME
    try:
        information = read_yaml(path.read_text('utf-8'))[_ROOT]
        counts: Counter[tuple[str, str]] = Counter()
        for entry in information['topics_with_message_count'] or []:
            topic = entry['topic_metadata']
            counts[topic['name'], topic['type']] += entry['message_count']
        files = information['relative_file_paths'] or []
        # as Windows separates them, too
        names = [re.split(r'[/\\]', str(name))[-1] for name in files]
        if not isinstance(files, list) or {'', '.', '..', 'None'} & {*names}:
            raise _ValueError(f'relative_file_paths is {files!r}, not a list of files')
        compression, notes = information.get('compression_format'), []
        if (str(information.get('compression_mode')).upper() == 'MESSAGE'
                and compression not in ('', None, 'zstd')):
            notes.append(f'{path} says that the messages are compressed as {compression}: only '
                         'zstd is read, convert the bag with `ros2 bag convert`')
        custom = {str(key): str(value)
                  for key, value in dict(information.get('custom_data') or {}).items()}
        return BagMetadata(list(dict.fromkeys(names)), counts, custom), notes
    except FileNotFoundError:
        return None, [f'{folder} has no metadata.yaml, as a recording that was killed leaves it: '
                      'what is there was read; `ros2 bag reindex` makes one']
    except Exception as error:  # unreadable, no YAML, or other YAML
        check_in_reach(path, str(path), error)
        why = (reason(error) if isinstance(error, OSError | _ValueError)
               else 'not the metadata of a bag')
        return None, [f'{path} cannot be read ({why}): what is there was read; '
                      '`ros2 bag reindex` writes it anew']


def write_metadata(folder: Path, names: Iterable[str],
                   custom_data: Mapping[str, str] | None = None) -> None:
    """
    Write metadata.yaml of a bag of mcap files, from what the files say.

    :param names: of the files in the folder, in their order.
    :param custom_data: of the recording.
    :raises BagError: a file cannot be read.
    :raises OSError: it cannot be written.
    """
    topics: dict[str, dict[str, Any]] = {}
    spans, files = [], []
    for name in names:
        with McapFile(folder / name, str(folder / name)) as file:
            for number, channel in file.channels.items():
                entry = _topic(channel)
                topics.setdefault(repr(entry), {'topic_metadata': entry, 'message_count': 0})[
                    'message_count'] += file.counts[number]
            spans.append(file.span)
            files.append({'path': name, **_times([file.span]),
                          'message_count': sum(file.counts.values())})
    document = {_ROOT: _information(spans, list(topics.values()), files, custom_data)}
    write_whole(folder / NAME, dump_yaml(document).encode(), durable=True)


def empty_metadata() -> str:
    """Return the content of metadata.yaml of a bag without messages, as mcap files have it."""
    return dump_yaml(_information([], [], [], None))


def _information(spans: list[tuple[int, int] | None], topics: list[dict[str, Any]],
                 files: list[dict[str, Any]], custom_data: Mapping[str, str] | None
                 ) -> dict[str, Any]:
    return {'version': VERSION, 'storage_identifier': 'mcap', **_times(spans),
            'message_count': sum(file['message_count'] for file in files),
            'topics_with_message_count': topics, 'compression_format': '', 'compression_mode': '',
            'relative_file_paths': [file['path'] for file in files], 'files': files,
            'custom_data': dict(custom_data or {}) or None,
            'ros_distro': os.environ.get('ROS_DISTRO', 'unknown')}


def _topic(channel: Channel) -> dict[str, Any]:
    """Describe a topic; channels that differ in nothing of it are one."""
    return {'name': channel.topic, 'type': channel.schema_name or channel.msgtype,
            'serialization_format': channel.encoding,
            'offered_qos_profiles': dump_qos_v9(recorded_offers([channel])),
            'type_description_hash': dict(channel.metadata).get(HASH, '')}


def _times(spans: Iterable[tuple[int, int] | None]) -> dict[str, dict[str, int]]:
    there = [span for span in spans if span]
    start = min((span[0] for span in there), default=0)
    end = max((span[1] for span in there), default=start)
    return {'duration': {'nanoseconds': end - start},
            'starting_time': {'nanoseconds_since_epoch': start}}
