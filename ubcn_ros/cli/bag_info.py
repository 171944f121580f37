# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn bag info`: what bags hold."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import json_option
from ubcn_ros.cli.output import (
    bar_updater,
    progress_bar,
    save_json,
    saving,
    say_error,
    say_errors,
    warn,
)
from ubcn_ros.cli.param_types import JSON_OR_DASH, InputType
from ubcn_ros.text_table import counted, listed, table

if TYPE_CHECKING:
    from ubcn_ros.bags.info import BagInfo

_MOST_GAPS = 5  # of a topic, in the text
_YEAR_2001 = 10**9  # seconds; times before are counted from a start of their own


@click.command(cls=Command)
@click.argument('bags', nargs=-1, required=True, type=InputType(path_type=Path), metavar='BAG...')
@json_option(type=JSON_OR_DASH,
             help='Write everything to this file; - writes to standard output instead of the '
                  'tables.')
def bag_info(bags: tuple[Path, ...], json_path: Path | None) -> None:
    """
    Show what bags hold: topics, rates, sizes, cameras, gaps, damage.

    The whole bag is read. A gap is an interval between messages of more than three times the
    median. Gaps are reported for regular topics, those with gaps in at most a tenth of their
    intervals. Cameras are the topics that `bag process` takes by default. The exit code is 1 if a
    bag is damaged.
    """
    from ubcn_ros.bags import BagError
    from ubcn_ros.bags.info import bag_info as read
    found: list[dict[str, Any]] = []
    infos: list[BagInfo] = []

    def save() -> None:
        save_json(json_path, {'bags': found})
        for number, info in enumerate(infos):
            if str(json_path) != '-':
                click.echo(('\n' if number else '') + _text(info))
            for note in info.notes:
                warn(note)
            say_errors(info.damage)

    with saving(found, save):
        for path in bags:
            try:
                with progress_bar(unit='messages') as bar:
                    infos.append(read(path, bar_updater(bar)))
                found.append(infos[-1].as_dict())
            except BagError as error:
                say_error(str(error))
                found.append({'path': str(path), 'damage': [str(error)]})
    if any(each['damage'] for each in found):
        sys.exit(1)


def _text(info: BagInfo) -> str:
    size = sum(file.bytes for file in info.files)
    kinds = ', '.join(dict.fromkeys(f'{file.storage}, compression {file.compression}'
                                    for file in info.files))
    parts = [f'{info.path}: {info.seconds:.2f} s{_since(info.start_ns)}, {info.messages} '
             f'messages, {size / 1e6:.1f} MB in {counted(len(info.files), "file")} ({kinds})']
    if info.topics:
        parts.append('\n' + table(
            ('topic', 'type', 'messages', 'MB', 'Hz', 'gaps', 'longest', 'QoS'),
            [(topic.topic, _type(topic), str(topic.messages), f'{topic.bytes / 1e6:.2f}',
              f'{topic.rate_hz:.2f}' if topic.rate_hz else '-',
              '-' if topic.gaps is None else str(len(topic.gaps)),
              f'{max(gap.seconds for gap in topic.gaps):.2f} s' if topic.gaps else '-',
              ', '.join(topic.qos.values()) if topic.qos else '-')
             for topic in info.topics], left=(0, 1, 7)) + '\n')
    parts += [_cameras(info) + '\n'] if info.cameras else []
    parts += [f'{other["topic"]} is not a camera: {other["reason"]}'
              for other in info.not_cameras]
    parts += [f'{topic.topic} has gaps: ' + listed(
        [f'{gap.seconds:.2f} s at {gap.at_s:.2f} s' for gap in topic.gaps], _MOST_GAPS)
        for topic in info.topics if topic.gaps]
    for title, names in (('attachments', info.attachments), ('metadata', info.metadata)):
        parts += [f'{title}: {", ".join(names)}'] if names else []
    return '\n'.join(parts).rstrip('\n')


def _cameras(info: BagInfo) -> str:
    by_topic = {(t.topic, t.type): t for t in info.topics if t.serialization == 'cdr'}
    rows = []
    for camera in info.cameras:
        topic = by_topic[camera['topic'], camera['type']]
        rows.append((camera['topic'], f'{topic.width}x{topic.height}', topic.encoding or '-',
                     camera['camera_info'] or 'none beside it'))
    return table(('camera', 'size', 'encoding', 'camera info'), rows, left=(0, 2, 3))


def _type(topic: Any) -> str:
    other = '' if topic.serialization == 'cdr' else f' ({topic.serialization or "not encoded"})'
    return (topic.type.replace('/msg/', '/') or '(none)') + other


def _since(start_ns: int | None) -> str:
    if start_ns is None:
        return ''
    if start_ns < _YEAR_2001 * 10**9:
        return f' from {start_ns / 1e9:.3f} s'
    return datetime.fromtimestamp(start_ns / 1e9, timezone.utc).strftime(' from %F %T UTC')
