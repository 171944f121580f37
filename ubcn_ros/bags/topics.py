# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Topics of bags: find the one with the images, choose some, check the name of a new one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from ubcn_ros.bags.errors import BagError
from ubcn_ros.bags.messages import COMPRESSED, IMAGE
from ubcn_ros.bags.storage.reader import BagReader, Connection

_TOPIC = re.compile(r'(~/|/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*')


def image_connection(reader: BagReader, topic: str | None = None) -> Connection:
    """
    Find the image topic of an open bag.

    Of a topic with Image and CompressedImage, Image is taken; `BagReader.problems` reports the
    other.

    :param topic: its name, with or without the first '/'; None takes the only one that there is.
    :raises BagError: no such topic, of another type, or without messages (the text lists all
        topics); none encoded as CDR; or several to choose from (the text lists them).
    """
    listing = ', '.join(map(_text, reader.connections)) or '(none)'
    of_topic = reader.connections
    if topic is not None:
        for name in (topic, '/' + topic.lstrip('/')):
            if of_topic := [c for c in reader.connections if c.topic == name]:
                break
        else:
            raise _error(reader, f'the bag has no topic {topic}; its topics are {listing}')
    found = [c for c in of_topic if c.msgtype in (IMAGE, COMPRESSED)]
    if topic is not None and not found:
        raise _error(reader, f'topic {topic} is of type {of_topic[0].msgtype or "(none)"}, not '
                     f'{IMAGE} or {COMPRESSED}; the topics are {listing}')
    filled = [c for c in found if c.msgcount]
    if not filled:
        raise _error(reader, f'the bag has no images{f" on {topic}" if topic else ""}; its topics '
                     f'are {listing}')
    readable = [c for c in filled if c.serialization == 'cdr']
    if not readable:
        raise BagError(f'topic {filled[0].topic} is encoded as {filled[0].serialization}, not as '
                       'cdr: record it with ROS 2, or convert it to a bag of ROS 2')
    by_topic: dict[str, Connection] = {}
    for connection in sorted(readable, key=lambda c: c.msgtype != IMAGE):
        by_topic.setdefault(connection.topic, connection)
    if len(by_topic) > 1:
        raise BagError('the bag has several image topics, choose one with --topic: '
                       + ', '.join(c.topic for c in readable if by_topic[c.topic] == c))
    return next(iter(by_topic.values()))


def choose_topics(topics: Iterable[str], patterns: Sequence[str], exclude: Sequence[str]
                  ) -> set[str]:
    """
    Choose topics by patterns, in which * stands for anything, ? for a character.

    :param topics: of a bag.
    :param patterns: of those to take; none takes all.
    :param exclude: patterns of those to leave out, of these.
    :raises BagError: a pattern is like none of the topics.
    """
    topics = dict.fromkeys(topics)
    for pattern in (*patterns, *exclude):
        if not any(fnmatchcase(topic, pattern) for topic in topics):
            raise BagError(f'no topic is like {pattern!r}; the topics are '
                           f'{", ".join(topics) or "(none)"}')
    return {topic for topic in topics
            if (not patterns or any(fnmatchcase(topic, pattern) for pattern in patterns))
            and not any(fnmatchcase(topic, pattern) for pattern in exclude)}


def check_names(topic: str, frame_id: str) -> None:
    """
    Check the names that a bag is to be made with.

    :raises BagError: a topic that ROS does not allow, or a frame id that is not UTF-8.
    """
    if not _TOPIC.fullmatch(topic):
        raise BagError(f'{topic!a} cannot be the name of a topic (--topic): give names of '
                       'letters, digits and _ that do not begin with a digit, with one / between '
                       "them, like '/camera/image_raw'")
    try:
        frame_id.encode()
    except UnicodeEncodeError as error:
        raise BagError(f'{frame_id!a} cannot be a frame id (--frame-id): give UTF-8 text, like '
                       "'camera'") from error


def _text(connection: Connection) -> str:
    encoding = '' if connection.serialization == 'cdr' else \
        f'{connection.serialization or "not encoded"}, '
    return f'{connection.topic} ({connection.msgtype or "no type"}, {encoding}' \
           f'{connection.msgcount})'


def _error(reader: BagReader, text: str) -> BagError:
    """Make an error that says what is damaged, which may be why."""
    return BagError('; '.join([text, *reader.met]))
